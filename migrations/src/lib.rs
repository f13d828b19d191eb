//! The migrations of the database schema, for SQLite and PostgreSQL.
//!
//! This crate imports no other crate of the workspace, so that a migration never changes its meaning. A shipped
//! migration is never edited, which `frozen` checks. Each migration runs in a transaction on both databases, so that a
//! kill during the first start leaves nothing half done. The caller holds the lock that keeps two processes from
//! migrating at the same time. There is no way down: an older version does not know the rows of a newer one.

use sea_orm_migration::prelude::*;

mod column;
#[cfg(test)]
mod frozen;
mod m0001_start;
mod table;

/// Every migration, in order.
#[derive(Debug)]
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![Box::new(m0001_start::Migration)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_migration_is_all_or_nothing_on_both_databases() {
        for migration in Migrator::migrations() {
            assert_eq!(migration.use_transaction(), Some(true), "{}", migration.name());
        }
    }
}
