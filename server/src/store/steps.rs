//! Work on many rows, in steps: none holds the one writer of the embedded database for long, whatever there is to do.
//!
//! ```text
//! let mut steps = Steps::new();
//! while let Some(size) = steps.next().await {
//!     let txn = store.begin().await?;
//!     steps.begin();
//!     let done = …;              // of at most `size` rows, found by index
//!     steps.end(done);
//!     store.commit(txn).await?;
//! }
//! ```

use std::time::{Duration, Instant};

/// How many rows the first step takes.
const FIRST: i64 = 100;
/// How many rows a step takes at least and at most.
const BOUNDS: (i64, i64) = (50, 2000);
/// A step that took longer is followed by a smaller one; one that took a third of it by a larger one.
const LONG: Duration = Duration::from_millis(12);

/// How large the next step is.
#[derive(Debug)]
pub struct Steps {
    size: i64,
    since: Instant,
    /// How long the last step took, if there was one.
    took: Option<Duration>,
    is_done: bool,
}

impl Default for Steps {
    fn default() -> Self {
        Self::new()
    }
}

impl Steps {
    /// Before the first step.
    pub fn new() -> Self {
        Self { size: FIRST, since: Instant::now(), took: None, is_done: false }
    }

    /// How many rows the next step may take; `None` when the last one found fewer than it was allowed. Between two steps
    /// it waits for as long as the last one took, so that the others have the writer for at least half of the time.
    pub async fn next(&mut self) -> Option<i64> {
        if self.is_done {
            return None;
        }
        if let Some(took) = self.took {
            tokio::time::sleep(took).await;
        }
        Some(self.size)
    }

    /// The transaction has begun: what was waited for before says nothing about the size.
    pub fn begin(&mut self) {
        self.since = Instant::now();
    }

    /// The step is about to be committed, and whoever takes the steps knows that there is more.
    pub fn go_on(&mut self) {
        self.end(self.size.unsigned_abs());
    }

    /// The step has changed so many rows, and is about to be committed: that takes as long for a few rows as for many.
    pub fn end(&mut self, rows: u64) {
        let took = self.since.elapsed();
        self.took = Some(took);
        self.is_done = rows < self.size.unsigned_abs();
        if took > LONG {
            self.size = (self.size / 2).max(BOUNDS.0);
        } else if took < LONG / 3 {
            self.size = (self.size * 2).min(BOUNDS.1);
        }
    }
}
