//! Schedules, and the triggers that link them to tasks; a note on a run.
//!
//! A new installation has a schedule for each common rhythm. People may change and delete these schedules.

use crate::column::{boolean, int, key, text};
use crate::table::{create, create_with, index, references};
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// The schedules of a new installation: name, description, and rhythm. Each begins with a Monday that is the first day of a
/// month and of a year.
const INSTALLED: [(&str, &str, &str); 5] = [
    ("Hourly", "Every hour, on the hour.", r#"{"unit":"hours","every":1,"window":null}"#),
    ("Daily at Midnight", "Every day at 00:00.", r#"{"unit":"days","every":1,"weekdays":127}"#),
    ("Weekly", "Every Monday at 00:00.", r#"{"unit":"weeks","every":1}"#),
    ("Monthly", "The first day of each month at 00:00.", r#"{"unit":"months","every":1,"day":"first"}"#),
    ("Yearly", "January 1 at 00:00.", r#"{"unit":"years","every":1}"#),
];

#[async_trait::async_trait]
#[expect(elided_lifetimes_in_paths, reason = "the trait declares its methods so")]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, m: &SchemaManager) -> Result<(), DbErr> {
        let columns = vec![
            key("id"),
            text(m, "name").not_null().unique_key().take(),
            text(m, "description").not_null().take(),
            boolean("is_enabled"),
            // Rhythm, start and end, as a document.
            text(m, "rule").not_null().take(),
            int("revision").not_null().take(),
            // The next run. NULL: there is none. 0: it is still to be computed, which needs the time zone.
            int("next_at"),
            int("created_at").not_null().take(),
            int("updated_at").not_null().take(),
        ];
        create(m, "schedule", columns).await?;
        index(m, "schedule_due", "schedule", false, "(next_at) WHERE next_at IS NOT NULL").await?;

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
        index(m, "schedule_trigger_pair", "schedule_trigger", true, "(schedule_id, task_id)").await?;
        index(m, "schedule_trigger_task", "schedule_trigger", false, "(task_id)").await?;

        for (name, description, repeat) in INSTALLED {
            let rule = format!(r#"{{"repeat":{repeat},"start":{{"date":"2024-01-01","at":"00:00"}},"ends":null}}"#);
            let sql = format!(
                "INSERT INTO schedule (name, description, is_enabled, rule, revision, next_at, created_at, updated_at) \
                 VALUES ('{name}', '{description}', TRUE, '{rule}', 1, 0, 0, 0)"
            );
            m.get_connection().execute_unprepared(&sql).await?;
        }

        // The runs that a run of the status `missed` stands for.
        let mut note = text(m, "note");
        m.alter_table(Table::alter().table(Alias::new("run")).add_column(&mut note).to_owned()).await
    }

    /// Schedules are lost, with what was missed.
    async fn down(&self, m: &SchemaManager) -> Result<(), DbErr> {
        m.get_connection().execute_unprepared("DELETE FROM run WHERE status = 'missed'").await?;
        m.alter_table(Table::alter().table(Alias::new("run")).drop_column(Alias::new("note")).to_owned()).await?;
        for table in ["schedule_trigger", "schedule"] {
            m.drop_table(Table::drop().table(Alias::new(table)).to_owned()).await?;
        }
        Ok(())
    }
}
