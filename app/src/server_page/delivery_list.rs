//! The deliveries: filtered, sorted and paged by the database.

use super::Page;
use super::part::{StatusWord, Time, confirmed, menu, page, post};
use super::render::Request;
use super::table::{Cell, Column, Filter, Narrow, Row, Table};
use crate::error::AppError;
use crate::part::data::Empty;
use crate::report::{DeliveryLine, DeliveryQuery};
use leptos::prelude::*;
use model::access::Permission;
use model::catalog::Catalog;
use model::delivery::Status;

/// The choices of the time filter.
const SINCE: [(&str, &str); 3] = [("1h", "1 hour"), ("24h", "24 hours"), ("7d", "7 days")];

fn columns(catalog: &Catalog) -> Vec<Column> {
    let owned = |(value, label): (&str, &str)| (value.to_owned(), label.to_owned());
    let statuses = Status::ALL.map(|status| (status.as_str().to_owned(), word(status).to_owned()));
    let mut events = Vec::new();
    for object_type in &catalog.0 {
        for event in &object_type.events {
            events
                .push((format!("{}.{}", object_type.id, event.id), format!("{}: {}", object_type.plural, event.label)));
        }
    }
    let fixed = |column: Column| Column { is_sortable: false, ..column };
    vec![
        fixed(Column {
            filter: Filter::Choice(statuses.into()),
            ..Column::text("status", "Status", "w-status", Narrow::Start)
        }),
        Column {
            filter: Filter::Choice(SINCE.map(owned).into()),
            ..Column::text("time", "Time", "w-time", Narrow::End)
        },
        fixed(Column::text("webhook", "Webhook", "w-15", Narrow::Start)),
        fixed(Column { is_minor: true, ..Column::text("task", "Task", "w-13", Narrow::Gone) }),
        fixed(Column { filter: Filter::Choice(events), ..Column::text("event", "Event", "w-10", Narrow::End) }),
        fixed(Column::text("object", "Object", "w-10", Narrow::Start)),
        Column::number("attempts", "Tries", "w-short", Narrow::Label("Tries")),
        fixed(Column::text("result", "Result", "", Narrow::Wide)),
        Column::number("duration", "Duration", "w-time", Narrow::Label("Took")),
        fixed(Column { filter: Filter::None, is_minor: true, ..Column::text("next", "Next", "w-time", Narrow::End) }),
    ]
}

fn word(status: Status) -> &'static str {
    match status {
        Status::Queued => "Queued",
        Status::Running => "Running",
        Status::Sent => "Sent",
        Status::Error => "Error",
        Status::Held => "Held",
        Status::Discarded => "Discarded",
    }
}

pub(super) async fn render(request: &Request) -> Result<Page, AppError> {
    let query = request.query();
    let text = |name: &str| query.value(name).to_owned();
    let wanted = DeliveryQuery {
        status: text("status"),
        since: text("time"),
        webhook: text("webhook"),
        task: text("task"),
        event: text("event"),
        object: text("object"),
        result: text("result"),
        sort: text("sort"),
        page: query.page(),
    };
    let listed = request.backend.deliveries.search(wanted).await?;
    let catalog = request.backend.catalog.load().await?;
    let may_edit = request.viewer.role.may(Permission::Edit);
    let table = Table {
        label: "Deliveries",
        noun: ("delivery", "deliveries"),
        path: "/deliveries",
        query: &query,
        columns: columns(&catalog),
        rows: listed.rows.into_iter().map(row).collect(),
        total: Some(listed.total),
        default_sort: "-time",
        is_selectable: may_edit,
        is_live: true,
        empty: view! {
            <Empty
                icon="delivery"
                text="Every message that a task sends appears here, with each attempt and its outcome."
            />
        }
        .into_any(),
    };
    let commands = may_edit.then(|| {
        menu(vec![
            post("replay", "Replay", "/deliveries/replay".to_owned(), true),
            confirmed(
                "discarded",
                "Give up…",
                "Give up the checked deliveries? Those that wait are never sent; their record stays.".to_owned(),
                "Give up".to_owned(),
                "/deliveries/discard".to_owned(),
                true,
            ),
        ])
    });
    let mut page = page(request, "Deliveries", Vec::new(), commands, table.render());
    page.is_live = true;
    Ok(page)
}

fn row(line: DeliveryLine) -> Row {
    let result = result(&line);
    let shown = result.clone();
    let next = line.next.clone();
    let (created, uuid) = (line.created.clone(), line.uuid.clone());
    let took = line.duration_ms.map_or_else(|| "–".to_owned(), |ms| format!("{ms} ms"));
    Row {
        label: format!("{}, {}", line.webhook, line.created.short),
        id: line.uuid.clone(),
        cells: vec![
            Cell::view(
                word(line.status),
                view! { <a class="c-table__open" href=format!("/deliveries/{uuid}")><StatusWord status=line.status hold=line.hold/></a> },
            ),
            Cell::view(line.created.full.clone(), view! { <Time when=created/> }),
            Cell::link(line.webhook, format!("/webhooks/{}", line.webhook_id)),
            Cell::text(line.task),
            Cell::text(line.event),
            Cell::text(line.object),
            Cell::number(line.attempts.into(), line.attempts.to_string()),
            Cell::view(result, shown),
            Cell::number(line.duration_ms.unwrap_or_default().into(), took),
            match next {
                Some(when) => Cell::view(when.full.clone(), view! { <Time when=when/> }),
                None => Cell::text("–"),
            },
        ],
    }
}

/// What came of it so far, in words.
pub(super) fn result(line: &DeliveryLine) -> String {
    match (&line.error, line.hold, line.http_status) {
        (_, Some(reason), _) => reason.words().to_owned(),
        (Some(error), ..) => error.clone(),
        (None, _, Some(status)) => format!("HTTP {status}"),
        (None, _, None) => "–".to_owned(),
    }
}

/// A short table of deliveries, without tools.
pub(super) fn short_table(label: &'static str, lines: Vec<DeliveryLine>) -> AnyView {
    let rows = lines.into_iter().map(|line| {
        let result = result(&line);
        view! {
            <tr role="row">
                <td role="cell">
                    <a class="c-table__open" href=format!("/deliveries/{}", line.uuid)>
                        <StatusWord status=line.status hold=line.hold/>
                    </a>
                </td>
                <td role="cell" data-end=""><Time when=line.created/></td>
                <td role="cell" title=line.webhook.clone()>
                    <a href=format!("/webhooks/{}", line.webhook_id)>{line.webhook.clone()}</a>
                </td>
                <td role="cell" data-end="">{line.event}</td>
                <td role="cell" title=line.object.clone()>{line.object.clone()}</td>
                <td role="cell" data-wide="" title=result.clone()>{result.clone()}</td>
            </tr>
        }
    });
    view! {
        <table class="c-table c-table--fixed c-table--cards c-table--quiet" role="table" aria-label=label>
            <colgroup>
                <col class="w-status"/>
                <col class="w-time"/>
                <col class="w-20"/>
                <col class="w-13"/>
                <col class="w-15"/>
                <col/>
            </colgroup>
            <thead role="rowgroup">
                <tr role="row">
                    <th role="columnheader" scope="col">"Status"</th>
                    <th role="columnheader" scope="col">"Time"</th>
                    <th role="columnheader" scope="col">"Webhook"</th>
                    <th role="columnheader" scope="col">"Event"</th>
                    <th role="columnheader" scope="col">"Object"</th>
                    <th role="columnheader" scope="col">"Result"</th>
                </tr>
            </thead>
            <tbody role="rowgroup">{rows.collect_view()}</tbody>
        </table>
    }
    .into_any()
}
