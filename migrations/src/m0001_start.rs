//! The first schema: accounts and keys, webhooks, tasks and events, occurrences, runs and deliveries.

use crate::column::{boolean, bytes, int, key, text, uuid};
use crate::table::{create, create_with, index, references};
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
        access_tables(manager).await?;
        configuration_tables(manager).await?;
        occurrence_tables(manager).await?;
        delivery_tables(manager).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let tables = [
            "attempt",
            "delivery",
            "run",
            "receipt",
            "occurrence",
            "event",
            "object",
            "task",
            "webhook",
            "api_key",
            "session",
            "account",
            "setting",
        ];
        for table in tables {
            manager.drop_table(Table::drop().table(Alias::new(table)).to_owned()).await?;
        }
        Ok(())
    }
}

async fn access_tables(m: &SchemaManager<'_>) -> Result<(), DbErr> {
    let columns = vec![text(m, "key").not_null().primary_key().take(), text(m, "value").not_null().take()];
    create(m, "setting", columns).await?;

    let columns = vec![
        key("id"),
        text(m, "name").not_null().unique_key().take(),
        text(m, "role").not_null().take(),
        text(m, "password_hash").not_null().take(),
        int("created_at").not_null().take(),
    ];
    create(m, "account", columns).await?;

    let columns = vec![
        bytes("id_hash").not_null().primary_key().take(),
        int("account_id"),
        text(m, "data").not_null().take(),
        int("created_at").not_null().take(),
        int("expires_at").not_null().take(),
    ];
    create_with(m, "session", columns, |table| {
        table.foreign_key(&mut references("session", "account_id", "account", ForeignKeyAction::Cascade))
    })
    .await?;

    let columns = vec![
        key("id"),
        text(m, "name").not_null().unique_key().take(),
        bytes("key_hash").not_null().unique_key().take(),
        text(m, "scopes").not_null().take(),
        int("created_at").not_null().take(),
    ];
    create(m, "api_key", columns).await
}

async fn configuration_tables(m: &SchemaManager<'_>) -> Result<(), DbErr> {
    let columns = vec![
        key("id"),
        uuid("uuid").not_null().unique_key().take(),
        text(m, "name").not_null().take(),
        text(m, "url").not_null().take(),
        text(m, "method").not_null().take(),
        text(m, "authorization").not_null().take(),
        bytes("secret"),
        text(m, "headers").not_null().take(),
        boolean("allows_insecure_tls"),
        int("timeout_ms").not_null().take(),
        int("retries").not_null().take(),
        int("revision").not_null().take(),
        int("created_at").not_null().take(),
        int("updated_at").not_null().take(),
        int("deleted_at"),
    ];
    create(m, "webhook", columns).await?;
    index(m, "webhook_name", "webhook", true, "(name) WHERE deleted_at IS NULL").await?;

    let columns = vec![
        key("id"),
        text(m, "name").not_null().unique_key().take(),
        text(m, "description").not_null().take(),
        boolean("is_enabled"),
        boolean("deletes_after_running"),
        // Time at which its only run began. Nothing else starts the task until that run has ended.
        int("claimed_at"),
        int("webhook_id").not_null().take(),
        text(m, "message").not_null().take(),
        int("revision").not_null().take(),
        int("created_at").not_null().take(),
        int("updated_at").not_null().take(),
    ];
    create_with(m, "task", columns, |table| {
        table.foreign_key(&mut references("task", "webhook_id", "webhook", ForeignKeyAction::Restrict))
    })
    .await?;
    index(m, "task_webhook", "task", false, "(webhook_id)").await?;

    let columns = vec![
        key("id"),
        text(m, "type_id").not_null().take(),
        text(m, "external_id"),
        text(m, "name").not_null().take(),
        int("created_at").not_null().take(),
        int("updated_at").not_null().take(),
    ];
    create(m, "object", columns).await?;
    index(m, "object_external_id", "object", true, "(type_id, external_id)").await?;
    index(m, "object_name", "object", false, "(type_id, name)").await?;

    let columns = vec![
        key("id"),
        text(m, "type_id").not_null().take(),
        text(m, "event_id").not_null().take(),
        text(m, "scope").not_null().take(),
        int("object_id"),
        int("task_id").not_null().take(),
        boolean("is_enabled"),
        int("revision").not_null().take(),
        int("created_at").not_null().take(),
        int("updated_at").not_null().take(),
    ];
    create_with(m, "event", columns, |table| {
        table
            .foreign_key(&mut references("event", "object_id", "object", ForeignKeyAction::Restrict))
            .foreign_key(&mut references("event", "task_id", "task", ForeignKeyAction::Restrict))
            // Nothing may turn "this object" into "any", so the database checks kind and id together.
            .check(Expr::cust("(scope = 'any' AND object_id IS NULL) OR (scope = 'object' AND object_id IS NOT NULL)"))
    })
    .await?;
    index(m, "event_match", "event", false, "(type_id, event_id)").await?;
    index(m, "event_task", "event", false, "(task_id)").await
}

async fn occurrence_tables(m: &SchemaManager<'_>) -> Result<(), DbErr> {
    let columns = vec![
        key("id"),
        uuid("uuid").not_null().unique_key().take(),
        text(m, "type_id").not_null().take(),
        text(m, "event_id").not_null().take(),
        int("object_id"),
        text(m, "object_external_id"),
        text(m, "object_name"),
        text(m, "external_id"),
        text(m, "source").not_null().take(),
        int("occurred_at"),
        int("received_at").not_null().take(),
        text(m, "data"),
        int("tasks_started").not_null().take(),
    ];
    create(m, "occurrence", columns).await?;

    let columns = vec![
        key("id"),
        int("key_id").not_null().take(),
        text(m, "source").not_null().take(),
        text(m, "external_id").not_null().take(),
        bytes("content_hash").not_null().take(),
        uuid("occurrence").not_null().take(),
        int("tasks_started").not_null().take(),
        int("created_at").not_null().take(),
    ];
    create_with(m, "receipt", columns, |table| {
        table.foreign_key(&mut references("receipt", "key_id", "api_key", ForeignKeyAction::Cascade))
    })
    .await?;
    index(m, "receipt_identity", "receipt", true, "(key_id, external_id, source)").await?;
    index(m, "occurrence_age", "occurrence", false, "(received_at)").await?;
    index(m, "receipt_age", "receipt", false, "(created_at)").await
}

async fn delivery_tables(m: &SchemaManager<'_>) -> Result<(), DbErr> {
    // A run outlives its task, and therefore has a copy of its name.
    let columns = vec![
        key("id"),
        uuid("uuid").not_null().unique_key().take(),
        int("task_id"),
        text(m, "task_name").not_null().take(),
        int("occurrence_id"),
        text(m, "event_ids").not_null().take(),
        text(m, "status").not_null().take(),
        int("started_at").not_null().take(),
        int("ended_at"),
    ];
    create_with(m, "run", columns, |table| {
        table
            .foreign_key(&mut references("run", "task_id", "task", ForeignKeyAction::SetNull))
            .foreign_key(&mut references("run", "occurrence_id", "occurrence", ForeignKeyAction::SetNull))
    })
    .await?;
    index(m, "run_task", "run", false, "(task_id, id)").await?;
    index(m, "run_occurrence", "run", false, "(occurrence_id)").await?;

    let columns = vec![
        key("id"),
        uuid("uuid").not_null().unique_key().take(),
        int("run_id").not_null().take(),
        int("webhook_id").not_null().take(),
        text(m, "webhook_name").not_null().take(),
        text(m, "task_name").not_null().take(),
        text(m, "type_id").not_null().take(),
        text(m, "event_id").not_null().take(),
        text(m, "object_name"),
        text(m, "status").not_null().take(),
        bytes("body").not_null().take(),
        int("attempts").not_null().take(),
        int("next_attempt_at"),
        uuid("lease_owner"),
        int("lease_until"),
        int("http_status"),
        text(m, "error_code"),
        text(m, "error"),
        int("duration_ms"),
        int("created_at").not_null().take(),
        int("settled_at"),
    ];
    create_with(m, "delivery", columns, |table| {
        table
            .foreign_key(&mut references("delivery", "run_id", "run", ForeignKeyAction::Cascade))
            .foreign_key(&mut references("delivery", "webhook_id", "webhook", ForeignKeyAction::Restrict))
    })
    .await?;
    index(m, "delivery_due", "delivery", false, "(webhook_id, next_attempt_at, id) WHERE status = 'queued'").await?;
    index(m, "delivery_next", "delivery", false, "(next_attempt_at) WHERE status = 'queued'").await?;
    index(m, "delivery_leased", "delivery", false, "(lease_until) WHERE status = 'running'").await?;
    index(m, "delivery_settled", "delivery", false, "(settled_at) WHERE settled_at IS NOT NULL").await?;
    index(m, "delivery_webhook", "delivery", false, "(webhook_id, id) WHERE settled_at IS NOT NULL").await?;
    index(m, "delivery_run", "delivery", false, "(run_id)").await?;

    let columns = vec![
        key("id"),
        int("delivery_id").not_null().take(),
        int("number").not_null().take(),
        int("started_at").not_null().take(),
        int("duration_ms").not_null().take(),
        int("http_status"),
        text(m, "error_code"),
        text(m, "error"),
        text(m, "answer_headers").not_null().take(),
        bytes("answer_body").not_null().take(),
        text(m, "answer_note"),
    ];
    create_with(m, "attempt", columns, |table| {
        table.foreign_key(&mut references("attempt", "delivery_id", "delivery", ForeignKeyAction::Cascade))
    })
    .await?;
    index(m, "attempt_delivery", "attempt", false, "(delivery_id, number)").await
}
