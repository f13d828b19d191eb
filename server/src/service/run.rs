//! Runs of tasks: starting and ending them, and their list.

mod list;

pub(super) use list::cause_text;

use super::Services;
use crate::engine::held::HeldCounts;
use crate::engine::start::{Setting, Start, start};
use crate::store::run;
use app::error::{AppError, Code};
use model::id::RunId;
use model::time::Timestamp;
use sea_orm::DatabaseTransaction;

impl Services {
    /// Starts one run, and commits. Returns the public id of its delivery.
    pub(super) async fn start(
        &self,
        txn: DatabaseTransaction,
        one: Start<'_>,
        now: Timestamp,
    ) -> Result<String, AppError> {
        let (held, zone) = (HeldCounts::new(self.store.clone()), self.zone.get());
        let setting = Setting { now, zone: &zone, held: &held, has_lock_of_changes: true, lanes: None };
        let started = start(&txn, &[one], setting).await?;
        self.commit_due(txn).await?;
        let uuid = started.deliveries.first();
        uuid.map(ToString::to_string).ok_or_else(|| AppError::new(Code::Internal, "The run was not stored. Try again."))
    }
}

/// Ends the runs among these whose delivery is settled.
pub(super) async fn end_runs(txn: &DatabaseTransaction, mut runs: Vec<RunId>, now: Timestamp) -> Result<(), AppError> {
    runs.sort_unstable();
    runs.dedup();
    for runs in runs.chunks(500) {
        run::end_settled(txn, runs, now).await?;
    }
    Ok(())
}
