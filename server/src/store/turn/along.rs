//! A record that goes along with a turn: it waits until the next group is written, and shares the commit of that group.
//! Nothing waits for the record of a success, and a commit costs more than the rows in it.
//!
//! The record comes first in the transaction. If it fails, the transaction begins again without it. So a failed record
//! leaves nothing behind, and does not prevent the group.

use super::thread::{Session, interrupted};
use crate::store::rows::RowStatement;
use crate::store::{Error, Result};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// The parts of a record, such as deliveries. `None` once a turn has taken the record, or once the record was taken
/// back.
type Content<T> = Arc<Mutex<Option<Vec<T>>>>;

/// The place for the one record that waits.
#[derive(Clone, Default)]
pub(super) struct Place(Arc<Mutex<Option<Waiting>>>);

/// A record that waits.
struct Waiting {
    is_taken_back: Box<dyn Fn() -> bool + Send>,
    /// Returns the statements, unless the record was taken back.
    statements: Box<dyn FnOnce() -> Option<Vec<RowStatement>> + Send>,
    respond: oneshot::Sender<Result<()>>,
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Statements contain data of senders, which must not be logged.
        f.write_str("Place")
    }
}

impl Place {
    /// Lets a record wait. `None` while another one waits.
    pub(super) fn wait<T: Send + 'static>(
        &self,
        content: Vec<T>,
        statements: impl FnOnce(Vec<T>) -> Vec<RowStatement> + Send + 'static,
    ) -> Option<Along<T>> {
        let mut place = lock(&self.0);
        if place.as_ref().is_some_and(|waiting| !(waiting.is_taken_back)()) {
            return None;
        }
        let (respond, response) = oneshot::channel();
        let content = Arc::new(Mutex::new(Some(content)));
        let (of_turn, of_place) = (content.clone(), content.clone());
        *place = Some(Waiting {
            is_taken_back: Box::new(move || lock(&of_place).is_none()),
            statements: Box::new(move || {
                // The content is taken first, so that the lock is free again while the statements are made.
                let content = lock(&of_turn).take()?;
                Some(statements(content))
            }),
            respond,
        });
        Some(Along { content, response, made: None })
    }

    /// Makes the waiting record within the transaction of a turn. `None` where no record waits, or where it was taken
    /// back.
    pub(super) fn make(&self, session: &Session<'_>) -> Option<Made> {
        let waiting = lock(&self.0).take()?;
        let statements = (waiting.statements)()?;
        let done = session.write_all(statements).map_err(Error::from);
        Some(Made { done, respond: waiting.respond })
    }
}

/// A record that is made, and not committed yet. When it is dropped, the record is reported as interrupted.
pub(super) struct Made {
    done: Result<()>,
    respond: oneshot::Sender<Result<()>>,
}

impl Made {
    /// Returns true where the record has failed. The transaction may then contain a part of it.
    pub(super) fn has_failed(&self) -> bool {
        self.done.is_err()
    }

    /// Reports the outcome of the record, which also depends on that of the transaction.
    pub(super) fn end(self, transaction: Result<()>) {
        // The receiver may have been dropped: then no one waits for the outcome.
        let _ = self.respond.send(transaction.and(self.done));
    }
}

/// A record that waits for a turn to go along with. The record is taken back when this is dropped.
#[derive(Debug)]
pub struct Along<T> {
    content: Content<T>,
    response: oneshot::Receiver<Result<()>>,
    made: Option<Result<()>>,
}

impl<T> Along<T> {
    /// Adds to the record. Returns `one` if a turn has already taken the record.
    pub fn add(&self, one: T) -> Option<T> {
        match &mut *lock(&self.content) {
            Some(content) => {
                content.push(one);
                None
            }
            None => Some(one),
        }
    }

    /// Takes the record back, so that no turn makes it. Returns false where a turn has taken it.
    pub fn take_back(&self) -> bool {
        lock(&self.content).take().is_some()
    }

    /// Waits until a turn has made the record. Further calls return the same outcome.
    ///
    /// # Errors
    /// Fails when the record or the transaction of the turn fails. As after a failed commit, the record may be made all
    /// the same.
    pub async fn made(&mut self) -> Result<()> {
        if self.made.is_none() {
            let made = (&mut self.response).await;
            self.made = Some(made.unwrap_or_else(|_| Err(Error::Unavailable(interrupted()))));
        }
        self.made.clone().unwrap_or(Ok(()))
    }
}

impl<T> Drop for Along<T> {
    fn drop(&mut self) {
        self.take_back();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
