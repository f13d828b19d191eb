//! Runs, deliveries and attempts: the queue and its history.
//!
//! These tables have no foreign keys. PostgreSQL checks each key by a query of its own that locks the row referred to,
//! and a delivery would have five: a fifth of its cost. A run may name a task that was deleted since; destinations are
//! never deleted; and `store::retention` removes deliveries with their attempts, then runs, then occurrences.

use crate::column::{bytes, int, key, text, uuid};
use crate::table::{create, run};
use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

pub(super) async fn create_tables(m: &SchemaManager<'_>) -> Result<(), DbErr> {
    node(m).await?;
    run_table(m).await?;
    delivery(m).await?;
    attempt(m).await
}

async fn on_postgres(m: &SchemaManager<'_>, statements: &[&str]) -> Result<(), DbErr> {
    if m.get_database_backend() == DbBackend::Postgres { run(m, statements).await } else { Ok(()) }
}

/// One row for each node on PostgreSQL that is present.
async fn node(m: &SchemaManager<'_>) -> Result<(), DbErr> {
    create(m, "node", vec![uuid("id").not_null().primary_key().take(), int("seen_at").not_null().take()]).await
}

const RUN_INDEXES: [&str; 3] = [
    // The runs of a task (`search::runs`), its last run (`figures::failed_tasks`).
    "CREATE INDEX run_task ON run (task_id, id)",
    // The runs of an occurrence (`run::list_started_by`), whether it has one left (`retention`).
    "CREATE INDEX run_occurrence ON run (occurrence_id)",
    // The runs that never have deliveries, since they were missed: retention removes them by age
    // (`retention::Old::EmptyRuns`). No column that changes is in an index, so PostgreSQL ends a run in place.
    "CREATE INDEX run_missed ON run (started_at) WHERE note IS NOT NULL",
];

/// One row for each run. A run outlives its task, and therefore has a copy of its name. Deleting a task changes none of its
/// runs, of which there may be millions.
async fn run_table(m: &SchemaManager<'_>) -> Result<(), DbErr> {
    let columns = vec![
        key("id"),
        int("task_id"),
        text(m, "task_name").not_null().take(),
        // The name without its case, for searches. NULL where that is the name itself, as for each such column.
        text(m, "task_folded"),
        text(m, "cause").not_null().take(),
        // The name of the person or the schedule.
        text(m, "caused_by"),
        int("occurrence_id"),
        // The ids of the events that fired, separated by commas.
        text(m, "event_ids").not_null().take(),
        text(m, "status").not_null().take(),
        int("started_at").not_null().take(),
        int("ended_at"),
        // The runs that a run of the status `missed` stands for.
        text(m, "note"),
    ];
    create(m, "run", columns).await?;
    run(m, &RUN_INDEXES).await?;
    on_postgres(m, &["ALTER TABLE run SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05)"]).await
}

const DELIVERY_INDEXES: [&str; 8] = [
    // Queued: the destinations that have any, the oldest due deliveries of each (`claim::claim`, `arrange`), and due times
    // after a clock was set back (`set_back`).
    "CREATE INDEX delivery_due ON delivery (destination_id, next_attempt_at, id) WHERE status = 'queued'",
    // Running: leases that have run out (`lease::return_expired`, `sweep`), those of a node
    // (`lease::give_back_unknown`), and their number (`figures::queue`).
    "CREATE INDEX delivery_leased ON delivery (lease_until) WHERE status = 'running'",
    // Held: by reason and destination, the earliest due first (`hold`, `arrange`, `sweep`, `figures`). Each destination
    // that holds for a reason is found by one search.
    "CREATE INDEX delivery_held ON delivery (hold_reason, destination_id, next_attempt_at, id) WHERE status = 'held'",
    // Held replays that go to an earlier target, which no breaker and no rate holds (`arrange`). COALESCE keeps
    // PostgreSQL from the index of all that is held, as below.
    "CREATE INDEX delivery_replays ON delivery (destination_id) \
     WHERE replay_revision IS NOT NULL AND COALESCE(status, '') = 'held'",
    // Queued and held: the age of the oldest (`figures::queue`), and their number by hour (`figures::waiting_by_hour`). Most
    // deliveries never are: they are sent at once. COALESCE keeps it from other queries: where the statistics say that
    // nothing waits, each index of what waits is as good to PostgreSQL, and it would read all that is held.
    "CREATE INDEX delivery_waiting ON delivery (created_at) WHERE COALESCE(settled_at, 0) = 0 AND status <> 'running'",
    // Settled: figures (`figures::settled_by_hour`, `receipt_times`), the newest end (`figures::change_mark`), and those that
    // retention removes by age (`retention::Old::Settled`).
    "CREATE INDEX delivery_settled ON delivery (settled_at, status) WHERE settled_at IS NOT NULL",
    // Failed: the list of the dashboard (`figures::failures`), and lists filtered by this status (`search`). Lists since
    // an instant need no index: ids rise with time (`window::first_since`).
    "CREATE INDEX delivery_failed ON delivery (id) WHERE status = 'error'",
    // All: the newest of a destination (`delivery::list_newest`), and those that retention removes by number
    // (`retention::find_excess`, `Old::OfDestination`).
    "CREATE INDEX delivery_destination ON delivery (destination_id, id)",
];

/// One row for each delivery, waiting or settled. A run has one delivery at most, with its id. A delivery has copies of the names that its destination, its task and its
/// object had.
async fn delivery(m: &SchemaManager<'_>) -> Result<(), DbErr> {
    let columns = vec![
        // That of its run.
        int("id").not_null().primary_key().take(),
        uuid("uuid").not_null().unique_key().take(),
        int("destination_id").not_null().take(),
        text(m, "status").not_null().take(),
        text(m, "hold_reason"),
        int("next_attempt_at"),
        uuid("lease_owner"),
        int("lease_until"),
        // The number of claims. Unlike its attempts, claims count an attempt that could not be recorded.
        int("claims").not_null().default(0).take(),
        // The number of attempts of which the beginning was noted: those of a delivery with many claims and no record.
        int("begins"),
        int("attempts").not_null().take(),
        int("created_at").not_null().take(),
        int("settled_at"),
        // The number of deliveries that led to this one.
        int("depth").not_null().default(0).take(),
        // The destination's revision when the delivery was queued. A replay as of its revision uses it.
        int("destination_revision").not_null().default(0).take(),
        int("replay_of"),
        // Set if the delivery is sent to the target of that revision.
        int("replay_revision"),
        int("status_code"),
        text(m, "error_code"),
        int("duration_ms"),
        text(m, "type_id").not_null().take(),
        text(m, "event_id").not_null().take(),
        text(m, "destination_name").not_null().take(),
        text(m, "destination_folded"),
        text(m, "task_name").not_null().take(),
        text(m, "task_folded"),
        int("object_id"),
        text(m, "object_name"),
        text(m, "object_folded"),
        text(m, "error"),
        // Notes on the message, one on each line.
        text(m, "notes"),
        // The recipients of an e-mail, with the server's reply to each, as JSON.
        text(m, "recipients"),
        bytes("body").not_null().take(),
    ];
    create(m, "delivery", columns).await?;
    run(m, &DELIVERY_INDEXES).await?;
    on_postgres(m, &["ALTER TABLE delivery SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05)"]).await
}

const ATTEMPT_INDEXES: [&str; 1] = [
    // The attempts of a delivery (`delivery::list_attempts`), those that are on record (`without_recorded`), the one
    // whose response is removed (`settle_many`).
    "CREATE INDEX attempt_delivery ON attempt (delivery_id, number)",
];

async fn attempt(m: &SchemaManager<'_>) -> Result<(), DbErr> {
    let columns = vec![
        key("id"),
        int("delivery_id").not_null().take(),
        int("number").not_null().take(),
        int("destination_revision").not_null().take(),
        int("started_at").not_null().take(),
        int("duration_ms").not_null().take(),
        int("connect_ms"),
        int("first_byte_ms"),
        int("status_code"),
        text(m, "error_code"),
        text(m, "error"),
        text(m, "response_note"),
        text(m, "response_headers").not_null().take(),
        bytes("response_body").not_null().take(),
    ];
    create(m, "attempt", columns).await?;
    run(m, &ATTEMPT_INDEXES).await
}
