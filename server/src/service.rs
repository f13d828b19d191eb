//! Use cases of the console. Transactions begin and end here; each answers in words a person may read.

pub mod account;
mod answer;
mod catalog;
mod choice;
pub mod dashboard;
pub mod delivery;
pub mod demo;
pub mod event;
pub mod inventory;
pub mod occurrence;
pub mod report;
pub mod run;
mod shared;
pub mod task;
pub mod trial;
pub mod webhook;

pub(crate) use shared::LONGEST as SHARED_FOR;

use crate::clock::Clock;
use crate::outbound::guard::Guard;
use crate::store::{self, Store};
use crate::vault::Vault;
use app::backend::Backend;
use app::error::{AppError, Code, Versions};
use app::view::When;
use jiff::tz::TimeZone;
use model::access::{Permission, Role};
use model::header::{self, HeaderList};
use model::time::Timestamp;
use sea_orm::DatabaseTransaction;
use std::sync::Arc;
use tokio::sync::Notify;
use url::Url;

/// What every use case works with.
#[derive(Clone)]
#[expect(missing_docs, reason = "the types say it")]
pub struct Services {
    pub store: Store,
    pub vault: Arc<Vault>,
    pub clock: Clock,
    pub zone: TimeZone,
    pub guard: Arc<Guard>,
    /// Rung when something may be due.
    pub bell: Arc<Notify>,
    /// The dashboard's figures, for all who look.
    pub figures: Arc<dashboard::Figures>,
    /// Whether what may be a secret is kept from who looks.
    pub is_discreet: bool,
}

impl Services {
    /// The console's view of them.
    pub fn backend(&self) -> Backend {
        let all = Arc::new(self.clone());
        Backend {
            webhooks: all.clone(),
            tasks: all.clone(),
            events: all.clone(),
            deliveries: all.clone(),
            occurrences: all.clone(),
            inventory: all.clone(),
            catalog: all,
        }
    }

    /// The console's view of them for people of this role: who may not change webhooks needs not know where exactly they
    /// go, nor with which words.
    pub fn backend_for(&self, role: Role) -> Backend {
        Self { is_discreet: !role.may(Permission::Edit), ..self.clone() }.backend()
    }

    /// A webhook's URL as it is shown. Path and query may be the secret themselves.
    pub(crate) fn shown_url(&self, url: &str) -> String {
        if !self.is_discreet {
            return url.to_owned();
        }
        let Ok(url) = Url::parse(url) else { return "…".to_owned() };
        let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        format!("{}{}", url.origin().ascii_serialization(), if is_bare { "/" } else { "/…" })
    }

    /// A webhook's headers as they are shown.
    pub(crate) fn shown_headers(&self, headers: HeaderList) -> HeaderList {
        if self.is_discreet { headers.discreet() } else { headers.masked() }
    }

    /// The header lines of a response as they are shown: a redirect repeats the webhook's URL.
    pub(crate) fn shown_answer(&self, lines: &str) -> String {
        if !self.is_discreet {
            return lines.to_owned();
        }
        let shown = |line: &str| match line.split_once(": ") {
            Some((name, _)) if !header::is_harmless(name) => format!("{name}: {}", header::MASK),
            _ => line.to_owned(),
        };
        lines.lines().map(shown).collect::<Vec<_>>().join("\n")
    }

    /// Commits what a person has changed.
    pub(crate) async fn commit(&self, txn: DatabaseTransaction) -> Result<(), AppError> {
        self.store.commit(txn).await.map_err(|error| {
            let is_unknown = matches!(error, store::Error::Unavailable(_));
            let error = AppError::from(error);
            if !is_unknown {
                return error;
            }
            let message = "The database went away while this was being saved. Reload the page to see whether it was.";
            AppError { message: message.to_owned(), ..error }
        })
    }

    /// Commits, and wakes the dispatchers of all nodes.
    pub(crate) async fn commit_due(&self, txn: DatabaseTransaction) -> Result<(), AppError> {
        store::listen::notify(&txn).await?;
        self.commit(txn).await?;
        self.bell.notify_one();
        Ok(())
    }

    /// An instant as the console shows it: the time, with the date when it is another day.
    fn when(&self, at: Timestamp) -> When {
        let zoned = crate::render::zoned(at, &self.zone);
        let is_today = zoned.date() == crate::render::zoned(self.clock.now(), &self.zone).date();
        let short = if is_today { "%H:%M:%S" } else { "%d %b %H:%M" };
        When {
            short: zoned.strftime(short).to_string(),
            full: zoned.strftime("%a, %d %b %Y %H:%M:%S %Z").to_string(),
            machine: at.to_rfc3339(),
        }
    }
}

/// Reports a failure of the store as an error that a person may read. Logs the chain once, here.
impl From<store::Error> for AppError {
    fn from(error: store::Error) -> Self {
        let is_late = error.is_late();
        let is_unavailable = matches!(error, store::Error::Unavailable(_));
        let error = format!("{:#}", anyhow::Error::new(error));
        if is_late {
            tracing::warn!(error, "a page was given up");
            return Self::late();
        }
        if is_unavailable {
            tracing::warn!(error, "the database is unavailable");
            return Self::new(Code::Unavailable, "The database is not available right now. Try again in a moment.");
        }
        tracing::error!(error, "a use case failed");
        Self::new(Code::Internal, "Something went wrong inside the console. Nothing was saved.")
    }
}

/// Somebody else changed the row since the form was opened: both versions, where they differ.
pub(crate) fn stale<D: serde::Serialize>(what: &str, typed: &D, saved: &D) -> AppError {
    let texts = |draft: &D| match serde_json::to_value(draft) {
        Ok(serde_json::Value::Object(fields)) => fields,
        _ => serde_json::Map::new(),
    };
    let (typed, saved) = (texts(typed), texts(saved));
    let text =
        |value: Option<&serde_json::Value>| value.and_then(|value| value.as_str()).unwrap_or_default().to_owned();
    // A secret is never sent back.
    let is_shown = |field: &str| {
        !matches!(
            field,
            "token" | "api_key" | "password" | "signing_secret" | "secret_headers" | "retype" | "keep_secrets"
        )
    };
    let differs = |(field, value): (&String, &serde_json::Value)| {
        let (yours, saved) = (text(Some(value)), text(saved.get(field)));
        (is_shown(field) && yours != saved).then(|| Versions { field: field.clone(), yours, saved })
    };
    let message = format!(
        "Somebody else changed this {what} since you opened the form. Nothing was saved. Submit again to replace their \
         version with yours, or reload the page to keep theirs."
    );
    let mut versions: Vec<Versions> = typed.iter().filter_map(differs).collect();
    versions.sort_by_key(|versions| versions.field != "revision");
    AppError { versions, ..AppError::new(Code::Conflict, message) }
}

/// The revision a form was opened on.
pub(crate) fn revision(typed: &str) -> Result<i64, AppError> {
    typed.parse().map_err(|_| AppError::new(Code::Malformed, "The form has lost its revision. Reload the page."))
}
