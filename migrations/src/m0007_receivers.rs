//! What receivers and people need: notes on a message instead of absent values alone, names without their case to look for
//! them, and webhooks that are called directly where the others go through a proxy.

use crate::column::{boolean, text};
use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// The folded names, each with its table and the column that it folds. Empty where the name is folded already.
const FOLDED: [(&str, &str, &str); 4] = [
    ("delivery", "webhook_folded", "webhook_name"),
    ("delivery", "task_folded", "task_name"),
    ("delivery", "object_folded", "object_name"),
    ("run", "task_folded", "task_name"),
];

#[async_trait::async_trait]
#[expect(elided_lifetimes_in_paths, reason = "the trait declares its methods so")]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, m: &SchemaManager) -> Result<(), DbErr> {
        let db = m.get_connection();
        let mut direct = boolean("is_direct").default(false).to_owned();
        m.alter_table(Table::alter().table(Alias::new("webhook")).add_column(&mut direct).to_owned()).await?;
        db.execute_unprepared("ALTER TABLE delivery RENAME COLUMN absent TO notes").await?;
        // One note a line, each with its kind.
        let line = if m.get_database_backend() == DbBackend::Postgres { "chr" } else { "char" };
        let kinds = format!(
            "UPDATE delivery SET notes = 'absent ' || replace(notes, {line}(10), {line}(10) || 'absent ') \
             WHERE notes IS NOT NULL"
        );
        db.execute_unprepared(&kinds).await?;
        for (table, column, name) in FOLDED {
            let mut folded = text(m, column);
            m.alter_table(Table::alter().table(Alias::new(table)).add_column(&mut folded).to_owned()).await?;
            // Of rows that are there only ASCII is folded; those of the last weeks make room for others.
            let fold = format!("UPDATE {table} SET {column} = lower({name}) WHERE lower({name}) <> {name}");
            db.execute_unprepared(&fold).await?;
        }
        Ok(())
    }

    async fn down(&self, m: &SchemaManager) -> Result<(), DbErr> {
        for (table, column, _) in FOLDED {
            m.alter_table(Table::alter().table(Alias::new(table)).drop_column(Alias::new(column)).to_owned()).await?;
        }
        m.get_connection().execute_unprepared("ALTER TABLE delivery RENAME COLUMN notes TO absent").await?;
        m.alter_table(Table::alter().table(Alias::new("webhook")).drop_column(Alias::new("is_direct")).to_owned()).await
    }
}
