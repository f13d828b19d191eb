//! Schedules: the runs that they start on one node and on several, what they catch up, and what they leave out.

mod clock;
mod form;
mod zone;

use crate::harness::Database::{self, Postgres, Sqlite};
use crate::harness::{TestInbox, TestServer, TestStore, eventually};
use app::view::run::{RunLine, RunQuery};
use model::id::{ScheduleId, TaskId, TriggerId, WebhookId};
use model::run::Status;
use model::schedule::{Date, ScheduleDraft, TriggerDraft};
use model::time::Timestamp;
use rstest::rstest;
use sea_orm::ConnectionTrait;
use server::clock::Zone;
use server::schedule::worker::Scheduler;
use server::store::figures;
use std::time::Duration;

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

/// Returns the schedule worker of one more node.
fn scheduler(server: &TestServer) -> Scheduler {
    let services = &server.services;
    Scheduler::new(
        services.store.clone(),
        services.clock.clone(),
        Zone::new(services.zone.get()),
        services.wake.clone(),
    )
}

/// Lets the worker look once.
async fn tick(scheduler: &mut Scheduler) {
    scheduler.tick().await.expect("the database is there");
}

/// Saves an enabled schedule that starts today at 00:00 in New York, after `change` has edited its draft.
async fn save(server: &TestServer, name: &str, change: impl FnOnce(&mut ScheduleDraft)) -> ScheduleId {
    let mut draft = ScheduleDraft::new_form(Date::parse("2025-10-16").expect("a date"));
    name.clone_into(&mut draft.name);
    change(&mut draft);
    server.services.backend().schedules.save(None, draft).await.expect("a schedule")
}

/// Saves a schedule that runs each minute.
async fn each_minute(server: &TestServer) -> ScheduleId {
    save(server, "Each Minute", |draft| "minutes".clone_into(&mut draft.unit)).await
}

async fn add_trigger(server: &TestServer, schedule: ScheduleId, task: TaskId) -> TriggerId {
    let draft = TriggerDraft { schedule: schedule.to_string(), task: task.to_string(), enabled: "true".into() };
    server.services.backend().schedules.add_trigger(draft).await.expect("a trigger")
}

/// Makes a webhook that is paused, so that runs stay queued.
async fn paused(server: &TestServer) -> WebhookId {
    let webhook = server.webhook("paused", "http://127.0.0.1:9/", |_| ()).await;
    server.services.backend().webhooks.pause(webhook).await.expect("paused");
    webhook
}

/// Makes a task whose runs stay queued, and a schedule that starts it each minute.
async fn queued_each_minute(server: &TestServer) -> (TaskId, ScheduleId) {
    let task = server.task("t", paused(server).await, "m", false).await;
    let schedule = each_minute(server).await;
    add_trigger(server, schedule, task).await;
    (task, schedule)
}

/// Returns the runs of a task, the newest first.
async fn runs(server: &TestServer, task: &str) -> Vec<RunLine> {
    let deliveries = server.services.backend().deliveries;
    let mut all = Vec::new();
    for page in 1.. {
        let listed =
            deliveries.runs(RunQuery { task: task.to_owned(), page, ..RunQuery::default() }).await.expect("runs");
        all.extend(listed.rows);
        if all.len() as u64 >= listed.total {
            break;
        }
    }
    all
}

/// Returns the statuses of the runs of a task, the oldest first.
async fn statuses(server: &TestServer, task: &str) -> Vec<Status> {
    runs(server, task).await.iter().rev().map(|run| run.status.expect("a status")).collect()
}

/// Returns an instant.
fn at(text: &str) -> Timestamp {
    Timestamp(text.parse::<jiff::Timestamp>().expect("an instant").as_millisecond())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_start_each_run_once() {
    let server = TestServer::start(TestStore::postgres().await).await;
    queued_each_minute(&server).await;
    let mut nodes = [scheduler(&server), scheduler(&server), scheduler(&server)];
    for _ in 0..600 {
        server.advance(MINUTE);
        let [one, two, three] = &mut nodes;
        tokio::join!(tick(one), tick(two), tick(three));
    }
    assert_eq!(statuses(&server, "t").await, vec![Status::Running; 600]);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schedule_sends_the_messages_of_its_tasks(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start(TestStore::new(database).await).await;
    let inbox = TestInbox::start().await;
    let webhook = server.webhook("w", &inbox.url, |_| ()).await;
    let schedule = each_minute(&server).await;
    for name in ["one", "two"] {
        let message = "\"${NAME}|${TASK}|${TYPE}${EVENT}${OBJECT_ID}|${DATE}\"";
        let task = server.task(name, webhook, message, false).await;
        add_trigger(&server, schedule, task).await;
    }
    let mut node = scheduler(&server);
    tick(&mut node).await;
    assert!(runs(&server, "one").await.is_empty(), "nothing is due yet");
    server.set_clock(at("2025-10-16T15:39:00Z"));
    tick(&mut node).await;
    tick(&mut node).await;
    eventually("both messages arrive", async || inbox.received().len() == 2).await;
    let mut bodies: Vec<_> = inbox.received().into_iter().map(|one| one.body).collect();
    bodies.sort();
    let body = |name: &str| format!("\"{name}|{name}||Thu, 16 Oct 2025 11:39:00 EDT\"");
    assert_eq!(bodies, [body("one"), body("two")]);
    let run = runs(&server, "one").await.remove(0);
    assert_eq!((run.cause.as_str(), run.occurrence), ("Started by the schedule Each Minute", None));
    eventually("both runs end", async || {
        statuses(&server, "one").await == [Status::Succeeded] && statuses(&server, "two").await == [Status::Succeeded]
    })
    .await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn disabled_schedules_triggers_and_tasks_start_nothing(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start(TestStore::new(database).await).await;
    let (task, schedule) = queued_each_minute(&server).await;
    let backend = server.services.backend();
    let trigger = backend.schedules.detail(schedule).await.expect("there").triggers[0].id;
    let mut node = scheduler(&server);
    let mut expected = 0;
    for (what, is_enabled) in
        [("trigger", false), ("trigger", true), ("task", false), ("task", true), ("schedule", false)]
    {
        match what {
            "trigger" => backend.schedules.set_trigger_enabled(trigger, is_enabled).await.expect("changed"),
            "task" => backend.tasks.set_enabled(vec![task], is_enabled).await.expect("changed"),
            _ => backend.schedules.set_enabled(vec![schedule], is_enabled).await.expect("changed"),
        }
        server.advance(MINUTE);
        tick(&mut node).await;
        expected += usize::from(is_enabled);
        assert_eq!(runs(&server, "t").await.len(), expected, "{what} {is_enabled}");
    }
    assert!(backend.schedules.detail(schedule).await.expect("there").runs.is_empty());
    server.advance(HOUR * 30);
    backend.schedules.set_enabled(vec![schedule], true).await.expect("enabled");
    tick(&mut node).await;
    assert_eq!(runs(&server, "t").await.len(), expected, "while a schedule is disabled, nothing is missed");
    server.advance(MINUTE);
    tick(&mut node).await;
    assert_eq!(statuses(&server, "t").await, vec![Status::Running; expected + 1]);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_time_task_is_started_once_and_then_deleted_with_its_trigger(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start(TestStore::new(database).await).await;
    let backend = server.services.backend();
    let inbox = TestInbox::start().await;
    let webhook = server.webhook("w", &inbox.url, |_| ()).await;
    backend.webhooks.pause(webhook).await.expect("paused");
    let task = server.task("once", webhook, "m", true).await;
    let schedule = each_minute(&server).await;
    add_trigger(&server, schedule, task).await;
    let mut node = scheduler(&server);
    for _ in 0..3 {
        server.advance(MINUTE);
        tick(&mut node).await;
    }
    assert_eq!(statuses(&server, "once").await, [Status::Running], "it runs, so it is not started again");
    let message = backend.schedules.trigger(schedule, "maria".into()).await.expect_err("it runs already").message;
    assert!(message.contains("running already"), "{message}");
    backend.webhooks.resume(webhook, crate::hold::ALL).await.expect("resumed");
    eventually("the task is deleted", async || backend.tasks.detail(task).await.is_err()).await;
    assert!(backend.schedules.detail(schedule).await.expect("stays").triggers.is_empty());
    server.advance(MINUTE);
    tick(&mut node).await;
    assert_eq!(statuses(&server, "once").await, [Status::Succeeded]);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schedule_that_cannot_be_read_keeps_no_other_from_running(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start(TestStore::new(database).await).await;
    let (task, schedule) = queued_each_minute(&server).await;
    let other = save(&server, "Broken", |draft| "minutes".clone_into(&mut draft.unit)).await;
    add_trigger(&server, other, task).await;
    let set = async |rule: &str| {
        let sql = format!("UPDATE schedule SET rule = {rule} WHERE id = {other}");
        server.services.store.write().execute_unprepared(&sql).await.expect("changed");
    };
    set("'{\"repeat\":{\"unit\":\"moons\"}}'").await;
    let mut node = scheduler(&server);
    for count in 1..=2 {
        server.advance(MINUTE);
        tick(&mut node).await;
        assert_eq!(runs(&server, "t").await.len(), count);
    }
    let names: Vec<_> =
        server.services.backend().schedules.list().await.expect("a list").into_iter().map(|row| row.name).collect();
    assert!(names.contains(&"Each Minute".into()) && !names.contains(&"Broken".into()), "{names:?}");
    set(&format!("(SELECT rule FROM schedule WHERE id = {schedule})")).await;
    server.advance(MINUTE);
    tick(&mut node).await;
    assert_eq!(
        statuses(&server, "t").await,
        [Status::Running, Status::Running, Status::Missed, Status::Running, Status::Running],
        "it caught up what it missed"
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn person_triggers_a_schedule_at_once(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start(TestStore::new(database).await).await;
    let backend = server.services.backend();
    let webhook = paused(&server).await;
    let schedule = each_minute(&server).await;
    let nothing = backend.schedules.trigger(schedule, "maria".into()).await.expect_err("no trigger").message;
    assert!(nothing.contains("starts no task"), "{nothing}");
    for name in ["one", "two", "off"] {
        let task = server.task(name, webhook, "m", false).await;
        add_trigger(&server, schedule, task).await;
        backend.tasks.set_enabled(vec![task], name != "off").await.expect("changed");
    }
    backend.schedules.set_enabled(vec![schedule], false).await.expect("disabled");
    assert_eq!(backend.schedules.trigger(schedule, "maria".into()).await.expect("triggered"), 2);
    assert_eq!(runs(&server, "one").await[0].cause, "Executed by maria");
    assert_eq!((runs(&server, "two").await.len(), runs(&server, "off").await.len()), (1, 0));
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn change_feed_notices_triggers_schedules_and_missed_runs(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start(TestStore::new(database).await).await;
    let backend = server.services.backend();
    let task = server.task("t", paused(&server).await, "m", false).await;
    let mut last = String::new();
    let mut has_changed = async |what: &str| {
        let mark = figures::change_mark(server.services.store.read()).await.expect("a mark");
        assert_ne!(mark, last, "{what}");
        last = mark;
        server.advance(Duration::from_millis(1));
    };
    has_changed("at first").await;
    let schedule = save(&server, "s", |draft| "minutes".clone_into(&mut draft.unit)).await;
    has_changed("a new schedule").await;
    let trigger = add_trigger(&server, schedule, task).await;
    has_changed("a new trigger").await;
    backend.schedules.set_trigger_enabled(trigger, false).await.expect("disabled");
    has_changed("a disabled trigger").await;
    backend.schedules.set_trigger_enabled(trigger, true).await.expect("enabled");
    has_changed("an enabled trigger").await;
    backend.schedules.set_enabled(vec![schedule], false).await.expect("disabled");
    has_changed("a disabled schedule").await;
    backend.schedules.set_enabled(vec![schedule], true).await.expect("enabled");
    has_changed("an enabled schedule").await;
    server.advance(HOUR * 30);
    tick(&mut scheduler(&server)).await;
    has_changed("missed runs").await;
    backend.schedules.delete_trigger(trigger).await.expect("deleted");
    has_changed("a deleted trigger").await;
}
