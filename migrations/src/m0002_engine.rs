//! Tags and inventories, object types of admins, revisions (for explanations and replays), pausing, the breaker, and
//! occurrences that the console reports itself.

use crate::column::{boolean, bytes, int, key, text};
use crate::table::{create, create_with, index, references};
use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
#[expect(elided_lifetimes_in_paths, reason = "the trait declares its methods so")]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        inventory_tables(manager).await?;
        add_columns(manager).await?;
        rebuild_event(manager).await?;
        history_tables(manager).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let tables =
            ["event", "internal_event", "revision", "unknown_kind", "object_event", "object_type", "object_tag", "tag"];
        for table in tables.into_iter().chain(["tag_category"]) {
            manager.drop_table(Table::drop().table(Alias::new(table)).to_owned()).await?;
        }
        event_table(manager, "event", false).await?;
        for index in ["delivery_held", "delivery_failed", "delivery_created"] {
            manager.get_connection().execute_unprepared(&format!("DROP INDEX {index}")).await?;
        }
        for (table, columns) in COLUMNS {
            for column in *columns {
                let table = Alias::new(*table);
                manager.alter_table(Table::alter().table(table).drop_column(Alias::new(*column)).to_owned()).await?;
            }
        }
        Ok(())
    }
}

/// The columns that are added to tables of the first schema.
const COLUMNS: &[(&str, &[&str])] = &[
    (
        "webhook",
        &[
            "signing_secret",
            "paused_at",
            "release_per_second",
            "released_at",
            "target_revision",
            "breaker_failures",
            "breaker_opened_at",
            "breaker_wait_ms",
            "breaker_probe_at",
            "breaker_is_probing",
        ],
    ),
    ("object", &["gone_at"]),
    ("occurrence", &["object_tags", "reasons", "depth", "revision_mark", "about_webhook"]),
    ("run", &["cause", "caused_by"]),
    ("delivery", &["object_id", "hold_reason", "absent", "depth", "webhook_revision", "replay_of", "replay_revision"]),
    ("attempt", &["webhook_revision", "connect_ms", "first_byte_ms"]),
    ("receipt", &["repeats"]),
];

async fn inventory_tables(m: &SchemaManager<'_>) -> Result<(), DbErr> {
    let columns = vec![
        key("id"),
        text(m, "name").not_null().unique_key().take(),
        text(m, "description").not_null().take(),
        boolean("is_single"),
        // The ids of the types that may carry its tags, separated by commas.
        text(m, "type_ids").not_null().take(),
        int("revision").not_null().take(),
        int("created_at").not_null().take(),
        int("updated_at").not_null().take(),
    ];
    create(m, "tag_category", columns).await?;

    let columns = vec![
        key("id"),
        int("category_id").not_null().take(),
        text(m, "name").not_null().take(),
        int("created_at").not_null().take(),
    ];
    create_with(m, "tag", columns, |table| {
        table.foreign_key(&mut references("tag", "category_id", "tag_category", ForeignKeyAction::Restrict))
    })
    .await?;
    index(m, "tag_name", "tag", true, "(category_id, name)").await?;

    let columns = vec![int("object_id").not_null().take(), int("tag_id").not_null().take()];
    create_with(m, "object_tag", columns, |table| {
        table
            .primary_key(Index::create().col(Alias::new("object_id")).col(Alias::new("tag_id")))
            .foreign_key(&mut references("object_tag", "object_id", "object", ForeignKeyAction::Cascade))
            .foreign_key(&mut references("object_tag", "tag_id", "tag", ForeignKeyAction::Cascade))
    })
    .await?;
    index(m, "object_tag_tag", "object_tag", false, "(tag_id)").await?;

    let columns = vec![
        text(m, "id").not_null().primary_key().take(),
        text(m, "singular").not_null().take(),
        text(m, "plural").not_null().take(),
        boolean("has_objects"),
        boolean("has_tags"),
        int("created_at").not_null().take(),
    ];
    create(m, "object_type", columns).await?;

    let columns = vec![
        text(m, "type_id").not_null().take(),
        text(m, "event_id").not_null().take(),
        text(m, "label").not_null().take(),
        int("created_at").not_null().take(),
    ];
    create_with(m, "object_event", columns, |table| {
        table.primary_key(Index::create().col(Alias::new("type_id")).col(Alias::new("event_id")))
    })
    .await?;

    // Types and events that were reported and are not in the catalogue.
    let columns = vec![
        text(m, "type_id").not_null().take(),
        text(m, "event_id").not_null().take(),
        int("seen").not_null().take(),
        int("first_at").not_null().take(),
        int("last_at").not_null().take(),
    ];
    create_with(m, "unknown_kind", columns, |table| {
        table.primary_key(Index::create().col(Alias::new("type_id")).col(Alias::new("event_id")))
    })
    .await
}

async fn add(m: &SchemaManager<'_>, table: &'static str, columns: Vec<ColumnDef>) -> Result<(), DbErr> {
    for mut column in columns {
        // SQLite adds one column in each statement.
        m.alter_table(Table::alter().table(Alias::new(table)).add_column(&mut column).to_owned()).await?;
    }
    Ok(())
}

async fn add_columns(m: &SchemaManager<'_>) -> Result<(), DbErr> {
    let zero = |name: &'static str| int(name).not_null().default(0).take();
    let columns = vec![
        bytes("signing_secret"),
        int("paused_at"),
        // Set while resumed deliveries are released at a rate.
        int("release_per_second"),
        int("released_at"),
        // The revision at which the target of secrets and waiting deliveries changed.
        zero("target_revision"),
        zero("breaker_failures"),
        int("breaker_opened_at"),
        int("breaker_wait_ms"),
        int("breaker_probe_at"),
        boolean("breaker_is_probing").default(false).take(),
    ];
    add(m, "webhook", columns).await?;
    // Set for an object that is no longer in the inventory, but is named by an event.
    add(m, "object", vec![int("gone_at")]).await?;
    let columns = vec![
        // The tags of the object at the time, as JSON.
        text(m, "object_tags"),
        // The number of events that did not fire, by reason, as JSON.
        text(m, "reasons").not_null().default("{}").take(),
        zero("depth"),
        // The newest revision at the time.
        zero("revision_mark"),
        int("about_webhook"),
    ];
    add(m, "occurrence", columns).await?;
    add(m, "run", vec![text(m, "cause").not_null().default("occurrence").take(), text(m, "caused_by")]).await?;
    let columns = vec![
        int("object_id"),
        text(m, "hold_reason"),
        // Paths of `${data.…}` that the occurrence did not have, one on each line.
        text(m, "absent"),
        zero("depth"),
        // The webhook's revision when the delivery was queued. A replay with the original webhook uses it.
        zero("webhook_revision"),
        int("replay_of"),
        // Set if the delivery is sent to the target of that revision.
        int("replay_revision"),
    ];
    add(m, "delivery", columns).await?;
    index(m, "delivery_held", "delivery", false, "(webhook_id, id) WHERE status = 'held'").await?;
    index(m, "delivery_failed", "delivery", false, "(id) WHERE status = 'error'").await?;
    index(m, "delivery_created", "delivery", false, "(created_at)").await?;
    add(m, "attempt", vec![zero("webhook_revision"), int("connect_ms"), int("first_byte_ms")]).await?;
    add(m, "receipt", vec![zero("repeats")]).await
}

/// Creates the table of events anew. Events get the scope `tag` and filters, which changes the check of a scope's kind
/// and ids. SQLite cannot change a check in place.
async fn rebuild_event(m: &SchemaManager<'_>) -> Result<(), DbErr> {
    let db = m.get_connection();
    event_table(m, "event_new", true).await?;
    db.execute_unprepared(
        "INSERT INTO event_new (id, type_id, event_id, scope, object_id, task_id, is_enabled, revision, created_at, \
         updated_at) SELECT id, type_id, event_id, scope, object_id, task_id, is_enabled, revision, created_at, \
         updated_at FROM event",
    )
    .await?;
    db.execute_unprepared("DROP TABLE event").await?;
    db.execute_unprepared("ALTER TABLE event_new RENAME TO event").await?;
    if m.get_database_backend() == DbBackend::Postgres {
        let sql =
            "SELECT setval(pg_get_serial_sequence('event', 'id'), (SELECT COALESCE(MAX(id), 0) + 1 FROM event), false)";
        db.execute_unprepared(sql).await?;
    }
    index(m, "event_match", "event", false, "(type_id, event_id)").await?;
    index(m, "event_task", "event", false, "(task_id)").await?;
    index(m, "event_object", "event", false, "(object_id) WHERE object_id IS NOT NULL").await?;
    index(m, "event_tag", "event", false, "(tag_id) WHERE tag_id IS NOT NULL").await
}

async fn event_table(m: &SchemaManager<'_>, name: &'static str, has_tags: bool) -> Result<(), DbErr> {
    let mut columns = vec![
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
    if has_tags {
        columns.extend([int("tag_id"), text(m, "level"), text(m, "source")]);
    }
    create_with(m, name, columns, |table| {
        table
            .foreign_key(&mut references(name, "object_id", "object", ForeignKeyAction::Restrict))
            .foreign_key(&mut references(name, "task_id", "task", ForeignKeyAction::Restrict));
        if !has_tags {
            return table;
        }
        table.foreign_key(&mut references(name, "tag_id", "tag", ForeignKeyAction::Restrict)).check(Expr::cust(
            "(scope = 'any' AND object_id IS NULL AND tag_id IS NULL) \
             OR (scope = 'object' AND object_id IS NOT NULL AND tag_id IS NULL) \
             OR (scope = 'tag' AND tag_id IS NOT NULL AND object_id IS NULL)",
        ))
    })
    .await
}

async fn history_tables(m: &SchemaManager<'_>) -> Result<(), DbErr> {
    // Every revision of webhooks, tasks and events, without secrets. A row without a document is a deletion.
    let columns = vec![
        key("id"),
        text(m, "kind").not_null().take(),
        int("row_id").not_null().take(),
        int("number").not_null().take(),
        text(m, "document"),
        int("changed_at").not_null().take(),
    ];
    create(m, "revision", columns).await?;
    index(m, "revision_row", "revision", false, "(kind, row_id, id)").await?;

    // Internal events that wait until the intake stores them as occurrences.
    let columns = vec![key("id"), text(m, "document").not_null().take(), int("created_at").not_null().take()];
    create(m, "internal_event", columns).await
}
