//! Every state a webhook, task or event has had: what an explanation is computed from, and what a replay "as it was"
//! is sent by.
//!
//! Written by the modules of those tables with each change, in its transaction. Never holds a secret.

use super::entity::{event, revision, task, webhook};
use super::{Error, Result};
use model::time::Timestamp;
use sea_orm::{
    ActiveValue::{NotSet, Set, Unchanged},
    ColumnTrait, ConnectionTrait, DbBackend, DbErr, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect,
    QueryTrait, Statement,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::HashMap;

/// What has revisions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A `model::webhook::Settings`.
    Webhook,
    /// A `model::task::Task`.
    Task,
    /// A `model::event::Event`.
    Event,
}

impl Kind {
    /// By its name in the table.
    pub(super) fn find(name: &str) -> Option<Self> {
        [Self::Webhook, Self::Task, Self::Event].into_iter().find(|kind| kind.as_str() == name)
    }

    /// Its name in the table.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Task => "task",
            Self::Event => "event",
        }
    }
}

/// The advisory lock of who notes a revision: "revision" in ASCII.
const ORDER_LOCK: i64 = 0x7265_7669_7369_6f6e;

fn json(error: &serde_json::Error) -> Error {
    Error::Other(DbErr::Json(error.to_string()))
}

/// On PostgreSQL, waits until nobody else's change is open. So what a change has checked stays true until it ends, and
/// revisions are numbered in the order of their commits: else one could appear behind the newest and never be noticed.
/// First of all in a change: who has locked rows already could wait for somebody who waits for those.
pub async fn take_turn(db: &impl ConnectionTrait) -> Result<()> {
    if db.get_database_backend() == DbBackend::Postgres {
        db.execute_unprepared(&format!("SELECT pg_advisory_xact_lock({ORDER_LOCK})")).await?;
    }
    Ok(())
}

/// Notes what a row is from now on; `None`: it is deleted.
pub(super) async fn note<T: Serialize + Sync>(
    db: &impl ConnectionTrait,
    kind: Kind,
    row_id: i64,
    number: i64,
    document: Option<&T>,
    now: Timestamp,
) -> Result<()> {
    let document = document.map(serde_json::to_string).transpose().map_err(|error| json(&error))?;
    take_turn(db).await?;
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

/// The newest revision there is: as long as it stays that, webhooks, tasks and events are what they were, but for what
/// holds a webhook.
pub async fn newest(db: &impl ConnectionTrait) -> Result<i64> {
    #[derive(FromQueryResult)]
    struct Newest {
        id: Option<i64>,
    }
    let sql = "SELECT MAX(id) AS id FROM revision";
    let row = Newest::find_by_statement(Statement::from_string(db.get_database_backend(), sql)).one(db).await?;
    Ok(row.and_then(|row| row.id).unwrap_or_default())
}

/// What every row of this kind was when `mark` was the newest revision; rows that did not exist then are left out.
pub async fn list_at<T: DeserializeOwned>(db: &impl ConnectionTrait, kind: Kind, mark: i64) -> Result<HashMap<i64, T>> {
    let latest = revision::Entity::find()
        .select_only()
        .column_as(revision::Column::Id.max(), "id")
        .filter(revision::Column::Kind.eq(kind.as_str()))
        .filter(revision::Column::Id.lte(mark))
        .group_by(revision::Column::RowId)
        .into_query();
    let rows = revision::Entity::find().filter(revision::Column::Id.in_subquery(latest)).all(db).await?;
    let read = |row: revision::Model| match serde_json::from_str(&row.document?) {
        Ok(document) => Some((row.row_id, document)),
        Err(_) => {
            tracing::error!(revision = row.id, "a revision cannot be read; what it says is left out");
            None
        }
    };
    Ok(rows.into_iter().filter_map(read).collect())
}

/// One row as it was at this revision of its own, if that is still known.
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

/// Changes what every revision of a row says. Only for taking out what must not be kept.
pub(super) async fn rewrite<T: Serialize + DeserializeOwned + PartialEq + Clone>(
    db: &impl ConnectionTrait,
    kind: Kind,
    row_id: i64,
    change: impl Fn(T) -> T,
) -> Result<()> {
    let rows = revision::Entity::find()
        .filter(revision::Column::Kind.eq(kind.as_str()))
        .filter(revision::Column::RowId.eq(row_id))
        .all(db)
        .await?;
    for row in rows {
        // What cannot be read says nothing to anybody.
        let Some(was) = row.document.as_deref().and_then(|document| serde_json::from_str::<T>(document).ok()) else {
            continue;
        };
        let is = change(was.clone());
        if is != was {
            let document = serde_json::to_string(&is).map_err(|error| json(&error))?;
            let row =
                revision::ActiveModel { id: Unchanged(row.id), document: Set(Some(document)), ..Default::default() };
            revision::Entity::update(row).exec(db).await?;
        }
    }
    Ok(())
}

/// Notes the state of rows that were made before revisions were kept. Does nothing the second time.
pub(super) async fn backfill(db: &impl ConnectionTrait) -> Result<()> {
    if newest(db).await? > 0 {
        return Ok(());
    }
    for row in webhook::Entity::find().filter(webhook::Column::DeletedAt.is_null()).all(db).await? {
        let (id, number, now) = (row.id, row.revision, Timestamp(row.updated_at));
        note(db, Kind::Webhook, id, number, Some(&super::webhook::Row::from(row).settings), now).await?;
    }
    for row in task::Entity::find().all(db).await? {
        let now = Timestamp(row.updated_at);
        let row = super::task::Row::from(row);
        note(db, Kind::Task, row.id.0, row.revision, Some(&row.task), now).await?;
    }
    for row in event::Entity::find().all(db).await? {
        let now = Timestamp(row.updated_at);
        let Ok(row) = super::event::Row::try_from(row) else { continue };
        note(db, Kind::Event, row.id.0, row.revision, Some(&row.event), now).await?;
    }
    Ok(())
}
