//! Sessions: signing in and out, the first administrator, and the account of each request.

mod limit;

pub use limit::SignInLimit;

use super::client::Untrusted;
use super::door::Caller;
use super::{Http, page, refusal, v1};
use crate::auth::session::{ACCOUNT, PASSWORD, password_stamp};
use crate::service::account::{self, SignedIn};
use crate::store::access;
use app::error::{AppError, Code};
use app::session::Viewer;
use axum::Form;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use model::account::{AccountDraft, SignInDraft};
use model::id::UserId;
use serde::Serialize;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tower_sessions::Session;

/// The delay of a try for a name that was tried too often from all addresses together.
const SLOWED_DOWN: Duration = Duration::from_secs(2);

/// Paths that do not require an account.
const PUBLIC: &[&str] = &["/sign-in", "/setup", "/theme"];

/// Returns true if a path does not require an account.
pub(super) fn is_public(path: &str) -> bool {
    PUBLIC.contains(&path)
}

/// Adds the account of the session to the request's extensions. Without an account, only public paths are served.
pub async fn identify(State(http): State<Http>, session: Session, mut request: Request, next: Next) -> Response {
    let stored = async { Ok((session.get::<i64>(ACCOUNT).await?, session.get::<String>(PASSWORD).await?)) };
    let (account_id, password) = match stored.await {
        Ok(stored) => stored,
        Err::<_, tower_sessions::session::Error>(error) => {
            tracing::warn!(%error, "a session cannot be read");
            return unavailable(request.uri().path());
        }
    };
    let viewer = match account_id {
        None => None,
        // The account is read for each request, so that a changed role or a disabled account takes effect at once.
        Some(id) => match access::find_account_by_id(http.services.store.read(), UserId(id)).await {
            Ok(account) => account
                .filter(|account| !account.is_disabled)
                .filter(|account| password.as_deref() == Some(&password_stamp(&account.password_hash)))
                .map(|account| Viewer { id, name: account.name, role: account.role }),
            Err(error) => {
                tracing::warn!(error = format!("{:#}", anyhow::Error::new(error)), "the account could not be read");
                return unavailable(request.uri().path());
            }
        },
    };
    let path = request.uri().path();
    if v1::is_meant(path) {
        return v1::nowhere(request.uri().clone()).await.into_response();
    }
    match viewer {
        // A signed-in viewer does not need the form.
        Some(_) if path == "/sign-in" && request.method() == Method::GET => Redirect::to("/").into_response(),
        Some(viewer) => {
            if let Some(caller) = request.extensions().get::<Arc<Caller>>() {
                caller.is_known();
            }
            request.extensions_mut().insert(viewer);
            next.run(request).await
        }
        None if is_public(path) => next.run(request).await,
        None if path.starts_with("/api/") => {
            let message = "You are signed out. Sign in again; nothing was saved.";
            refusal(path, StatusCode::UNAUTHORIZED, Code::SignedOut, message)
        }
        None if matches!(*request.method(), Method::GET | Method::HEAD) => {
            let wanted = request.uri().path_and_query().map_or("/", |path| path.as_str());
            let next: String = url::form_urlencoded::byte_serialize(wanted.as_bytes()).collect();
            Redirect::to(&format!("/sign-in?next={next}")).into_response()
        }
        None => {
            let message =
                "You are signed out, and nothing was saved. Sign in in another tab, then send this page again.";
            (StatusCode::UNAUTHORIZED, message).into_response()
        }
    }
}

fn unavailable(path: &str) -> Response {
    let message = "The database is not available right now. Try again in a moment.";
    refusal(path, StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable, message)
}

/// Returns `next` if it is a path of this console, or else `/`. Another site is never returned: browsers remove tabs
/// and line ends before they parse a URL, so these are refused.
fn safe_next(next: &str) -> &str {
    let is_plain = next.chars().all(|c| c.is_ascii_graphic() && c != '\\');
    if is_plain && next.starts_with('/') && !next.starts_with("//") { next } else { "/" }
}

/// Starts a session with a new id, so that an id that an attacker has planted is not signed in (session fixation).
async fn start(session: &Session, signed_in: &SignedIn, next: &str) -> Response {
    let started = async {
        session.cycle_id().await?;
        session.insert(PASSWORD, &signed_in.password).await?;
        session.insert(ACCOUNT, signed_in.viewer.id).await
    };
    match started.await {
        Ok(()) => Redirect::to(safe_next(next)).into_response(),
        Err(error) => {
            tracing::warn!(%error, "a session cannot be started");
            unavailable("/sign-in")
        }
    }
}

/// Renders the form again, with the error.
async fn refuse(http: &Http, parts: Parts, draft: impl Serialize, error: AppError) -> Response {
    let path = parts.uri.to_string();
    page::render_posted(http, parts, &path, page::refused(&draft, error)).await
}

/// `POST /sign-in`
pub async fn sign_in(
    State(http): State<Http>,
    ConnectInfo(address): ConnectInfo<SocketAddr>,
    session: Session,
    parts: Parts,
    Form(draft): Form<SignInDraft>,
) -> Response {
    let shown = SignInDraft { password: String::new(), ..draft.clone() };
    let name = draft.name.trim();
    if !http.sign_in_limit.permits(name, address.ip()) {
        let remedy = Untrusted::remedy(parts.extensions.get());
        let message = format!("Too many tries from {}. Wait a minute.{remedy}", address.ip().to_canonical());
        let error = AppError::new(Code::Unavailable, message);
        let mut response = refuse(&http, parts, shown, error).await;
        *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
        return response;
    }
    if http.sign_in_limit.slows_down(name) {
        tokio::time::sleep(SLOWED_DOWN).await;
    }
    let found = account::sign_in(&http.services.store, name, draft.password.into()).await;
    match found {
        Ok(Some(signed_in)) => {
            let viewer = &signed_in.viewer;
            tracing::info!(account = viewer.id, "signed in");
            http.intake.report(account::occurrence("login", Some(viewer), &viewer.name)).await;
            start(&session, &signed_in, &draft.next).await
        }
        Ok(None) => {
            tracing::info!("a sign-in failed");
            let known = account::find(&http.services.store, name).await.unwrap_or_default();
            http.intake.report(account::occurrence("login_failed", known.as_ref(), name)).await;
            let error = AppError::new(Code::Invalid, "This name and password do not belong together.");
            refuse(&http, parts, shown, error).await
        }
        Err(error) => refuse(&http, parts, shown, account_error(error)).await,
    }
}

/// `POST /sign-out`
pub async fn sign_out(State(http): State<Http>, session: Session, parts: Parts) -> Response {
    match session.flush().await {
        Ok(()) => {
            if let Some(viewer) = parts.extensions.get::<Viewer>() {
                http.intake.report(account::occurrence("logout", Some(viewer), &viewer.name)).await;
            }
            Redirect::to("/sign-in").into_response()
        }
        Err(error) => {
            tracing::warn!(%error, "a session cannot be ended");
            unavailable(parts.uri.path())
        }
    }
}

/// `POST /setup`
pub async fn set_up(
    State(http): State<Http>,
    session: Session,
    parts: Parts,
    Form(draft): Form<AccountDraft>,
) -> Response {
    let shown = AccountDraft { password: String::new(), repeat: String::new(), ..draft.clone() };
    let made = match draft.parse() {
        Err(errors) => Err(errors.into()),
        Ok(name) => {
            let services = &http.services;
            account::set_up(&services.store, &services.clock, &draft.token, &name, draft.password.into())
                .await
                .map_err(account_error)
        }
    };
    match made {
        Ok(signed_in) => {
            let viewer = &signed_in.viewer;
            http.intake.report(account::occurrence("login", Some(viewer), &viewer.name)).await;
            start(&session, &signed_in, "/").await
        }
        Err(error) => refuse(&http, parts, shown, error).await,
    }
}

fn account_error(error: account::Error) -> AppError {
    match error {
        account::Error::StaleLink => AppError::new(
            Code::Forbidden,
            "This setup link is not valid any more. On the server `hookwright setup-link` prints a new one; or sign in.",
        ),
        account::Error::Disabled => AppError::new(
            Code::Forbidden,
            "This account may not sign in for now. An administrator of this server can enable it again.",
        ),
        account::Error::NotFound => AppError::not_found("account"),
        account::Error::NameTaken => {
            model::field_error::FieldErrors::one("name", "There is already an account with this name.").into()
        }
        account::Error::Store(error) => error.into(),
        account::Error::Password(error) => {
            tracing::error!(%error, "hashing failed");
            AppError::new(Code::Internal, "Something went wrong in the console. Try again.")
        }
    }
}

/// The fields of the theme form.
#[derive(serde::Deserialize)]
pub struct ThemeDraft {
    #[serde(default)]
    theme: String,
}

/// `POST /theme`: sets the cookie and redirects to the page of the form.
pub async fn choose_theme(parts: Parts, Form(draft): Form<ThemeDraft>) -> Response {
    let cookie = match draft.theme.as_str() {
        "light" => "theme=light; Path=/; Max-Age=31536000; SameSite=Lax",
        "dark" => "theme=dark; Path=/; Max-Age=31536000; SameSite=Lax",
        _ => "theme=; Path=/; Max-Age=0; SameSite=Lax",
    };
    let referer = parts.headers.get(header::REFERER).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let back = url::Url::parse(referer).map(|url| url[url::Position::BeforePath..].to_owned()).unwrap_or_default();
    let mut response = Redirect::to(safe_next(&back)).into_response();
    response.headers_mut().append(header::SET_COOKIE, HeaderValue::from_static(cookie));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sign_in_never_redirects_to_another_site() {
        for (next, safe) in [
            ("/webhooks?x=1", "/webhooks?x=1"),
            ("//evil.example", "/"),
            ("https://evil.example", "/"),
            ("/\\evil.example", "/"),
            ("/\t/evil.example", "/"),
            ("/\n/evil.example", "/"),
            ("/\u{a0}/evil.example", "/"),
            ("/webhooks/1?name=a%09b", "/webhooks/1?name=a%09b"),
            ("", "/"),
        ] {
            assert_eq!(safe_next(next), safe);
        }
    }
}
