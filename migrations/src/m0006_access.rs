//! Disabled accounts and revoked keys. Also an index of objects by name and id, since many thousands of objects may
//! have the same name.

use crate::column::int;
use crate::table::index;
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// The added columns, each after its table. They are times in milliseconds since 1970.
const ADDED: [(&str, &str); 2] = [("account", "disabled_at"), ("api_key", "revoked_at")];

#[async_trait::async_trait]
#[expect(elided_lifetimes_in_paths, reason = "the trait declares its methods so")]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, m: &SchemaManager) -> Result<(), DbErr> {
        for (table, column) in ADDED {
            let mut column = int(column);
            m.alter_table(Table::alter().table(Alias::new(table)).add_column(&mut column).to_owned()).await?;
        }
        m.get_connection().execute_unprepared("DROP INDEX object_name").await?;
        index(m, "object_name", "object", false, "(type_id, name, external_id)").await
    }

    async fn down(&self, m: &SchemaManager) -> Result<(), DbErr> {
        m.get_connection().execute_unprepared("DROP INDEX object_name").await?;
        index(m, "object_name", "object", false, "(type_id, name)").await?;
        for (table, column) in ADDED {
            m.alter_table(Table::alter().table(Alias::new(table)).drop_column(Alias::new(column)).to_owned()).await?;
        }
        Ok(())
    }
}
