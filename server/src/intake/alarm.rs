//! Alarms about destinations that can hold no more deliveries.

use super::stage::Stage;
use crate::engine::start::FullHold;
use crate::store;
use crate::store::internal::{self, InternalEvent};
use model::id::DestinationId;
use model::occurrence::Occurrence;
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
            internal::insert(txn, &event(hold), stage.now).await?;
        }
    }
    Ok(raised)
}

fn event(hold: &FullHold) -> InternalEvent {
    let (name, noun) = (&hold.destination_name, hold.kind.noun());
    let text = format!("The {noun} {name} has reached its limit of held deliveries; further ones are errors.");
    let occurrence = Occurrence {
        type_id: "alarms".to_owned(),
        event_id: "raised".to_owned(),
        object: None,
        external_id: None,
        source: None,
        time: None,
        data: Some(serde_json::json!({ "level": "error", "text": text, hold.kind.as_str(): name })),
    };
    InternalEvent { occurrence, about_destination: Some(hold.destination_id), depth: hold.depth + 1 }
}
