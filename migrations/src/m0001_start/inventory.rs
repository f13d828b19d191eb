//! The catalogue of administrators, the objects of the managed systems, and their tags.

use crate::column::{boolean, int, key, text};
use crate::table::{create, create_with, references, run};
use sea_orm_migration::prelude::*;

pub(super) async fn create_tables(m: &SchemaManager<'_>) -> Result<(), DbErr> {
    object_type(m).await?;
    object_event(m).await?;
    unknown_kind(m).await?;
    tag_category(m).await?;
    tag(m).await?;
    object(m).await?;
    object_tag(m).await
}

/// The object types of administrators. The built-in ones are in the code.
async fn object_type(m: &SchemaManager<'_>) -> Result<(), DbErr> {
    let columns = vec![
        text(m, "id").not_null().primary_key().take(),
        text(m, "singular").not_null().take(),
        text(m, "plural").not_null().take(),
        boolean("has_objects"),
        boolean("has_tags"),
        int("created_at").not_null().take(),
    ];
    create(m, "object_type", columns).await
}

/// The event types of administrators, for built-in object types too.
async fn object_event(m: &SchemaManager<'_>) -> Result<(), DbErr> {
    let columns = vec![
        text(m, "type_id").not_null().take(),
        text(m, "event_id").not_null().take(),
        text(m, "label").not_null().take(),
        int("created_at").not_null().take(),
    ];
    create_with(m, "object_event", columns, |table| {
        table.primary_key(Index::create().col(Alias::new("type_id")).col(Alias::new("event_id")))
    })
    .await
}

/// Types and events that were reported and are not in the catalogue.
async fn unknown_kind(m: &SchemaManager<'_>) -> Result<(), DbErr> {
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

async fn tag_category(m: &SchemaManager<'_>) -> Result<(), DbErr> {
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
    create(m, "tag_category", columns).await
}

const TAG_INDEXES: [&str; 1] = [
    // Names are unique within a category. Finds the tags of a category (`tag::delete_category`).
    "CREATE UNIQUE INDEX tag_name ON tag (category_id, name)",
];

async fn tag(m: &SchemaManager<'_>) -> Result<(), DbErr> {
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
    run(m, &TAG_INDEXES).await
}

const OBJECT_INDEXES: [&str; 2] = [
    // External ids are unique within a type. Finds the objects that occurrences name by id (`object::find_wanted`).
    "CREATE UNIQUE INDEX object_external_id ON object (type_id, external_id)",
    // Finds objects by name (`object::find_wanted`), also the one without an id among thousands of the same name, and
    // lists a type by name (`object::list_of`, `search`).
    "CREATE INDEX object_name ON object (type_id, name, external_id)",
];

async fn object(m: &SchemaManager<'_>) -> Result<(), DbErr> {
    let columns = vec![
        key("id"),
        text(m, "type_id").not_null().take(),
        text(m, "external_id"),
        text(m, "name").not_null().take(),
        int("created_at").not_null().take(),
        int("updated_at").not_null().take(),
        // Set for an object that is no longer in the inventory, but is named by an event.
        int("gone_at"),
    ];
    create(m, "object", columns).await?;
    run(m, &OBJECT_INDEXES).await
}

const OBJECT_TAG_INDEXES: [&str; 1] = [
    // The objects with a tag (`tag::counts`, `count_objects`), and the foreign key when a tag is deleted.
    "CREATE INDEX object_tag_tag ON object_tag (tag_id)",
];

async fn object_tag(m: &SchemaManager<'_>) -> Result<(), DbErr> {
    let columns = vec![int("object_id").not_null().take(), int("tag_id").not_null().take()];
    create_with(m, "object_tag", columns, |table| {
        table
            .primary_key(Index::create().col(Alias::new("object_id")).col(Alias::new("tag_id")))
            .foreign_key(&mut references("object_tag", "object_id", "object", ForeignKeyAction::Cascade))
            .foreign_key(&mut references("object_tag", "tag_id", "tag", ForeignKeyAction::Cascade))
    })
    .await?;
    run(m, &OBJECT_TAG_INDEXES).await
}
