//! Runs of tasks: starting and ending them, and their list.

mod list;

pub(super) use list::cause_text;

use super::Services;
use crate::store::delivery::{self, NewDelivery};
use crate::store::hold;
use crate::store::run::{self, NewRun};
use app::error::{AppError, Code};
use model::delivery::ErrorCode;
use model::hold::HELD_MAX;
use model::id::RunId;
use model::time::Timestamp;
use sea_orm::DatabaseTransaction;

impl Services {
    /// Queues the one delivery of a new run, and commits. Returns the delivery's public id.
    pub(super) async fn queue(
        &self,
        txn: DatabaseTransaction,
        mut new: NewDelivery,
        now: Timestamp,
    ) -> Result<String, AppError> {
        let is_held = new.hold.is_some() && new.failed.is_none();
        if is_held && hold::count_held(&txn, new.webhook_id).await? >= HELD_MAX {
            new.failed = Some((ErrorCode::HoldFull, hold::HOLD_FULL.to_owned()));
        }
        let (uuid, run_id, has_failed) = (new.uuid, new.run_id, new.failed.is_some());
        delivery::insert_many(&txn, vec![new], now).await?;
        if has_failed {
            end_runs(&txn, vec![run_id], now).await?;
        }
        self.commit_due(txn).await?;
        Ok(uuid.to_string())
    }
}

/// Starts a run. Returns its id.
pub(super) async fn start_run(txn: &DatabaseTransaction, run: NewRun, now: Timestamp) -> Result<RunId, AppError> {
    let ids = run::insert_many(txn, vec![run], now).await?;
    ids.first().copied().ok_or_else(|| AppError::new(Code::Internal, "The run was not stored. Try again."))
}

/// Ends those of the runs whose deliveries are all settled.
pub(super) async fn end_runs(txn: &DatabaseTransaction, mut runs: Vec<RunId>, now: Timestamp) -> Result<(), AppError> {
    runs.sort_unstable();
    runs.dedup();
    for runs in runs.chunks(500) {
        run::end_settled(txn, runs, now).await?;
    }
    Ok(())
}
