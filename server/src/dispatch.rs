//! The dispatcher: claims the deliveries that are due, sends them and settles them, until it is told to stop.
//!
//! Each delivery is sent at least once. It is sent again only where an attempt may have reached the receiver and has no
//! record, or failed and has retries left.
//!
//! # What happens in which order
//!
//! 1. Most deliveries come from the intake, which leases them when it writes them, as far as the lanes have room
//!    (`engine::lane`). After the intake's commit they are sent at once: nothing is read for them.
//! 2. The others queue: their lane is full or has older deliveries, or they are retried, held or released. A cycle
//!    (`cycle`) claims them: when `wake` is notified, when the next one is due, when a lane with a backlog has room,
//!    and once a second while the rows may have changed. `store::claim` has the statement.
//! 3. A task for each attempt under way sends a delivery (`deliver`), reports its end even after a panic, and continues
//!    with the next delivery of the destination. No transaction is open meanwhile. At most 8 attempts (by default) of a
//!    destination are under way on all nodes together. A node makes one attempt at a time to a destination that hangs.
//!    The task does not wait for the record of its attempt while fewer than 32 attempts of the destination and 512 in
//!    all are unrecorded.
//! 4. A cycle also begins when a delivery has ended. It records (`record`) a group of at most 512 ended deliveries
//!    (`settle`): it stores each attempt, moves its delivery on, counts it at the breaker of its destination, and ends
//!    its run. Deliveries that end while a cycle is written share the next one. Successes wait up to a tenth of a
//!    second for others (`linger`). On SQLite they also wait for a group of the intake that takes their record along.
//! 5. Once a second a cycle looks around. On PostgreSQL it reads how many nodes share the limits, and whether any has
//!    something to do. It returns deliveries to the queue: those of this node whose lease may have been lost, and those
//!    of any node whose lease has run out. It also reads which destinations hang.
//! 6. Beside the cycles the sweep runs once a second (`store::sweep`).
//!
//! While nothing is written to the embedded database and nothing is under way, the looks of steps 2, 5 and 6 are made
//! every ten seconds (`store::look`). On PostgreSQL, while nothing is queued or under way on any node and no
//! notification arrives, only the first statement of step 5 runs each second, and the other looks are made every ten
//! seconds.
//!
//! # Locks
//!
//! A cycle takes locks 1, 4, 5, 6 and 7 of the lock order in `store`. Lock 1 is taken only when a run ends a task that
//! is deleted after running. Lock 4 is taken only for destinations whose breaker may move, and where a record is tried
//! again.
//!
//! # What a crash leaves behind
//!
//! * Before the commit of a cycle: the ended deliveries are still `running`, with a lease. When the lease runs out they
//!   are queued and sent again, or held behind an open breaker.
//! * After a commit with leases, before the attempt: a lease without an attempt. It also runs out, 10 s after the
//!   destination's timeout. A single server on SQLite ends all leases when it starts.
//! * After the attempt, before its record: the receiver may have acted, and is called again. The delivery counts its
//!   claims apart from its attempts. After three claims without a record the beginning of each further attempt is on
//!   record before the receiver is called (`store::suspect`), so at most `6 + retries` attempts have no record.
//! * A commit whose response was lost: the next try waits for its locks, and leaves out attempts that are already
//!   recorded, by delivery, number and instant. Deliveries whose claim was lost in this way return to the queue at the
//!   next look of step 5.
//! * A change of a breaker and the internal event about the change are one transaction: neither is stored alone.

mod cycle;
mod deliver;
mod linger;
mod nodes;
mod record;
mod settle;

use crate::clock::{Clock, new_uuid};
use crate::engine::lane::{Behaviour, Change, Lanes, Leased, SLOTS};
use crate::outbound::client::Clients;
use crate::outbound::guard::Guard;
use crate::store::claim::Claimed;
use crate::store::delivery::Settlement;
use crate::store::{self, Store};
use crate::vault::Vault;
use cycle::Work;
use model::delivery::{Next, Outcome};
use model::id::DestinationId;
use model::time::Timestamp;
use std::collections::HashSet;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

/// The most ended attempts that one cycle records: all that may be unrecorded.
const GROUP_MAX: usize = SLOTS;
/// The longest time for which a client is used. After that its hosts are resolved and checked again.
const CLIENTS_LAST: Duration = Duration::from_mins(5);
/// The time that a stopping dispatcher gives to attempts in flight. Service managers kill after ten seconds.
const DRAIN: Duration = Duration::from_secs(4);
/// The end of a delivery that was in flight.
enum Ended {
    /// An attempt was made.
    Attempted(Box<Settlement>),
    /// No attempt was made: the target has changed, its revision cannot be read, a resource of this machine is used up,
    /// or the server stops. The delivery returns to its place in the queue, or is due later.
    Returned {
        claimed: Claimed,
        due: Option<Timestamp>,
        /// True where the delivery had its turn to be sent.
        had_turn: bool,
    },
}

impl Ended {
    fn claimed(&self) -> &Claimed {
        match self {
            Self::Attempted(settlement) => &settlement.claimed,
            Self::Returned { claimed, .. } => claimed,
        }
    }

    /// Returns the end of an attempt, where one was made.
    fn settlement(&self) -> Option<&Settlement> {
        match self {
            Self::Attempted(settlement) => Some(settlement),
            Self::Returned { .. } => None,
        }
    }

    /// Returns how the end changes the lane.
    fn change(&self) -> Change {
        let (had_turn, is_queued) = match self {
            Self::Attempted(_) => (true, false),
            Self::Returned { had_turn, .. } => (*had_turn, true),
        };
        Change { delivery: self.claimed().id(), destination: self.claimed().destination_id(), had_turn, is_queued }
    }

    /// Returns the instant at which the delivery is due again, if it is.
    fn next_due(&self) -> Option<Timestamp> {
        match self {
            Self::Attempted(settlement) => match settlement.next {
                Next::RetryAt(due) => Some(due),
                Next::Settle(_) | Next::Hold(..) => None,
            },
            // A delivery that returns to its place in the queue is due at once.
            Self::Returned { due, .. } => Some(due.unwrap_or(Timestamp(0))),
        }
    }

    /// Returns the behaviour of the destination, as this end shows it.
    fn behaviour(&self) -> Behaviour {
        let Self::Attempted(settlement) = self else { return Behaviour::default() };
        let attempted = &settlement.attempted;
        Behaviour {
            // Revision 0 stands for any target: the list of hanging destinations is read again within a second.
            is_hanging: settlement.ending(0).and_then(|ending| ending.is_hanging),
            sent_in: (attempted.outcome == Outcome::Sent).then_some(attempted.duration),
        }
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
    /// The most attempts of one destination under way, on all nodes together.
    per_destination: usize,
    /// The lanes, which the intake shares.
    lanes: Lanes,
    restless: Arc<Restless>,
    /// True while any node has something to do, as read with the last heartbeat. Only used on PostgreSQL.
    is_busy: Arc<AtomicBool>,
    /// Cancelled when a stopping server stops waiting. Attempts in flight then end with the response as far as it has
    /// arrived.
    cut: CancellationToken,
}

impl Dispatcher {
    /// Returns a dispatcher that runs a cycle at each notification of `wake`, and has at most `per_destination`
    /// attempts of a destination under way, together with those of other nodes.
    pub fn new(
        store: Store,
        vault: Arc<Vault>,
        clock: Clock,
        guard: Arc<Guard>,
        wake: Arc<Notify>,
        lanes: Lanes,
        per_destination: usize,
    ) -> Self {
        let clients = Arc::new(Clients::new(guard, CLIENTS_LAST, SLOTS));
        let owner = new_uuid(clock.now());
        Self {
            store,
            vault,
            clock,
            clients,
            wake,
            owner,
            per_destination,
            lanes,
            restless: Arc::default(),
            is_busy: Arc::default(),
            cut: CancellationToken::new(),
        }
    }

    /// Runs until `stop` is cancelled. Attempts in flight then have `DRAIN` to end.
    pub async fn run(self, stop: CancellationToken) {
        self.join_nodes(&stop).await;
        let handed = self.lanes.open(self.owner, self.per_destination);
        let (ended, waiting) = mpsc::unbounded_channel();
        let tasks = TaskTracker::new();
        let senders = Senders { tasks: tasks.clone(), ended };
        // All three are one task: a panic of one ends the others, and with them the process.
        tokio::join!(
            self.run_cycles(senders.clone(), waiting, &stop),
            self.keep_starting(senders, handed, &stop),
            self.keep_sweeping(&stop)
        );
        if !tasks.is_empty() {
            tracing::warn!(in_flight = tasks.len(), "stopped before every delivery in flight was recorded");
        }
        self.leave_nodes().await;
    }

    /// Starts the deliveries that the intake hands over. After the stop they return to the queue.
    async fn keep_starting(
        &self,
        senders: Senders,
        mut handed: mpsc::UnboundedReceiver<Vec<Leased>>,
        stop: &CancellationToken,
    ) {
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                leased = handed.recv() => match leased {
                    Some(leased) => self.start(&senders, self.lanes.start(leased)),
                    None => break,
                }
            }
        }
        Self::return_all(&senders, self.lanes.close());
        // The intake may still be committing deliveries that it has leased.
        while let Some(leased) = handed.recv().await {
            Self::return_all(&senders, leased);
        }
    }

    async fn run_cycles(
        &self,
        senders: Senders,
        mut waiting: mpsc::UnboundedReceiver<Ended>,
        stop: &CancellationToken,
    ) {
        let mut work = Work::new(senders);
        let mut wait = Duration::ZERO;
        while !stop.is_cancelled() {
            let mut group = Vec::from_iter(work.left.take());
            if group.is_empty() {
                tokio::select! {
                    () = stop.cancelled() => break,
                    _ = waiting.recv_many(&mut group, GROUP_MAX) => {}
                    () = self.wake.notified() => work.must_claim = true,
                    () = tokio::time::sleep(wait) => {}
                }
            }
            let along =
                if group.is_empty() { None } else { self.linger(&mut work, &mut group, &mut waiting, stop).await };
            wait = self.cycle(&mut work, group, along, &mut waiting, stop).await;
        }
        if let Some(one) = work.left.take() {
            deliver::report(&work.senders.ended, one);
        }
        // The last claim may have come after the lanes were closed.
        Self::return_all(&work.senders, self.lanes.close());
        drop(work);
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
    }
}

/// The destinations whose breaker may be open or have counted failures: those that the database listed within the last
/// second, and those whose failures this node has counted since. A success of any other destination changes no breaker.
/// The failures that another node counts are noticed within a second.
#[derive(Default)]
struct Restless(Mutex<HashSet<DestinationId>>);

impl Restless {
    fn with<T>(&self, act: impl FnOnce(&mut HashSet<DestinationId>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn set(&self, ids: HashSet<DestinationId>) {
        self.with(|set| *set = ids);
    }

    fn add(&self, ids: impl Iterator<Item = DestinationId>) {
        self.with(|set| set.extend(ids));
    }

    fn contains(&self, id: DestinationId) -> bool {
        self.with(|set| set.contains(&id))
    }
}

/// The tasks that send, and the channel to which they report.
#[derive(Clone)]
struct Senders {
    tasks: TaskTracker,
    ended: mpsc::UnboundedSender<Ended>,
}

/// Returns an error with its causes, for the log.
fn chain(error: store::Error) -> String {
    format!("{:#}", anyhow::Error::new(error))
}
