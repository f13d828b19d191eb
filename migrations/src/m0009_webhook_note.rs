//! A webhook's note.

use crate::column::text;
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
#[expect(elided_lifetimes_in_paths, reason = "the trait declares its methods so")]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, m: &SchemaManager) -> Result<(), DbErr> {
        let mut column = text(m, "note").not_null().default("").take();
        m.alter_table(Table::alter().table(Alias::new("webhook")).add_column(&mut column).to_owned()).await
    }

    async fn down(&self, m: &SchemaManager) -> Result<(), DbErr> {
        m.alter_table(Table::alter().table(Alias::new("webhook")).drop_column(Alias::new("note")).to_owned()).await
    }
}
