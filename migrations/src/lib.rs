//! The migrations of the database schema, for SQLite and PostgreSQL.
//!
//! This crate imports no other crate of the workspace, so that a migration never changes its meaning. A shipped
//! migration is never edited, which `frozen` checks. Each migration runs in a transaction on both databases, so that a
//! kill during the first start leaves nothing half done. The caller holds the lock that keeps two processes from
//! migrating at the same time. There is no way down: an older version does not know the rows of a newer one.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::{ConnectionTrait, EntityTrait};
use sea_orm_migration::seaql_migrations;

mod column;
#[cfg(test)]
mod frozen;
mod m0001_start;
mod table;

/// The second of the migrations that were made one by one before the first release, and became `m0001_start` then.
const BEFORE_THE_FIRST_RELEASE: &str = "m0002_engine";

/// Every migration, in order.
#[derive(Debug)]
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![Box::new(m0001_start::Migration)]
    }

    /// Returns the migrations that a database has. Everything that looks at or changes the schema begins with this.
    ///
    /// # Errors
    /// [`DbErr::Migration`] with a sentence for the operator, if another version has made the database.
    async fn get_migration_models<C>(db: &C) -> Result<Vec<seaql_migrations::Model>, DbErr>
    where
        C: ConnectionTrait,
    {
        Self::install(db).await?;
        let applied = seaql_migrations::Entity::find().all(db).await?;
        let is_unknown = |name: &str| Self::migrations().iter().all(|migration| migration.name() != name);
        if applied.iter().any(|row| row.version == BEFORE_THE_FIRST_RELEASE) {
            let sentence = "this database was made by a version before the first release; start with an empty one";
            return Err(DbErr::Migration(sentence.to_owned()));
        }
        if let Some(row) = applied.iter().find(|row| is_unknown(&row.version)) {
            let sentence = format!(
                "this database was made by a newer version, with {}; start that version or a later one",
                row.version
            );
            return Err(DbErr::Migration(sentence));
        }
        Ok(applied)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sea_orm_migration::sea_orm::{Database, DatabaseConnection};

    #[test]
    fn each_migration_is_all_or_nothing_on_both_databases() {
        for migration in Migrator::migrations() {
            assert_eq!(migration.use_transaction(), Some(true), "{}", migration.name());
        }
    }

    /// Returns a migrated database with one more migration.
    async fn database_with(migration: &str) -> DatabaseConnection {
        let db = Database::connect("sqlite::memory:").await.expect("opens");
        Migrator::up(&db, None).await.expect("migrates");
        let sql = format!("INSERT INTO seaql_migrations (version, applied_at) VALUES ('{migration}', 0)");
        db.execute_unprepared(&sql).await.expect("inserted");
        db
    }

    #[tokio::test]
    async fn database_of_another_version_is_refused_with_a_sentence() {
        for (migration, wanted) in [("m0002_engine", "start with an empty one"), ("m9999_later", "a newer version")] {
            let db = database_with(migration).await;
            for refused in [
                Migrator::up(&db, None).await.expect_err("refused"),
                Migrator::get_pending_migrations(&db).await.map(drop).expect_err("refused"),
            ] {
                assert!(matches!(&refused, DbErr::Migration(sentence) if sentence.contains(wanted)), "{refused}");
            }
        }
    }

    #[tokio::test]
    async fn migrated_database_has_nothing_left_to_migrate() {
        let db = Database::connect("sqlite::memory:").await.expect("opens");
        Migrator::up(&db, None).await.expect("migrates");
        Migrator::up(&db, None).await.expect("does nothing");
        assert!(Migrator::get_pending_migrations(&db).await.expect("read").is_empty());
    }
}
