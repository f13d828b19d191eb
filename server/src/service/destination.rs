//! The parts that use cases of every kind of destination share: the state that pages show, the tasks that send through
//! a destination, and the object by which events are about a destination.

use super::Services;
use crate::store::object::{self, NewObject, Wanted};
use crate::store::{self, figures, task};
use app::error::{AppError, Code};
use app::view::destination::{DestinationState, Failing, HeldCount};
use app::view::task::TaskLink;
use model::destination::Kind;
use model::hold::HoldState;
use model::id::DestinationId;
use model::time::Timestamp;
use sea_orm::DatabaseTransaction;
use secrecy::SecretString;

impl Services {
    /// Returns the reasons that hold a destination, for its page.
    pub(super) async fn shown_state(&self, id: DestinationId, hold: &HoldState) -> Result<DestinationState, AppError> {
        let counts = figures::held_by_reason(self.store.pages(), id).await?;
        let count = |one: figures::HeldCount| HeldCount { reason: one.reason, count: one.deliveries };
        Ok(DestinationState {
            paused: hold.paused_at.map(|at| self.when(at)),
            failing: hold
                .breaker
                .open
                .as_ref()
                .map(|open| Failing { since: self.when(open.since), probe: self.when(open.probe_at) }),
            releasing_per_second: hold.release_per_second,
            held: counts.into_iter().map(count).collect(),
        })
    }

    /// Returns the tasks that send through a destination.
    pub(super) async fn tasks_of(&self, id: DestinationId) -> Result<Vec<TaskLink>, AppError> {
        let link = |row: task::Row| TaskLink { id: row.id, name: row.task.name, is_enabled: row.task.is_enabled };
        Ok(task::list_using(self.store.pages(), id).await?.into_iter().map(link).collect())
    }

    /// Seals a secret of a destination.
    pub(super) fn seal(&self, secret: &SecretString, associated_data: &str) -> Result<Vec<u8>, AppError> {
        self.vault.seal(secret, associated_data).map_err(|error| {
            tracing::error!(%error, "cannot seal a secret");
            AppError::new(Code::Internal, "The secret could not be sealed. Nothing was saved.")
        })
    }
}

/// Makes or renames the object of a destination, by which events can be about the destination.
pub(super) async fn name_object(
    txn: &DatabaseTransaction,
    kind: Kind,
    id: DestinationId,
    name: &str,
    now: Timestamp,
) -> Result<(), AppError> {
    match find_object(txn, kind, id).await? {
        Some(row) if row.name == name => Ok(()),
        Some(row) => {
            let renamed = object::Row { name: name.to_owned(), ..row.clone() };
            object::update(txn, &row, &renamed, now).await.map_err(|error| match error {
                store::Error::InUse => {
                    let message = format!("This {} has just changed. Submit again.", kind.noun());
                    AppError::new(Code::Conflict, message)
                }
                other => other.into(),
            })
        }
        None => {
            let (type_id, external_id) = (kind.object_type().to_owned(), Some(id.to_string()));
            object::insert_many(txn, vec![NewObject { type_id, external_id, name: name.to_owned() }], now).await?;
            Ok(())
        }
    }
}

/// Returns the object of a destination, if there is one.
pub(super) async fn find_object(
    txn: &DatabaseTransaction,
    kind: Kind,
    id: DestinationId,
) -> Result<Option<object::Row>, AppError> {
    let wanted = Wanted { external_ids: [id.to_string()].into(), ..Wanted::default() };
    let found = object::find_wanted(txn, kind.object_type(), wanted).await?;
    Ok(found.into_values().next().map(|(row, _)| row))
}
