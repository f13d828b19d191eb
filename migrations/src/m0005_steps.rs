//! What holds a webhook's deliveries is said by the webhook at once, and carried out on its rows in steps: the indexes
//! that find what is still to do; and indexes for figures and for what is not kept.

use crate::column::int;
use crate::table::index;
use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// By reason and webhook, the earliest due first: the webhooks that hold for a reason are found in a step each.
const HELD: &str = "(hold_reason, webhook_id, next_attempt_at, id) WHERE status = 'held'";

#[async_trait::async_trait]
#[expect(elided_lifetimes_in_paths, reason = "the trait declares its methods so")]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, m: &SchemaManager) -> Result<(), DbErr> {
        // Its waiting deliveries are made to follow its state, and none is claimed meanwhile: 1, or 2 if its target changed.
        let mut column = int("arranging").not_null().default(0).take();
        m.alter_table(Table::alter().table(Alias::new("webhook")).add_column(&mut column).to_owned()).await?;
        if m.get_database_backend() == sea_orm::DbBackend::Sqlite {
            // Statistics were taken at each stop, often of a database that was small then: plans go without.
            m.get_connection().execute_unprepared("ANALYZE webhook").await?;
            m.get_connection().execute_unprepared("DELETE FROM sqlite_stat1").await?;
        }
        m.get_connection().execute_unprepared("DROP INDEX delivery_held").await?;
        index(m, "delivery_held", "delivery", false, HELD).await?;
        let again =
            "(webhook_id, status, next_attempt_at, id) WHERE replay_revision IS NOT NULL AND settled_at IS NULL";
        index(m, "delivery_as_it_was", "delivery", false, again).await?;
        index(m, "revision_age", "revision", false, "(changed_at, id)").await?;
        // What is on its way: how much, and since when.
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
