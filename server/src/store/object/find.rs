//! Looking for the objects that occurrences and inventories name.

use super::Row;
use crate::store::{Result, group};
use model::id::{ObjectId, TagId};
use model::number::to_i64;
use sea_orm::{ConnectionTrait, DbBackend, FromQueryResult, Statement, Value};
use std::collections::{BTreeMap, BTreeSet};

/// The objects of a type to look for: those that any of the lists names.
#[derive(Debug, Default)]
pub struct Wanted {
    /// External ids.
    pub external_ids: BTreeSet<String>,
    /// Names of objects without an external id.
    pub names_without_id: BTreeSet<String>,
}

/// Objects with their tags, by their ids.
pub type Found = BTreeMap<ObjectId, (Row, Vec<TagId>)>;

/// The columns of [`Found`].
const FOUND: &str = "object.id, object.external_id, object.name, object.gone_at, \
                     (SELECT string_agg(CAST(t.tag_id AS TEXT), ',') FROM object_tag t \
                     WHERE t.object_id = object.id) AS tags";

/// Returns the objects of a type that a statement finds with the columns [`FOUND`].
async fn found(db: &impl ConnectionTrait, type_id: &str, sql: String, values: Vec<Value>) -> Result<Found> {
    #[derive(FromQueryResult)]
    struct Line {
        id: i64,
        external_id: Option<String>,
        name: String,
        gone_at: Option<i64>,
        tags: Option<String>,
    }
    let read = |line: Line| {
        let Line { id, external_id, name, gone_at, tags } = line;
        let tags = tags.as_deref().unwrap_or_default().split(',').filter_map(|tag| tag.parse().ok());
        let mut tags: Vec<_> = tags.map(TagId).collect();
        tags.sort_unstable();
        let row = Row { id: ObjectId(id), type_id: type_id.to_owned(), external_id, name, is_gone: gone_at.is_some() };
        (row.id, (row, tags))
    };
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, values);
    Ok(Line::find_by_statement(statement).all(db).await?.into_iter().map(read).collect())
}

/// Returns the wanted objects of a type, each with its tags.
pub async fn find_wanted(db: &impl ConnectionTrait, type_id: &str, wanted: Wanted) -> Result<Found> {
    let mut values = vec![Value::from(type_id)];
    // One statement of several parts, each by an index: with OR SQLite reads every object of the type.
    let mut parts = Vec::new();
    for (column, condition, wanted) in
        [("external_id", "", wanted.external_ids), ("name", "AND external_id IS NULL", wanted.names_without_id)]
    {
        if wanted.is_empty() {
            continue;
        }
        let wanted = group::padded(wanted.into_iter().collect());
        let parameters = group::parameters(values.len() + 1, wanted.len());
        parts.push(format!("SELECT {FOUND} FROM object WHERE type_id = $1 AND {column} IN ({parameters}) {condition}"));
        values.extend(wanted.into_iter().map(Value::from));
    }
    if parts.is_empty() {
        return Ok(BTreeMap::new());
    }
    found(db, type_id, parts.join(" UNION ALL "), values).await
}

/// Returns up to `most` objects of a type for each of these names, each with its tags: those that are gone, or the
/// others. Half a million objects may have one name.
pub async fn find_named(
    db: &impl ConnectionTrait,
    type_id: &str,
    names: &BTreeSet<String>,
    is_gone: bool,
    most: usize,
) -> Result<Found> {
    if names.is_empty() {
        return Ok(Found::new());
    }
    let which = if is_gone { "o.gone_at IS NOT NULL" } else { "o.gone_at IS NULL" };
    let some = format!("FROM object o WHERE o.type_id = $1 AND o.name = named.wanted AND {which} LIMIT $3 + 0");
    let sql = if db.get_database_backend() == DbBackend::Postgres {
        format!(
            "SELECT {FOUND} FROM json_array_elements_text(CAST($2 AS JSON)) AS named(wanted) \
             CROSS JOIN LATERAL (SELECT o.* {some}) AS object"
        )
    } else {
        // `CROSS JOIN` keeps the order of the join.
        format!(
            "SELECT {FOUND} FROM (SELECT value AS wanted FROM json_each($2)) AS named CROSS JOIN object \
             WHERE object.id IN (SELECT o.id {some})"
        )
    };
    let values = vec![type_id.into(), serde_json::json!(names).to_string().into(), to_i64(most).into()];
    found(db, type_id, sql, values).await
}
