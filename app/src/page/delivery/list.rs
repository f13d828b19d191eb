//! The list of deliveries: filtered, sorted and paged by the database.

use crate::asked::{Asked, Page};
use crate::error::AppError;
use crate::part::menu::{confirmed, menu, post};
use crate::part::notice::Empty;
use crate::part::status::status_label;
use crate::part::table::{Cell, Column, Filter, Narrow, Of, Row, Table, short};
use crate::view::delivery::{DeliveryLine, DeliveryQuery};
use leptos::prelude::*;
use model::access::Permission;
use model::catalog::Catalog;
use model::delivery::Status;
use model::destination::Kind;

/// The choices of the time filter.
const SINCE: [(&str, &str); 3] = [("1h", "1 hour"), ("24h", "24 hours"), ("7d", "7 days")];

fn columns(catalog: &Catalog) -> Vec<Column> {
    let statuses = Status::ALL.map(|status| (status.as_str().to_owned(), status_label(Some(status)).to_owned()));
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
        Column { filter: Filter::choice(SINCE), ..Column::text("time", "Time", "w-time", Narrow::End) },
        fixed(Column::text("destination", "Destination", "w-13", Narrow::Start)),
        fixed(Column { is_minor: true, ..Column::text("task", "Task", "w-13", Narrow::Gone) }),
        fixed(Column { filter: Filter::Choice(events), ..Column::text("event", "Event", "w-10", Narrow::End) }),
        fixed(Column::text("object", "Object", "w-10", Narrow::Start)),
        Column::number("attempts", "Attempts", "w-time", Narrow::Gone),
        fixed(Column::text("result", "Result", "", Narrow::Wide)),
        Column::number("duration", "Duration", "w-time", Narrow::End),
        fixed(Column { filter: Filter::None, is_minor: true, ..Column::text("next", "Next", "w-time", Narrow::End) }),
    ]
}

pub(crate) async fn page(asked: Asked) -> Result<Page, AppError> {
    let query = &asked.query;
    let text = |name: &str| query.value(name).to_owned();
    let wanted = DeliveryQuery {
        status: text("status"),
        since: text("time"),
        of_destination: text("of_destination"),
        destination: text("destination"),
        task: text("task"),
        event: text("event"),
        object: text("object"),
        result: text("result"),
        sort: text("sort"),
        page: query.page(),
        beyond: query.beyond(),
    };
    let listed = asked.backend.deliveries.search(wanted).await?;
    let catalog = asked.backend.catalog.load().await?;
    let may_edit = asked.may(Permission::Edit);
    let table = Table {
        label: "Deliveries",
        noun: ("delivery", "deliveries"),
        path: "/deliveries",
        query,
        columns: columns(&catalog),
        rows: listed.rows.into_iter().map(row).collect(),
        total: Some(listed.total),
        further: listed.further,
        of: Of::find(query, "of_destination", "Destination", listed.of_name),
        default_sort: "-time",
        is_selectable: may_edit,
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
                "Discard…",
                "Discard the checked deliveries? Those that wait are never sent; their records stay.".to_owned(),
                "Discard".to_owned(),
                "/deliveries/discard".to_owned(),
                true,
            ),
        ])
    });
    Ok(table.page(commands))
}

fn row(line: DeliveryLine) -> Row {
    let took = line.duration_ms.map_or_else(|| "–".to_owned(), |ms| format!("{ms} ms"));
    let task = Cell::text(line.task.clone());
    let attempts = Cell::number(line.attempts.into(), line.attempts.to_string());
    let took = Cell::number(line.duration_ms.unwrap_or_default().into(), took);
    let next = line.next.clone().map_or_else(|| Cell::text("–"), Cell::time);
    let Row { id, label, mut cells } = short_row(line);
    cells.insert(3, task);
    cells.insert(6, attempts);
    cells.extend([took, next]);
    Row { id, label, cells }
}

/// Returns a row with status, time, destination, event, object and result.
fn short_row(line: DeliveryLine) -> Row {
    let result = result(&line);
    Row {
        label: format!("{}, {}", line.destination.name, line.created.short),
        cells: vec![
            Cell::open_status(line.status, line.held(), format!("/deliveries/{}", line.uuid)),
            Cell::time(line.created),
            Cell::link(line.destination.name.clone(), line.destination.path()),
            Cell::text(line.event),
            Cell::text(line.object),
            Cell::text(result),
        ],
        id: line.uuid,
    }
}

/// Returns the result so far as text.
pub(crate) fn result(line: &DeliveryLine) -> String {
    match (&line.error, line.held(), line.status_code) {
        (_, Some(reason), _) => reason,
        (Some(error), ..) => error.clone(),
        (None, _, Some(code)) => match line.destination.kind {
            Kind::Webhook => format!("HTTP {code}"),
            Kind::Mailer => format!("SMTP {code}"),
        },
        (None, _, None) => "–".to_owned(),
    }
}

/// Renders a short table of deliveries.
pub(crate) fn short_table(label: &'static str, lines: Vec<DeliveryLine>) -> AnyView {
    let columns = [
        Column::text("status", "Status", "w-status", Narrow::Start),
        Column::text("time", "Time", "w-time", Narrow::End),
        Column::text("destination", "Destination", "w-20", Narrow::Start),
        Column::text("event", "Event", "w-13", Narrow::End),
        Column::text("object", "Object", "w-15", Narrow::Start),
        Column::text("result", "Result", "", Narrow::Wide),
    ];
    short(label, &columns, lines.into_iter().map(short_row).collect())
}
