//! The mark of hanging webhooks, which every node sees also after a restart, and indexes for the hourly retention.

use crate::column::boolean;
use crate::table::index;
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
        // Set if the last attempt timed out.
        let mut column = boolean("is_hanging").default(false).take();
        manager.alter_table(Table::alter().table(Alias::new("webhook")).add_column(&mut column).to_owned()).await?;
        index(manager, "webhook_hanging", "webhook", false, "(id) WHERE is_hanging").await?;
        index(manager, "run_ended", "run", false, "(ended_at) WHERE ended_at IS NOT NULL").await?;
        index(manager, "occurrence_unmatched", "occurrence", false, "(received_at) WHERE tasks_started = 0").await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for index in ["occurrence_unmatched", "run_ended", "webhook_hanging"] {
            manager.get_connection().execute_unprepared(&format!("DROP INDEX {index}")).await?;
        }
        let table = Table::alter().table(Alias::new("webhook")).drop_column(Alias::new("is_hanging")).to_owned();
        manager.alter_table(table).await
    }
}
