//! Turns: the fast way to write a group to the embedded database. A group that only adds rows, or only settles
//! deliveries, is handed as a whole to a thread with a connection of its own, which responds once. The asynchronous
//! library switches threads twice for each statement, which would be most of the time of a small group.
//!
//! A turn holds the library's writing connection meanwhile, which excludes the other writers. A turn must be short, so
//! each of its statements finds its rows by an index.

mod along;
mod spare;
mod thread;

use super::rows::RowStatement;
use super::{Error, Result, Store};
pub use along::Along;
use sea_orm::{DbErr, RuntimeErr, Statement};
use spare::WaitingWriter;
use sqlx::Sqlite;
use sqlx::pool::PoolConnection;
use std::sync::Arc;
pub(super) use thread::{Session, Turns};

/// The right to write, for one group.
#[derive(Debug)]
pub struct Turn {
    /// Held until the turn is over.
    excludes: PoolConnection<Sqlite>,
    turns: Turns,
}

impl Store {
    /// Waits for a turn. `None` on PostgreSQL, which has many writers.
    pub async fn turn(&self) -> Result<Option<Turn>> {
        let Some(turns) = &self.turns else { return Ok(None) };
        if let Some(excludes) = turns.spare.take() {
            return Ok(Some(Turn { excludes, turns: turns.clone() }));
        }
        let _waiting = turns.spare.wait();
        let acquired = async { self.writer.get_sqlite_connection_pool().acquire().await.map_err(not_acquired) };
        Ok(Some(Turn { excludes: self.in_time(acquired).await?, turns: turns.clone() }))
    }

    /// Makes the turns return the writing connection, for another writer.
    pub(super) fn want_writer(&self) {
        if let Some(turns) = &self.turns {
            turns.spare.want();
        }
    }

    /// Does the same for a writer that waits for the connection until the guard is dropped.
    pub(super) fn wait_for_writer(&self) -> Option<WaitingWriter> {
        self.want_writer();
        Some(self.turns.as_ref()?.spare.wait())
    }

    /// Lets a record wait for a turn to go along with. The turn then calls `statements` with the content of the record.
    /// `None` on PostgreSQL, and while another record waits.
    pub(super) fn go_along<T: Send + 'static>(
        &self,
        content: Vec<T>,
        statements: impl FnOnce(Vec<T>) -> Vec<RowStatement> + Send + 'static,
    ) -> Option<Along<T>> {
        self.turns.as_ref()?.place.wait(content, statements)
    }
}

impl Turn {
    /// Runs statements in a transaction.
    pub(super) async fn write(self, statements: Vec<RowStatement>) -> Result<()> {
        let write = |session: &Session<'_>| {
            session.write_all(statements)?;
            Ok(0)
        };
        self.turns.run(self.excludes, None, write).await.map(drop)
    }

    /// Runs `write` in a transaction if `condition` returns a row. Returns the id that `write` returns. Otherwise
    /// stores nothing and returns `None`.
    pub(super) async fn write_if(
        self,
        condition: Statement,
        write: impl FnOnce(&Session<'_>) -> rusqlite::Result<i64> + Send + 'static,
    ) -> Result<Option<i64>> {
        self.turns.run(self.excludes, Some(condition), write).await
    }

    /// Limits the size of the database for the turns, as a full disk does. For tests.
    pub async fn limit_pages(self, most: u32) -> Result<()> {
        let limit = move |session: &Session<'_>| {
            session.has_row(&format!("PRAGMA max_page_count = {most}"), &[])?;
            Ok(0)
        };
        self.turns.run(self.excludes, None, limit).await.map(drop)
    }
}

fn not_acquired(error: sqlx::Error) -> Error {
    DbErr::Exec(RuntimeErr::SqlxError(Arc::new(error))).into()
}
