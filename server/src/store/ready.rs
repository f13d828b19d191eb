//! Whether the database takes commits: what the readiness probe is answered with.
//!
//! A database that reads may yet refuse to write: a full disk, a failing one, a standby. So the probe goes by commits:
//! the last one that was made, or else one of its own. It must not write more often than once a second.

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

/// How the last commit of this process went, and when.
#[derive(Debug, Default)]
pub(super) struct LastCommit {
    known: Mutex<Option<(Instant, Result<()>)>>,
    /// Held by the one probe that is under way.
    probing: tokio::sync::Mutex<()>,
}

impl LastCommit {
    /// Notes how a commit went. A broken rule is the commit's own fault and says nothing about the database.
    pub(super) fn note(&self, done: &Result<()>) {
        if matches!(done, Ok(()) | Err(Error::Unavailable(_))) {
            *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), done.clone()));
        }
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
        if done.is_err() {
            self.last_commit.note(&done);
        }
        done
    }

    async fn probe(&self) -> Result<()> {
        let txn = self.begin().await?;
        // A commit that changes nothing writes nothing: each probe has a value of its own.
        setting::put(&txn, PROBE, &rand::random::<u64>().to_string()).await?;
        self.commit(txn).await
    }
}
