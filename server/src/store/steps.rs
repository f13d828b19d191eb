//! Work on many rows in steps, so that no transaction holds the one writer of the embedded database for long.
//!
//! ```text
//! let mut steps = Steps::new();
//! while let Some(size) = steps.next().await {
//!     let txn = store.begin().await?;
//!     steps.begin();
//!     let done = …;              // at most `size` rows, found by index
//!     steps.end(done);
//!     store.commit(txn).await?;
//! }
//! ```

use std::time::{Duration, Instant};

/// The rows of the first step.
const FIRST: i64 = 100;
/// The fewest and the most rows of a step.
const BOUNDS: (i64, i64) = (50, 2000);
/// After a step that took longer than this, the next one is smaller. After a step that took less than a third of this,
/// the next one is larger.
const LONG: Duration = Duration::from_millis(12);
/// The longest wait between two steps.
const REST_MAX: Duration = Duration::from_secs(1);

/// The size of the next step.
#[derive(Debug)]
pub struct Steps {
    size: i64,
    /// The beginning of the last step.
    since: Option<Instant>,
    /// The wait between two steps, as a multiple of the time that the last one took.
    rest: u32,
    is_done: bool,
}

impl Default for Steps {
    fn default() -> Self {
        Self::new()
    }
}

impl Steps {
    /// Returns the state before the first step. Other transactions have the writer for at least half of the time.
    pub fn new() -> Self {
        Self { size: FIRST, since: None, rest: 1, is_done: false }
    }

    /// From now on, waits `times` as long as the last step took.
    pub fn rest(&mut self, times: u32) {
        self.rest = times;
    }

    /// Waits in proportion to the last step with its commit. Then returns the number of rows that the next step may
    /// take; `None` when the last step found fewer rows than it was allowed.
    pub async fn next(&mut self) -> Option<i64> {
        if self.is_done {
            return None;
        }
        if let Some(since) = self.since {
            tokio::time::sleep((since.elapsed() * self.rest).min(REST_MAX)).await;
        }
        Some(self.size)
    }

    /// Notes that the transaction of a step has begun. The wait for it says nothing about the size of the step.
    pub fn begin(&mut self) {
        self.since = Some(Instant::now());
    }

    /// Notes that a step is about to be committed, and that another one has to follow, however few rows this one had.
    pub fn go_on(&mut self) {
        self.end(self.size.unsigned_abs());
    }

    /// Notes that a step has changed, or looked at, this many rows and is about to be committed. The size of the next
    /// step does not depend on the commit, which takes almost as long for a few rows as for many.
    pub fn end(&mut self, rows: u64) {
        let took = self.since.map_or(Duration::ZERO, |since| since.elapsed());
        self.is_done = rows < self.size.unsigned_abs();
        if took > LONG {
            self.size = (self.size / 2).max(BOUNDS.0);
        } else if took < LONG / 3 {
            self.size = (self.size * 2).min(BOUNDS.1);
        }
    }
}
