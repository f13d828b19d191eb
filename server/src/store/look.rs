//! Looks that need not be repeated. A worker that looks for rows once a second would find nothing new while nothing is
//! written to the database, and the looks are most of what an idle server does.
//!
//! Each commit to the embedded database writes to the write-ahead log, also that of another process, so the log's file
//! tells. On PostgreSQL the notifications of all nodes tell (`listen`): of a change of what people configure, of a run
//! of a schedule, of an internal event, and of a delivery that queues. They do not tell of an attempt's end, or of a
//! node that died. So the dispatcher also goes by its beat (`node`), which tells whether anything is queued or leased.

use super::Store;
use model::number::from_millis;
use model::time::Timestamp;
use std::time::{Duration, SystemTime};

/// The time after which a look is made although nothing was written.
const LOOK_LASTS: Duration = Duration::from_secs(10);
/// The shortest time since a write after which a further write certainly changes the file's time: some file systems
/// note whole seconds.
const SETTLED: Duration = Duration::from_secs(2);

/// A state that changes with what is written.
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
    /// Returns true while a look would find what the last one has found, as far as the rows decide: the caller then
    /// compares the clock with what it found. Otherwise the caller looks. Where the look fails or leaves something to
    /// do, the caller forgets it.
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
    /// Returns the mark of what was written. `None` where a further write could leave the mark as it is.
    fn mark(&self, now: Timestamp) -> Option<Mark> {
        let Some(log) = &self.log else { return self.heard.count().map(Mark::Heard) };
        let data = log.metadata().ok()?;
        let written_at = data.modified().ok()?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
        // A time in the future was left by a clock that was set back.
        let is_settled = from_millis(now.0).checked_sub(written_at).is_some_and(|since| since >= SETTLED);
        is_settled.then_some(Mark::Log(written_at, data.len()))
    }
}
