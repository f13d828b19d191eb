//! Every state that a webhook, mailer, task or event has had. Explanations are computed from these revisions, and a
//! replay with the original webhook is sent as of its revision.
//!
//! The modules of those tables write a revision with each change, in the same transaction and from the same value. A
//! revision never holds a secret. Its document must stay readable for ever: `model/tests/revisions` has every shape of
//! a document.

use super::entity::revision;
use super::{Error, Result};
use model::time::Timestamp;
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, ConnectionTrait, DbBackend, DbErr, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, Statement,
    sea_query::Expr,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::HashMap;

/// The kinds of rows that have revisions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A `model::webhook::Settings`.
    Webhook,
    /// A `model::mailer::Settings`.
    Mailer,
    /// A `model::task::Task`.
    Task,
    /// A `model::event::Event`.
    Event,
    /// The types and events of the admins. Its revisions have no document: they only say that something has changed.
    Catalog,
}

impl Kind {
    /// Returns the kind with this name in the table.
    pub(super) fn find(name: &str) -> Option<Self> {
        [Self::Webhook, Self::Mailer, Self::Task, Self::Event, Self::Catalog]
            .into_iter()
            .find(|kind| kind.as_str() == name)
    }

    /// Returns the name in the table.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Mailer => "mailer",
            Self::Task => "task",
            Self::Event => "event",
            Self::Catalog => "catalog",
        }
    }
}

/// The key of the advisory lock of revisions: "revision" in ASCII.
const ORDER_LOCK: i64 = 0x7265_7669_7369_6f6e;

fn json(error: &serde_json::Error) -> Error {
    Error::Other(DbErr::Json(error.to_string()))
}

/// Takes the lock of changes until the transaction ends, on PostgreSQL. The checks of a change then stay true until it
/// ends, and revisions are numbered in the order of their commits: otherwise a revision could appear behind the newest
/// one and never be noticed.
///
/// This is always the first lock of a transaction. A transaction that has locked rows could otherwise wait for another
/// one that needs those rows.
pub async fn lock_changes(db: &impl ConnectionTrait) -> Result<()> {
    if db.get_database_backend() == DbBackend::Postgres {
        db.execute_unprepared(&format!("SELECT pg_advisory_xact_lock({ORDER_LOCK})")).await?;
    }
    Ok(())
}

/// Writes the revision of a row that was changed; `document` is `None` for a row that was deleted.
pub(super) async fn note<T: Serialize + Sync>(
    db: &impl ConnectionTrait,
    kind: Kind,
    row_id: i64,
    number: i64,
    document: Option<&T>,
    now: Timestamp,
) -> Result<()> {
    let document = document.map(serde_json::to_string).transpose().map_err(|error| json(&error))?;
    lock_changes(db).await?;
    let row = revision::ActiveModel {
        id: NotSet,
        kind: Set(kind.as_str().to_owned()),
        row_id: Set(row_id),
        number: Set(number),
        document: Set(document),
        changed_at: Set(now.0),
    };
    revision::Entity::insert(row).exec_without_returning(db).await?;
    Ok(())
}

/// Returns the id of the newest revision. While the id stays the same, webhooks, the mailer, tasks, events and the
/// catalogue have not changed, except the holds of destinations.
pub async fn newest(db: &impl ConnectionTrait) -> Result<i64> {
    #[derive(FromQueryResult)]
    struct Newest {
        id: Option<i64>,
    }
    let sql = "SELECT MAX(id) AS id FROM revision";
    let row = Newest::find_by_statement(Statement::from_string(db.get_database_backend(), sql)).one(db).await?;
    Ok(row.and_then(|row| row.id).unwrap_or_default())
}

/// Returns every row of this kind as of the time when `mark` was the newest revision, by its id. Rows that did not
/// exist then are left out.
pub async fn list_at<T: DeserializeOwned>(db: &impl ConnectionTrait, kind: Kind, mark: i64) -> Result<HashMap<i64, T>> {
    // From row to row by the index: each has many revisions.
    let sql = "WITH RECURSIVE each (row_id) AS (SELECT MIN(row_id) FROM revision WHERE kind = $1 UNION ALL \
               SELECT (SELECT MIN(r.row_id) FROM revision r WHERE r.kind = $1 AND r.row_id > each.row_id) FROM each \
               WHERE each.row_id IS NOT NULL) \
               SELECT v.* FROM each JOIN revision v ON v.id = (SELECT MAX(r.id) FROM revision r WHERE r.kind = $1 \
               AND r.row_id = each.row_id AND r.id <= $2) WHERE each.row_id IS NOT NULL";
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, [kind.as_str().into(), mark.into()]);
    let rows = revision::Model::find_by_statement(statement).all(db).await?;
    let read = |row: revision::Model| match serde_json::from_str(&row.document?) {
        Ok(document) => Some((row.row_id, document)),
        Err(_) => {
            tracing::error!(revision = row.id, "a revision cannot be read; what it says is left out");
            None
        }
    };
    Ok(rows.into_iter().filter_map(read).collect())
}

/// Returns a row as of a revision, by the row's own number. `None` where that revision was removed.
pub async fn find<T: DeserializeOwned>(
    db: &impl ConnectionTrait,
    kind: Kind,
    row_id: i64,
    number: i64,
) -> Result<Option<T>> {
    let row = revision::Entity::find()
        .filter(revision::Column::Kind.eq(kind.as_str()))
        .filter(revision::Column::RowId.eq(row_id))
        .filter(revision::Column::Number.eq(number))
        .filter(revision::Column::Document.is_not_null())
        .order_by_desc(revision::Column::Id)
        .one(db)
        .await?;
    row.and_then(|row| row.document)
        .map(|document| serde_json::from_str(&document).map_err(|error| json(&error)))
        .transpose()
}

/// Changes the document of every revision of a row. Only for removing what must not be stored.
pub(super) async fn rewrite(
    db: &impl ConnectionTrait,
    kind: Kind,
    row_id: i64,
    change: impl Fn(&mut Value),
) -> Result<()> {
    let rows = revision::Entity::find()
        .filter(revision::Column::Kind.eq(kind.as_str()))
        .filter(revision::Column::RowId.eq(row_id))
        .all(db)
        .await?;
    for row in rows {
        // A document that cannot be read is never shown.
        let Some(old) = row.document.as_deref().and_then(|document| serde_json::from_str::<Value>(document).ok())
        else {
            continue;
        };
        let mut new = old.clone();
        change(&mut new);
        if new != old {
            revision::Entity::update_many()
                .col_expr(revision::Column::Document, Expr::value(new.to_string()))
                .filter(revision::Column::Id.eq(row.id))
                .exec(db)
                .await?;
        }
    }
    Ok(())
}
