//! Checks whether the database takes commits, for the readiness probe.
//!
//! A database that can be read may refuse writes: its disk is full or fails, or it is a standby. So the check relies on
//! commits: a recent one that failed, or else a commit of its own. It must not write more than once a second.

use super::{Error, Result, Store, setting};
use sea_orm::DbErr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The time for which the outcome of a commit is used.
const FRESH: Duration = Duration::from_secs(1);
/// The time limit of the check's own commit.
const PATIENCE: Duration = Duration::from_secs(5);
/// The setting that the check writes.
const PROBE: &str = "readiness_probe";

/// The outcome of the last commit that says something about the database, and its instant: a commit of the check, or a
/// failed one.
#[derive(Debug, Default)]
pub(super) struct LastCommit {
    last: Mutex<Option<(Instant, Result<()>)>>,
    /// Locked by the one check that is under way.
    probing: tokio::sync::Mutex<()>,
}

impl LastCommit {
    /// Notes a commit that failed because the database is unavailable. Other outcomes say nothing about the database: a
    /// violated constraint is a fault of the transaction, and a transaction without changes succeeds without writing.
    pub(super) fn note_failure<T>(&self, done: &Result<T>) {
        if let Err(error @ Error::Unavailable(_)) = done {
            self.note(&Err(error.clone()));
        }
    }

    fn note(&self, done: &Result<()>) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), done.clone()));
    }

    fn fresh(&self) -> Option<Result<()>> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_ref().filter(|(at, _)| at.elapsed() < FRESH).map(|(_, done)| done.clone())
    }
}

impl Store {
    /// Checks that the database takes commits.
    ///
    /// # Errors
    /// Fails when the database takes none, or does not respond within five seconds.
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
        // A commit without changes writes nothing, so each check writes another value.
        setting::put(&txn, PROBE, &rand::random::<u64>().to_string()).await?;
        self.commit(txn).await
    }
}
