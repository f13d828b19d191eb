//! The state that a group was prepared by, as a condition of the statements that write the group.

use super::{NEWEST, count_valid, state_text};
use crate::store::object;
use crate::store::receipt::{self, Identity};
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
    /// The state of each destination as text, as [`read`](super::read) returns it.
    pub destinations: Vec<(DestinationId, String)>,
    /// The objects with their tags, in order of id.
    pub objects: Vec<(object::Row, Vec<TagId>)>,
    /// The occurrences that must not be stored yet.
    pub new: Vec<Identity>,
}

const DESTINATION: Columns<2> = [("id", INT), ("text", TEXT)];
const OBJECT: Columns<4> = [("id", INT), ("external_id", TEXT), ("name", TEXT), ("tags", TEXT)];

impl Unchanged {
    /// Returns a `SELECT` that finds one row if the whole state is unchanged, and none otherwise. Adds its values to
    /// `values`.
    ///
    /// The lists are the outer side of the joins, so each row is found by its id, whatever the statistics of the tables
    /// are.
    pub(in crate::store) fn sql(self, is_postgres: bool, values: &mut Vec<Value>) -> String {
        let Self { mark, keys, destinations, objects, new } = self;
        let mut parameter = |value: i64| {
            values.push(value.into());
            if is_postgres { format!("${}", values.len()) } else { "?".to_owned() }
        };
        let (mark, count) = (parameter(mark), parameter(to_i64(keys.len())));
        let mut conditions =
            vec![format!("{NEWEST} = {mark}"), format!("{count} = {}", count_valid(&keys, is_postgres, values))];
        if !destinations.is_empty() {
            let rows = destinations.into_iter().map(|(id, text)| [id.0.into(), text.into()]).collect();
            let found = format!("destination d WHERE d.id = v.id AND {} = v.text", state_text(is_postgres));
            conditions.push(all_found(&rows::listed(is_postgres, &DESTINATION, rows, values), &found));
        }
        if !objects.is_empty() {
            let rows = objects.into_iter().map(|(row, tags)| {
                let tags = tags.iter().map(|tag| tag.0.to_string()).collect::<Vec<_>>().join(",");
                [row.id.0.into(), row.external_id.into(), row.name.into(), tags.into()]
            });
            conditions.push(all_found(
                &rows::listed(is_postgres, &OBJECT, rows.collect(), values),
                "object o WHERE o.id = v.id AND o.external_id = v.external_id AND o.name = v.name \
                 AND o.gone_at IS NULL AND v.tags = COALESCE((SELECT string_agg(CAST(t.tag_id AS TEXT), ',' \
                 ORDER BY t.tag_id) FROM object_tag t WHERE t.object_id = o.id), '')",
            ));
        }
        if !new.is_empty() {
            let named = receipt::listed(is_postgres, new, values);
            conditions.push(format!(
                "NOT EXISTS (SELECT 1 FROM {named} WHERE EXISTS (SELECT 1 FROM receipt r WHERE r.key_id = v.key_id \
                 AND r.external_id = v.external_id AND r.source = v.source))"
            ));
        }
        format!("SELECT 1 WHERE {}", conditions.join(" AND "))
    }
}

/// Returns the condition that each row of a table `v` is found.
fn all_found(named: &str, found: &str) -> String {
    format!("NOT EXISTS (SELECT 1 FROM {named} WHERE NOT EXISTS (SELECT 1 FROM {found}))")
}
