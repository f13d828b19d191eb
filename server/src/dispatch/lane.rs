//! What is in flight at this worker, and what may be claimed besides: so many in all, so many of each webhook.
//!
//! A delivery is in flight from its claim until it is settled: what a kill, or a database that is away, can make arrive
//! twice is never more than a webhook's slots.

use crate::store::delivery::Room;
use model::id::WebhookId;
use std::collections::{BTreeSet, HashMap};

/// How many deliveries are in flight at most.
pub(super) const SLOTS: usize = 512;
/// How many of one webhook.
const SLOTS_PER_WEBHOOK: usize = 8;
/// How many of a webhook whose last attempt timed out: any number of hanging receivers leaves slots free.
const SLOTS_HANGING: usize = 1;
/// How many are claimed in one statement at most.
const CLAIM_MAX: usize = 100;

/// The webhooks with deliveries in flight, and those that hang.
pub(super) struct Lanes {
    total: usize,
    webhooks: HashMap<WebhookId, Lane>,
    /// The webhook whose turn was last, among those with nothing in flight.
    last: WebhookId,
}

/// One webhook's share.
#[derive(Default, Clone, Copy)]
struct Lane {
    in_flight: usize,
    /// Its last attempt timed out.
    is_hanging: bool,
}

impl Default for Lanes {
    fn default() -> Self {
        Self { total: 0, webhooks: HashMap::new(), last: WebhookId(0) }
    }
}

impl Lanes {
    /// What may be claimed now.
    pub(super) fn room(&self) -> Room {
        let left = |(id, lane): (&WebhookId, &Lane)| {
            let slots = if lane.is_hanging { SLOTS_HANGING } else { SLOTS_PER_WEBHOOK };
            (*id, slots.saturating_sub(lane.in_flight))
        };
        Room {
            total: (SLOTS - self.total.min(SLOTS)).min(CLAIM_MAX),
            per_webhook: SLOTS_PER_WEBHOOK,
            busy: self.webhooks.iter().map(left).collect(),
            after: self.last,
        }
    }

    /// Notes what was claimed within [`Lanes::room`].
    pub(super) fn take_all(&mut self, claimed: impl Iterator<Item = WebhookId>) {
        let mut idle = BTreeSet::new();
        for webhook in claimed {
            self.total += 1;
            let lane = self.webhooks.entry(webhook).or_default();
            if lane.in_flight == 0 {
                idle.insert(webhook);
            }
            lane.in_flight += 1;
        }
        // They were taken from the last one upwards, and then from the first one up to it.
        let wrapped = idle.range(..=self.last).next_back();
        if let Some(last) = wrapped.or(idle.last()) {
            self.last = *last;
        }
    }

    /// Whether something of this webhook is in flight, or it hangs.
    pub(super) fn is_busy(&self, webhook: WebhookId) -> bool {
        self.webhooks.contains_key(&webhook)
    }

    pub(super) fn free(&mut self, webhook: WebhookId, has_timed_out: bool) {
        self.total = self.total.saturating_sub(1);
        let Some(lane) = self.webhooks.get_mut(&webhook) else { return };
        lane.in_flight = lane.in_flight.saturating_sub(1);
        lane.is_hanging = has_timed_out;
        if lane.in_flight == 0 && !has_timed_out {
            self.webhooks.remove(&webhook);
        }
    }
}
