//! The use cases of the console: one module for each domain. Transactions begin and end here. Every error message can
//! be shown to a person.

pub mod account;
mod catalog;
mod choice;
mod conflict;
pub mod dashboard;
mod delivery;
pub mod demo;
mod destination;
mod discreet;
mod event;
mod hold;
mod inventory;
mod mailer;
mod occurrence;
mod run;
mod schedule;
mod task;
mod trial;
mod webhook;

use conflict::{revision, stale};
pub(crate) use dashboard::CACHED_FOR;

use crate::clock::{Clock, Zone};
use crate::engine::lane::Lanes;
use crate::outbound::guard::Guard;
use crate::store::search::Part;
use crate::store::{self, Store};
use crate::vault::Vault;
use app::backend::Backend;
use app::error::{AppError, Code};
use app::view::{PAGE_ROWS, When};
use model::access::{Permission, Role};
use model::time::Timestamp;
use sea_orm::DatabaseTransaction;
use std::sync::Arc;
use tokio::sync::Notify;

/// The parts that every use case works with.
#[derive(Clone)]
#[expect(missing_docs, reason = "the types say it")]
pub struct Services {
    pub store: Store,
    pub vault: Arc<Vault>,
    pub clock: Clock,
    pub zone: Zone,
    pub guard: Arc<Guard>,
    /// Wakes the dispatcher when a delivery may be due.
    pub wake: Arc<Notify>,
    /// The deliveries that this node sends, which intake and dispatcher share.
    pub lanes: Lanes,
    /// The figures of the dashboard, cached for all viewers.
    pub figures: Arc<dashboard::Figures>,
    /// True when values that may be secret are hidden from the viewer.
    pub is_discreet: bool,
}

impl Services {
    /// Returns these services as the console's backend.
    pub fn backend(&self) -> Backend {
        let all = Arc::new(self.clone());
        Backend {
            webhooks: all.clone(),
            mailers: all.clone(),
            tasks: all.clone(),
            events: all.clone(),
            schedules: all.clone(),
            deliveries: all.clone(),
            occurrences: all.clone(),
            inventory: all.clone(),
            catalog: all,
        }
    }

    /// Returns the console's backend for people of this role. A role that cannot edit webhooks does not see values that
    /// may be secret.
    pub fn backend_for(&self, role: Role) -> Backend {
        Self { is_discreet: !role.may(Permission::Edit), ..self.clone() }.backend()
    }

    /// Commits a person's change.
    async fn commit(&self, txn: DatabaseTransaction) -> Result<(), AppError> {
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

    /// Commits a change that makes deliveries due, and wakes the dispatcher. Every change wakes the dispatchers of
    /// other nodes anyway.
    async fn commit_due(&self, txn: DatabaseTransaction) -> Result<(), AppError> {
        self.commit(txn).await?;
        self.wake.notify_one();
        Ok(())
    }

    /// Returns an instant for display: the time, with its date unless that is today.
    fn when(&self, at: Timestamp) -> When {
        let zone = self.zone.get();
        let zoned = crate::engine::render::zoned(at, &zone);
        let is_today = zoned.date() == crate::engine::render::zoned(self.clock.now(), &zone).date();
        let short = if is_today { "%H:%M:%S" } else { "%d %b %H:%M" };
        When {
            short: zoned.strftime(short).to_string(),
            full: zoned.strftime("%a, %d %b %Y %H:%M:%S %Z").to_string(),
            machine: at.to_rfc3339(),
        }
    }
}

/// Returns the rows of a list on its page of this number, counted from 1.
fn page_part(page: u64) -> Part {
    Part { offset: page.saturating_sub(1) * PAGE_ROWS, limit: PAGE_ROWS }
}

/// Turns a failure of the store into an error that can be shown. Logs the chain of causes, once, here.
impl From<store::Error> for AppError {
    fn from(error: store::Error) -> Self {
        let is_late = error.is_late();
        let is_unavailable = matches!(error, store::Error::Unavailable(_));
        let error = format!("{:#}", anyhow::Error::new(error));
        if is_late {
            tracing::warn!(error, "the database did not respond in time");
            return Self::late();
        }
        if is_unavailable {
            tracing::warn!(error, "the database is unavailable");
            return Self::new(Code::Unavailable, "The database is not available right now. Try again in a moment.");
        }
        tracing::error!(error, "a use case failed");
        Self::new(Code::Internal, "Something went wrong in the console. Nothing was saved.")
    }
}
