//! The list of events.

use crate::asked::{Asked, Page};
use crate::error::AppError;
use crate::page::task::list::{state, states};
use crate::part::menu::{confirmed, menu, post};
use crate::part::notice::Empty;
use crate::part::table::{Cell, Column, Filter, Narrow, Row, Table};
use crate::view::event::EventRow;
use leptos::prelude::*;
use model::access::Permission;
use std::collections::BTreeSet;

pub(crate) async fn page(asked: Asked) -> Result<Page, AppError> {
    let rows = asked.backend.events.list().await?;
    let query = &asked.query;
    let may_edit = asked.may(Permission::Edit);
    let types: BTreeSet<_> = rows.iter().map(|row| row.type_label.clone()).collect();
    let table = Table {
        label: "Events",
        noun: ("event", "events"),
        path: "/events",
        query,
        columns: vec![
            Column::text("event", "Event", "w-20", Narrow::Start),
            Column { filter: states(), ..Column::text("state", "State", "w-status", Narrow::End) },
            Column { filter: Filter::words(types), ..Column::text("type", "Type", "w-20", Narrow::Start) },
            Column::text("scope", "Object or tag", "", Narrow::End),
            Column::text("task", "Task", "w-25", Narrow::Wide),
        ],
        rows: rows.into_iter().map(row).collect(),
        total: None,
        further: None,
        of: None,
        default_sort: "type",
        is_selectable: may_edit,
        empty: view! {
            <Empty
                icon="event"
                text="An event says when to start a task: what happened, and to which object or tag."
                new=may_edit.then_some(("/events/new", "New Event"))
            />
        }
        .into_any(),
    };
    let commands = may_edit.then(|| {
        menu(vec![
            post("play", "Enable", "/events/enable".to_owned(), true),
            post("pause", "Disable", "/events/disable".to_owned(), true),
            confirmed(
                "bin",
                "Delete…",
                "Delete the checked events? Their tasks stay.".to_owned(),
                "Delete events".to_owned(),
                "/events/delete".to_owned(),
                true,
            ),
        ])
    });
    Ok(table.page(commands))
}

fn row(row: EventRow) -> Row {
    let label = format!("{}: {}, {}", row.type_label, row.event_label, row.task_name);
    Row {
        id: row.id.to_string(),
        label,
        cells: vec![
            Cell::open(row.event_label.clone(), format!("/events/{}", row.id), row.event_label),
            state(row.is_enabled),
            Cell::text(row.type_label),
            Cell::text(row.scope),
            Cell::link(row.task_name, format!("/tasks/{}", row.task_id)),
        ],
    }
}
