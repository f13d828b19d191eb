//! From a path to a page.

use super::part::nowhere;
use super::query::Query;
use super::{
    Page, dashboard, delivery, delivery_list, event_list, object_form, object_list, occurrence, run_list, tag_list,
    task, task_list, type_list, webhook, webhook_list, webhook_test,
};
use crate::backend::Backend;
use crate::error::AppError;
use crate::session::Viewer;
use crate::view::TestAnswer;
use leptos::prelude::*;
use std::collections::BTreeMap;

/// What a page is rendered from.
#[derive(Clone)]
pub struct Request {
    /// The path, `/webhooks/7`.
    pub path: String,
    /// The query, without its question mark.
    pub query: String,
    /// Who looks.
    pub viewer: Viewer,
    /// What they may ask for.
    pub backend: Backend,
    /// What was refused, when a command or a form of the page failed.
    pub problem: Option<AppError>,
    /// What was typed into the form that was posted.
    pub typed: BTreeMap<String, String>,
    /// What a test came to that was just sent.
    pub tested: Option<TestAnswer>,
}

impl Request {
    pub(super) fn query(&self) -> Query {
        Query::parse(&self.query)
    }

    /// The typed value of a form's field, or what it starts with.
    pub(super) fn typed_or(&self, name: &str, initial: &str) -> String {
        if self.typed.is_empty() {
            return initial.to_owned();
        }
        self.typed.get(name).cloned().unwrap_or_default()
    }
}

/// Renders the page of this request; one that is not there, or cannot be read, says so.
pub async fn render(request: Request) -> Page {
    let path = request.path.clone();
    let segments: Vec<_> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    let status = request.problem.as_ref().map(|problem| problem.code.http_status());
    let rendered = match segments.as_slice() {
        [] => dashboard::render(&request).await,
        ["webhooks"] => webhook_list::render(&request).await,
        ["webhooks", id] => webhook::render(&request, id).await,
        ["webhooks", id, "test"] => webhook_test::render(&request, id).await,
        ["tasks"] => task_list::render(&request).await,
        ["tasks", id] => task::render(&request, id).await,
        ["events"] => event_list::render(&request).await,
        ["deliveries"] => delivery_list::render(&request).await,
        ["deliveries", id] => delivery::render(&request, id).await,
        ["occurrences", id] => occurrence::render(&request, id).await,
        ["runs"] => run_list::render(&request).await,
        ["objects"] => object_list::render(&request).await,
        ["objects", id] => object_form::render(&request, id).await,
        ["tags"] => tag_list::render(&request).await,
        ["types"] => type_list::render(&request).await,
        _ => Err(AppError::not_found("page")),
    };
    let mut page = rendered.unwrap_or_else(|error| nowhere(&error));
    page.status = status.unwrap_or(page.status);
    // What was refused stays until somebody goes on.
    page.is_live &= request.problem.is_none();
    page
}

/// A view as HTML.
pub(super) fn html(view: impl FnOnce() -> AnyView) -> String {
    // Components look for an owner; nothing here outlives the call.
    Owner::new().with(|| view().to_html())
}
