//! Destinations with their kinds, tasks and events, and their revisions.

use crate::column::{boolean, bytes, int, key, text, uuid};
use crate::table::{create, create_with, references, run};
use sea_orm_migration::prelude::*;

pub(super) async fn create_tables(m: &SchemaManager<'_>) -> Result<(), DbErr> {
    destination(m).await?;
    webhook(m).await?;
    mailer(m).await?;
    task(m).await?;
    event(m).await?;
    revision(m).await
}

const DESTINATION_INDEXES: [&str; 2] = [
    // Names are unique within a kind. A deleted destination stays for its deliveries, and its name is free.
    "CREATE UNIQUE INDEX destination_name ON destination (kind, name) WHERE deleted_at IS NULL",
    // The destinations that fail or hang, for the dispatcher (`destination::list_restless`).
    "CREATE INDEX destination_restless ON destination (id) WHERE breaker_failures > 0 OR is_hanging",
];

/// Where deliveries queue, and what holds them. The table of its kind has the rest of a destination.
async fn destination(m: &SchemaManager<'_>) -> Result<(), DbErr> {
    let columns = vec![
        key("id"),
        uuid("uuid").not_null().unique_key().take(),
        text(m, "kind").not_null().take(),
        text(m, "name").not_null().take(),
        int("timeout_ms").not_null().take(),
        int("retries").not_null().take(),
        int("revision").not_null().take(),
        // The revision at which the target of secrets and waiting deliveries changed.
        int("target_revision").not_null().default(0).take(),
        int("created_at").not_null().take(),
        int("updated_at").not_null().take(),
        int("deleted_at"),
        int("paused_at"),
        // Set while resumed deliveries are released at a rate.
        int("release_per_second"),
        int("released_at"),
        int("breaker_failures").not_null().default(0).take(),
        int("breaker_opened_at"),
        int("breaker_wait_ms"),
        int("breaker_probe_at"),
        boolean("breaker_is_probing").default(false).take(),
        // Set if the last attempt timed out.
        boolean("is_hanging").default(false).take(),
        // Set while the waiting deliveries follow the state of the destination: 1, or 2 if its target changed. None is
        // claimed meanwhile.
        int("arranging").not_null().default(0).take(),
    ];
    create(m, "destination", columns).await?;
    run(m, &DESTINATION_INDEXES).await
}

async fn webhook(m: &SchemaManager<'_>) -> Result<(), DbErr> {
    let columns = vec![
        int("id").not_null().primary_key().take(),
        text(m, "url").not_null().take(),
        text(m, "method").not_null().take(),
        text(m, "authorization").not_null().take(),
        bytes("secret"),
        text(m, "headers").not_null().take(),
        // The sealed values of the secret headers.
        bytes("secret_headers"),
        bytes("signing_secret"),
        boolean("allows_insecure_tls"),
        // Set for a webhook that is called directly, and not through the proxy.
        boolean("is_direct"),
        text(m, "note").not_null().take(),
    ];
    create_with(m, "webhook", columns, |table| {
        table.foreign_key(&mut references("webhook", "id", "destination", ForeignKeyAction::Cascade))
    })
    .await
}

async fn mailer(m: &SchemaManager<'_>) -> Result<(), DbErr> {
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

const TASK_INDEXES: [&str; 1] = [
    // The tasks of a destination (`task::list_using`, `destination::count_tasks`).
    "CREATE INDEX task_destination ON task (destination_id)",
];

async fn task(m: &SchemaManager<'_>) -> Result<(), DbErr> {
    let columns = vec![
        key("id"),
        text(m, "name").not_null().unique_key().take(),
        text(m, "description").not_null().take(),
        boolean("is_enabled"),
        boolean("deletes_after_running"),
        // Time at which its only run began. Nothing else starts the task until that run has ended.
        int("claimed_at"),
        int("destination_id").not_null().take(),
        // The action with its settings, as JSON.
        text(m, "settings").not_null().take(),
        int("revision").not_null().take(),
        int("created_at").not_null().take(),
        int("updated_at").not_null().take(),
    ];
    create_with(m, "task", columns, |table| {
        table.foreign_key(&mut references("task", "destination_id", "destination", ForeignKeyAction::Restrict))
    })
    .await?;
    run(m, &TASK_INDEXES).await
}

const EVENT_INDEXES: [&str; 4] = [
    // The events that an occurrence may fire (`event::list_about`), and the list by type (`event::list`).
    "CREATE INDEX event_match ON event (type_id, event_id)",
    // The events that start a task (`event::list_starting`, `task::count_events`), and the foreign key.
    "CREATE INDEX event_task ON event (task_id)",
    // The events that name an object (`event::naming_object`, `object::remove`), and the foreign key.
    "CREATE INDEX event_object ON event (object_id) WHERE object_id IS NOT NULL",
    // The events that name a tag (`event::naming_tags`), and the foreign key.
    "CREATE INDEX event_tag ON event (tag_id) WHERE tag_id IS NOT NULL",
];

async fn event(m: &SchemaManager<'_>) -> Result<(), DbErr> {
    let columns = vec![
        key("id"),
        text(m, "type_id").not_null().take(),
        text(m, "event_id").not_null().take(),
        text(m, "scope").not_null().take(),
        int("object_id"),
        int("tag_id"),
        text(m, "level"),
        text(m, "source"),
        int("task_id").not_null().take(),
        boolean("is_enabled"),
        int("revision").not_null().take(),
        int("created_at").not_null().take(),
        int("updated_at").not_null().take(),
    ];
    create_with(m, "event", columns, |table| {
        table
            .foreign_key(&mut references("event", "object_id", "object", ForeignKeyAction::Restrict))
            .foreign_key(&mut references("event", "tag_id", "tag", ForeignKeyAction::Restrict))
            .foreign_key(&mut references("event", "task_id", "task", ForeignKeyAction::Restrict))
            // Nothing may turn "this object" into "any", so the database checks scope and ids together.
            .check(Expr::cust(
                "(scope = 'any' AND object_id IS NULL AND tag_id IS NULL) \
                 OR (scope = 'object' AND object_id IS NOT NULL AND tag_id IS NULL) \
                 OR (scope = 'tag' AND tag_id IS NOT NULL AND object_id IS NULL)",
            ))
    })
    .await?;
    run(m, &EVENT_INDEXES).await
}

const REVISION_INDEXES: [&str; 2] = [
    // The revisions of a row (`revision::find`, `list_at`), and those that retention removes as surplus
    // (`retention::find_revision_excess`).
    "CREATE INDEX revision_row ON revision (kind, row_id, id)",
    // The superseded revisions that retention removes by age (`retention::Old::Revisions`).
    "CREATE INDEX revision_age ON revision (changed_at, id)",
];

/// Every revision of webhooks, mailers, tasks and events, without secrets. A row without a document is a deletion.
async fn revision(m: &SchemaManager<'_>) -> Result<(), DbErr> {
    let columns = vec![
        key("id"),
        text(m, "kind").not_null().take(),
        int("row_id").not_null().take(),
        int("number").not_null().take(),
        int("changed_at").not_null().take(),
        text(m, "document"),
    ];
    create(m, "revision", columns).await?;
    run(m, &REVISION_INDEXES).await
}
