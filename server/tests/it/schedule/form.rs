//! Saving and deleting schedules and triggers.

use super::{add_trigger, at, each_minute, paused, queued_each_minute, save, scheduler, tick};
use crate::harness::Database::{self, Postgres, Sqlite};
use crate::harness::{TestServer, TestStore};
use app::error::{AppError, Code};
use model::id::ScheduleId;
use model::schedule::{Date, ScheduleDraft, TriggerDraft};
use model::time::Timestamp;
use rstest::rstest;
use server::store::schedule;

/// Returns the stored next run.
async fn due(server: &TestServer, id: ScheduleId) -> Option<Timestamp> {
    schedule::find(server.services.store.read(), id).await.expect("read").expect("there").next_at
}

/// Returns the first wrong field.
fn field(error: &AppError) -> &str {
    error.fields.0.first().map_or("", |one| one.field.as_str())
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_installation_has_five_schedules_that_are_planned_at_the_first_look(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start(TestStore::new(database).await).await;
    let schedules = server.services.backend().schedules;
    tick(&mut scheduler(&server)).await;
    let found: Vec<_> = schedules
        .list()
        .await
        .expect("a list")
        .into_iter()
        .map(|row| (row.name, row.is_enabled, row.next.expect("a next run").machine))
        .collect();
    let row = |name: &str, next: &str| (name.to_owned(), true, next.to_owned());
    assert_eq!(
        found,
        [
            row("Daily at Midnight", "2025-10-17T04:00:00.000Z"),
            row("Hourly", "2025-10-16T16:00:00.000Z"),
            row("Monthly", "2025-11-01T04:00:00.000Z"),
            row("Weekly", "2025-10-20T04:00:00.000Z"),
            row("Yearly", "2026-01-01T05:00:00.000Z"),
        ]
    );
    let all = schedules.list().await.expect("a list");
    for row in &all {
        let draft = schedules.load_form(Some(row.id)).await.expect("a form").draft;
        schedules.save(Some(row.id), draft).await.expect("saved as it is");
    }
    schedules.delete(all.into_iter().map(|row| row.id).collect()).await.expect("deleted");
    assert!(schedules.list().await.expect("a list").is_empty());
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schedule_that_never_runs_is_refused(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start(TestStore::new(database).await).await;
    let schedules = server.services.backend().schedules;
    let draft = |change: &dyn Fn(&mut ScheduleDraft)| {
        let mut draft = ScheduleDraft::new_form(Date::parse("2025-10-01").expect("a date"));
        draft.name = "s".into();
        change(&mut draft);
        draft
    };
    let never = draft(&|draft| draft.unit = "never".into());
    let ended = draft(&|draft| {
        draft.never_ends = String::new();
        draft.end_date = "2025-10-16".into();
    });
    for (draft, wrong) in [(never, "start_date"), (ended, "end_date")] {
        let error = schedules.save(None, draft.clone()).await.expect_err("refused");
        assert_eq!(field(&error), wrong, "{error:?}");
        let error = schedules.preview(draft).await.expect_err("refused");
        assert_eq!(field(&error), wrong, "{error:?}");
    }
    let until_tomorrow = draft(&|draft| {
        draft.never_ends = String::new();
        draft.end_date = "2025-10-17".into();
    });
    assert_eq!(schedules.preview(until_tomorrow.clone()).await.expect("a preview").runs.len(), 1);
    let id = schedules.save(None, until_tomorrow).await.expect("saved");
    let same = draft(&|_| ());
    assert_eq!(field(&schedules.save(None, same).await.expect_err("the name is taken")), "name");
    schedules.set_enabled(vec![id], false).await.expect("disabled");
    server.set_clock(at("2025-10-18T00:00:00Z"));
    let error = schedules.set_enabled(vec![id], true).await.expect_err("it has ended");
    assert!(error.message.contains("no run to come"), "{error:?}");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ended_schedule_can_be_renamed_and_disabled_in_its_form(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start(TestStore::new(database).await).await;
    let schedules = server.services.backend().schedules;
    let id = save(&server, "s", |draft| {
        draft.never_ends = String::new();
        draft.end_date = "2025-10-17".into();
    })
    .await;
    server.set_clock(at("2025-10-18T00:00:00Z"));
    tick(&mut scheduler(&server)).await;
    let load = async || schedules.load_form(Some(id)).await.expect("a form").draft;
    let renamed = ScheduleDraft { name: "old".into(), description: "ended".into(), ..load().await };
    schedules.save(Some(id), renamed).await.expect("renamed");
    assert_eq!((load().await.name.as_str(), due(&server, id).await), ("old", None));
    let moved = ScheduleDraft { end_date: "2025-10-16".into(), ..load().await };
    assert_eq!(field(&schedules.save(Some(id), moved).await.expect_err("it never runs")), "end_date");
    schedules.save(Some(id), ScheduleDraft { enabled: String::new(), ..load().await }).await.expect("disabled");
    let again = ScheduleDraft { enabled: "true".into(), ..load().await };
    assert_eq!(field(&schedules.save(Some(id), again).await.expect_err("it has ended")), "end_date");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn saving_a_schedule_plans_its_next_run_anew(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start(TestStore::new(database).await).await;
    let schedules = server.services.backend().schedules;
    let id = each_minute(&server).await;
    let next = async || schedules.detail(id).await.expect("there").runs.first().map(|at| at.machine.clone());
    assert_eq!(next().await.as_deref(), Some("2025-10-16T15:39:00.000Z"));
    let opened = schedules.load_form(Some(id)).await.expect("a form").draft;
    let later = ScheduleDraft { unit: "hours".into(), ..opened.clone() };
    schedules.save(Some(id), later).await.expect("saved");
    assert_eq!(next().await.as_deref(), Some("2025-10-16T16:00:00.000Z"));
    let draft = schedules.load_form(Some(id)).await.expect("a form").draft;
    server.set_clock(at("2025-10-16T16:00:00Z"));
    schedules.save(Some(id), ScheduleDraft { description: "d".into(), ..draft }).await.expect("saved");
    schedules.set_enabled(vec![id], true).await.expect("enabled as before");
    assert_eq!(due(&server, id).await, Some(at("2025-10-16T16:00:00Z")), "the run that is due still starts");
    let error = schedules.save(Some(id), opened).await.expect_err("another person has saved it");
    assert_eq!(error.code, Code::Conflict);
    assert!(error.versions.iter().any(|versions| versions.field == "Unit"), "{error:?}");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schedules_and_tasks_with_triggers_are_not_deleted(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start(TestStore::new(database).await).await;
    let backend = server.services.backend();
    let (task, schedule) = queued_each_minute(&server).await;
    let detail = backend.tasks.detail(task).await.expect("there");
    let [trigger] = &detail.schedules[..] else { panic!("{detail:?}") };
    assert_eq!((trigger.schedule.as_str(), trigger.task.as_str()), ("Each Minute", "t"));
    assert!(trigger.next.is_some());

    let error = backend.tasks.delete(vec![task]).await.expect_err("in use");
    assert_eq!((error.links.len(), error.links[0].href.clone()), (1, format!("/schedules/{schedule}")));
    assert_eq!(error.message, "The task t is used by the schedule Each Minute. Nothing was deleted.");
    let error = backend.schedules.delete(vec![schedule]).await.expect_err("in use");
    assert_eq!((error.links.len(), error.links[0].href.clone()), (1, format!("/tasks/{task}")));

    backend.schedules.delete_trigger(trigger.id).await.expect("deleted");
    assert_eq!(backend.schedules.delete_trigger(trigger.id).await.expect_err("gone").code, Code::NotFound);
    backend.schedules.delete(vec![schedule]).await.expect("deleted");
    backend.tasks.delete(vec![task]).await.expect("deleted");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trigger_names_a_schedule_and_a_task_once(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start(TestStore::new(database).await).await;
    let schedules = server.services.backend().schedules;
    let task = server.task("t", paused(&server).await, "m", false).await;
    let schedule = save(&server, "s", |_| ()).await;
    let form = schedules.trigger_form(Some(schedule), Some(task)).await.expect("a form");
    assert_eq!(form.schedules.len(), 6);
    assert_eq!((form.schedule.expect("chosen").label, form.task.expect("chosen").label), ("s".into(), "t".into()));
    add_trigger(&server, schedule, task).await;
    for (schedule, task, wrong) in [
        (schedule.to_string(), "t".to_owned(), "task"),
        ("999".into(), "999".into(), "schedule"),
        (schedule.to_string(), "no".into(), "task"),
    ] {
        let draft = TriggerDraft { schedule, task, enabled: "true".into() };
        let error = schedules.add_trigger(draft).await.expect_err("refused");
        assert_eq!(field(&error), wrong, "{error:?}");
    }
}
