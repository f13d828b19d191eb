//! The state that a group was prepared by, as a condition of the statement that writes the group (PostgreSQL).

use super::{NEWEST, count_valid};
use crate::store::object;
use crate::store::receipt::Identity;
use crate::store::rows::{self, Columns, INT, TEXT};
use model::id::{ApiKeyId, DestinationId, TagId};
use model::number::to_i64;
use model::time::Timestamp;
use sea_orm::Value;

/// The state that has to be unchanged.
#[derive(Debug)]
pub struct Unchanged {
    /// The newest revision.
    pub mark: i64,
    /// The senders' keys, which have to be valid.
    pub keys: Vec<(ApiKeyId, Timestamp)>,
    /// The whole row of each destination, as [`read`](super::read) returns it.
    pub destinations: Vec<(DestinationId, String)>,
    /// The objects with their tags, in order of id.
    pub objects: Vec<(object::Row, Vec<TagId>)>,
    /// The occurrences that must not be stored yet.
    pub new: Vec<Identity>,
}

const DESTINATION: Columns<2> = [("id", INT), ("row_text", TEXT)];
const OBJECT: Columns<4> = [("id", INT), ("external_id", TEXT), ("name", TEXT), ("tags", TEXT)];
const IDENTITY: Columns<3> = [("key_id", INT), ("source", TEXT), ("external_id", TEXT)];

impl Unchanged {
    /// Returns a `SELECT` of one row while all of it is unchanged, and of none otherwise. Adds its values to `values`.
    ///
    /// Each row is found by its id, whatever the statistics say of the tables: the arrays are the outer side of the joins.
    pub(in crate::store) fn sql(self, values: &mut Vec<Value>) -> String {
        let Self { mark, keys, destinations, objects, new } = self;
        values.push(mark.into());
        let mut conditions = vec![format!("{NEWEST} = ${}", values.len())];
        values.push(to_i64(keys.len()).into());
        let count = values.len();
        conditions.push(format!("{} = ${count}", count_valid(&keys, true, values)));
        if !destinations.is_empty() {
            let rows = destinations.into_iter().map(|(id, row)| [id.0.into(), row.into()]).collect();
            conditions.push(all_found(
                &DESTINATION,
                rows,
                "destination d WHERE d.id = v.id AND CAST(d AS TEXT) = v.row_text",
                values,
            ));
        }
        if !objects.is_empty() {
            let rows = objects.into_iter().map(|(row, tags)| {
                let tags = tags.iter().map(|tag| tag.0.to_string()).collect::<Vec<_>>().join(",");
                [row.id.0.into(), row.external_id.into(), row.name.into(), tags.into()]
            });
            conditions.push(all_found(
                &OBJECT,
                rows.collect(),
                "object o WHERE o.id = v.id AND o.external_id = v.external_id AND o.name = v.name \
                 AND o.gone_at IS NULL AND v.tags = COALESCE((SELECT string_agg(CAST(t.tag_id AS TEXT), ',' \
                 ORDER BY t.tag_id) FROM object_tag t WHERE t.object_id = o.id), '')",
                values,
            ));
        }
        if !new.is_empty() {
            let rows =
                new.into_iter().map(|one| [one.key.0.into(), one.source.into(), one.external_id.into()]).collect();
            let named = rows::table(true, &IDENTITY, rows, values);
            conditions.push(format!(
                "NOT EXISTS (SELECT 1 FROM {named} WHERE EXISTS (SELECT 1 FROM receipt r WHERE r.key_id = v.key_id \
                 AND r.external_id = v.external_id AND r.source = v.source))"
            ));
        }
        format!("SELECT 1 WHERE {}", conditions.join(" AND "))
    }
}

/// Returns the condition that each of these rows is found. Adds their values to `values`.
fn all_found<const N: usize>(
    columns: &Columns<N>,
    rows: Vec<[Value; N]>,
    found: &str,
    values: &mut Vec<Value>,
) -> String {
    let named = rows::table(true, columns, rows, values);
    format!("NOT EXISTS (SELECT 1 FROM {named} WHERE NOT EXISTS (SELECT 1 FROM {found}))")
}
