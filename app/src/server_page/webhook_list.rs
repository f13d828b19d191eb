//! All webhooks.

use super::Page;
use super::part::{confirmed, menu, page};
use super::render::Request;
use super::table::{Cell, Column, Filter, Narrow, Row, Table, grouped};
use crate::error::AppError;
use crate::part::data::Empty;
use crate::part::icon::Icon;
use crate::view::WebhookRow;
use leptos::prelude::*;
use model::access::Permission;

pub(super) async fn render(request: &Request) -> Result<Page, AppError> {
    let rows = request.backend.webhooks.list().await?;
    let query = request.query();
    let may_edit = request.viewer.role.may(Permission::Edit);
    let choice = |word: &str| (word.to_owned(), word.to_owned());
    let methods = model::webhook::Method::ALL.iter().map(|method| choice(method.as_str())).collect();
    let table = Table {
        label: "Webhooks",
        noun: ("webhook", "webhooks"),
        path: "/webhooks",
        query: &query,
        columns: vec![
            Column::text("name", "Name", "w-25", Narrow::Start),
            Column {
                filter: Filter::Choice(["Active", "Failing", "Paused"].map(choice).into()),
                ..Column::text("state", "State", "w-status", Narrow::End)
            },
            Column { filter: Filter::Choice(methods), ..Column::text("method", "Method", "w-10", Narrow::Gone) },
            Column::text("url", "URL", "", Narrow::Wide),
            Column {
                is_minor: true,
                filter: Filter::Choice(["API Key", "Basic", "Bearer", "None"].map(choice).into()),
                ..Column::text("authorization", "Authorization", "w-13", Narrow::Label("Authorization"))
            },
            Column::number("held", "Held", "w-8", Narrow::Label("Held")),
            Column::number("tasks", "Tasks", "w-8", Narrow::Label("Tasks")),
        ],
        rows: rows.into_iter().map(row).collect(),
        total: None,
        default_sort: "name",
        is_selectable: may_edit,
        is_live: true,
        empty: view! {
            <Empty
                icon="webhook"
                text="A webhook says where a message goes and how: URL, authorization, headers, timeout and retries."
                new=("/webhooks/new", "New Webhook")
            />
        }
        .into_any(),
    };
    let commands = may_edit.then(|| {
        menu(vec![confirmed(
            "bin",
            "Delete…",
            "Delete the checked webhooks? What waits for them is given up; its record stays.".to_owned(),
            "Delete webhooks".to_owned(),
            "/webhooks/delete".to_owned(),
            true,
        )])
    });
    let mut page = page(request, "Webhooks", Vec::new(), commands, table.render());
    page.is_live = true;
    Ok(page)
}

fn row(row: WebhookRow) -> Row {
    let (class, icon, word) = if row.is_paused {
        ("c-status c-status--held", "held", "Paused")
    } else if row.is_failing {
        ("c-status c-status--error", "error", "Failing")
    } else {
        ("c-status c-status--ok", "sent", "Active")
    };
    let url = row.url.clone();
    Row {
        id: row.id.to_string(),
        label: row.name.clone(),
        cells: vec![
            Cell::view(
                row.name.clone(),
                view! { <a class="c-table__open" href=format!("/webhooks/{}", row.id)>{row.name}</a> },
            ),
            Cell::view(word, view! { <span class=class><Icon name=icon/>{word}</span> }),
            Cell::text(row.method),
            Cell::view(row.url, view! { <span class="u-mono">{url}</span> }),
            Cell::text(row.authorization),
            Cell::number(i64::try_from(row.held).unwrap_or(i64::MAX), grouped(row.held)),
            Cell::number(row.tasks.into(), row.tasks.to_string()),
        ],
    }
}
