//! The sealed values of a webhook's secret headers.

use crate::column::bytes;
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
        let mut column = bytes("secret_headers");
        m.alter_table(Table::alter().table(Alias::new("webhook")).add_column(&mut column).to_owned()).await
    }

    /// The values are lost. The headers then have masks, with which an attempt is refused.
    async fn down(&self, m: &SchemaManager) -> Result<(), DbErr> {
        let column = Alias::new("secret_headers");
        m.alter_table(Table::alter().table(Alias::new("webhook")).drop_column(column).to_owned()).await
    }
}
