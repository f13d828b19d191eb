//! The library's writing connection between two turns. A connection that returns to its pool is tested first, which
//! switches threads twice, and at some tens of events a second each group has a turn of its own. So a turn keeps the
//! connection for the next turn, unless another writer wants it.

use sqlx::Sqlite;
use sqlx::pool::PoolConnection;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::Instant;

/// The time after which a connection that no turn needs returns to its pool.
const KEPT_FOR: Duration = Duration::from_millis(50);
/// The longest time for which successive turns keep the connection. No other writer waits longer than that.
const KEPT_IN_A_ROW: Duration = Duration::from_secs(1);
/// The time after a request of another writer in which no turn keeps the connection: the writer may have more to write.
const WANTED_FOR: Duration = Duration::from_millis(100);

/// The connection between two turns, if one has kept it.
#[derive(Debug, Clone, Default)]
pub(super) struct SpareConnection(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    connection: Option<(PoolConnection<Sqlite>, Handle)>,
    /// The instant since which turns have kept the connection.
    since: Option<Instant>,
    /// The end of the last turn that has kept the connection.
    kept_at: Option<Instant>,
    /// The last instant at which another writer asked for the connection.
    wanted_at: Option<Instant>,
    /// True where another writer asked for the connection while a turn had it.
    is_wanted: bool,
    /// The number of turns and other writers that wait for the connection.
    waiting: usize,
    /// True while a task waits to return the connection.
    is_watched: bool,
}

impl State {
    /// Returns the connection to its pool, if it is here.
    fn give_up(&mut self) {
        self.since = None;
        if let Some((connection, runtime)) = self.connection.take() {
            // Returning a connection to its pool spawns a task.
            let _entered = runtime.enter();
            drop(connection);
        }
    }
}

impl SpareConnection {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the connection for a turn, if it is here.
    pub(super) fn take(&self) -> Option<PoolConnection<Sqlite>> {
        self.state().connection.take().map(|(connection, _)| connection)
    }

    /// Keeps the connection after a turn, or returns it to its pool.
    pub(super) fn keep(&self, connection: PoolConnection<Sqlite>) {
        let (mut state, now) = (self.state(), Instant::now());
        let was_wanted = std::mem::take(&mut state.is_wanted);
        let is_wanted = was_wanted || state.waiting > 0 || state.wanted_at.is_some_and(|at| now - at < WANTED_FOR);
        let since = *state.since.get_or_insert(now);
        state.connection = Some((connection, Handle::current()));
        if is_wanted || now - since > KEPT_IN_A_ROW {
            state.give_up();
            return;
        }
        state.kept_at = Some(now);
        if !std::mem::replace(&mut state.is_watched, true) {
            tokio::spawn(self.clone().watch());
        }
    }

    /// Returns the connection to its pool, for another writer.
    pub(super) fn want(&self) {
        let mut state = self.state();
        state.wanted_at = Some(Instant::now());
        state.is_wanted = state.connection.is_none();
        state.give_up();
    }

    /// Returns the connection to its pool, for a turn or another writer that waits for it until the guard is dropped.
    /// All of them then wait in the pool, which serves them in order.
    pub(super) fn wait(&self) -> WaitingWriter {
        let mut state = self.state();
        state.waiting += 1;
        state.give_up();
        WaitingWriter(self.clone())
    }

    /// Returns the connection to its pool once no turn has kept it for a while.
    async fn watch(self) {
        let mut until = Instant::now() + KEPT_FOR;
        loop {
            tokio::time::sleep_until(until).await;
            let mut state = self.state();
            let kept_until = state.kept_at.map_or(until, |at| at + KEPT_FOR);
            if kept_until <= Instant::now() {
                state.is_watched = false;
                state.give_up();
                return;
            }
            until = kept_until;
        }
    }
}

/// A turn or another writer that waits for the connection.
#[derive(Debug)]
pub(in crate::store) struct WaitingWriter(SpareConnection);

impl Drop for WaitingWriter {
    fn drop(&mut self) {
        self.0.state().waiting -= 1;
    }
}
