//! The library's writing connection between two turns. A connection that returns to its pool is tested first, which switches
//! threads twice, and at some tens of events a second each group has a turn of its own. So a turn keeps the connection for
//! the next one, unless another writer wants it.

use sqlx::Sqlite;
use sqlx::pool::PoolConnection;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::Instant;

/// The time after which a connection that no turn needs returns to its pool. A writer that did not tell waits as long.
const KEPT_FOR: Duration = Duration::from_millis(50);
/// The time since another writer wanted the connection, for which no turn keeps it: the writer may have more to write.
const WANTED_FOR: Duration = Duration::from_millis(100);

/// The place for the connection.
#[derive(Debug, Clone, Default)]
pub(super) struct Kept(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    connection: Option<(PoolConnection<Sqlite>, Handle)>,
    /// The end of the last turn that has kept the connection.
    kept_at: Option<Instant>,
    /// The last instant at which another writer wanted the connection.
    wanted_at: Option<Instant>,
    /// True while a task waits to return the connection.
    is_watched: bool,
}

impl Kept {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the connection for a turn.
    pub(super) fn take(&self) -> Option<PoolConnection<Sqlite>> {
        self.state().connection.take().map(|(connection, _)| connection)
    }

    /// Keeps the connection after a turn, or returns it to its pool.
    pub(super) fn keep(&self, connection: PoolConnection<Sqlite>) {
        let mut state = self.state();
        if state.wanted_at.is_some_and(|at| at.elapsed() < WANTED_FOR) {
            return;
        }
        state.connection = Some((connection, Handle::current()));
        state.kept_at = Some(Instant::now());
        if !std::mem::replace(&mut state.is_watched, true) {
            tokio::spawn(self.clone().watch());
        }
    }

    /// Returns the connection to its pool, for another writer.
    pub(super) fn want(&self) {
        let mut state = self.state();
        state.wanted_at = Some(Instant::now());
        if let Some((connection, runtime)) = state.connection.take() {
            // A connection returns to its pool by a task.
            let _entered = runtime.enter();
            drop(connection);
        }
    }

    /// Returns the connection to its pool once no turn has kept it for a while.
    async fn watch(self) {
        let mut until = Instant::now() + KEPT_FOR;
        loop {
            tokio::time::sleep_until(until).await;
            let mut state = self.state();
            let kept_until = state.kept_at.map_or(until, |at| at + KEPT_FOR);
            if kept_until <= Instant::now() || state.connection.is_none() {
                state.is_watched = false;
                state.connection = None;
                return;
            }
            until = kept_until;
        }
    }
}
