//! The intake's one worker: takes what is waiting, commits it as a group, and answers each sender what is true of it.

use super::commit::{Commit, Committer};
use super::{Answer, Error, GROUP_MAX, Job};
use crate::clock::Clock;
use crate::store::{self, Store};
use jiff::tz::TimeZone;
use sea_orm::DatabaseTransaction;
use std::sync::Arc;
use tokio::sync::{Notify, mpsc};

/// The worker.
pub(super) struct Worker {
    store: Store,
    committer: Committer,
}

impl Worker {
    /// A worker that rings `bell` when something was queued.
    pub(super) fn new(store: Store, clock: Clock, zone: TimeZone, bell: Arc<Notify>) -> Self {
        Self { store: store.clone(), committer: Committer::new(store, clock, zone, bell) }
    }

    /// Works until the last sender is gone.
    pub(super) async fn run(mut self, mut waiting: mpsc::Receiver<Job>) {
        // What would have made the last group too large.
        let mut left = None;
        while let Some(first) = match left.take() {
            Some(job) => Some(job),
            None => waiting.recv().await,
        } {
            // First the writer: what arrives while others have it shares the commit.
            let begun = self.store.begin().await;
            let mut size = first.batch.occurrences.len();
            let mut group = vec![first];
            while let Ok(job) = waiting.try_recv() {
                size += job.batch.occurrences.len();
                if size > GROUP_MAX {
                    left = Some(job);
                    break;
                }
                group.push(job);
            }
            match begun {
                Ok(txn) => self.process(group, txn).await,
                // None of them is at fault, and each would wait as long.
                Err(error) => answer_all(group, || Error::Store(error.clone())),
            }
        }
    }

    async fn process(&mut self, group: Vec<Job>, txn: DatabaseTransaction) {
        match self.committer.commit(&group, Some(txn)).await {
            // One of them may be at fault: each alone, so that the others are not.
            Commit::Refused(error)
                if group.len() > 1 && (error.is_blocked() || !matches!(error, store::Error::Unavailable(_))) =>
            {
                for job in group {
                    let alone = vec![job];
                    let commit = self.committer.commit(&alone, None).await;
                    answer(alone, commit);
                }
            }
            commit => answer(group, commit),
        }
    }
}

/// Answers each sender of a group.
fn answer(group: Vec<Job>, commit: Commit) {
    match commit {
        Commit::Done(answers) => {
            for (job, answer) in group.into_iter().zip(answers) {
                send(job, answer);
            }
        }
        Commit::Refused(error) => answer_all(group, || Error::Store(error.clone())),
        Commit::Unknown(error) => answer_all(group, || Error::Unknown(error.clone())),
    }
}

fn answer_all(group: Vec<Job>, error: impl Fn() -> Error) {
    for job in group {
        send(job, Err(error()));
    }
}

fn send(job: Job, answer: Answer) {
    // A sender that has gone away needs no answer; what it sent is stored all the same.
    let _ = job.answer.send(answer);
}
