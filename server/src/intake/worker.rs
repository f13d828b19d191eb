//! The one worker of the intake: collects waiting jobs to a group, has the group committed and responds to each job.

use super::commit::{Commit, Committer};
use super::{Error, GROUP_MAX, Job, Response};
use crate::clock::{Clock, Zone};
use crate::store::{self, Store};
use sea_orm::DatabaseTransaction;
use std::sync::Arc;
use tokio::sync::{Notify, mpsc};

/// The worker.
pub(super) struct Worker {
    store: Store,
    committer: Committer,
}

impl Worker {
    /// Returns a worker that notifies `wake` when a delivery was queued.
    pub(super) fn new(store: Store, clock: Clock, zone: Zone, wake: Arc<Notify>) -> Self {
        Self { store: store.clone(), committer: Committer::new(store, clock, zone, wake) }
    }

    /// Works until the last sender is dropped.
    pub(super) async fn run(mut self, mut waiting: mpsc::Receiver<Job>) {
        let mut left = None;
        while let Some(first) = next_job(left.take(), &mut waiting).await {
            // First the transaction: jobs that arrive while others have the writer share the commit.
            let begun = self.store.begin().await;
            let group;
            (group, left) = collect_group(first, &mut waiting);
            match begun {
                Ok(txn) => self.commit(group, txn).await,
                // No job is at fault, and each would wait as long.
                Err(error) => respond_to_all(group, || Error::Store(error.clone())),
            }
        }
    }

    /// Commits a group and responds to its jobs.
    async fn commit(&mut self, group: Vec<Job>, txn: DatabaseTransaction) {
        match self.committer.commit(&group, Some(txn)).await {
            Commit::Refused(error) if group.len() > 1 && may_be_one_job(&error) => self.commit_each_alone(group).await,
            commit => respond(group, commit),
        }
    }

    /// Commits each job of a refused group in a transaction of its own, so that a job at fault does not fail the
    /// others.
    async fn commit_each_alone(&mut self, group: Vec<Job>) {
        for job in group {
            let alone = vec![job];
            let commit = self.committer.commit(&alone, None).await;
            respond(alone, commit);
        }
    }
}

/// Returns the job that did not fit into the last group, or waits for the next one.
async fn next_job(left: Option<Job>, waiting: &mut mpsc::Receiver<Job>) -> Option<Job> {
    match left {
        Some(job) => Some(job),
        None => waiting.recv().await,
    }
}

/// Adds the jobs that are waiting to the first one, up to [`GROUP_MAX`] occurrences. Returns the group, and the job
/// that would have made it too large.
fn collect_group(first: Job, waiting: &mut mpsc::Receiver<Job>) -> (Vec<Job>, Option<Job>) {
    let mut size = first.batch.occurrences.len();
    let mut group = vec![first];
    while let Ok(job) = waiting.try_recv() {
        size += job.batch.occurrences.len();
        if size > GROUP_MAX {
            return (group, Some(job));
        }
        group.push(job);
    }
    (group, None)
}

/// Returns true when one job of a group may be why the group was refused: the database is there, and refused the rows
/// or waited too long for a lock on one of them.
fn may_be_one_job(error: &store::Error) -> bool {
    error.is_blocked() || !matches!(error, store::Error::Unavailable(_))
}

/// Responds to each job of a group.
fn respond(group: Vec<Job>, commit: Commit) {
    match commit {
        Commit::Done(responses) => {
            for (job, response) in group.into_iter().zip(responses) {
                send(job, response);
            }
        }
        Commit::Refused(error) => respond_to_all(group, || Error::Store(error.clone())),
        Commit::Unknown(error) => respond_to_all(group, || Error::Unknown(error.clone())),
    }
}

fn respond_to_all(group: Vec<Job>, error: impl Fn() -> Error) {
    for job in group {
        send(job, Err(error()));
    }
}

fn send(job: Job, response: Response) {
    // A sender that has gone away needs no response. Its occurrences are stored all the same.
    let _ = job.response.send(response);
}
