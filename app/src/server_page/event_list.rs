//! All events.

use super::Page;
use super::part::{confirmed, menu, post};
use super::render::Request;
use super::table::{Cell, Column, Filter, Narrow, Row, Table};
use super::task_list::{state, states};
use crate::error::AppError;
use crate::part::data::Empty;
use crate::view::EventRow;
use leptos::prelude::*;
use model::access::Permission;
use std::collections::BTreeSet;

pub(super) async fn render(request: &Request) -> Result<Page, AppError> {
    let rows = request.backend.events.list().await?;
    let query = request.query();
    let may_edit = request.viewer.role.may(Permission::Edit);
    let types: BTreeSet<_> = rows.iter().map(|row| row.type_label.clone()).collect();
    let table = Table {
        label: "Events",
        noun: ("event", "events"),
        path: "/events",
        query: &query,
        columns: vec![
            Column::text("event", "Event", "w-20", Narrow::Start),
            Column { filter: states(), ..Column::text("state", "State", "w-status", Narrow::End) },
            Column { filter: Filter::words(types), ..Column::text("type", "Type", "w-20", Narrow::Start) },
            Column::text("scope", "Object or tag", "", Narrow::End),
            Column::text("task", "Task", "w-25", Narrow::Wide),
        ],
        rows: rows.into_iter().map(row).collect(),
        total: None,
        default_sort: "type",
        is_selectable: may_edit,
        empty: view! {
            <Empty
                icon="event"
                text="An event says when to start a task: what happened, and to which object or tag."
                new=("/events/new", "New Event")
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
    Ok(table.page(request, commands))
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
