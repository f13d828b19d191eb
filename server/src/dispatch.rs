//! The dispatcher: claims the deliveries that are due, sends them and settles them, until it is told to stop.
//!
//! Each delivery is sent at least once. It is sent again only where an attempt may have reached the receiver and has no
//! record, or failed and has retries left.
//!
//! # What happens in which order
//!
//! 1. A cycle (`cycle`) begins when a delivery has ended, when `wake` is notified, when the next delivery is due, and
//!    at least once a second. Deliveries that end while a cycle is written share the next one.
//! 2. Once a second it first returns the leases that have run out, and its own ones that it does not know of. It reads
//!    which destinations hang.
//! 3. One transaction (`record`) settles a group of at most 100 ended deliveries (`settle`): each attempt is recorded
//!    and its delivery moved on, the breakers of the destinations are counted, and the runs ended.
//! 4. The same transaction claims up to 100 due deliveries within the capacity of the lanes (`lane`): 512 in flight on
//!    this node, 8 (by default) of each destination on all nodes together, and one of a destination that hangs. `store::claim`
//!    has the statement.
//! 5. After the commit one task for each delivery sends it (`deliver`). No transaction is open meanwhile. The task
//!    reports the end to the loop, whatever happens, a panic too.
//! 6. Beside the cycles the sweep runs once a second (`store::sweep`).
//!
//! # Locks
//!
//! A cycle takes locks 1, 4, 5, 6, 7 and 10 of the lock order in `store`. Lock 1 is taken only when a run may end a
//! task that is deleted after running. Lock 4 is taken only for destinations whose breaker may move. Lock 10 is the last:
//! while it is held, nothing else is waited for.
//!
//! # What a crash leaves behind
//!
//! * Before the commit of a cycle: the ended deliveries are still `running`, with a lease. When the lease runs out they
//!   are queued and sent again.
//! * After the commit, before the attempt: a lease without an attempt. It runs out likewise: the destination's timeout and
//!   10 s after the claim. A single server on SQLite releases all leases when it starts.
//! * After the attempt, before its record: the receiver may have acted, and is called again. The delivery counts its
//!   claims apart from its attempts, so at most `1 + retries + 3` claims have no record.
//! * A commit whose response was lost: the next try leaves out attempts that are recorded, by delivery, number and
//!   instant. A claim that was lost so is returned by step 2 of the next cycle.
//! * A breaker, and the internal event about it, are one transaction: neither is there without the other.

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
    Attempted(Box<Settlement>),
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
        // `0`: any target. The list of hanging destinations is read again within a second.
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
    /// The most deliveries of one destination in flight, on all nodes together.
    per_destination: usize,
    /// Cancelled when a stopping server waits no longer. Attempts in flight then end with what has arrived.
    cut: CancellationToken,
}

impl Dispatcher {
    /// Returns a dispatcher that runs a cycle at each notification of `wake`, and has at most `per_destination` deliveries
    /// of a destination in flight, together with those of other nodes.
    pub fn new(
        store: Store,
        vault: Arc<Vault>,
        clock: Clock,
        guard: Arc<Guard>,
        wake: Arc<Notify>,
        per_destination: usize,
    ) -> Self {
        let clients = Arc::new(Clients::new(guard, CLIENTS_LAST));
        let owner = new_uuid(clock.now());
        Self { store, vault, clock, clients, wake, owner, per_destination, cut: CancellationToken::new() }
    }

    /// Works until `stop` is cancelled. Attempts in flight may then end, within `DRAIN`.
    pub async fn run(self, stop: CancellationToken) {
        // One task for both: a panic of either ends both, and with them the process.
        tokio::join!(self.run_cycles(&stop), self.keep_sweeping(&stop));
    }

    async fn run_cycles(&self, stop: &CancellationToken) {
        let (ended, mut waiting) = mpsc::channel(lane::SLOTS);
        let mut work = Work::new(self.per_destination, ended);
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
