//! Rows written in groups: the cost of a write is its statements, not its commit.
//!
//! Group sizes are fixed, because each size is another SQL text and the statement cache is small; the largest stays
//! far below SQLite's 32,766 bind parameters.

use super::Result;
use sea_orm::{ActiveModelTrait, ConnectionTrait, EntityTrait, Insert, IntoActiveModel, sea_query::OnConflict};

const SIZES: [usize; 4] = [100, 32, 8, 1];

/// Splits into groups of the fixed sizes, keeping the order.
pub(super) fn split<T>(mut rows: Vec<T>) -> Vec<Vec<T>> {
    let mut groups = Vec::new();
    for size in SIZES {
        while rows.len() >= size {
            let rest = rows.split_off(size);
            groups.push(std::mem::replace(&mut rows, rest));
        }
    }
    groups
}

/// Inserts the rows and answers them as stored, in no particular order.
pub(super) async fn insert_returning<A>(db: &impl ConnectionTrait, rows: Vec<A>) -> Result<Vec<Stored<A>>>
where
    A: ActiveModelTrait + Send,
    Stored<A>: IntoActiveModel<A>,
{
    let mut stored = Vec::with_capacity(rows.len());
    for group in split(rows) {
        stored.extend(Insert::many(group).exec_with_returning(db).await?);
    }
    Ok(stored)
}

/// Inserts the rows; those that conflict as described are treated as it says. Answers how many were written.
pub(super) async fn insert<A>(db: &impl ConnectionTrait, rows: Vec<A>, on_conflict: Option<OnConflict>) -> Result<u64>
where
    A: ActiveModelTrait + Send,
{
    let mut written = 0;
    for group in split(rows) {
        let mut insert = Insert::many(group);
        if let Some(rule) = &on_conflict {
            insert = insert.on_conflict(rule.clone());
        }
        written += insert.exec_without_returning(db).await?;
    }
    Ok(written)
}

/// The stored form of a row.
pub(super) type Stored<A> = <<A as ActiveModelTrait>::Entity as EntityTrait>::Model;

#[cfg(test)]
mod tests {
    #[test]
    fn groups_have_fixed_sizes_and_keep_the_order() {
        let groups = super::split((0..243).collect());
        let sizes: Vec<_> = groups.iter().map(Vec::len).collect();
        assert_eq!(sizes, [100, 100, 32, 8, 1, 1, 1]);
        assert_eq!(groups.concat(), (0..243).collect::<Vec<_>>());
    }
}
