//! Whether the database takes commits. The readiness probe asks this.
//!
//! A database that reads may yet refuse to write: a full disk, a failing one, a standby. So the probe goes by commits:
//! the last one that failed, or else one of its own. It must not write more often than once a second.

use super::{Error, Result, Store, setting};
use sea_orm::DbErr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a commit speaks for the database.
const FRESH: Duration = Duration::from_secs(1);
/// How long a probe waits for the database.
const PATIENCE: Duration = Duration::from_secs(5);
/// The setting that a probe writes.
const PROBE: &str = "readiness_probe";

/// How the last commit went that says something about the database, and when: a probe, or a failure.
#[derive(Debug, Default)]
pub(super) struct LastCommit {
    known: Mutex<Option<(Instant, Result<()>)>>,
    /// Held by the one probe that is under way.
    probing: tokio::sync::Mutex<()>,
}

impl LastCommit {
    /// Notes that a commit failed. A broken rule is the commit's own fault and says nothing about the database; nor does a
    /// success, since a transaction that has changed nothing writes nothing.
    pub(super) fn note_failure(&self, done: &Result<()>) {
        if matches!(done, Err(Error::Unavailable(_))) {
            self.note(done);
        }
    }

    fn note(&self, done: &Result<()>) {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), done.clone()));
    }

    fn fresh(&self) -> Option<Result<()>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.as_ref().filter(|(at, _)| at.elapsed() < FRESH).map(|(_, done)| done.clone())
    }
}

impl Store {
    /// Whether the database takes commits.
    ///
    /// # Errors
    /// It does not, or does not answer within five seconds.
    pub async fn check_commits(&self) -> Result<()> {
        if let Some(done) = self.last_commit.fresh() {
            return done;
        }
        let _one_at_a_time = self.last_commit.probing.lock().await;
        if let Some(done) = self.last_commit.fresh() {
            return done;
        }
        let done = match tokio::time::timeout(PATIENCE, self.probe()).await {
            Ok(done) => done,
            Err(_) => Err(Error::Unavailable(DbErr::Custom("no commit within five seconds".to_owned()))),
        };
        self.last_commit.note(&done);
        done
    }

    async fn probe(&self) -> Result<()> {
        let txn = self.begin().await?;
        // A commit that changes nothing writes nothing: each probe has a value of its own.
        setting::put(&txn, PROBE, &rand::random::<u64>().to_string()).await?;
        self.commit(txn).await
    }
}
