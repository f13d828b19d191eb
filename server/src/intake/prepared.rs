//! A group whose deliveries are rendered and leased before anything is written. It then needs no transaction around it.

use super::group::Written;
use crate::engine::start::Unnamed;
use crate::store::delivery::{self, Occurred};
use crate::store::turn::Turn;
use crate::store::{self, Store};
use model::time::Timestamp;

/// The result of preparing a group by the known state.
pub(super) enum Preparation {
    /// The group may be written alone.
    Plain(Box<Prepared>),
    /// The group needs a transaction, unless something has changed.
    NotPlain,
    /// The group depends on something that is not known.
    Unknown,
}

/// A group that is written alone: by one statement on PostgreSQL, in a turn on SQLite.
pub(super) struct Prepared {
    pub(super) written: Written,
    pub(super) occurred: Occurred,
    pub(super) leased: Option<Unnamed>,
    pub(super) now: Timestamp,
}

/// The result of writing a group alone.
pub(super) enum Alone {
    Stored(Written),
    /// Nothing is stored: the known state has changed.
    Changed,
    /// The write failed. If the database is away, the group may be stored all the same.
    Failed(store::Error, Written),
}

impl Prepared {
    /// Writes the group.
    pub(super) async fn write(self, store: &Store, turn: Option<Turn>) -> Alone {
        let Self { mut written, occurred, leased, now } = self;
        if occurred.occurrences.is_empty() {
            return Alone::Stored(written);
        }
        let started = async {
            match turn {
                Some(turn) => delivery::start_in_turn(turn, occurred, now).await,
                None => delivery::start_alone(store.autocommit(), occurred, now).await,
            }
        };
        match store.alone(started).await {
            Ok(Some(started)) => {
                written.taken = leased.map(|leased| leased.named(started.claimed));
                Alone::Stored(written)
            }
            Ok(None) => {
                leased.into_iter().for_each(Unnamed::give_back);
                Alone::Changed
            }
            Err(error) => {
                if !error.is_unanswered() {
                    leased.into_iter().for_each(Unnamed::give_back);
                }
                Alone::Failed(error, written)
            }
        }
    }
}
