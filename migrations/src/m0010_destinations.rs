//! Destinations: where deliveries queue. The table of webhooks becomes the table of destinations, with the name, the
//! limits and the state that holds deliveries; the target of a webhook moves to a table beside it, and mailers get theirs.
//! Tasks store their settings as a document, and deliveries of e-mails their recipients.

use crate::column::{boolean, bytes, int, text};
use crate::table::{create_with, index, references};
use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// The renamed columns, by table: the name before, and after.
const RENAMED: [(&str, &str, &str); 13] = [
    ("delivery", "webhook_id", "destination_id"),
    ("delivery", "webhook_name", "destination_name"),
    ("delivery", "webhook_folded", "destination_folded"),
    ("delivery", "webhook_revision", "destination_revision"),
    ("delivery", "http_status", "status_code"),
    ("attempt", "webhook_revision", "destination_revision"),
    ("attempt", "http_status", "status_code"),
    ("attempt", "answer_headers", "response_headers"),
    ("attempt", "answer_body", "response_body"),
    ("attempt", "answer_note", "response_note"),
    ("occurrence", "about_webhook", "about_destination"),
    ("task", "webhook_id", "destination_id"),
    ("task", "message", "settings"),
];

/// The columns of a webhook's target.
const TARGET: [&str; 10] = [
    "url",
    "method",
    // A keyword of PostgreSQL.
    "\"authorization\"",
    "secret",
    "headers",
    "allows_insecure_tls",
    "is_direct",
    "signing_secret",
    "secret_headers",
    "note",
];

/// The renamed indexes: the name before, the name after, the table, and the columns.
const INDEXES: [(&str, &str, &str, &str); 3] = [
    ("delivery_webhook", "delivery_destination", "delivery", "(destination_id, id)"),
    ("task_webhook", "task_destination", "task", "(destination_id)"),
    ("webhook_hanging", "destination_hanging", "destination", "(id) WHERE is_hanging"),
];

async fn run(m: &SchemaManager<'_>, sql: &str) -> Result<(), DbErr> {
    m.get_connection().execute_unprepared(sql).await.map(drop)
}

#[async_trait::async_trait]
#[expect(elided_lifetimes_in_paths, reason = "the trait declares its methods so")]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, m: &SchemaManager) -> Result<(), DbErr> {
        // Foreign keys follow the renamed table and columns on both databases.
        run(m, "ALTER TABLE webhook RENAME TO destination").await?;
        if m.get_database_backend() == DbBackend::Postgres {
            // The name of the key would be that of the next table's.
            run(m, "ALTER INDEX webhook_pkey RENAME TO destination_pkey").await?;
        }
        for (table, before, after) in RENAMED {
            run(m, &format!("ALTER TABLE {table} RENAME COLUMN {before} TO {after}")).await?;
        }
        for (before, after, table, columns) in INDEXES {
            run(m, &format!("DROP INDEX {before}")).await?;
            index(m, after, table, false, columns).await?;
        }
        let mut kind = text(m, "kind").not_null().default("webhook").take();
        m.alter_table(Table::alter().table(Alias::new("destination")).add_column(&mut kind).to_owned()).await?;
        run(m, "DROP INDEX webhook_name").await?;
        index(m, "destination_name", "destination", true, "(kind, name) WHERE deleted_at IS NULL").await?;

        create_webhook(m).await?;
        create_mailer(m).await?;
        let target = TARGET.join(", ");
        run(m, &format!("INSERT INTO webhook (id, {target}) SELECT id, {target} FROM destination")).await?;
        for column in TARGET {
            run(m, &format!("ALTER TABLE destination DROP COLUMN {column}")).await?;
        }

        let settings = match m.get_database_backend() {
            DbBackend::Postgres => "json_build_object('webhook', json_build_object('message', settings))::text",
            _ => "json_object('webhook', json_object('message', settings))",
        };
        run(m, &format!("UPDATE task SET settings = {settings}")).await?;
        let mut recipients = text(m, "recipients");
        m.alter_table(Table::alter().table(Alias::new("delivery")).add_column(&mut recipients).to_owned()).await
    }

    /// Mailers are lost, with the tasks and the deliveries of e-mails.
    async fn down(&self, m: &SchemaManager) -> Result<(), DbErr> {
        let mailers = "(SELECT id FROM mailer)";
        run(m, &format!("DELETE FROM event WHERE task_id IN (SELECT id FROM task WHERE destination_id IN {mailers})"))
            .await?;
        for table in ["task", "delivery"] {
            run(m, &format!("DELETE FROM {table} WHERE destination_id IN {mailers}")).await?;
        }
        run(m, "DROP TABLE mailer").await?;
        run(m, "DELETE FROM destination WHERE kind <> 'webhook'").await?;
        run(m, "ALTER TABLE delivery DROP COLUMN recipients").await?;
        let message = match m.get_database_backend() {
            DbBackend::Postgres => "settings::json -> 'webhook' ->> 'message'",
            _ => "json_extract(settings, '$.webhook.message')",
        };
        run(m, &format!("UPDATE task SET settings = {message}")).await?;
        let more = "ALTER TABLE destination ADD COLUMN";
        for column in ["url", "method", "\"authorization\"", "headers", "note"] {
            run(m, &format!("{more} {column} text NOT NULL DEFAULT ''")).await?;
        }
        let bytes = if m.get_database_backend() == DbBackend::Postgres { "bytea" } else { "blob" };
        for column in ["secret", "signing_secret", "secret_headers"] {
            run(m, &format!("{more} {column} {bytes}")).await?;
        }
        for column in ["allows_insecure_tls", "is_direct"] {
            run(m, &format!("{more} {column} boolean NOT NULL DEFAULT FALSE")).await?;
        }
        let target = TARGET.join(", ");
        let from = format!("(SELECT {target} FROM webhook WHERE webhook.id = destination.id)");
        run(m, &format!("UPDATE destination SET ({target}) = {from}")).await?;
        run(m, "DROP TABLE webhook").await?;
        run(m, "DROP INDEX destination_name").await?;
        run(m, "ALTER TABLE destination DROP COLUMN kind").await?;
        run(m, "ALTER TABLE destination RENAME TO webhook").await?;
        if m.get_database_backend() == DbBackend::Postgres {
            run(m, "ALTER INDEX destination_pkey RENAME TO webhook_pkey").await?;
        }
        for (table, before, after) in RENAMED {
            run(m, &format!("ALTER TABLE {table} RENAME COLUMN {after} TO {before}")).await?;
        }
        for (before, after, table, columns) in INDEXES {
            run(m, &format!("DROP INDEX {after}")).await?;
            let (table, columns) = (table.replace("destination", "webhook"), columns.replace("destination", "webhook"));
            index(m, before, &table, false, &columns).await?;
        }
        index(m, "webhook_name", "webhook", true, "(name) WHERE deleted_at IS NULL").await
    }
}

async fn create_webhook(m: &SchemaManager<'_>) -> Result<(), DbErr> {
    let columns = vec![
        int("id").not_null().primary_key().take(),
        text(m, "url").not_null().take(),
        text(m, "method").not_null().take(),
        text(m, "authorization").not_null().take(),
        bytes("secret"),
        text(m, "headers").not_null().take(),
        boolean("allows_insecure_tls"),
        boolean("is_direct"),
        bytes("signing_secret"),
        bytes("secret_headers"),
        text(m, "note").not_null().take(),
    ];
    create_with(m, "webhook", columns, |table| {
        table.foreign_key(&mut references("webhook", "id", "destination", ForeignKeyAction::Cascade))
    })
    .await
}

async fn create_mailer(m: &SchemaManager<'_>) -> Result<(), DbErr> {
    let columns = vec![
        int("id").not_null().primary_key().take(),
        text(m, "host").not_null().take(),
        int("port").not_null().take(),
        // starttls, tls or none.
        text(m, "encryption").not_null().take(),
        // Empty: no authentication.
        text(m, "username").not_null().take(),
        bytes("password"),
        text(m, "from_address").not_null().take(),
        text(m, "from_name").not_null().take(),
        boolean("allows_insecure_tls"),
    ];
    create_with(m, "mailer", columns, |table| {
        table.foreign_key(&mut references("mailer", "id", "destination", ForeignKeyAction::Cascade))
    })
    .await
}
