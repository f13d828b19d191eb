//! A group that is rendered and leased before anything is written, so that one statement writes it (PostgreSQL).

use super::group::Written;
use crate::engine::start::Unnamed;
use crate::store::delivery::{self, Occurred};
use crate::store::{self, Store};
use model::time::Timestamp;

/// The result of preparing a group by what is known.
pub(super) enum Guess {
    /// One statement may write the group.
    Plain(Box<Prepared>),
    /// The group needs a transaction, unless something has changed.
    NotPlain,
    /// The group depends on something that is not known.
    Unknown,
}

/// A group that one statement writes.
pub(super) struct Prepared {
    pub(super) written: Written,
    pub(super) occurred: Occurred,
    pub(super) leased: Option<Unnamed>,
    pub(super) now: Timestamp,
}

/// The result of the statement that writes a group.
pub(super) enum Alone {
    Stored(Written),
    /// Nothing is stored: the state is no longer the known one.
    Changed,
    /// The group may be stored all the same where the database is away.
    Failed(store::Error, Written),
}

impl Prepared {
    /// Writes the group by a statement that commits itself.
    pub(super) async fn write(self, store: &Store) -> Alone {
        let Self { mut written, occurred, leased, now } = self;
        if occurred.occurrences.is_empty() {
            return Alone::Stored(written);
        }
        match store.alone(delivery::start_alone(store.autocommit(), occurred, now)).await {
            Ok(Some(started)) => {
                written.taken = leased.map(|leased| leased.named(started.claimed));
                Alone::Stored(written)
            }
            Ok(None) => {
                leased.into_iter().for_each(Unnamed::give_back);
                Alone::Changed
            }
            Err(error) => Alone::Failed(error, written),
        }
    }
}
