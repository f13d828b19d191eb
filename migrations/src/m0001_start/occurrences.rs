//! Occurrences, the receipts by which repeats are recognised, and internal events.

use crate::column::{bytes, int, key, text, uuid};
use crate::table::{create, create_with, references, run};
use sea_orm_migration::prelude::*;

pub(super) async fn create_tables(m: &SchemaManager<'_>) -> Result<(), DbErr> {
    occurrence(m).await?;
    receipt(m).await?;
    internal_event(m).await
}

const OCCURRENCE_INDEXES: [&str; 2] = [
    // The newest of a kind (`occurrence::list_since`, for the preview of an event), and those that retention removes
    // after their runs (`retention::Old::Occurrences`).
    "CREATE INDEX occurrence_age ON occurrence (received_at)",
    // The occurrences that started nothing, which retention removes by age and by number (`retention::Old::Unmatched`,
    // `UnmatchedUpTo`, `find_unmatched_excess`).
    "CREATE INDEX occurrence_unmatched ON occurrence (received_at) WHERE tasks_started = 0",
];

/// One row for each occurrence. It outlives its object, and therefore has a copy of its name and ids.
async fn occurrence(m: &SchemaManager<'_>) -> Result<(), DbErr> {
    let columns = vec![
        key("id"),
        uuid("uuid").not_null().unique_key().take(),
        text(m, "type_id").not_null().take(),
        text(m, "event_id").not_null().take(),
        text(m, "source").not_null().take(),
        text(m, "external_id"),
        int("occurred_at"),
        int("received_at").not_null().take(),
        int("object_id"),
        text(m, "object_external_id"),
        text(m, "object_name"),
        // The ids of the object's tags at the time, as JSON.
        text(m, "object_tags"),
        int("about_destination"),
        // The number of deliveries that led to the occurrence.
        int("depth").not_null().default(0).take(),
        // The newest revision at the time.
        int("revision_mark").not_null().take(),
        int("tasks_started").not_null().take(),
        // The number of events that did not fire, by reason, as JSON.
        text(m, "reasons").not_null().take(),
        text(m, "data"),
    ];
    create(m, "occurrence", columns).await?;
    run(m, &OCCURRENCE_INDEXES).await
}

const RECEIPT_INDEXES: [&str; 2] = [
    // One receipt for each identity. Finds the receipts of a group (`receipt::find_many`), and the repeats of an
    // occurrence (`receipt::repeats_of`). The external id is second, since a sender has many ids and few sources.
    "CREATE UNIQUE INDEX receipt_identity ON receipt (key_id, external_id, source)",
    // The receipts that have expired (`retention::Old::Receipts`).
    "CREATE INDEX receipt_age ON receipt (created_at)",
];

async fn receipt(m: &SchemaManager<'_>) -> Result<(), DbErr> {
    let columns = vec![
        key("id"),
        int("key_id").not_null().take(),
        text(m, "source").not_null().take(),
        text(m, "external_id").not_null().take(),
        bytes("content_hash").not_null().take(),
        uuid("occurrence").not_null().take(),
        int("tasks_started").not_null().take(),
        int("repeats").not_null().take(),
        int("created_at").not_null().take(),
    ];
    create_with(m, "receipt", columns, |table| {
        table.foreign_key(&mut references("receipt", "key_id", "api_key", ForeignKeyAction::Cascade))
    })
    .await?;
    run(m, &RECEIPT_INDEXES).await
}

/// Internal events that wait until the intake stores them as occurrences.
async fn internal_event(m: &SchemaManager<'_>) -> Result<(), DbErr> {
    let columns = vec![key("id"), int("created_at").not_null().take(), text(m, "document").not_null().take()];
    create(m, "internal_event", columns).await
}
