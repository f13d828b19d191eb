//! The extractor of a command: the posted fields of a viewer who has the permission in the handler's signature.

use super::super::{Http, page};
use app::Posted;
use app::backend::Backend;
use app::error::AppError;
use app::query::Query;
use app::session::Viewer;
use app::view::destination::Tested;
use app::view::done::Done;
use axum::extract::{FromRequest, RawPathParams, Request};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Redirect, Response};
use axum::{Form, RequestPartsExt};
use model::access::Permission;
use serde::Serialize;
use std::collections::BTreeMap;
use std::marker::PhantomData;

/// A permission as a type.
pub(super) trait Required: Send + Sync + 'static {
    const PERMISSION: Permission;
}

/// Requires [`Permission::Edit`].
pub(super) struct Edit;

impl Required for Edit {
    const PERMISSION: Permission = Permission::Edit;
}

/// Requires [`Permission::Administer`].
pub(super) struct Administer;

impl Required for Administer {
    const PERMISSION: Permission = Permission::Administer;
}

/// The extractors of a handler that takes a [`Command<P>`]. `super::command` requires this trait, so that the list of
/// commands cannot name another permission than the handler checks.
pub(super) trait Takes<P> {}

impl<M, P> Takes<P> for (M, Command<P>) {}
impl<M, T, P> Takes<P> for (M, T, Command<P>) {}

/// The path of a command's page. It has the parameters of the command's own path: `/webhooks/{id}`.
#[derive(Clone, Copy)]
pub(super) struct PageOf(pub(super) &'static str);

/// A posted command. A viewer without the permission `P` gets the command's page with the refusal instead.
pub(super) struct Command<P> {
    pub(super) http: Http,
    /// The posted fields by name.
    pub(super) typed: BTreeMap<String, String>,
    /// The path of the page that the command belongs to, `/webhooks/7`.
    pub(super) page: String,
    parts: Parts,
    permission: PhantomData<P>,
}

impl<P: Required> FromRequest<Http> for Command<P> {
    type Rejection = Response;

    async fn from_request(request: Request, http: &Http) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let page = page_of(&mut parts).await;
        let form = Form::from_request(Request::from_parts(parts.clone(), body), http).await;
        let Form(typed) = form.map_err(IntoResponse::into_response)?;
        let command = Self { http: http.clone(), typed, page, parts, permission: PhantomData };
        let viewer = command.parts.extensions.get::<Viewer>();
        if viewer.is_some_and(|viewer| viewer.role.may(P::PERMISSION)) {
            Ok(command)
        } else {
            Err(command.refuse(AppError::forbidden()).await)
        }
    }
}

/// Returns the path of the command's page: its template with the parameters of the request.
async fn page_of(parts: &mut Parts) -> String {
    let Some(PageOf(template)) = parts.extensions.get().copied() else { return parts.uri.path().to_owned() };
    let mut path = template.to_owned();
    if let Ok(parameters) = parts.extract::<RawPathParams>().await {
        for (name, value) in &parameters {
            path = path.replace(&format!("{{{name}}}"), value);
        }
    }
    path
}

impl<P> Command<P> {
    pub(super) fn backend(&self) -> Backend {
        self.http.services.backend()
    }

    /// Returns the name of the account that acts.
    pub(super) fn by(&self) -> String {
        self.parts.extensions.get::<Viewer>().map(|viewer| viewer.name.clone()).unwrap_or_default()
    }

    /// Returns the address of the command's page: its path, with the filters, the order and the page number that a list
    /// posts along with its checked rows. Any posted text becomes pairs of a query, never a path or a host.
    fn address(&self) -> String {
        let query = Query::parse(&self.value("query")).text();
        if query.is_empty() { self.page.clone() } else { format!("{}?{query}", self.page) }
    }

    /// Returns the value of a field; empty if the field is absent.
    pub(super) fn value(&self, name: &str) -> String {
        self.typed.get(name).cloned().unwrap_or_default()
    }

    /// Runs a command and redirects to the path that it returns. An error shows the command's page again.
    pub(super) async fn run(self, act: impl AsyncFnOnce(&Self) -> Result<String, AppError>) -> Response {
        match Box::pin(act(&self)).await {
            Ok(path) => Redirect::to(&path).into_response(),
            Err(error) => self.refuse(error).await,
        }
    }

    /// Runs a command and redirects to its page, which shows the result.
    pub(super) async fn run_here(self, done: Done, act: impl AsyncFnOnce(&Self) -> Result<(), AppError>) -> Response {
        self.run(async |this: &Self| act(this).await.map(|()| done.at(&this.address()))).await
    }

    /// Shows the command's page again, with the posted fields and the error.
    pub(super) async fn refuse(self, error: AppError) -> Response {
        self.show(Some(error), None).await
    }

    /// Shows the command's page again, with the posted fields and the result of a test.
    pub(super) async fn show_test(self, tested: Tested) -> Response {
        self.show(None, Some(tested)).await
    }

    /// Shows the command's page again, with these fields instead of the posted ones, and the error.
    pub(super) async fn refuse_draft(self, draft: &impl Serialize, error: AppError) -> Response {
        page::render_posted(&self.http, self.parts, &self.page, page::refused(draft, error)).await
    }

    async fn show(self, problem: Option<AppError>, tested: Option<Tested>) -> Response {
        let draft = serde_json::to_value(&self.typed).unwrap_or_default();
        let address = self.address();
        page::render_posted(&self.http, self.parts, &address, Posted { draft, problem, tested }).await
    }
}
