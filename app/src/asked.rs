//! The input and the output of a page: each page is an async function from [`Asked`] to a [`Page`].

use crate::backend::Backend;
use crate::error::AppError;
use crate::error::Refused;
use crate::query::Query;
use crate::session::{Viewer, current_viewer};
use crate::view::destination::Tested;
use leptos::prelude::*;
use model::access::Permission;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::str::FromStr;
use std::sync::Arc;

/// The result of a post whose page is rendered again. The server provides it by context.
#[derive(Debug, Clone, Default)]
pub struct Posted {
    /// The typed fields, without secrets: an object of strings by field name.
    pub draft: Value,
    /// The reason for the refusal, if the post was refused.
    pub problem: Option<AppError>,
    /// The result of a test.
    pub tested: Option<Tested>,
}

/// The request for a page.
#[derive(Clone)]
pub(crate) struct Asked {
    /// The person signed in; `None` on the pages for signing in.
    pub(crate) viewer: Option<Viewer>,
    pub(crate) backend: Backend,
    /// The path, `/webhooks/7`.
    pub(crate) path: String,
    pub(crate) query: Query,
    /// The path's parameter `id`, or empty.
    id: String,
    pub(crate) posted: Arc<Posted>,
}

impl Asked {
    /// Reads the request from the context. Returns `None` when the server provided none.
    pub(crate) fn from_context(id: String) -> Option<Self> {
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

    /// Returns true if the viewer has this permission.
    pub(crate) fn may(&self, permission: Permission) -> bool {
        self.viewer.as_ref().is_some_and(|viewer| viewer.role.may(permission))
    }

    /// Returns the id in the path. Fails with `NotFound` when the id cannot be parsed. `what` is the noun for the
    /// message, "webhook".
    pub(crate) fn id<Id: FromStr>(&self, what: &str) -> Result<Id, AppError> {
        self.id.parse().map_err(|_| AppError::not_found(what))
    }

    /// Returns the typed value of a field, or `initial` when nothing was posted.
    pub(crate) fn typed_or(&self, name: &str, initial: &str) -> String {
        match &self.posted.draft {
            Value::Object(typed) => typed.get(name).and_then(Value::as_str).unwrap_or_default().to_owned(),
            _ => initial.to_owned(),
        }
    }

    /// Returns true if a field of this name was posted.
    pub(crate) fn was_typed(&self, name: &str) -> bool {
        self.posted.draft.get(name).is_some()
    }

    /// Returns the request as if nothing had been posted, for the other form of a page with two forms.
    pub(crate) fn blank(&self) -> Self {
        Self { posted: Arc::default(), ..self.clone() }
    }

    /// Returns the request with the error of the field `from` moved to the field `to`, for a form that does not show
    /// the first.
    pub(crate) fn with_error_moved(self, from: &str, to: &str) -> Self {
        let mut posted = Posted::clone(&self.posted);
        posted.problem = posted.problem.map(|problem| problem.with_field_renamed(from, to));
        Self { posted: Arc::new(posted), ..self }
    }

    /// Returns the refused draft of a form, if a draft was refused.
    pub(crate) fn refused<D: DeserializeOwned>(&self) -> Option<Refused<D>> {
        let error = self.posted.problem.clone()?;
        Some(Refused { draft: serde_json::from_value(self.posted.draft.clone()).ok()?, error })
    }
}

/// A page without its frame.
pub(crate) struct Page {
    /// The title, without the product's name.
    pub(crate) title: String,
    /// The pages above this one: path and label of each crumb below the module's.
    pub(crate) parents: Vec<(String, String)>,
    /// The page's own commands, for the menu.
    pub(crate) commands: Option<AnyView>,
    pub(crate) main: AnyView,
    /// The HTTP status.
    pub(crate) status: u16,
    /// True for a page that is fetched again when something changes.
    pub(crate) is_live: bool,
    /// True for a form, which needs the browser half at once.
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

    /// Adds a page above this one: its path and label.
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

    /// Returns a page whose content is one island.
    pub(crate) fn form(title: impl Into<String>, island: impl IntoView + 'static) -> Self {
        Self { is_form: true, ..Self::new(title, island) }
    }
}
