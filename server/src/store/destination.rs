//! Destinations: where deliveries queue. Destinations of every kind have a name, limits and a state that holds
//! deliveries. Claims, holds, breakers, retention, figures and lists do not distinguish the kinds.
//!
//! Each kind has a table beside this one, with the same ids: `webhook` and `mailer`. Both rows are read by one
//! statement, so that a revision never gets the target of another revision.

use super::entity::{destination, task};
use super::{Result, mailer, webhook};
use model::breaker::{Breaker, Open};
use model::destination::Kind;
use model::hold::HoldState;
use model::id::DestinationId;
use model::number::{from_millis, millis, to_u32};
use model::time::Timestamp;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter, QuerySelect,
    sea_query::Expr,
};
use std::collections::HashMap;
use std::time::Duration;
use uuid::Uuid;

/// A destination as stored.
#[derive(Debug, Clone)]
pub enum Destination {
    /// Messages go out as HTTP requests.
    Webhook(webhook::Row),
    /// Messages go out as e-mails.
    Mailer(mailer::Row),
}

impl Destination {
    /// Returns the id.
    pub fn id(&self) -> DestinationId {
        match self {
            Self::Webhook(row) => row.id.into(),
            Self::Mailer(row) => row.id,
        }
    }

    /// Returns the kind.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Webhook(_) => Kind::Webhook,
            Self::Mailer(_) => Kind::Mailer,
        }
    }

    /// Returns the name.
    pub fn name(&self) -> &str {
        match self {
            Self::Webhook(row) => &row.settings.name,
            Self::Mailer(_) => model::mailer::NAME,
        }
    }

    /// Returns the time limit of an attempt.
    pub fn timeout(&self) -> Duration {
        match self {
            Self::Webhook(row) => row.settings.timeout,
            Self::Mailer(row) => row.settings.timeout,
        }
    }

    /// Returns true for a destination that was deleted. Its deliveries still refer to it.
    pub fn is_deleted(&self) -> bool {
        match self {
            Self::Webhook(row) => row.is_deleted,
            Self::Mailer(_) => false,
        }
    }

    /// Returns the number of attempts after the first one.
    pub fn retries(&self) -> u32 {
        match self {
            Self::Webhook(row) => row.settings.retries,
            Self::Mailer(row) => row.settings.retries,
        }
    }

    /// Returns the number of the stored state.
    pub fn revision(&self) -> i64 {
        match self {
            Self::Webhook(row) => row.revision,
            Self::Mailer(row) => row.revision,
        }
    }

    /// Returns the state that holds deliveries.
    pub fn hold(&self) -> &HoldState {
        match self {
            Self::Webhook(row) => &row.hold,
            Self::Mailer(row) => &row.hold,
        }
    }

    /// Returns the destination with another state that holds deliveries.
    #[must_use]
    pub fn with_hold(self, hold: HoldState) -> Self {
        match self {
            Self::Webhook(row) => Self::Webhook(webhook::Row { hold, ..row }),
            Self::Mailer(row) => Self::Mailer(mailer::Row { hold, ..row }),
        }
    }

    /// Returns false where a part of the row could not be read. Nothing is sent to such a destination.
    pub fn is_readable(&self) -> bool {
        match self {
            Self::Webhook(row) => row.is_readable,
            Self::Mailer(row) => row.is_readable,
        }
    }
}

/// The error of deliveries to a destination that cannot be read.
pub fn unreadable(kind: Kind) -> String {
    format!(
        "This {} cannot be read: it was written by a newer version or by hand. Save it again, then replay.",
        kind.noun()
    )
}

/// The columns that every kind saves.
#[derive(Debug, Clone, Copy)]
pub(super) struct Saved<'a> {
    pub name: &'a str,
    pub timeout: Duration,
    pub retries: u32,
}

impl Saved<'_> {
    fn columns(&self, revision: i64, now: Timestamp) -> destination::ActiveModel {
        destination::ActiveModel {
            name: Set(self.name.to_owned()),
            timeout_ms: Set(millis(self.timeout)),
            retries: Set(self.retries.into()),
            revision: Set(revision),
            updated_at: Set(now.0),
            ..Default::default()
        }
    }
}

/// Makes a destination. `Conflict` if another one of the kind has the name.
pub(super) async fn insert(
    db: &impl ConnectionTrait,
    kind: Kind,
    saved: Saved<'_>,
    uuid: Uuid,
    now: Timestamp,
) -> Result<DestinationId> {
    let row = destination::ActiveModel {
        kind: Set(kind.as_str().to_owned()),
        uuid: Set(uuid),
        created_at: Set(now.0),
        ..saved.columns(1, now)
    };
    Ok(DestinationId(destination::Entity::insert(row).exec(db).await?.last_insert_id))
}

/// Changes a destination that still has this revision, and increases the revision; returns false if it has another.
/// Where the target changes, the breaker is reset, since it says nothing about the new target.
///
/// Takes lock 4 of 9.
pub(super) async fn update(
    db: &impl ConnectionTrait,
    (id, revision): (DestinationId, i64),
    saved: Saved<'_>,
    is_moved: bool,
    now: Timestamp,
) -> Result<bool> {
    let mut row = saved.columns(revision + 1, now);
    if is_moved {
        row.target_revision = Set(revision + 1);
        row = with_breaker_at_rest(row);
    }
    let done = destination::Entity::update_many()
        .set(row)
        .filter(destination::Column::Id.eq(id.0))
        .filter(destination::Column::Revision.eq(revision))
        .filter(destination::Column::DeletedAt.is_null())
        .exec(db)
        .await?;
    Ok(done.rows_affected == 1)
}

/// Marks a destination as deleted, and removes its state; returns false if there is none. The caller discards the
/// waiting deliveries.
///
/// Takes lock 4 of 9.
pub(super) async fn delete(db: &impl ConnectionTrait, id: DestinationId, now: Timestamp) -> Result<bool> {
    let row = destination::ActiveModel {
        deleted_at: Set(Some(now.0)),
        paused_at: Set(None),
        release_per_second: Set(None),
        released_at: Set(None),
        ..Default::default()
    };
    let done = destination::Entity::update_many()
        .set(with_breaker_at_rest(row))
        .filter(destination::Column::Id.eq(id.0))
        .filter(destination::Column::DeletedAt.is_null())
        .exec(db)
        .await?;
    Ok(done.rows_affected == 1)
}

fn with_breaker_at_rest(row: destination::ActiveModel) -> destination::ActiveModel {
    destination::ActiveModel {
        breaker_failures: Set(0),
        breaker_opened_at: Set(None),
        breaker_wait_ms: Set(None),
        breaker_probe_at: Set(None),
        breaker_is_probing: Set(false),
        is_hanging: Set(false),
        ..row
    }
}

/// Returns the state that decides whether deliveries are held. `current::state_text` names its columns, too.
pub(super) fn hold_state(row: &destination::Model) -> HoldState {
    let open = row.breaker_opened_at.map(|since| Open {
        since: Timestamp(since),
        wait: from_millis(row.breaker_wait_ms.unwrap_or_default()),
        probe_at: Timestamp(row.breaker_probe_at.unwrap_or(since)),
        is_probing: row.breaker_is_probing,
    });
    HoldState {
        paused_at: row.paused_at.map(Timestamp),
        release_per_second: row.release_per_second.and_then(|rate| u32::try_from(rate).ok()),
        target_revision: row.target_revision,
        breaker: Breaker { failures: to_u32(row.breaker_failures), open, is_hanging: row.is_hanging },
        is_arranging: row.arranging != 0,
    }
}

/// Returns the destination with this id, unless it was deleted.
pub async fn find(db: &impl ConnectionTrait, id: DestinationId) -> Result<Option<Destination>> {
    if let Some(row) = webhook::find(db, id.into()).await? {
        return Ok(Some(Destination::Webhook(row)));
    }
    Ok(mailer::find(db, id).await?.map(Destination::Mailer))
}

/// Returns the destinations with these ids, also deleted ones, since deliveries still refer to them.
pub async fn find_many(db: &impl ConnectionTrait, ids: Vec<i64>) -> Result<HashMap<DestinationId, Destination>> {
    let webhooks = webhook::find_many(db, ids.clone()).await?;
    let mut found: HashMap<_, _> =
        webhooks.into_iter().map(|(id, row)| (DestinationId::from(id), Destination::Webhook(row))).collect();
    if ids.iter().any(|id| !found.contains_key(&DestinationId(*id))) {
        found.extend(mailer::find_many(db, ids).await?.into_iter().map(|row| (row.id, Destination::Mailer(row))));
    }
    Ok(found)
}

/// Returns true if this destination exists and was not deleted.
pub async fn is_there(db: &impl ConnectionTrait, id: DestinationId) -> Result<bool> {
    let query = destination::Entity::find_by_id(id.0).filter(destination::Column::DeletedAt.is_null());
    Ok(query.count(db).await? > 0)
}

/// Returns the destinations that hang or whose breaker has counted failures, each with true where it hangs.
pub async fn list_restless(db: &impl ConnectionTrait) -> Result<HashMap<DestinationId, bool>> {
    let rows: Vec<(i64, bool)> = destination::Entity::find()
        .select_only()
        .columns([destination::Column::Id, destination::Column::IsHanging])
        // This is the condition of the index. An open breaker has counted failures, too.
        .filter(Expr::cust("(breaker_failures > 0 OR is_hanging)"))
        .filter(destination::Column::DeletedAt.is_null())
        .into_tuple()
        .all(db)
        .await?;
    Ok(rows.into_iter().map(|(id, is_hanging)| (DestinationId(id), is_hanging)).collect())
}

/// Returns the names and kinds of these destinations, also of deleted ones.
pub async fn names(db: &impl ConnectionTrait, ids: Vec<i64>) -> Result<HashMap<DestinationId, (String, Kind)>> {
    let rows: Vec<(i64, String, String)> = destination::Entity::find()
        .select_only()
        .columns([destination::Column::Id, destination::Column::Name, destination::Column::Kind])
        .filter(destination::Column::Id.is_in(ids))
        .into_tuple()
        .all(db)
        .await?;
    let read = |(id, name, kind): (i64, String, String)| Some((DestinationId(id), (name, Kind::find(&kind)?)));
    Ok(rows.into_iter().filter_map(read).collect())
}

/// Returns the number of tasks that send to each destination.
pub async fn count_tasks(db: &impl ConnectionTrait) -> Result<HashMap<DestinationId, u32>> {
    let rows: Vec<(i64, i64)> = task::Entity::find()
        .select_only()
        .column(task::Column::DestinationId)
        .column_as(task::Column::Id.count(), "tasks")
        .group_by(task::Column::DestinationId)
        .into_tuple()
        .all(db)
        .await?;
    Ok(rows.into_iter().map(|(id, tasks)| (DestinationId(id), to_u32(tasks))).collect())
}
