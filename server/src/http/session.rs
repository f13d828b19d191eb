//! Signing in and out, the first administrator, and who is behind a request.

use super::client::{Untrusted, network};
use super::door::Caller;
use super::{Http, page, v1};
use crate::auth::session::ACCOUNT;
use crate::service::account;
use crate::store::access;
use app::error::{AppError, Code};
use app::session::Viewer;
use axum::Form;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use model::account::{AccountDraft, SignInDraft};
use model::id::UserId;
use serde::Serialize;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;
use tower_sessions::Session;

/// The number of keys from which on old ones are dropped.
const LIMITS_KEPT: usize = 10_000;
/// The delay of a try whose name was tried too often, over all addresses.
const SLOWED_DOWN: Duration = Duration::from_secs(2);

/// Ten tries a minute for each account name and address together, and sixty for each address: each try costs a core
/// for a while, and leaves an occurrence, also with names that nobody has. More than ten a minute for a name from many
/// addresses are slowed down, and not refused: strangers lock nobody out.
pub struct SignInLimit {
    names: DefaultKeyedRateLimiter<String>,
    tries: DefaultKeyedRateLimiter<(String, IpAddr)>,
    addresses: DefaultKeyedRateLimiter<IpAddr>,
}

impl Default for SignInLimit {
    fn default() -> Self {
        const FOR_NAME: NonZeroU32 = NonZeroU32::MIN.saturating_add(9);
        const FOR_ADDRESS: NonZeroU32 = NonZeroU32::MIN.saturating_add(59);
        Self {
            names: RateLimiter::keyed(Quota::per_minute(FOR_NAME)),
            tries: RateLimiter::keyed(Quota::per_minute(FOR_NAME)),
            addresses: RateLimiter::keyed(Quota::per_minute(FOR_ADDRESS)),
        }
    }
}

impl SignInLimit {
    fn permits(&self, name: &str, address: IpAddr) -> bool {
        // Old keys are dropped now and then, so that invented names do not pile up.
        if self.tries.len() > LIMITS_KEPT {
            self.names.retain_recent();
            self.tries.retain_recent();
        }
        self.tries.check_key(&(name.chars().take(64).collect(), network(address))).is_ok()
    }

    /// Whether a try for this name waits: there were many, from wherever.
    fn slows_down(&self, name: &str) -> bool {
        self.names.check_key(&name.chars().take(64).collect()).is_err()
    }

    /// Whether somebody at this address may try at all.
    pub(super) fn permits_address(&self, address: IpAddr) -> bool {
        // Also addresses that never get as far as a name.
        if self.addresses.len() > LIMITS_KEPT {
            self.addresses.retain_recent();
        }
        self.addresses.check_key(&network(address)).is_ok()
    }
}

/// Paths that need nobody signed in.
const PUBLIC: &[&str] = &["/sign-in", "/setup", "/theme"];

/// Whether a path is for everybody.
pub(super) fn is_public(path: &str) -> bool {
    PUBLIC.contains(&path)
}

/// Puts the person behind the request into its extensions; turns others away from what is not public.
pub async fn identify(State(http): State<Http>, session: Session, mut request: Request, next: Next) -> Response {
    let account_id = match session.get::<i64>(ACCOUNT).await {
        Ok(id) => id,
        Err(error) => {
            tracing::warn!(%error, "a session cannot be read");
            return unavailable();
        }
    };
    let viewer = match account_id {
        None => None,
        // Looked up for each request, so that a changed role or a removed account takes effect on the next one.
        Some(id) => match access::find_account_by_id(http.services.store.read(), UserId(id)).await {
            Ok(account) => account.filter(|account| !account.is_disabled).map(|account| Viewer {
                id,
                name: account.name,
                role: account.role,
            }),
            Err(error) => {
                tracing::error!(error = format!("{:#}", anyhow::Error::new(error)), "the account could not be read");
                return unavailable();
            }
        },
    };
    let path = request.uri().path();
    if v1::is_meant(path) {
        return v1::nowhere(request.uri().clone()).await.into_response();
    }
    match viewer {
        // Nothing to do there for somebody who is signed in.
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
            let error = AppError::new(Code::SignedOut, "You are signed out. Sign in again; nothing was saved.");
            (StatusCode::UNAUTHORIZED, axum::Json(error)).into_response()
        }
        None if matches!(*request.method(), Method::GET | Method::HEAD) => {
            let wanted = request.uri().path_and_query().map_or("/", |path| path.as_str());
            let next: String = url::form_urlencoded::byte_serialize(wanted.as_bytes()).collect();
            Redirect::to(&format!("/sign-in?next={next}")).into_response()
        }
        None => {
            let words = "You are signed out, and nothing was saved. Sign in in another tab, then send this page again.";
            (StatusCode::UNAUTHORIZED, words).into_response()
        }
    }
}

fn unavailable() -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, "The database is not available right now. Try again in a moment.").into_response()
}

/// Only a path of this console: never another site. Browsers leave tabs and line ends out before they read a URL.
fn safe_next(next: &str) -> &str {
    let is_plain = next.chars().all(|c| c.is_ascii_graphic() && c != '\\');
    if is_plain && next.starts_with('/') && !next.starts_with("//") { next } else { "/" }
}

/// Starts a session under a new id, so that one planted before is worth nothing.
async fn start(session: &Session, viewer: &Viewer, next: &str) -> Response {
    let started = async {
        session.cycle_id().await?;
        session.insert(ACCOUNT, viewer.id).await
    };
    match started.await {
        Ok(()) => Redirect::to(safe_next(next)).into_response(),
        Err(error) => {
            tracing::warn!(%error, "a session cannot be started");
            unavailable()
        }
    }
}

/// The form again, with why it was refused.
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
        let words = format!("Too many tries from {}. Wait a minute.{remedy}", address.ip().to_canonical());
        let error = AppError::new(Code::Unavailable, words);
        let mut response = refuse(&http, parts, shown, error).await;
        *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
        return response;
    }
    if http.sign_in_limit.slows_down(name) {
        tokio::time::sleep(SLOWED_DOWN).await;
    }
    let found = account::sign_in(&http.services.store, name, draft.password.into()).await;
    match found {
        Ok(Some(viewer)) => {
            tracing::info!(account = viewer.id, "signed in");
            http.intake.report(account::occurrence("login", Some(&viewer), &viewer.name)).await;
            start(&session, &viewer, &draft.next).await
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
            unavailable()
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
            let Http { services, .. } = &http;
            account::set_up(&services.store, &services.clock, &draft.token, &name, draft.password.into())
                .await
                .map_err(account_error)
        }
    };
    match made {
        Ok(viewer) => {
            http.intake.report(account::occurrence("login", Some(&viewer), &viewer.name)).await;
            start(&session, &viewer, "/").await
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
            "This account may not sign in for now. Somebody who administers this console can enable it again.",
        ),
        account::Error::NotFound => AppError::not_found("account"),
        account::Error::NameTaken => {
            model::field_error::FieldErrors::one("name", "There is already an account with this name.").into()
        }
        account::Error::Store(error) => error.into(),
        account::Error::Password(error) => {
            tracing::error!(%error, "hashing failed");
            AppError::new(Code::Internal, "Something went wrong inside the console. Try again.")
        }
    }
}

/// What the theme form posts.
#[derive(serde::Deserialize)]
pub struct ThemeDraft {
    #[serde(default)]
    theme: String,
}

/// `POST /theme`: sets the cookie and goes back to where the form was.
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
    fn many_names_from_one_address_are_as_limited_as_one_name_from_many() {
        let limit = SignInLimit::default();
        let from = |last: u16| IpAddr::from([0x2001, 0xdb8, 0, 7, 0, 0, 0, last]);
        let permitted = (0..200).filter(|number| limit.permits_address(from(*number))).count();
        assert_eq!(permitted, 60);
        assert!(limit.permits_address(IpAddr::from([10, 0, 0, 1])), "somebody else");
        let permitted = (0..20).filter(|_| limit.permits("olga", IpAddr::from([10, 0, 0, 2]))).count();
        assert_eq!(permitted, 10);
        let at_once = (0..20).filter(|_| !limit.slows_down("olga")).count();
        assert_eq!(at_once, 10, "from wherever");
    }

    #[test]
    fn signing_in_never_leads_to_another_site() {
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
