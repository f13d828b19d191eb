//! Alarms about destinations that can hold no more deliveries.

use super::stage::Stage;
use crate::engine::start::FullHold;
use crate::store;
use crate::store::internal;
use model::id::DestinationId;
use sea_orm::DatabaseTransaction;
use std::collections::HashSet;

/// Raises an alarm for each destination whose hold is full, once until the destination holds nothing any more. The alarm is an
/// internal event, which a later group takes in. Returns the destinations whose alarm has been raised.
pub(super) async fn raise(
    txn: &DatabaseTransaction,
    stage: &Stage,
    alarmed: &HashSet<DestinationId>,
    full: &[FullHold],
) -> Result<HashSet<DestinationId>, store::Error> {
    let mut raised = alarmed.clone();
    raised.retain(|id| stage.rules.is_holding(*id) != Some(false));
    for hold in full {
        if raised.insert(hold.destination_id) {
            internal::insert(txn, &hold.alarm(), stage.now).await?;
        }
    }
    Ok(raised)
}
