//! The list of tasks.

use crate::asked::{Asked, Page};
use crate::error::AppError;
use crate::part::menu::{confirmed, menu, post};
use crate::part::notice::Empty;
use crate::part::status::Enabled;
use crate::part::table::{Cell, Column, Filter, Narrow, Row, Table};
use crate::view::task::TaskRow;
use leptos::prelude::*;
use model::access::Permission;

pub(crate) async fn page(asked: Asked) -> Result<Page, AppError> {
    let rows = asked.backend.tasks.list().await?;
    let query = &asked.query;
    let may_edit = asked.may(Permission::Edit);
    let table = Table {
        label: "Tasks",
        noun: ("task", "tasks"),
        path: "/tasks",
        query,
        columns: vec![
            Column::text("name", "Name", "w-25", Narrow::Start),
            Column { filter: states(), ..Column::text("state", "State", "w-status", Narrow::End) },
            Column { is_minor: true, ..Column::text("description", "Description", "", Narrow::Wide) },
            Column::text("object", "Object", "w-25", Narrow::Label("Object")),
            Column::number("events", "Events", "w-10", Narrow::Label("Events")),
        ],
        rows: rows.into_iter().map(row).collect(),
        total: None,
        further: None,
        of: None,
        default_sort: "name",
        is_selectable: may_edit,
        empty: view! {
            <Empty
                icon="task"
                text="A task says what to do: which message to send, through a webhook or by e-mail."
                new=may_edit.then_some(("/tasks/new", "New Task"))
            />
        }
        .into_any(),
    };
    let commands = may_edit.then(|| {
        menu(vec![
            post("play", "Enable", "/tasks/enable".to_owned(), true),
            post("pause", "Disable", "/tasks/disable".to_owned(), true),
            confirmed(
                "bin",
                "Delete…",
                "Delete the checked tasks? Their runs and deliveries stay.".to_owned(),
                "Delete tasks".to_owned(),
                "/tasks/delete".to_owned(),
                true,
            ),
        ])
    });
    Ok(table.page(commands))
}

/// Returns the filter of a column that shows Enabled or Disabled.
pub(crate) fn states() -> Filter {
    Filter::words(["Enabled", "Disabled"])
}

/// Returns a cell that shows Enabled or Disabled.
pub(crate) fn state(is_enabled: bool) -> Cell {
    Cell::view(if is_enabled { "Enabled" } else { "Disabled" }, view! { <Enabled is_enabled=is_enabled/> })
}

fn row(row: TaskRow) -> Row {
    Row {
        id: row.id.to_string(),
        label: row.name.clone(),
        cells: vec![
            Cell::open(row.name.clone(), format!("/tasks/{}", row.id), row.name),
            state(row.is_enabled),
            Cell::text(row.description),
            Cell::link(row.destination.name.clone(), row.destination.path()),
            Cell::number(row.events.into(), row.events.to_string()),
        ],
    }
}
