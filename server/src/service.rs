//! Use cases of the console. Transactions begin and end here; each answers in words a person may read.

pub mod account;
pub mod delivery;
pub mod event;
pub mod task;
pub mod webhook;

use crate::clock::Clock;
use crate::dispatch::client::Guard;
use crate::store::{self, Store};
use crate::vault::Vault;
use app::backend::Backend;
use app::error::{AppError, Code};
use app::view::When;
use jiff::tz::TimeZone;
use model::time::Timestamp;
use std::sync::Arc;

/// What every use case works with.
#[derive(Clone)]
#[expect(missing_docs, reason = "the types say it")]
pub struct Services {
    pub store: Store,
    pub vault: Arc<Vault>,
    pub clock: Clock,
    pub zone: TimeZone,
    pub guard: Arc<Guard>,
}

impl Services {
    /// The console's view of them.
    pub fn backend(&self) -> Backend {
        let all = Arc::new(self.clone());
        Backend { webhooks: all.clone(), tasks: all.clone(), events: all.clone(), deliveries: all }
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

/// A failure of the store that is nobody's mistake. The chain is logged here, once.
pub(crate) fn broken(error: store::Error) -> AppError {
    let error = anyhow::Error::new(error);
    if matches!(error.downcast_ref(), Some(store::Error::Unavailable(_))) {
        tracing::warn!(error = format!("{error:#}"), "the database is unavailable");
        return AppError::new(Code::Unavailable, "The database is not available right now. Try again in a moment.");
    }
    tracing::error!(error = format!("{error:#}"), "a use case failed");
    AppError::new(Code::Internal, "Something went wrong inside the console. Nothing was saved.")
}

/// Somebody else changed the row since the form was opened.
pub(crate) fn stale(what: &str) -> AppError {
    AppError::new(
        Code::Conflict,
        format!(
            "Somebody else changed this {what} since you opened the form. Nothing was saved; open it again in another tab to compare."
        ),
    )
}

/// The revision a form was opened on.
pub(crate) fn revision(typed: &str) -> Result<i64, AppError> {
    typed.parse().map_err(|_| AppError::new(Code::Malformed, "The form has lost its revision. Reload the page."))
}
