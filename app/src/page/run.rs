//! The Task Logs: the runs, newest first.

use crate::asked::{Asked, Page};
use crate::error::AppError;
use crate::part::notice::Empty;
use crate::part::status::{StatusWord, run_status, run_status_label};
use crate::part::table::{Cell, Column, Filter, Narrow, Of, Row, Table, short};
use crate::view::run::{RunDelivery, RunLine, RunQuery};
use leptos::prelude::*;

pub(crate) async fn page(asked: Asked) -> Result<Page, AppError> {
    let query = &asked.query;
    let text = |name: &str| query.value(name).to_owned();
    let wanted = RunQuery {
        of_task: text("of_task"),
        task: text("task"),
        status: text("status"),
        page: query.page(),
        beyond: query.beyond(),
    };
    let listed = asked.backend.deliveries.runs(wanted).await?;
    let statuses = Filter::choice([
        ("running", "Running"),
        ("succeeded", "Succeeded"),
        ("failed", "Failed"),
        ("missed", "Missed"),
    ]);
    let fixed = |column: Column| Column { is_sortable: false, ..column };
    let table = Table {
        label: "Task Logs",
        noun: ("run", "runs"),
        path: "/runs",
        query,
        columns: vec![
            fixed(Column { filter: statuses, ..Column::text("status", "Status", "w-status", Narrow::Start) }),
            fixed(Column { filter: Filter::None, ..Column::text("started", "Started", "w-13", Narrow::End) }),
            fixed(Column::text("task", "Task", "w-25", Narrow::Start)),
            fixed(Column { filter: Filter::None, ..Column::text("cause", "Cause", "", Narrow::Wide) }),
            fixed(Column { filter: Filter::None, ..Column::text("deliveries", "Delivery", "w-15", Narrow::End) }),
        ],
        rows: listed.rows.into_iter().map(row).collect(),
        total: Some(listed.total),
        further: listed.further,
        of: Of::find(query, "of_task", "Task", listed.of_name),
        default_sort: "-started",
        is_selectable: false,
        empty:
            view! { <Empty icon="log" text="Each execution of a task appears here, with its cause and its outcome."/> }
                .into_any(),
    };
    Ok(table.page(None))
}

fn row(line: RunLine) -> Row {
    let task = match line.task_id {
        Some(id) => Cell::link(line.task.clone(), format!("/tasks/{id}")),
        None => Cell::text(line.task.clone()),
    };
    let Row { id, label, mut cells } = short_row(line);
    cells.insert(2, task);
    Row { id, label, cells }
}

/// Returns a row without the task.
fn short_row(line: RunLine) -> Row {
    let cause = match (&line.occurrence, line.note) {
        (Some(id), _) => Cell::link(line.cause, format!("/occurrences/{id}")),
        (None, None) => Cell::text(line.cause),
        (None, Some(note)) => {
            Cell::view(line.cause.clone(), view! { {line.cause}<p class="u-small u-muted">{note}</p> })
        }
    };
    Row {
        id: line.id.to_string(),
        label: line.task,
        cells: vec![
            Cell::view(run_status_label(line.status), run_status(line.status)),
            Cell::time(line.started),
            cause,
            deliveries(line.deliveries),
        ],
    }
}

fn deliveries(deliveries: Vec<RunDelivery>) -> Cell {
    let link =
        |one: RunDelivery| view! { <a href=format!("/deliveries/{}", one.uuid)><StatusWord status=one.status/></a> };
    let links = deliveries.into_iter().map(link).collect_view();
    Cell::view("", links)
}

/// Renders a short table of a task's runs.
pub(crate) fn short_table(label: &'static str, lines: Vec<RunLine>) -> AnyView {
    let columns = [
        Column::text("status", "Status", "w-status", Narrow::Start),
        Column::text("started", "Started", "w-15", Narrow::End),
        Column::text("cause", "Cause", "", Narrow::Start),
        Column::text("deliveries", "Delivery", "w-20", Narrow::End),
    ];
    short(label, &columns, lines.into_iter().map(short_row).collect())
}
