//! Committing a group until it is certain whether the group is stored, as far as the database responds.
//!
//! A commit that fails because the database went away may have succeeded: only its response may be lost. So the group
//! is looked up before it is tried again. While the outcome cannot be looked up, no sender is told that nothing was
//! stored.

use super::alarm::Alarmed;
use super::full::FullTypes;
use super::group::{GroupWriter, Written};
use super::prepared::{Alone, Preparation, Prepared};
use super::{Job, Reporter, Response};
use crate::clock::{Clock, Zone};
use crate::engine::held::HeldCounts;
use crate::engine::lane::Lanes;
use crate::engine::start::needs_lock_of_changes;
use crate::fault;
use crate::store::turn::Turn;
use crate::store::{self, Store, occurrence};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// The number of tries for a group that conflicts with the change of another node, and of lookups of an uncertain
/// commit.
const TRIES: u32 = 5;
/// The first wait for a database that cannot be asked about a commit. Each further wait is longer by as much.
const WAIT: Duration = Duration::from_millis(100);

/// The outcome of the commit of a group.
pub(super) enum Commit {
    /// The group is stored. Contains the response to each job.
    Done(Vec<Response>),
    /// Nothing of the group is stored.
    Refused(store::Error),
    /// The group may be stored: the database went away during the commit, and cannot be asked.
    Unknown(store::Error),
}

/// The outcome of one try.
enum Try {
    /// The group is stored.
    Stored(Written),
    /// The group was not committed.
    Failed(store::Error),
    /// The commit failed, and the group may be stored all the same.
    Unanswered(store::Error, Written),
}

/// The result of looking a group up.
enum Lookup {
    Stored,
    Absent,
    /// The database cannot be asked.
    Unavailable,
}

/// The state that all workers share.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) clock: Clock,
    pub(super) zone: Zone,
    pub(super) lanes: Lanes,
    /// Notified when a delivery was queued.
    pub(super) wake: Arc<Notify>,
    pub(super) held: Arc<HeldCounts>,
    pub(super) alarmed: Arc<Alarmed>,
    pub(super) full: Arc<FullTypes>,
}

/// Commits groups, one after the other.
pub(super) struct Committer {
    store: Store,
    writer: GroupWriter,
    shared: Shared,
}

impl Committer {
    /// Returns a committer without cached rules.
    pub(super) fn new(store: Store, shared: Shared) -> Self {
        Self { store, writer: GroupWriter::new(shared.clone()), shared }
    }

    /// Commits a group: in this turn, or in a transaction where it needs one. A part of a group that was refused waits
    /// less for locks.
    pub(super) async fn commit(&mut self, group: &[Job], mut turn: Option<Turn>, is_part: bool) -> Commit {
        let mut tried = 0;
        // SQLite has no such lock.
        let mut has_lock_of_changes = !self.store.is_postgres();
        // The last try whose commit failed, and whose occurrences were not found.
        let mut absent = None;
        loop {
            tried += 1;
            let is_first = tried == 1 && !has_lock_of_changes;
            let done = match turn.take() {
                None if !is_first => None,
                turn => Box::pin(self.try_alone(group, turn)).await,
            };
            let done = match done {
                Some(done) => done,
                None => {
                    let is_patient = has_lock_of_changes || (is_first && !is_part);
                    Box::pin(self.try_once(group, is_patient, has_lock_of_changes)).await
                }
            };
            let error = match done {
                Try::Stored(written) => return self.finish(written),
                Try::Failed(error) if needs_lock_of_changes(&error) => {
                    // This is no failure: the group is written again, under the lock.
                    has_lock_of_changes = true;
                    tried -= 1;
                    continue;
                }
                Try::Failed(error) => error,
                Try::Unanswered(error, written) => match self.look_up(&written).await {
                    Lookup::Stored => return self.finish(written),
                    Lookup::Absent => {
                        absent = Some(written);
                        error
                    }
                    Lookup::Unavailable => return Commit::Unknown(error),
                },
            };
            if !error.is_passing() || tried >= tries_after(&error) {
                return self.refuse(error, absent).await;
            }
        }
    }

    /// Writes a group alone: by one statement on PostgreSQL, in a turn on SQLite. `None` for a group that needs a
    /// transaction, and where PostgreSQL cannot be read: the transaction then reports the error.
    async fn try_alone(&mut self, group: &[Job], turn: Option<Turn>) -> Option<Try> {
        if group.iter().any(|job| matches!(job.reporter, Reporter::Internal { .. })) {
            return None;
        }
        match self.writer.prepare_by_known(group) {
            Preparation::Plain(prepared) => match self.write_alone(*prepared, turn).await {
                None => {}
                done => return done,
            },
            Preparation::NotPlain => return None,
            Preparation::Unknown => {}
        }
        if !self.store.is_postgres() {
            return None;
        }
        let read = self.store.in_time(self.writer.prepare(self.store.autocommit(), group));
        let prepared = read.await.ok()??;
        self.write_alone(prepared, None).await
    }

    /// Writes a prepared group. `None` where nothing is stored because the known state has changed.
    async fn write_alone(&self, prepared: Prepared, turn: Option<Turn>) -> Option<Try> {
        fault::point("intake.before-commit");
        match prepared.write(&self.store, turn).await {
            Alone::Stored(written) => {
                fault::point("intake.after-commit");
                Some(Try::Stored(written))
            }
            Alone::Changed => None,
            Alone::Failed(error, written) if error.is_unanswered() => Some(Try::Unanswered(error, written)),
            Alone::Failed(error, _) => Some(Try::Failed(error)),
        }
    }

    /// Writes and commits a group once.
    async fn try_once(&mut self, group: &[Job], is_patient: bool, has_lock_of_changes: bool) -> Try {
        let written = async {
            // The change of a person may hold locks for a while.
            let txn = if is_patient { self.store.begin().await? } else { self.store.begin_impatient().await? };
            let written = self.store.in_time(self.writer.write(&txn, group, has_lock_of_changes)).await?;
            Ok::<_, store::Error>((txn, written))
        };
        let (txn, written) = match written.await {
            Ok(written) => written,
            Err(error) => return Try::Failed(error),
        };
        fault::point("intake.before-commit");
        if let Err(error) = self.store.commit(txn).await {
            return Try::Unanswered(error, written);
        }
        fault::point("intake.after-commit");
        Try::Stored(written)
    }

    /// Looks up whether a group whose commit failed is stored.
    async fn look_up(&self, written: &Written) -> Lookup {
        // The group adds no occurrence, so another try loses nothing.
        let Some(first) = written.first else { return Lookup::Absent };
        // On SQLite, a commit that was abandoned may still be using the writer. Waiting for a turn waits for its end.
        if self.store.turn().await.is_err() {
            return Lookup::Unavailable;
        }
        for tried in 1..=TRIES {
            match occurrence::find(self.store.read(), first).await {
                Ok(Some(_)) => return Lookup::Stored,
                Ok(None) => return Lookup::Absent,
                Err(_) => tokio::time::sleep(WAIT * tried).await,
            }
        }
        Lookup::Unavailable
    }

    /// Decides about a group that is not tried again. PostgreSQL may still have been committing an earlier try when it
    /// was looked up, so it is looked up once more.
    async fn refuse(&mut self, error: store::Error, absent: Option<Written>) -> Commit {
        let Some(written) = absent.filter(|_| self.store.is_postgres()) else { return Commit::Refused(error) };
        match self.look_up(&written).await {
            Lookup::Stored => self.finish(written),
            Lookup::Absent | Lookup::Unavailable => Commit::Unknown(error),
        }
    }

    /// Does what follows a commit that has succeeded.
    fn finish(&mut self, written: Written) -> Commit {
        self.shared.alarmed.note(written.alarms);
        if let Some(taken) = written.taken {
            taken.hand_over();
        }
        if written.has_queued {
            self.shared.wake.notify_one();
        }
        Commit::Done(written.responses)
    }
}

/// Returns the number of tries for a group that fails with this error. A sender must not wait for a database that is
/// away, but after a closed connection a second try is worth it. A blocked group has waited for its lock already.
fn tries_after(error: &store::Error) -> u32 {
    match error {
        _ if error.is_blocked() => 1,
        store::Error::Unavailable(_) => 2,
        _ => TRIES,
    }
}
