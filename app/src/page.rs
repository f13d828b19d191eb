//! The pages, one file each, rendered by the server alone.
//!
//! A page is an async function from [`Asked`] to a [`Page`]: it calls the backend and builds a view. It has no signals
//! and no resources. Its interactive parts are islands (`crate::island`), or are found by their attributes
//! (`crate::browser`). Without script every page works by links and forms.

pub(crate) mod dashboard;
pub(crate) mod delivery;
pub(crate) mod event;
pub(crate) mod inventory;
pub(crate) mod nowhere;
pub(crate) mod occurrence;
pub(crate) mod run;
pub(crate) mod schedule;
pub(crate) mod setup;
pub(crate) mod sign_in;
pub(crate) mod smtp;
pub(crate) mod task;
pub(crate) mod time_zone;
pub(crate) mod trigger;
pub(crate) mod webhook;

use crate::asked::{Asked, Page};
use crate::error::AppError;
use crate::part::frame::framed;
use crate::shell::document;
use leptos::prelude::*;
use leptos::tachys::reactive_graph::OwnedView;
use leptos_router::hooks::use_params_map;
use std::future::Future;

/// Renders the document of a route's page. A page that fails is replaced by one that says so.
pub(crate) fn serve<F>(render: impl FnOnce(Asked) -> F) -> AnyView
where
    F: Future<Output = Result<Page, AppError>> + Send + 'static,
{
    let id = use_params_map().with_untracked(|params| params.get("id"));
    render_document(Asked::from_context(id.unwrap_or_default()), render)
}

/// Renders the document of an address without a page.
pub(crate) fn serve_nowhere() -> AnyView {
    render_document(Asked::from_context(String::new()), async |_| Err(AppError::not_found("page")))
}

fn render_document<F>(asked: Option<Asked>, render: impl FnOnce(Asked) -> F) -> AnyView
where
    F: Future<Output = Result<Page, AppError>> + Send + 'static,
{
    let Some(asked) = asked else { return ().into_any() };
    let rendered = render(asked.clone());
    Suspend::new(async move {
        let page = rendered.await.unwrap_or_else(|error| nowhere::page(&error));
        let problem = asked.posted.problem.as_ref();
        set_status(problem.map_or(page.status, |problem| problem.code.http_status()));
        let (title, is_form) = (page.title.clone(), page.is_form);
        // Views look for their owner when they are written out, after this future has ended.
        OwnedView::new(document(&title, is_form, asked.viewer.is_some(), framed(&asked, page)))
    })
    .into_any()
}

fn set_status(status: u16) {
    if let (Some(options), Ok(status)) =
        (use_context::<leptos_axum::ResponseOptions>(), http::StatusCode::from_u16(status))
    {
        options.set_status(status);
    }
}
