//! Runs, deliveries and attempts: the queue and its history.

use crate::column::{bytes, int, key, text, uuid};
use crate::table::{create_with, references, run};
use sea_orm_migration::prelude::*;

pub(super) async fn create_tables(m: &SchemaManager<'_>) -> Result<(), DbErr> {
    run_table(m).await?;
    delivery(m).await?;
    attempt(m).await
}

const RUN_INDEXES: [&str; 3] = [
    // The runs of a task (`search::runs`), its last run (`figures::failed_tasks`), and the foreign key.
    "CREATE INDEX run_task ON run (task_id, id)",
    // The runs of an occurrence (`run::list_started_by`), whether it has one left (`retention`), and the foreign key.
    "CREATE INDEX run_occurrence ON run (occurrence_id)",
    // The ended runs that have no deliveries, which retention removes by age (`retention::Old::EmptyRuns`).
    "CREATE INDEX run_ended ON run (ended_at) WHERE ended_at IS NOT NULL",
];

/// One row for each run. It outlives its task, and therefore has a copy of its name.
async fn run_table(m: &SchemaManager<'_>) -> Result<(), DbErr> {
    let columns = vec![
        key("id"),
        uuid("uuid").not_null().unique_key().take(),
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
    create_with(m, "run", columns, |table| {
        table
            .foreign_key(&mut references("run", "task_id", "task", ForeignKeyAction::SetNull))
            .foreign_key(&mut references("run", "occurrence_id", "occurrence", ForeignKeyAction::SetNull))
    })
    .await?;
    run(m, &RUN_INDEXES).await
}

const DELIVERY_INDEXES: [&str; 11] = [
    // Queued: the destinations that have any, and the oldest due deliveries of each (`claim::claim`, `arrange`).
    "CREATE INDEX delivery_due ON delivery (destination_id, next_attempt_at, id) WHERE status = 'queued'",
    // Queued: when the next one is due (`claim::next_due`), due times after a clock was set back (`sweep`), and their
    // number (`figures::queue`).
    "CREATE INDEX delivery_next ON delivery (next_attempt_at) WHERE status = 'queued'",
    // Running: leases that have run out (`claim::release_expired`, `sweep`), and the deliveries in flight on all nodes
    // (`claim::lock_claims`, `figures::queue`).
    "CREATE INDEX delivery_leased ON delivery (lease_until) WHERE status = 'running'",
    // Held: by reason and destination, the earliest due first (`hold`, `arrange`, `sweep`, `figures`). Each destination
    // that holds for a reason is found by one search.
    "CREATE INDEX delivery_held ON delivery (hold_reason, destination_id, next_attempt_at, id) WHERE status = 'held'",
    // Waiting replays that go to an earlier target, which no breaker and no rate holds (`arrange`).
    "CREATE INDEX delivery_as_it_was ON delivery (destination_id, status, next_attempt_at, id) \
     WHERE replay_revision IS NOT NULL AND settled_at IS NULL",
    // Not settled: the age of the oldest (`figures::queue`), and their number by hour (`figures::by_hour`).
    "CREATE INDEX delivery_waiting ON delivery (created_at, id) WHERE settled_at IS NULL",
    // Settled: figures (`figures::by_hour`, `receipt_times`), the newest end (`figures::change_mark`), and those that
    // retention removes by age (`retention::Old::Settled`).
    "CREATE INDEX delivery_settled ON delivery (settled_at, status) WHERE settled_at IS NOT NULL",
    // Failed: the list of the dashboard (`figures::failures`), and lists filtered by this status (`search`).
    "CREATE INDEX delivery_failed ON delivery (id) WHERE status = 'error'",
    // All: lists filtered by time (`search`).
    "CREATE INDEX delivery_created ON delivery (created_at)",
    // All: the newest of a destination (`delivery::list_newest`), and those that retention removes by number
    // (`retention::find_excess`, `Old::OfDestination`).
    "CREATE INDEX delivery_destination ON delivery (destination_id, id)",
    // All: the deliveries of a run (`delivery::list_of_runs`), whether a run has ended (`run::end_settled`) or has any
    // left (`retention`), and the foreign key.
    "CREATE INDEX delivery_run ON delivery (run_id)",
];

/// One row for each delivery, waiting or settled. It has copies of the names that its destination, its task and its
/// object had.
async fn delivery(m: &SchemaManager<'_>) -> Result<(), DbErr> {
    let columns = vec![
        key("id"),
        uuid("uuid").not_null().unique_key().take(),
        int("run_id").not_null().take(),
        int("destination_id").not_null().take(),
        text(m, "status").not_null().take(),
        text(m, "hold_reason"),
        int("next_attempt_at"),
        uuid("lease_owner"),
        int("lease_until"),
        // The number of claims. Unlike its attempts, claims count an attempt that could not be recorded.
        int("claims").not_null().default(0).take(),
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
    create_with(m, "delivery", columns, |table| {
        table
            .foreign_key(&mut references("delivery", "run_id", "run", ForeignKeyAction::Cascade))
            .foreign_key(&mut references("delivery", "destination_id", "destination", ForeignKeyAction::Restrict))
    })
    .await?;
    run(m, &DELIVERY_INDEXES).await
}

const ATTEMPT_INDEXES: [&str; 1] = [
    // The attempts of a delivery (`delivery::list_attempts`), those that are on record (`without_recorded`), the one
    // whose response is removed (`settle_many`), and the foreign key.
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
    create_with(m, "attempt", columns, |table| {
        table.foreign_key(&mut references("attempt", "delivery_id", "delivery", ForeignKeyAction::Cascade))
    })
    .await?;
    run(m, &ATTEMPT_INDEXES).await
}
