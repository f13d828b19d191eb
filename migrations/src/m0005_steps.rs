//! Holding and releasing in steps: the webhook's row changes at once, and the rows of its deliveries follow in steps.
//! Adds indexes that find the rows still to change, and indexes for figures and retention.

use crate::column::int;
use crate::table::index;
use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// The index of held deliveries: by reason and webhook, the earliest due first. Each webhook that holds for a reason is
/// found by one search.
const HELD: &str = "(hold_reason, webhook_id, next_attempt_at, id) WHERE status = 'held'";

#[async_trait::async_trait]
#[expect(elided_lifetimes_in_paths, reason = "the trait declares its methods so")]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, m: &SchemaManager) -> Result<(), DbErr> {
        // Set while the waiting deliveries follow the webhook's state: 1, or 2 if its target changed. None is claimed
        // meanwhile.
        let mut column = int("arranging").not_null().default(0).take();
        m.alter_table(Table::alter().table(Alias::new("webhook")).add_column(&mut column).to_owned()).await?;
        if m.get_database_backend() == sea_orm::DbBackend::Sqlite {
            // Earlier versions collected statistics at each stop, often of a small database. Plans are better without
            // them.
            m.get_connection().execute_unprepared("ANALYZE webhook").await?;
            m.get_connection().execute_unprepared("DELETE FROM sqlite_stat1").await?;
        }
        m.get_connection().execute_unprepared("DROP INDEX delivery_held").await?;
        index(m, "delivery_held", "delivery", false, HELD).await?;
        let again =
            "(webhook_id, status, next_attempt_at, id) WHERE replay_revision IS NOT NULL AND settled_at IS NULL";
        index(m, "delivery_as_it_was", "delivery", false, again).await?;
        index(m, "revision_age", "revision", false, "(changed_at, id)").await?;
        // For the number and the age of unsettled deliveries.
        index(m, "delivery_waiting", "delivery", false, "(created_at, id) WHERE settled_at IS NULL").await?;
        m.get_connection().execute_unprepared("DROP INDEX delivery_settled").await?;
        let settled = "(settled_at, status) WHERE settled_at IS NOT NULL";
        index(m, "delivery_settled", "delivery", false, settled).await?;
        m.get_connection().execute_unprepared("DROP INDEX delivery_webhook").await?;
        index(m, "delivery_webhook", "delivery", false, "(webhook_id, id)").await
    }

    async fn down(&self, m: &SchemaManager) -> Result<(), DbErr> {
        let new = [
            "delivery_webhook",
            "delivery_settled",
            "delivery_waiting",
            "revision_age",
            "delivery_as_it_was",
            "delivery_held",
        ];
        for index in new {
            m.get_connection().execute_unprepared(&format!("DROP INDEX {index}")).await?;
        }
        index(m, "delivery_held", "delivery", false, "(webhook_id, id) WHERE status = 'held'").await?;
        index(m, "delivery_settled", "delivery", false, "(settled_at) WHERE settled_at IS NOT NULL").await?;
        index(m, "delivery_webhook", "delivery", false, "(webhook_id, id) WHERE settled_at IS NOT NULL").await?;
        let table = Table::alter().table(Alias::new("webhook")).drop_column(Alias::new("arranging")).to_owned();
        m.alter_table(table).await
    }
}
