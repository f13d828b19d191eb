//! The list of schedules.

use crate::asked::{Asked, Page};
use crate::error::AppError;
use crate::page::task::list::{state, states};
use crate::part::menu::{confirmed, menu, post};
use crate::part::notice::Empty;
use crate::part::status::Time;
use crate::part::table::{Cell, Column, Filter, Narrow, Row, Table};
use crate::view::schedule::ScheduleRow;
use leptos::prelude::*;
use model::access::Permission;

pub(crate) async fn page(asked: Asked) -> Result<Page, AppError> {
    let rows = asked.backend.schedules.list().await?;
    let query = &asked.query;
    let may_edit = asked.may(Permission::Edit);
    let table = Table {
        label: "Schedules",
        noun: ("schedule", "schedules"),
        path: "/schedules",
        query,
        columns: vec![
            Column::text("name", "Name", "w-25", Narrow::Start),
            Column { filter: states(), ..Column::text("state", "State", "w-status", Narrow::End) },
            Column::text("runs", "Runs", "", Narrow::Wide),
            Column {
                filter: Filter::None,
                ..Column::text("next", "Next run", "w-13", Narrow::Label("Next run"))
            },
            Column::number("triggers", "Triggers", "w-10", Narrow::Label("Triggers")),
        ],
        rows: rows.into_iter().map(row).collect(),
        total: None,
        further: None,
        of: None,
        default_sort: "name",
        is_selectable: may_edit,
        empty: view! {
            <Empty
                icon="schedule"
                text="A schedule says when to start tasks by the clock: every hour, on weekdays, on the last day of the month."
                new=may_edit.then_some(("/schedules/new", "New Schedule"))
            />
        }
        .into_any(),
    };
    let commands = may_edit.then(|| {
        menu(vec![
            post("play", "Enable", "/schedules/enable".to_owned(), true),
            post("pause", "Disable", "/schedules/disable".to_owned(), true),
            confirmed(
                "bin",
                "Delete…",
                "Delete the checked schedules? Their tasks stay.".to_owned(),
                "Delete schedules".to_owned(),
                "/schedules/delete".to_owned(),
                true,
            ),
        ])
    });
    Ok(table.page(commands))
}

fn row(row: ScheduleRow) -> Row {
    // RFC 3339 in UTC sorts by time.
    let next = match row.next {
        Some(next) => Cell::view(next.machine.clone(), view! { <Time when=next/> }),
        None if row.is_enabled => Cell::text("None left"),
        None => Cell::text(""),
    };
    Row {
        id: row.id.to_string(),
        label: row.name.clone(),
        cells: vec![
            Cell::open(row.name.clone(), format!("/schedules/{}", row.id), row.name).with_title(row.description),
            state(row.is_enabled),
            Cell::text(row.summary),
            next,
            Cell::number(row.triggers.into(), row.triggers.to_string()),
        ],
    }
}
