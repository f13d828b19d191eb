//! The number of claims of a delivery. Unlike its attempts, claims count an attempt that could not be recorded.

use crate::column::int;
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
#[expect(elided_lifetimes_in_paths, reason = "the trait declares its methods so")]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut column = int("claims").not_null().default(0).take();
        manager.alter_table(Table::alter().table(Alias::new("delivery")).add_column(&mut column).to_owned()).await?;
        // Each attempt before this migration was one claim.
        manager
            .get_connection()
            .execute_unprepared("UPDATE delivery SET claims = attempts WHERE settled_at IS NULL")
            .await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::alter().table(Alias::new("delivery")).drop_column(Alias::new("claims")).to_owned();
        manager.alter_table(table).await
    }
}
