//! Alarms about destinations that can hold no more deliveries.

use super::stage::Stage;
use crate::engine::start::FullHold;
use crate::store;
use crate::store::internal;
use model::id::DestinationId;
use sea_orm::ConnectionTrait;
use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

/// The destinations whose alarm has been raised: their hold was full when a worker last looked.
#[derive(Default)]
pub(super) struct Alarmed(Mutex<HashSet<DestinationId>>);

/// The changes of the alarms by a group, to be noted once the group is stored.
#[derive(Default)]
pub(super) struct Alarms {
    /// The destinations whose alarm the group raises.
    raised: Vec<DestinationId>,
    /// The destinations that hold nothing any more.
    over: Vec<DestinationId>,
}

impl Alarmed {
    fn with<T>(&self, act: impl FnOnce(&mut HashSet<DestinationId>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Notes the alarms of a group that is stored.
    pub(super) fn note(&self, alarms: Alarms) {
        self.with(|alarmed| {
            alarms.over.iter().for_each(|id| _ = alarmed.remove(id));
            alarmed.extend(alarms.raised);
        });
    }
}

/// Returns the alarms that are over, since their destinations hold nothing any more.
pub(super) fn over(stage: &Stage, alarmed: &Alarmed) -> Alarms {
    let is_over = |id: &&DestinationId| stage.rules.is_holding(**id) == Some(false);
    let over = alarmed.with(|alarmed| alarmed.iter().filter(is_over).copied().collect());
    Alarms { raised: Vec::new(), over }
}

/// Raises an alarm for each destination whose hold is full, once until the destination holds nothing any more. The
/// alarm is an internal event, which a later group takes in.
pub(super) async fn raise(
    db: &impl ConnectionTrait,
    stage: &Stage,
    alarmed: &Alarmed,
    full: &[FullHold],
) -> Result<Alarms, store::Error> {
    let mut alarms = over(stage, alarmed);
    let mut raised = alarmed.with(|alarmed| alarmed.clone());
    alarms.over.iter().for_each(|id| _ = raised.remove(id));
    for hold in full {
        if raised.insert(hold.destination_id) {
            alarms.raised.push(hold.destination_id);
            internal::insert(db, &hold.alarm(), stage.now).await?;
        }
    }
    Ok(alarms)
}
