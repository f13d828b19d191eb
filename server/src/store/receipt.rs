//! Receipts of occurrences: a repeat gets the first response and starts nothing.
//!
//! Receipts are retained for 24 h, even when retention removes the occurrences earlier.

use super::entity::{api_key, receipt};
use super::rows::{self, BYTES, Columns, INT, RowStatement, TEXT, UUID};
use super::{Result, group};
use model::id::ApiKeyId;
use model::number::{millis, to_u32, to_u64};
use model::time::Timestamp;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, ExprTrait, QueryFilter, QuerySelect, QueryTrait, Value,
    sea_query::Expr,
};
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;
use uuid::Uuid;

/// The time for which a repeat is recognised.
pub const RETAINED: Duration = Duration::from_hours(24);

/// The identity by which a repeat of an occurrence is recognised.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity {
    /// The key of the sender.
    pub key: ApiKeyId,
    /// The source of the occurrence.
    pub source: String,
    /// The sender's id of the occurrence.
    pub external_id: String,
}

/// The first response to an occurrence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// SHA-256 of the occurrence: the same id with other content is a mistake. Empty for senders that repeat an
    /// occurrence with newer values.
    pub content_hash: Vec<u8>,
    /// The occurrence's public id.
    pub occurrence: Uuid,
    /// The number of tasks that the occurrence started.
    pub tasks_started: u32,
}

/// Returns the latest instant whose receipts are no longer retained.
pub(super) fn oldest(now: Timestamp) -> i64 {
    now.0.saturating_sub(millis(RETAINED))
}

/// Returns the receipts of these identities that are still retained.
pub async fn find_many(
    db: &impl ConnectionTrait,
    wanted: &[Identity],
    now: Timestamp,
) -> Result<HashMap<Identity, Receipt>> {
    if wanted.is_empty() {
        return Ok(HashMap::new());
    }
    let mut values = Vec::new();
    let stored = stored(db, wanted.to_vec(), &mut values);
    let rows = receipt::Entity::find().filter(Expr::cust_with_values(stored, values));
    let rows = rows.filter(receipt::Column::CreatedAt.gt(oldest(now))).all(db).await?;
    let read = |row: receipt::Model| {
        let tasks_started = to_u32(row.tasks_started);
        let receipt = Receipt { content_hash: row.content_hash, occurrence: row.occurrence, tasks_started };
        let identity = Identity { key: ApiKeyId(row.key_id), source: row.source, external_id: row.external_id };
        (identity, receipt)
    };
    Ok(rows.into_iter().map(read).collect())
}

/// The columns of an identity.
const IDENTITY: Columns<3> = [("key_id", INT), ("source", TEXT), ("external_id", TEXT)];

/// Returns identities as a table `v` for a `FROM`, and adds their values to `values`.
pub(super) fn listed(is_postgres: bool, identities: Vec<Identity>, values: &mut Vec<Value>) -> String {
    let row = |one: Identity| [one.key.0.into(), one.source.into(), one.external_id.into()];
    rows::listed(is_postgres, &IDENTITY, identities.into_iter().map(row).collect(), values)
}

/// Returns the condition that a receipt has one of these identities, and adds its values to `values`. Each identity is
/// looked up alone: many sources may use the same ids.
fn stored(db: &impl ConnectionTrait, identities: Vec<Identity>, values: &mut Vec<Value>) -> String {
    let is_postgres = db.get_database_backend() == DbBackend::Postgres;
    let named = listed(is_postgres, identities, values);
    let one = "SELECT r.id FROM receipt r WHERE r.key_id = v.key_id AND r.external_id = v.external_id \
               AND r.source = v.source LIMIT 1";
    group::among(&format!("SELECT ({one}) FROM {named}"), is_postgres)
}

const COLUMNS: Columns<8> = [
    ("key_id", INT),
    ("source", TEXT),
    ("external_id", TEXT),
    ("content_hash", BYTES),
    ("occurrence", UUID),
    ("tasks_started", INT),
    ("created_at", INT),
    ("repeats", INT),
];

/// Stores receipts. Returns true when all of them were new, and false when another node has stored one before.
///
/// Takes lock 9 of 9.
pub async fn insert(db: &impl ConnectionTrait, new: Vec<(Identity, Receipt)>, now: Timestamp) -> Result<bool> {
    // An expired receipt would prevent a new one. Only receipts with these identities are deleted: a clock that leaps
    // must not delete all.
    let mut values = Vec::new();
    let stored = stored(db, new.iter().map(|(identity, _)| identity.clone()).collect(), &mut values);
    receipt::Entity::delete_many()
        .filter(Expr::cust_with_values(stored, values))
        .filter(receipt::Column::CreatedAt.lte(oldest(now)))
        .exec(db)
        .await?;
    let count = to_u64(new.len());
    let keep = " ON CONFLICT (key_id, external_id, source) DO NOTHING";
    Ok(rows::insert(db, "receipt", &COLUMNS, columns(new, now), keep).await? == count)
}

/// Returns an INSERT of receipts on PostgreSQL that fails where one of them is stored already. Adds its values to
/// `values`.
pub(super) fn insert_sql(new: Vec<(Identity, Receipt)>, now: Timestamp, values: &mut Vec<Value>) -> String {
    rows::insert_sql(true, "receipt", &COLUMNS, columns(new, now), values)
}

/// Returns the statement of a turn that stores receipts.
pub(super) fn insert_statement(new: Vec<(Identity, Receipt)>, now: Timestamp) -> RowStatement {
    RowStatement::insert("receipt", &COLUMNS, columns(new, now))
}

fn columns(new: Vec<(Identity, Receipt)>, now: Timestamp) -> Vec<[Value; 8]> {
    let row = |(Identity { key, source, external_id }, receipt): (Identity, Receipt)| {
        let tasks_started = i64::from(receipt.tasks_started);
        [
            key.0.into(),
            source.into(),
            external_id.into(),
            receipt.content_hash.into(),
            receipt.occurrence.into(),
            tasks_started.into(),
            now.0.into(),
            0_i64.into(),
        ]
    };
    new.into_iter().map(row).collect()
}

/// Counts recognised repeats. A receipt without a hash is retained for another 24 h with each repeat.
///
/// Takes lock 9 of 9.
pub async fn count_repeats(db: &impl ConnectionTrait, repeats: &BTreeMap<Identity, i64>, now: Timestamp) -> Result<()> {
    let now_parameter = group::first_parameter(db.get_database_backend());
    let renewed = format!("CASE WHEN length(content_hash) = 0 THEN {now_parameter} ELSE created_at END");
    for (Identity { key, source, external_id }, count) in repeats {
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

/// Returns how often an occurrence with this id and source was repeated; 0 when its receipt is no longer retained.
pub async fn repeats_of(db: &impl ConnectionTrait, occurrence: Uuid, external_id: &str, source: &str) -> Result<i64> {
    // The keys are listed since the index of identities begins with the key: there may be millions of receipts, and
    // there are few keys.
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
