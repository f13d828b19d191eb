//! Spares a worker needless looks. A worker looks for rows once a second, and finds nothing new while nothing is
//! written to the database. These looks are most of the work of an idle server.
//!
//! Each commit to the embedded database, also by another process, writes to the write-ahead log, so the log's file
//! shows whether anything was written. On PostgreSQL the notifications of all nodes show it (`listen`). They are sent
//! for a change of the configuration, a run of a schedule, an internal event and a delivery that queues, but not for
//! the end of an attempt or the death of a node. So the dispatcher also uses its heartbeat (`node`), which says whether
//! anything is queued or leased.

use super::Store;
use model::number::from_millis;
use model::time::Timestamp;
use std::time::{Duration, SystemTime};

/// The time after which a look is made although nothing was written.
const LOOK_LASTS: Duration = Duration::from_secs(10);
/// The shortest time after a write in which a further write certainly changes the file's time: some file systems store
/// whole seconds.
const SETTLED: Duration = Duration::from_secs(2);

/// A state that changes when something is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    /// The write-ahead log: the time since 1970 at which it was written, and its size in bytes.
    Log(Duration, u64),
    /// The number of notifications.
    Heard(u64),
}

/// The last look of a worker.
#[derive(Debug, Default)]
pub struct LastLook(Option<(Mark, Timestamp)>);

impl LastLook {
    /// Returns true while another look would find the same rows as the last one. The caller then only compares the
    /// clock with the result of the last look. Otherwise the caller looks again. If that look fails or leaves something
    /// to do, the caller calls [`forget`](Self::forget).
    pub fn is_current(&mut self, store: &Store, now: Timestamp) -> bool {
        let state = store.mark(now);
        let is_current = self
            .0
            .zip(state)
            .is_some_and(|((seen, at), state)| seen == state && at <= now && now.since(at) < LOOK_LASTS);
        if !is_current {
            self.0 = state.map(|state| (state, now));
        }
        is_current
    }

    /// Forgets the last look, so that the next one is made.
    pub fn forget(&mut self) {
        self.0 = None;
    }
}

impl Store {
    /// Returns the mark of the last write. `None` where a further write might not change the mark.
    fn mark(&self, now: Timestamp) -> Option<Mark> {
        let Some(log) = &self.log else { return self.heard.count().map(Mark::Heard) };
        let data = log.metadata().ok()?;
        let written_at = data.modified().ok()?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
        // After the clock was set back, the file's time may be in the future.
        let is_settled = from_millis(now.0).checked_sub(written_at).is_some_and(|since| since >= SETTLED);
        is_settled.then_some(Mark::Log(written_at, data.len()))
    }
}
