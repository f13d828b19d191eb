//! What was answered to whom: repeats of an occurrence get the first answer and start nothing.
//!
//! Kept for 24 h, whatever retention does with the occurrences.

use super::entity::{api_key, receipt};
use super::{Result, group};
use model::id::ApiKeyId;
use model::time::Timestamp;
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, ConnectionTrait, EntityTrait, ExprTrait, QueryFilter, QuerySelect, QueryTrait,
    sea_query::{Expr, OnConflict},
};
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;
use uuid::Uuid;

/// How long a repeat is recognised.
pub const KEPT: Duration = Duration::from_hours(24);

/// What a repeat is recognised by: the key, the source, and the sender's id.
pub type Identity = (ApiKeyId, String, String);

/// The first answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// SHA-256 of the occurrence: the same id with another body is a mistake. Empty where the sender reminds with newer
    /// values.
    pub content_hash: Vec<u8>,
    /// The occurrence's public id.
    pub occurrence: Uuid,
    /// How many tasks it started.
    pub tasks_started: u32,
}

/// What was made then or earlier is not kept any more.
pub(super) fn oldest(now: Timestamp) -> i64 {
    now.0.saturating_sub(i64::try_from(KEPT.as_millis()).unwrap_or(i64::MAX))
}

/// The receipts of these identities that are still kept.
pub async fn find_many(
    db: &impl ConnectionTrait,
    wanted: &[Identity],
    now: Timestamp,
) -> Result<HashMap<Identity, Receipt>> {
    let mut found = HashMap::new();
    for group in wanted.chunks(100) {
        // Wider than the identities themselves, by the index; what is not wanted is left out below.
        let rows = receipt::Entity::find()
            .filter(receipt::Column::ExternalId.is_in(group.iter().map(|(_, _, id)| id.clone())))
            .filter(receipt::Column::KeyId.is_in(group.iter().map(|(key, _, _)| key.0)))
            .filter(receipt::Column::CreatedAt.gt(oldest(now)))
            .all(db)
            .await?;
        found.extend(rows.into_iter().map(|row| {
            let tasks_started = u32::try_from(row.tasks_started).unwrap_or(u32::MAX);
            let receipt = Receipt { content_hash: row.content_hash, occurrence: row.occurrence, tasks_started };
            ((ApiKeyId(row.key_id), row.source, row.external_id), receipt)
        }));
    }
    Ok(found)
}

/// Stores receipts. Answers whether all of them were new: if not, another node was faster.
pub async fn insert(db: &impl ConnectionTrait, new: Vec<(Identity, Receipt)>, now: Timestamp) -> Result<bool> {
    // Only of these, so that each can be used again: a clock that leaps must not forget all of them.
    let (keys, ids): (Vec<_>, Vec<_>) = new.iter().map(|((key, _, id), _)| (key.0, id.clone())).unzip();
    receipt::Entity::delete_many()
        .filter(receipt::Column::KeyId.is_in(group::padded(keys)))
        .filter(receipt::Column::ExternalId.is_in(group::padded(ids)))
        .filter(receipt::Column::CreatedAt.lte(oldest(now)))
        .exec(db)
        .await?;
    let count = new.len() as u64;
    let row = |((key, source, external_id), receipt): (Identity, Receipt)| receipt::ActiveModel {
        id: NotSet,
        key_id: Set(key.0),
        source: Set(source),
        external_id: Set(external_id),
        content_hash: Set(receipt.content_hash),
        occurrence: Set(receipt.occurrence),
        tasks_started: Set(receipt.tasks_started.into()),
        created_at: Set(now.0),
        repeats: Set(0),
    };
    let keep = OnConflict::columns([receipt::Column::KeyId, receipt::Column::ExternalId, receipt::Column::Source])
        .do_nothing()
        .to_owned();
    Ok(group::insert(db, new.into_iter().map(row).collect(), Some(keep)).await? == count)
}

/// Counts repeats that were recognised, by what they repeat. One without a hash, of a sender that reminds, is kept anew with
/// each.
pub async fn count_repeats(db: &impl ConnectionTrait, repeats: &BTreeMap<Identity, i64>, now: Timestamp) -> Result<()> {
    let place = group::place(db.get_database_backend());
    let renewed = format!("CASE WHEN length(content_hash) = 0 THEN {place} ELSE created_at END");
    for ((key, source, external_id), count) in repeats {
        receipt::Entity::update_many()
            .col_expr(receipt::Column::Repeats, Expr::col(receipt::Column::Repeats).add(*count))
            .col_expr(receipt::Column::CreatedAt, Expr::cust_with_values(renewed.clone(), [now.0]))
            .filter(receipt::Column::KeyId.eq(key.0))
            .filter(receipt::Column::ExternalId.eq(external_id.as_str()))
            .filter(receipt::Column::Source.eq(source.as_str()))
            .exec(db)
            .await?;
    }
    Ok(())
}

/// How often an occurrence with this id and source was repeated, as long as that is known.
pub async fn repeats_of(db: &impl ConnectionTrait, occurrence: Uuid, external_id: &str, source: &str) -> Result<i64> {
    // By the index of identities, which begins with the key: receipts of a day can be millions, keys are few.
    let keys = api_key::Entity::find().select_only().column(api_key::Column::Id).into_query();
    let row = receipt::Entity::find()
        .filter(receipt::Column::KeyId.in_subquery(keys))
        .filter(receipt::Column::ExternalId.eq(external_id))
        .filter(receipt::Column::Source.eq(source))
        .filter(receipt::Column::Occurrence.eq(occurrence))
        .one(db)
        .await?;
    Ok(row.map(|row| row.repeats).unwrap_or_default())
}
