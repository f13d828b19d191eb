//! A claimed delivery, with all that a node needs to send it.

use crate::store::delivery::{Lease, NewDelivery};
use model::email::Recipient;
use model::id::{DeliveryId, DestinationId};
use model::number::{to_u32, to_usize};
use model::time::Timestamp;
use sea_orm::FromQueryResult;
use std::time::Duration;
use uuid::Uuid;

/// A delivery leased to a node.
#[derive(Debug, Clone, FromQueryResult)]
pub struct Claimed {
    pub(in crate::store) id: i64,
    /// The public id.
    pub uuid: Uuid,
    destination_id: i64,
    /// The message, byte for byte.
    pub body: Vec<u8>,
    attempts: i64,
    claims: i64,
    depth: i64,
    destination_revision: i64,
    /// The destination's revision whose target the delivery is sent to; `None` for the current one.
    pub replay_revision: Option<i64>,
    /// The destination's revision at the time of the claim.
    pub current_revision: i64,
    /// The recipients of an e-mail, as JSON.
    recipients: Option<String>,
    lease_until: i64,
    /// True for the only run of a task that is deleted after running: the end of the delivery changes the task.
    pub ends_task: bool,
}

impl Claimed {
    /// Returns a new delivery that is leased from its start.
    pub(in crate::store) fn of_new(id: i64, new: &NewDelivery, recipients: Option<String>, lease: Lease) -> Self {
        Self {
            id,
            uuid: new.uuid,
            destination_id: new.destination_id.0,
            body: new.body.clone(),
            attempts: 0,
            claims: 1,
            depth: new.depth.into(),
            destination_revision: new.destination_revision,
            replay_revision: new.replay.revision,
            current_revision: lease.revision,
            recipients,
            lease_until: lease.until.0,
            ends_task: lease.ends_task,
        }
    }

    /// Replaces the id of a new delivery, which is still its position from 1, by the real id at that position.
    pub(in crate::store) fn with_id_at(self, ids: &[i64]) -> Self {
        Self { id: ids[to_usize(self.id) - 1], ..self }
    }

    /// Returns a delivery for tests of lanes.
    #[cfg(test)]
    pub(crate) fn sample(id: i64, destination_id: i64) -> Self {
        Self {
            id,
            uuid: Uuid::nil(),
            destination_id,
            body: Vec::new(),
            attempts: 0,
            claims: 1,
            depth: 0,
            destination_revision: 1,
            replay_revision: None,
            current_revision: 1,
            recipients: None,
            lease_until: 0,
            ends_task: false,
        }
    }

    /// Returns true when too little of the lease is left for an attempt of this duration and for its record.
    pub fn is_late(&self, now: Timestamp, timeout: Duration) -> bool {
        now.after(timeout + RECORD_WITHIN).0 > self.lease_until
    }

    /// Returns the number of deliveries that led to this one.
    pub fn depth(&self) -> u32 {
        to_u32(self.depth)
    }

    /// Returns true when the delivery was queued for a target before that of `target_revision`.
    pub fn is_outdated(&self, target_revision: i64) -> bool {
        self.replay_revision.is_none() && self.destination_revision < target_revision
    }

    /// Returns the id.
    pub fn id(&self) -> DeliveryId {
        DeliveryId(self.id)
    }

    /// Returns the id of the destination.
    pub fn destination_id(&self) -> DestinationId {
        DestinationId(self.destination_id)
    }

    /// Returns the recipients of an e-mail; none for a message to a webhook. `None` where the column cannot be read.
    pub fn recipients(&self) -> Option<Vec<Recipient>> {
        self.recipients.as_deref().map_or(Some(Vec::new()), |json| serde_json::from_str(json).ok())
    }

    /// Returns the end of the lease.
    pub fn lease_until(&self) -> Timestamp {
        Timestamp(self.lease_until)
    }

    /// Returns the number of earlier claims without an attempt on record: a node died, or the record was refused. Some
    /// of them may have called the receiver.
    pub fn unrecorded(&self) -> u32 {
        u32::try_from(self.claims - self.attempts - 1).unwrap_or_default()
    }

    /// Returns the number of attempts on record.
    pub fn attempts(&self) -> i64 {
        self.attempts
    }

    /// Returns the number of the attempt to make, from 1.
    pub fn attempt(&self) -> u32 {
        to_u32(self.attempts).saturating_add(1)
    }
}

/// The least time of a lease that is left for the record after the longest attempt.
const RECORD_WITHIN: Duration = Duration::from_secs(5);
