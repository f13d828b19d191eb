//! Starts that are rendered and leased before anything is written, so that they can be written at once.

use super::{RENDERED_MAX_BYTES, Setting, Start, hold, lease, new_delivery, new_run};
use crate::engine::lane::{Lanes, Leased, Taken};
use crate::engine::render;
use crate::store::claim::Claimed;
use crate::store::delivery::NewDelivery;
use crate::store::destination::Destination;
use crate::store::run::NewRun;
use std::sync::Arc;

/// Starts that are written at once: every message is rendered, and no destination holds its delivery.
#[derive(Debug)]
pub struct Plain {
    /// The runs with their deliveries.
    pub new: Vec<(NewRun, NewDelivery)>,
    /// The destinations of the leased deliveries, in their order.
    destinations: Vec<Arc<Destination>>,
    taken: Option<Taken>,
    /// True when a delivery queues, so that a dispatcher has to look for it.
    pub has_queued: bool,
}

impl Plain {
    /// Renders these starts. `None` where [`start`](super::start()) has to write them.
    pub fn render(starts: &[Start<'_>], setting: Setting<'_>) -> Option<Self> {
        if starts.iter().any(|one| hold(one).is_some()) {
            return None;
        }
        let taken = setting.lanes.and_then(Lanes::take);
        let mut plain = Self { new: Vec::new(), destinations: Vec::new(), taken, has_queued: false };
        let date = render::date(setting.now, setting.zone);
        let mut bytes = 0;
        for one in starts {
            let mut new = new_delivery(one, setting.now, &date);
            bytes += new.body.len();
            if new.failed.is_some() || bytes > RENDERED_MAX_BYTES {
                return None;
            }
            new.lease = plain.taken.as_mut().and_then(|taken| lease(taken, one, &new, setting.now));
            match new.lease {
                Some(_) => plain.destinations.push(one.destination.clone()),
                None => plain.has_queued = true,
            }
            plain.new.push((new_run(one), new));
        }
        Some(plain)
    }

    /// Takes the leases, before the rows are written.
    pub fn take(&mut self) -> Option<Unnamed> {
        let mut taken = self.taken.take()?;
        taken.expect_rows();
        Some(Unnamed { taken, destinations: std::mem::take(&mut self.destinations) })
    }
}

/// Leased deliveries that have no ids yet.
#[derive(Debug)]
pub struct Unnamed {
    taken: Taken,
    destinations: Vec<Arc<Destination>>,
}

impl Unnamed {
    /// Releases the leases of deliveries that were certainly not written.
    pub fn give_back(self) {
        self.taken.give_back();
    }

    /// Returns the leases with the claims of the deliveries, in their order.
    pub fn named(mut self, claimed: Vec<Claimed>) -> Taken {
        let leased = claimed.into_iter().zip(self.destinations);
        self.taken.note(leased.map(|(claimed, destination)| Leased { claimed, destination: Some(destination) }));
        self.taken
    }
}
