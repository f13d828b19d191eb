//! The pages, one file each, rendered by the server alone.
//!
//! A page is an async function from what is [`Asked`] to a [`Page`]: it asks the backend, and makes a view. It has no
//! signals and no resources. What is alive on it is an island (`crate::island`), or found by its attributes
//! (`crate::browser`). Without script every page works by links and forms.

pub(crate) mod dashboard;
pub(crate) mod delivery;
pub(crate) mod event;
pub(crate) mod inventory;
pub(crate) mod nowhere;
pub(crate) mod occurrence;
pub(crate) mod run;
pub(crate) mod setup;
pub(crate) mod sign_in;
pub(crate) mod task;
pub(crate) mod webhook;

use crate::backend::Backend;
use crate::error::AppError;
use crate::island::form::Refused;
use crate::part::frame::framed;
use crate::part::query::Query;
use crate::session::{Viewer, current_viewer};
use crate::shell::document;
use crate::view::webhook::TestAnswer;
use leptos::prelude::*;
use leptos::tachys::reactive_graph::OwnedView;
use leptos_router::hooks::use_params_map;
use model::access::Permission;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::future::Future;
use std::str::FromStr;
use std::sync::Arc;

/// What came of what was posted to a page that is shown again. The server provides it by context.
#[derive(Debug, Clone, Default)]
pub struct Posted {
    /// What was typed, without secrets: an object of texts by field name.
    pub draft: Value,
    /// Why it was refused.
    pub problem: Option<AppError>,
    /// What a test came to.
    pub tested: Option<TestAnswer>,
}

/// What a page is rendered from.
#[derive(Clone)]
pub(crate) struct Asked {
    /// Who looks; nobody on the pages for signing in.
    pub(crate) viewer: Option<Viewer>,
    pub(crate) backend: Backend,
    /// The path, `/webhooks/7`.
    pub(crate) path: String,
    pub(crate) query: Query,
    /// The path's parameter `id`, if it has one.
    id: String,
    pub(crate) posted: Arc<Posted>,
}

impl Asked {
    /// Reads the request from the context; nothing where the server has provided none.
    fn from_context(id: String) -> Option<Self> {
        let parts = use_context::<http::request::Parts>()?;
        Some(Self {
            viewer: current_viewer(),
            backend: use_context()?,
            path: parts.uri.path().to_owned(),
            query: Query::parse(parts.uri.query().unwrap_or_default()),
            id,
            posted: Arc::new(use_context().unwrap_or_default()),
        })
    }

    /// Whether the viewer may do this.
    pub(crate) fn may(&self, permission: Permission) -> bool {
        self.viewer.as_ref().is_some_and(|viewer| viewer.role.may(permission))
    }

    /// The id in the path. Fails with `NotFound` where it is none of a `what`, "webhook".
    pub(crate) fn id<Id: FromStr>(&self, what: &str) -> Result<Id, AppError> {
        self.id.parse().map_err(|_| AppError::not_found(what))
    }

    /// The typed value of a field, or its initial one while nothing was posted.
    pub(crate) fn typed_or(&self, name: &str, initial: &str) -> String {
        match &self.posted.draft {
            Value::Object(typed) => typed.get(name).and_then(Value::as_str).unwrap_or_default().to_owned(),
            _ => initial.to_owned(),
        }
    }

    /// Whether a field of this name was posted.
    pub(crate) fn was_typed(&self, name: &str) -> bool {
        self.posted.draft.get(name).is_some()
    }

    /// The same as if nothing had been posted: for the other form of a page with two.
    pub(crate) fn blank(&self) -> Self {
        Self { posted: Arc::default(), ..self.clone() }
    }

    /// The refused draft of a form, if one was refused.
    pub(crate) fn refused<D: DeserializeOwned>(&self) -> Option<Refused<D>> {
        let error = self.posted.problem.clone()?;
        Some(Refused { draft: serde_json::from_value(self.posted.draft.clone()).ok()?, error })
    }
}

/// A page without its frame.
pub(crate) struct Page {
    /// The title, without the product's name.
    pub(crate) title: String,
    /// Where it lies: paths and labels under its module.
    pub(crate) parents: Vec<(String, String)>,
    /// Its own commands, for the menu.
    pub(crate) commands: Option<AnyView>,
    pub(crate) main: AnyView,
    /// The HTTP status.
    pub(crate) status: u16,
    /// Whether it is fetched again when something changes.
    pub(crate) is_live: bool,
    /// Whether it is a form that needs the browser half at once.
    pub(crate) is_form: bool,
}

impl Page {
    pub(crate) fn new(title: impl Into<String>, main: impl IntoView + 'static) -> Self {
        Self {
            title: title.into(),
            parents: Vec::new(),
            commands: None,
            main: main.into_any(),
            status: 200,
            is_live: false,
            is_form: false,
        }
    }

    /// A page below another: its path and label.
    pub(crate) fn below(mut self, path: impl Into<String>, label: impl Into<String>) -> Self {
        self.parents.push((path.into(), label.into()));
        self
    }

    pub(crate) fn with_commands(self, commands: Option<AnyView>) -> Self {
        Self { commands, ..self }
    }

    pub(crate) fn with_status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    pub(crate) fn live_if(self, is_live: bool) -> Self {
        Self { is_live, ..self }
    }

    /// A page whose content is one island.
    pub(crate) fn form(title: impl Into<String>, island: impl IntoView + 'static) -> Self {
        Self { is_form: true, ..Self::new(title, island) }
    }
}

/// The document of a route's page; one that is not there, or cannot be read, says so.
pub(crate) fn serve<F>(render: impl FnOnce(Asked) -> F) -> AnyView
where
    F: Future<Output = Result<Page, AppError>> + Send + 'static,
{
    let id = use_params_map().with_untracked(|params| params.get("id"));
    answer(Asked::from_context(id.unwrap_or_default()), render)
}

/// The document of an address that has no page.
pub(crate) fn serve_nowhere() -> AnyView {
    answer(Asked::from_context(String::new()), async |_| Err(AppError::not_found("page")))
}

fn answer<F>(asked: Option<Asked>, render: impl FnOnce(Asked) -> F) -> AnyView
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
        // Views look for their owner when they are written out, which is after this future has ended.
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
