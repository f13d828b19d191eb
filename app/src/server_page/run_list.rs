//! Task Logs: the runs, newest first.

use super::Page;
use super::part::{StatusWord, Time, page, run_status};
use super::render::Request;
use super::table::{Cell, Column, Filter, Narrow, Row, Table};
use crate::error::AppError;
use crate::part::data::Empty;
use crate::report::RunLine;
use leptos::prelude::*;

pub(super) async fn render(request: &Request) -> Result<Page, AppError> {
    let query = request.query();
    let (name, status) = (query.value("task").to_owned(), query.value("status").to_owned());
    let listed = request.backend.deliveries.runs(name, status, query.page()).await?;
    let statuses = [("running", "Running"), ("succeeded", "Succeeded"), ("failed", "Failed")];
    let statuses = statuses.map(|(value, label)| (value.to_owned(), label.to_owned())).into();
    let fixed = |column: Column| Column { is_sortable: false, ..column };
    let table = Table {
        label: "Task Logs",
        noun: ("run", "runs"),
        path: "/runs",
        query: &query,
        columns: vec![
            fixed(Column {
                filter: Filter::Choice(statuses),
                ..Column::text("status", "Status", "w-status", Narrow::Start)
            }),
            fixed(Column { filter: Filter::None, ..Column::text("started", "Started", "w-13", Narrow::End) }),
            fixed(Column::text("task", "Task", "w-25", Narrow::Start)),
            fixed(Column { filter: Filter::None, ..Column::text("cause", "Cause", "", Narrow::Wide) }),
            fixed(Column { filter: Filter::None, ..Column::text("deliveries", "Delivery", "w-15", Narrow::End) }),
        ],
        rows: listed.rows.into_iter().map(row).collect(),
        total: Some(listed.total),
        default_sort: "-started",
        is_selectable: false,
        is_live: true,
        empty:
            view! { <Empty icon="log" text="Each execution of a task appears here, with its cause and its outcome."/> }
                .into_any(),
    };
    let mut page = page(request, "Task Logs", Vec::new(), None, table.render());
    page.is_live = true;
    Ok(page)
}

fn row(line: RunLine) -> Row {
    let started = line.started.clone();
    let task = match line.task_id {
        Some(id) => Cell::link(line.task.clone(), format!("/tasks/{id}")),
        None => Cell::text(line.task.clone()),
    };
    Row {
        id: line.id.to_string(),
        label: line.task.clone(),
        cells: vec![
            Cell::view(line.status.clone(), run_status(&line.status)),
            Cell::view(line.started.full.clone(), view! { <Time when=started/> }),
            task,
            cause(&line),
            deliveries(line.deliveries),
        ],
    }
}

fn cause(line: &RunLine) -> Cell {
    match &line.occurrence {
        Some(id) => Cell::link(line.cause.clone(), format!("/occurrences/{id}")),
        None => Cell::text(line.cause.clone()),
    }
}

fn deliveries(deliveries: Vec<(String, model::delivery::Status)>) -> Cell {
    let links = deliveries
        .into_iter()
        .map(|(id, status)| view! { <a href=format!("/deliveries/{id}")><StatusWord status=status/></a> })
        .collect_view();
    Cell::view("", links)
}

/// A short table of runs, without tools.
pub(super) fn short_table(label: &'static str, lines: Vec<RunLine>) -> AnyView {
    let rows = lines.into_iter().map(|line| {
        let cause = match &line.occurrence {
            Some(id) => view! { <a href=format!("/occurrences/{id}")>{line.cause.clone()}</a> }.into_any(),
            None => line.cause.clone().into_any(),
        };
        let deliveries = deliveries(line.deliveries).view;
        view! {
            <tr role="row">
                <td role="cell">{run_status(&line.status)}</td>
                <td role="cell" data-end=""><Time when=line.started/></td>
                <td role="cell" data-wide="" title=line.cause>{cause}</td>
                <td role="cell" data-end="">{deliveries}</td>
            </tr>
        }
    });
    view! {
        <table class="c-table c-table--fixed c-table--cards c-table--quiet" role="table" aria-label=label>
            <colgroup>
                <col class="w-status"/>
                <col class="w-15"/>
                <col/>
                <col class="w-20"/>
            </colgroup>
            <thead role="rowgroup">
                <tr role="row">
                    <th role="columnheader" scope="col">"Status"</th>
                    <th role="columnheader" scope="col">"Started"</th>
                    <th role="columnheader" scope="col">"Cause"</th>
                    <th role="columnheader" scope="col">"Delivery"</th>
                </tr>
            </thead>
            <tbody role="rowgroup">{rows.collect_view()}</tbody>
        </table>
    }
    .into_any()
}
