//! All webhooks.

use crate::asked::{Asked, Page};
use crate::error::AppError;
use crate::part::hold::state_word;
use crate::part::menu::{confirmed, menu};
use crate::part::notice::Empty;
use crate::part::table::{Cell, Column, Filter, Narrow, Row, Table, grouped};
use crate::view::webhook::WebhookRow;
use leptos::prelude::*;
use model::access::Permission;
use model::number::to_i64;
use model::webhook::{Authorization, Method};

pub(crate) async fn page(asked: Asked) -> Result<Page, AppError> {
    let rows = asked.backend.webhooks.list().await?;
    let query = &asked.query;
    let may_edit = asked.may(Permission::Edit);
    let methods = Method::ALL.iter().map(|method| method.as_str());
    let table = Table {
        label: "Webhooks",
        noun: ("webhook", "webhooks"),
        path: "/webhooks",
        query,
        columns: vec![
            Column::text("name", "Name", "w-25", Narrow::Start),
            Column {
                filter: Filter::words(["Active", "Failing", "Paused"]),
                ..Column::text("state", "State", "w-status", Narrow::End)
            },
            Column { filter: Filter::words(methods), ..Column::text("method", "Method", "w-10", Narrow::Gone) },
            Column::text("url", "URL", "", Narrow::Wide),
            Column {
                is_minor: true,
                filter: Filter::words(["API Key", "Basic", "Bearer", "None"]),
                ..Column::text("authorization", "Authorization", "w-13", Narrow::Label("Authorization"))
            },
            Column::number("held", "Held", "w-8", Narrow::Label("Held")),
            Column::number("tasks", "Tasks", "w-8", Narrow::Label("Tasks")),
        ],
        rows: rows.into_iter().map(row).collect(),
        total: None,
        further: None,
        of: None,
        default_sort: "name",
        is_selectable: may_edit,
        empty: view! {
            <Empty
                icon="webhook"
                text="A webhook says where a message goes and how: URL, authorization, headers, timeout and retries."
                new=may_edit.then_some(("/webhooks/new", "New Webhook"))
            />
        }
        .into_any(),
    };
    let commands = may_edit.then(|| {
        menu(vec![confirmed(
            "bin",
            "Delete…",
            "Delete the checked webhooks? Their waiting deliveries are discarded; their records stay.".to_owned(),
            "Delete webhooks".to_owned(),
            "/webhooks/delete".to_owned(),
            true,
        )])
    });
    Ok(table.page(commands))
}

fn row(row: WebhookRow) -> Row {
    let (word, class) = state_word(row.is_paused, row.is_failing);
    let url = row.settings.url.as_str().to_owned();
    let authorization = match row.settings.authorization {
        Authorization::None => "None",
        Authorization::Basic { .. } => "Basic",
        Authorization::Bearer => "Bearer",
        Authorization::ApiKey { .. } => "API Key",
    };
    Row {
        id: row.id.to_string(),
        label: row.settings.name.clone(),
        cells: vec![
            Cell::open(row.settings.name.clone(), format!("/webhooks/{}", row.id), row.settings.name)
                .with_title(row.settings.note),
            Cell::view(word, view! { <span class=class>{word}</span> }),
            Cell::text(row.settings.method.as_str()),
            Cell::view(url.clone(), view! { <span class="u-mono">{url}</span> }),
            Cell::text(authorization),
            Cell::number(to_i64(row.held), grouped(row.held)),
            Cell::number(row.tasks.into(), row.tasks.to_string()),
        ],
    }
}
