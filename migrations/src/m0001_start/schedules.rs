//! Schedules, and the triggers that link them to tasks.
//!
//! A new installation has a schedule for each common rhythm. People may change and delete these schedules.

use crate::column::{boolean, int, key, text};
use crate::table::{create, create_with, references, run};
use sea_orm_migration::prelude::*;

pub(super) async fn create_tables(m: &SchemaManager<'_>) -> Result<(), DbErr> {
    schedule(m).await?;
    schedule_trigger(m).await?;
    insert_installed(m).await
}

const SCHEDULE_INDEXES: [&str; 1] = [
    // The schedules whose run is due (`schedule::list_due`).
    "CREATE INDEX schedule_due ON schedule (next_at) WHERE next_at IS NOT NULL",
];

async fn schedule(m: &SchemaManager<'_>) -> Result<(), DbErr> {
    let columns = vec![
        key("id"),
        text(m, "name").not_null().unique_key().take(),
        text(m, "description").not_null().take(),
        boolean("is_enabled"),
        // Rhythm, start and end, as JSON.
        text(m, "rule").not_null().take(),
        int("revision").not_null().take(),
        // The next run. NULL: there is none. 0: it is still to be computed, which needs the time zone.
        int("next_at"),
        int("created_at").not_null().take(),
        int("updated_at").not_null().take(),
    ];
    create(m, "schedule", columns).await?;
    run(m, &SCHEDULE_INDEXES).await
}

const SCHEDULE_TRIGGER_INDEXES: [&str; 2] = [
    // A schedule starts a task once. Finds the triggers of a schedule (`trigger::list_of`, `count`).
    "CREATE UNIQUE INDEX schedule_trigger_pair ON schedule_trigger (schedule_id, task_id)",
    // The triggers that start a task (`trigger::list_starting`), and the foreign key.
    "CREATE INDEX schedule_trigger_task ON schedule_trigger (task_id)",
];

async fn schedule_trigger(m: &SchemaManager<'_>) -> Result<(), DbErr> {
    let columns = vec![
        key("id"),
        int("schedule_id").not_null().take(),
        int("task_id").not_null().take(),
        boolean("is_enabled"),
        int("created_at").not_null().take(),
    ];
    create_with(m, "schedule_trigger", columns, |table| {
        table
            .foreign_key(&mut references("schedule_trigger", "schedule_id", "schedule", ForeignKeyAction::Restrict))
            .foreign_key(&mut references("schedule_trigger", "task_id", "task", ForeignKeyAction::Restrict))
    })
    .await?;
    run(m, &SCHEDULE_TRIGGER_INDEXES).await
}

/// The schedules of a new installation: name, description, and rhythm. Each begins with a Monday that is the first day of
/// a month and of a year.
const INSTALLED: [(&str, &str, &str); 5] = [
    ("Hourly", "Every hour, on the hour.", r#"{"unit":"hours","every":1,"window":null}"#),
    ("Daily at Midnight", "Every day at 00:00.", r#"{"unit":"days","every":1,"weekdays":127}"#),
    ("Weekly", "Every Monday at 00:00.", r#"{"unit":"weeks","every":1}"#),
    ("Monthly", "The first day of each month at 00:00.", r#"{"unit":"months","every":1,"day":"first"}"#),
    ("Yearly", "January 1 at 00:00.", r#"{"unit":"years","every":1}"#),
];

async fn insert_installed(m: &SchemaManager<'_>) -> Result<(), DbErr> {
    for (name, description, repeat) in INSTALLED {
        let rule = format!(r#"{{"repeat":{repeat},"start":{{"date":"2024-01-01","at":"00:00"}},"ends":null}}"#);
        let sql = format!(
            "INSERT INTO schedule (name, description, is_enabled, rule, revision, next_at, created_at, updated_at) \
             VALUES ('{name}', '{description}', TRUE, '{rule}', 1, 0, 0, 0)"
        );
        run(m, &[&sql]).await?;
    }
    Ok(())
}
