//! The migrations of the database schema, for SQLite and PostgreSQL.
//!
//! This crate imports no other crate of the workspace, so that a migration never changes its meaning. A shipped
//! migration is never edited. Each migration runs in a transaction on both databases, so that a kill during the first
//! start leaves nothing half done. The caller holds the lock that keeps two processes from migrating at the same time.

use sea_orm_migration::prelude::*;

mod column;
mod m0001_start;
mod m0002_engine;
mod m0003_limits;
mod m0004_claims;
mod m0005_steps;
mod m0006_access;
mod m0007_receivers;
mod m0008_secret_headers;
mod m0009_webhook_note;
mod m0010_destinations;
mod m0011_schedules;
mod table;

/// Every migration, in order.
#[derive(Debug)]
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m0001_start::Migration),
            Box::new(m0002_engine::Migration),
            Box::new(m0003_limits::Migration),
            Box::new(m0004_claims::Migration),
            Box::new(m0005_steps::Migration),
            Box::new(m0006_access::Migration),
            Box::new(m0007_receivers::Migration),
            Box::new(m0008_secret_headers::Migration),
            Box::new(m0009_webhook_note::Migration),
            Box::new(m0010_destinations::Migration),
            Box::new(m0011_schedules::Migration),
        ]
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
