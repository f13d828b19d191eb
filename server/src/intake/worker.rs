//! The workers of the intake: each collects waiting jobs to a group, has the group committed and responds to each job.
//!
//! SQLite has one writer, so there is one worker. On PostgreSQL there are two: one group is written while the commit of
//! the other is on its way. A group costs as much as several deliveries, so a second group begins beside another only
//! when it is at least as large. This way groups grow with the load. A second group also waits while the dispatcher is
//! behind with its records: deliveries that queue cost more than deliveries that are sent at once.

use super::commit::{Commit, Committer, Shared};
use super::{Error, GROUP_MAX, Job, Response};
use crate::engine::lane::Lanes;
use crate::store::turn::Turn;
use crate::store::{self, Store};
use futures_util::future::join_all;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::{Mutex, Notify, mpsc};

/// The number of workers on PostgreSQL.
const WORKERS: usize = 2;

/// Runs the workers until the last sender is dropped. They are one task: a panic of one ends the others, and with them
/// the process.
pub(super) async fn run(store: Store, shared: Shared, waiting: mpsc::Receiver<Job>) {
    let source = Arc::new(Source::new(waiting, shared.lanes.clone()));
    let workers = if store.is_postgres() { WORKERS } else { 1 };
    let worker = |_| Worker::new(store.clone(), shared.clone(), source.clone()).run();
    join_all((0..workers).map(worker)).await;
}

/// The jobs that wait, and the occurrences that are being written.
struct Source {
    queue: Mutex<Queue>,
    /// The number of occurrences in groups under way.
    under_way: AtomicUsize,
    /// Notified when a group has ended.
    ended: Notify,
    lanes: Lanes,
}

struct Queue {
    waiting: mpsc::Receiver<Job>,
    /// The job that would have made the last group too large.
    left: Option<Job>,
}

impl Source {
    fn new(waiting: mpsc::Receiver<Job>, lanes: Lanes) -> Self {
        let queue = Mutex::new(Queue { waiting, left: None });
        Self { queue, under_way: AtomicUsize::new(0), ended: Notify::new(), lanes }
    }

    /// Returns true when a group of this many occurrences may begin beside those under way.
    fn may_begin(&self, occurrences: usize) -> bool {
        let under_way = self.under_way.load(Ordering::SeqCst);
        under_way == 0 || (occurrences >= under_way && !self.lanes.are_behind())
    }

    /// Collects a group, with its turn on SQLite. Returns `None` after the last job.
    async fn next_group(&self, store: &Store) -> Option<(Vec<Job>, Result<Option<Turn>, store::Error>)> {
        let mut queue = self.queue.lock().await;
        let first = match queue.left.take() {
            Some(job) => job,
            None => queue.waiting.recv().await?,
        };
        let mut group = vec![first];
        loop {
            let ended = self.ended.notified();
            if self.may_begin(count(&group)) {
                break;
            }
            tokio::select! {
                job = queue.waiting.recv(), if queue.left.is_none() => match job {
                    Some(job) => queue.add(&mut group, job),
                    None => break,
                },
                () = ended => {}
            }
        }
        // The turn comes first: jobs that arrive while others use SQLite's writer share the commit.
        let turn = store.turn().await;
        while queue.left.is_none()
            && let Ok(job) = queue.waiting.try_recv()
        {
            queue.add(&mut group, job);
        }
        self.under_way.fetch_add(count(&group), Ordering::SeqCst);
        Some((group, turn))
    }

    /// Notes the end of a group.
    fn end(&self, occurrences: usize) {
        self.under_way.fetch_sub(occurrences, Ordering::SeqCst);
        self.ended.notify_waiters();
    }
}

impl Queue {
    /// Adds a job to a group, or keeps it for the next one if the group would have more than [`GROUP_MAX`] occurrences.
    fn add(&mut self, group: &mut Vec<Job>, job: Job) {
        if count(group) + job.batch.occurrences.len() > GROUP_MAX {
            self.left = Some(job);
        } else {
            group.push(job);
        }
    }
}

/// Returns the number of occurrences of a group.
fn count(group: &[Job]) -> usize {
    group.iter().map(|job| job.batch.occurrences.len()).sum()
}

/// A worker.
struct Worker {
    store: Store,
    committer: Committer,
    source: Arc<Source>,
}

impl Worker {
    fn new(store: Store, shared: Shared, source: Arc<Source>) -> Self {
        Self { store: store.clone(), committer: Committer::new(store, shared), source }
    }

    async fn run(mut self) {
        while let Some((group, turn)) = self.source.next_group(&self.store).await {
            let occurrences = count(&group);
            match turn {
                Ok(turn) => self.commit(group, turn).await,
                // No job is at fault, and trying each alone would only wait again.
                Err(error) => respond_to_all(group, || Error::Store(error.clone())),
            }
            self.source.end(occurrences);
        }
    }

    /// Commits a group and responds to its jobs.
    async fn commit(&mut self, group: Vec<Job>, turn: Option<Turn>) {
        match self.committer.commit(&group, turn, false).await {
            Commit::Refused(error) if group.len() > 1 && may_be_one_job(&error) => self.commit_each_alone(group).await,
            commit => respond(group, commit),
        }
    }

    /// Commits each job of a refused group in a transaction of its own, so that a job at fault does not fail the
    /// others.
    async fn commit_each_alone(&mut self, group: Vec<Job>) {
        for job in group {
            let alone = vec![job];
            let commit = self.committer.commit(&alone, None, true).await;
            respond(alone, commit);
        }
    }
}

/// Returns true when a single job may be the reason why a group was refused: the database responds, and refused the
/// rows or waited too long for a lock on one of them.
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
