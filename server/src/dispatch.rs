//! The dispatcher: claims what is due, sends it, settles it; for ever, until told to stop.
//!
//! ```text
//! turn: settle what has ended (attempt + next state), claim what is due (a lease each)   one transaction
//! send: one task for each delivery                                                        network, nothing open
//! ```
//!
//! One loop takes turns: when something has ended, is queued or falls due, and at least once a second. What ends while
//! a turn is written shares the next. A worker that dies leaves a lease; whoever sweeps next puts the delivery back.
//! At-least-once is the contract.

mod cycle;
mod deliver;
mod lane;
mod record;
mod settle;

use crate::clock::{Clock, new_uuid};
use crate::outbound::client::Clients;
use crate::outbound::guard::Guard;
use crate::store::claim::Claimed;
use crate::store::delivery::Settlement;
use crate::store::{self, Store};
use crate::vault::Vault;
use cycle::Work;
use model::time::Timestamp;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// The most ended attempts that one cycle records.
const GROUP_MAX: usize = 100;
/// The longest time for which a client is used. After that its hosts are resolved and checked again.
const CLIENTS_LAST: Duration = Duration::from_mins(5);
/// The time that a stopping dispatcher gives to attempts in flight. Service managers kill after ten seconds.
const DRAIN: Duration = Duration::from_secs(4);
/// The end of a delivery that was in flight.
enum Ended {
    /// An attempt was made.
    Attempted(Settlement),
    /// No attempt was made: the target has changed or cannot be read, a resource of this machine is used up, or the
    /// server stops. The delivery returns to the queue, due at the instant.
    Returned(Claimed, Timestamp),
}

impl Ended {
    fn claimed(&self) -> &Claimed {
        match self {
            Self::Attempted(settlement) => &settlement.claimed,
            Self::Returned(claimed, _) => claimed,
        }
    }

    /// Reports whether the receiver hangs, where the attempt tells.
    fn is_hanging(&self) -> Option<bool> {
        let Self::Attempted(settlement) = self else { return None };
        // `0`: any target. The list of hanging webhooks is read again within a second.
        settlement.ending(0).and_then(|ending| ending.is_hanging)
    }
}

/// Sends the deliveries of one node.
#[derive(Clone)]
pub struct Dispatcher {
    store: Store,
    vault: Arc<Vault>,
    clock: Clock,
    clients: Arc<Clients>,
    /// Notified when a delivery may be due.
    wake: Arc<Notify>,
    /// The name of this dispatcher in leases.
    owner: Uuid,
    /// The most deliveries of one webhook in flight, on all nodes together.
    per_webhook: usize,
    /// Cancelled when a stopping server waits no longer. Attempts in flight then end with what has arrived.
    cut: CancellationToken,
}

impl Dispatcher {
    /// Returns a dispatcher that runs a cycle at each notification of `wake`, and has at most `per_webhook` deliveries
    /// of a webhook in flight, together with those of other nodes.
    pub fn new(
        store: Store,
        vault: Arc<Vault>,
        clock: Clock,
        guard: Arc<Guard>,
        wake: Arc<Notify>,
        per_webhook: usize,
    ) -> Self {
        let clients = Arc::new(Clients::new(guard, CLIENTS_LAST));
        let owner = new_uuid(clock.now());
        Self { store, vault, clock, clients, wake, owner, per_webhook, cut: CancellationToken::new() }
    }

    /// Works until `stop` is cancelled. Attempts in flight may then end, within `DRAIN`.
    pub async fn run(self, stop: CancellationToken) {
        // One task for both: a panic of either ends both, and with them the process.
        tokio::join!(self.run_cycles(&stop), self.keep_sweeping(&stop));
    }

    async fn run_cycles(&self, stop: &CancellationToken) {
        let (ended, mut waiting) = mpsc::channel(lane::SLOTS);
        let mut work = Work::new(self.per_webhook, ended);
        let mut wait = Duration::ZERO;
        loop {
            let mut group = Vec::new();
            tokio::select! {
                () = stop.cancelled() => break,
                _ = waiting.recv_many(&mut group, GROUP_MAX) => {}
                () = self.wake.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
            wait = self.cycle(&mut work, group, &mut waiting, stop).await;
        }
        let tasks = work.close();
        let cut = self.cut.clone();
        let cut_later = async {
            tokio::time::sleep(DRAIN).await;
            cut.cancel();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = self.drain(&mut waiting, stop) => {}
            () = cut_later => {}
        }
        if !tasks.is_empty() {
            tracing::warn!(in_flight = tasks.len(), "stopped before every delivery in flight was recorded");
        }
    }
}

/// Returns an error with its causes, for the log.
fn chain(error: store::Error) -> String {
    format!("{:#}", anyhow::Error::new(error))
}
