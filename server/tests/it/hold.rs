//! Holding deliveries by a pause, the breaker, a changed target or a full hold, and releasing them.

use crate::harness::Database::{self, Postgres, Sqlite};
use crate::harness::{Switch, TestInbox, TestServer, TestStore, eventually};
use crate::rows;
use app::view::delivery::DeliveryLine;
use app::view::destination::{Held, ReleaseChoice};
use model::access::Scope;
use model::delivery::Status;
use model::hold::HELD_MAX;
use model::id::WebhookId;
use model::time::Timestamp;
use model::webhook::WebhookDraft;
use rstest::rstest;
use sea_orm::{ConnectionTrait, EntityTrait};
use serde_json::{Value, json};
use server::clock::new_uuid;
use server::engine::held::HeldCounts;
use server::store::{arrange, claim, entity, figures, sweep, webhook};
use std::time::Duration;

pub(crate) fn power_on(id: &str) -> Value {
    json!({"type": "vms", "event": "poweron", "object": {"id": id}})
}

/// Makes a webhook that receives the name of each VM that is powered on, and a key to report with.
pub(crate) async fn prepare(
    server: &TestServer,
    url: &str,
    change: impl FnOnce(&mut WebhookDraft),
) -> (WebhookId, String) {
    let key = server.key("dc", &[Scope::Ingest]).await;
    let webhook = server.webhook("w", url, change).await;
    server.event(server.task("t", webhook, "${NAME}", false).await).await;
    (webhook, key)
}

pub(crate) async fn edit(server: &TestServer, id: WebhookId, change: impl FnOnce(&mut WebhookDraft)) {
    let mut form = server.services.backend().webhooks.load_form(id).await.expect("a form");
    change(&mut form.draft);
    server.services.backend().webhooks.save(Some(id), form.draft).await.expect("saved");
}

/// Confirms the current target and releases all.
async fn confirm(server: &TestServer, id: WebhookId) {
    let webhooks = server.services.backend().webhooks;
    let seen = webhooks.detail(id).await.expect("a webhook").revision;
    webhooks.confirm_target(id, seen, ALL).await.expect("confirmed");
}

pub(crate) fn count(rows: &[DeliveryLine], status: Status) -> usize {
    rows.iter().filter(|row| row.status == Some(status)).count()
}

pub(crate) fn bodies(inbox: &TestInbox) -> Vec<String> {
    let mut bodies: Vec<_> = inbox.received().into_iter().map(|one| one.body.trim_matches('"').to_owned()).collect();
    bodies.sort_unstable();
    bodies
}

pub(crate) const ALL: ReleaseChoice = ReleaseChoice { held: Held::All, per_second: None };

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paused_webhook_holds_all_and_resumes_all_the_newest_or_none(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    for (held, expected) in
        [(Held::All, vec!["", "", "a", "a", "b"]), (Held::Newest, vec!["", "", "a", "b"]), (Held::None, vec![])]
    {
        let inbox = TestInbox::start().await;
        let webhook = server.webhook(&format!("{held:?}"), &inbox.url, |_| ()).await;
        let task = server.task(&format!("{held:?}"), webhook, "\"${data.none}${OBJECT_ID}\"", false).await;
        let event = server.event(task).await;
        let key = server.key(&format!("{held:?}"), &[Scope::Ingest]).await;
        let webhooks = server.services.backend().webhooks;
        webhooks.pause(webhook).await.expect("paused");
        assert!(webhooks.pause(webhook).await.is_err(), "paused already");
        let without_object = json!({"type": "vms", "event": "poweron"});
        server.post(&key, &json!([power_on("a"), without_object, power_on("a"), power_on("b"), without_object])).await;
        server.deliveries_until(|rows| count(rows, Status::Held) == 5).await;
        server.advance(Duration::from_mins(10));
        webhooks.resume(webhook, ReleaseChoice { held, per_second: None }).await.expect("resumed");
        assert!(webhooks.resume(webhook, ALL).await.is_err(), "not paused");
        let rows = server.deliveries_until(|rows| rows.iter().all(DeliveryLine::is_settled)).await;
        assert_eq!(bodies(&inbox), expected, "{held:?}");
        let discarded = rows
            .iter()
            .filter(|row| row.destination.name == format!("{held:?}") && row.status == Some(Status::Discarded));
        assert_eq!(discarded.count(), 5 - expected.len(), "{held:?}");
        server.services.backend().events.delete(vec![event]).await.expect("deleted");
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pause_and_discard_are_visible_in_the_change_feed(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let (webhook, key) = prepare(&server, "http://127.0.0.1:9/", |_| ()).await;
    let webhooks = server.services.backend().webhooks;
    let feed = async || figures::change_mark(server.services.store.read()).await.expect("a state");
    let before = feed().await;
    webhooks.pause(webhook).await.expect("paused");
    assert_ne!(feed().await, before, "the pause");
    server.post(&key, &power_on("a")).await;
    let held = feed().await;
    server.advance(Duration::from_secs(1));
    webhooks.resume(webhook, ReleaseChoice { held: Held::None, per_second: None }).await.expect("resumed");
    let discarded = feed().await;
    assert_ne!(discarded, held, "the held delivery is discarded");
    assert_eq!(feed().await, discarded, "nothing has changed");
}

/// Otherwise a retry in a quiet hour would be shown as queued for as long as its attempt takes.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attempt_under_way_is_visible_in_the_change_feed(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let webhook = rows::webhook(test.store.write(), "w", "http://127.0.0.1:9/").await;
    rows::start(test.store.write(), vec![rows::delivery(webhook)], Timestamp(0)).await;
    let feed = async || figures::change_mark(test.store.read()).await.expect("a state");
    let queued = feed().await;
    let (owner, now) = (new_uuid(Timestamp(0)), Timestamp(1000));
    let plan = [(webhook.into(), 1)];
    assert_eq!(claim::claim(test.store.write(), owner, now, now, &plan).await.expect("claimed").len(), 1);
    assert_ne!(feed().await, queued);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resume_at_a_rate_releases_no_faster(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let inbox = TestInbox::start().await;
    let (webhook, key) = prepare(&server, &inbox.url, |_| ()).await;
    let webhooks = server.services.backend().webhooks;
    webhooks.pause(webhook).await.expect("paused");
    let batch: Vec<_> = (0..10).map(|vm| power_on(&format!("vm-{vm}"))).collect();
    server.post(&key, &json!(batch)).await;
    webhooks.resume(webhook, ReleaseChoice { held: Held::All, per_second: Some(4) }).await.expect("resumed");
    server.deliveries_until(|rows| count(rows, Status::Held) == 10).await;
    server.advance(Duration::from_secs(1));
    server.deliveries_until(|rows| count(rows, Status::Sent) == 4 && count(rows, Status::Held) == 6).await;
    server.advance(Duration::from_secs(1));
    server.deliveries_until(|rows| count(rows, Status::Sent) == 8).await;
    server.advance(Duration::from_secs(1));
    server.deliveries_until(|rows| count(rows, Status::Sent) == 10).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn release_at_a_rate_does_not_catch_up_after_an_outage(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let inbox = TestInbox::start().await;
    let (webhook, key) = prepare(&server, &inbox.url, |_| ()).await;
    let webhooks = server.services.backend().webhooks;
    webhooks.pause(webhook).await.expect("paused");
    let batch: Vec<_> = (0..10).map(|vm| power_on(&format!("vm-{vm}"))).collect();
    server.post(&key, &json!(batch)).await;
    webhooks.resume(webhook, ReleaseChoice { held: Held::All, per_second: Some(1) }).await.expect("resumed");
    for sent in [2, 4] {
        server.advance(Duration::from_hours(1));
        server
            .deliveries_until(|rows| count(rows, Status::Sent) == sent && count(rows, Status::Held) == 10 - sent)
            .await;
    }
    // A pause ends the release, and the next choice counts.
    webhooks.pause(webhook).await.expect("paused");
    server.advance(Duration::from_secs(5));
    server.deliveries_until(|rows| count(rows, Status::Held) == 6).await;
    webhooks.resume(webhook, ReleaseChoice { held: Held::None, per_second: None }).await.expect("resumed");
    server.deliveries_until(|rows| count(rows, Status::Discarded) == 6).await;
    assert_eq!(inbox.received().len(), 4);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changed_target_holds_deliveries_until_it_is_confirmed(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let (old, new) = (Switch::failing().await, TestInbox::start().await);
    let (webhook, key) = prepare(&server, &old.url, |_| ()).await;
    server.post(&key, &power_on("before")).await;
    server
        .deliveries_until(|rows| rows.iter().any(|row| row.attempts == 1 && row.status == Some(Status::Queued)))
        .await;
    edit(&server, webhook, |draft| draft.url.clone_from(&new.url)).await;
    server.post(&key, &power_on("after")).await;
    server.deliveries_until(|rows| count(rows, Status::Sent) == 1 && count(rows, Status::Held) == 1).await;
    server.advance(Duration::from_hours(1));
    server.deliveries_until(|rows| count(rows, Status::Held) == 1).await;
    assert_eq!(bodies(&new), ["after"]);
    // Confirming an older revision does not confirm the current target.
    let refused = server.services.backend().webhooks.confirm_target(webhook, 1, ALL).await.expect_err("changed since");
    assert!(refused.message.contains("Somebody has changed this webhook"), "{refused:?}");
    assert_eq!(bodies(&new), ["after"]);
    confirm(&server, webhook).await;
    server.deliveries_until(|rows| count(rows, Status::Sent) == 2).await;
    assert_eq!(bodies(&new), ["after", "before"]);
    assert_eq!(old.bodies().len(), 1);
    // Resuming decides about deliveries that the pause holds, not about those that wait for a confirmation.
    let unsent = json!({"type": "vms", "event": "poweron", "object": {"id": "unsent"}});
    let webhooks = server.services.backend().webhooks;
    webhooks.pause(webhook).await.expect("paused");
    server.post(&key, &unsent).await;
    edit(&server, webhook, |draft| draft.url.clone_from(&old.url)).await;
    server.post(&key, &unsent).await;
    let none = ReleaseChoice { held: Held::None, per_second: None };
    webhooks.resume(webhook, none).await.expect("resumed");
    server.deliveries_until(|rows| count(rows, Status::Discarded) == 1 && count(rows, Status::Held) == 1).await;
    let seen = webhooks.detail(webhook).await.expect("a webhook").revision;
    webhooks.confirm_target(webhook, seen, none).await.expect("confirmed");
    server.deliveries_until(|rows| count(rows, Status::Discarded) == 2).await;
    edit(&server, webhook, |draft| draft.url.clone_from(&new.url)).await;
    // Another path is the same target and needs no confirmation.
    edit(&server, webhook, |draft| draft.url = format!("{}/other", new.url)).await;
    server.post(&key, &power_on("path")).await;
    server.deliveries_until(|rows| count(rows, Status::Sent) == 3).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_hold_fails_new_deliveries_and_raises_one_alarm(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let inbox = TestInbox::start().await;
    let (webhook, key) = prepare(&server, &inbox.url, |_| ()).await;
    let pager = server.webhook("pager", &inbox.url, |_| ()).await;
    let task = server.task("alarm", pager, "${data.text}", false).await;
    server.event_of(task, |draft| (draft.event, draft.level) = ("alarms.raised".into(), "error".into())).await;
    server.services.backend().webhooks.pause(webhook).await.expect("paused");
    server.post(&key, &power_on("first")).await;
    let db = server.services.store.write();
    let uuid = if server.services.store.is_postgres() { "gen_random_uuid()" } else { "randomblob(16)" };
    let sql = format!(
        "INSERT INTO delivery (id, uuid, destination_id, destination_name, task_name, type_id, event_id, status, body, \
         attempts, next_attempt_at, created_at, hold_reason) SELECT 0 - i, {uuid}, destination_id, destination_name, \
         task_name, type_id, event_id, status, body, attempts, next_attempt_at, created_at, hold_reason \
         FROM delivery, (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 99998) \
         SELECT i FROM n) AS numbers WHERE id = 1"
    );
    db.execute_unprepared(&sql).await.expect("99,999 are held");
    server.post(&key, &json!([power_on("last"), power_on("full-1")])).await;
    server.post(&key, &power_on("full-2")).await;
    let rows = server.deliveries_until(|rows| count(rows, Status::Error) == 2).await;
    let errors =
        rows.iter().filter(|row| row.status == Some(Status::Error)).map(|row| row.error.clone().unwrap_or_default());
    assert!(errors.into_iter().all(|error| error.contains("Too many deliveries are held")));
    assert!(rows.iter().any(|row| row.object == "last" && row.status == Some(Status::Held)));
    eventually("one alarm", async || bodies(&inbox).len() == 1).await;
    assert!(bodies(&inbox)[0].contains("The webhook w has reached its limit of held deliveries"));
    // Executing a task by hand does not exceed the limit either.
    let backend = server.services.backend();
    let delivery = backend.tasks.execute(model::id::TaskId(1), "maria".into()).await.expect("recorded");
    let detail = backend.deliveries.detail(delivery).await.expect("a delivery");
    assert_eq!(detail.line.status, Some(Status::Error));
    assert!(detail.line.error.expect("an error").contains("Too many deliveries are held"));
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn group_does_not_wait_while_a_large_hold_is_counted_again(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let db = test.store.write();
    let webhook = rows::webhook(db, "w", "http://127.0.0.1:9/").await;
    let uuid = if test.store.is_postgres() { "gen_random_uuid()" } else { "randomblob(16)" };
    let sql = format!(
        "INSERT INTO delivery (id, uuid, destination_id, status, hold_reason, attempts, created_at, type_id, event_id, \
         destination_name, task_name, body) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n \
         WHERE i < 2000) SELECT i, {uuid}, {webhook}, 'held', 'paused', 0, 0, 'vms', 'poweron', 'w', 't', '' FROM n"
    );
    db.execute_unprepared(&sql).await.expect("2,000 are held");
    let counts = HeldCounts::new(test.store.clone());
    assert_eq!(counts.room(db, webhook.into()).await.expect("counted"), HELD_MAX - 2000);
    db.execute_unprepared("DELETE FROM delivery WHERE id > 1500").await.expect("deleted");
    // A count by the caller's connection fails: it has no tables.
    let caller = sea_orm::Database::connect("sqlite::memory:").await.expect("opens");
    eventually("the hold is counted again", async || {
        counts.room(&caller, webhook.into()).await.expect("no count of the caller") == HELD_MAX - 1500
    })
    .await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleting_a_webhook_discards_waiting_deliveries_only(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let inbox = TestInbox::start().await;
    let slow = format!("{}/delay/400", inbox.url);
    let key = server.key("dc", &[Scope::Ingest]).await;
    let webhook = server.webhook("w", &slow, |_| ()).await;
    let task = server.task("t", webhook, "${NAME}", false).await;
    let event = server.event(task).await;
    let batch: Vec<_> = (0..12).map(|vm| power_on(&format!("vm-{vm:02}"))).collect();
    server.post(&key, &json!(batch)).await;
    server.deliveries_until(|rows| count(rows, Status::Running) == 8).await;
    let backend = server.services.backend();
    assert!(backend.webhooks.delete(vec![webhook]).await.is_err(), "a task uses the webhook");
    backend.events.delete(vec![event]).await.expect("deleted");
    backend.tasks.delete(vec![task]).await.expect("deleted");
    backend.webhooks.delete(vec![webhook]).await.expect("deleted");
    let rows = server.deliveries_until(|rows| rows.iter().all(DeliveryLine::is_settled)).await;
    assert_eq!((count(&rows, Status::Sent), count(&rows, Status::Discarded)), (8, 4));
    let discarded = rows.iter().find(|row| row.status == Some(Status::Discarded)).expect("one");
    assert_eq!(
        (discarded.error.as_deref(), discarded.destination.name.as_str()),
        (Some("The webhook was deleted."), "w")
    );
    assert_eq!(inbox.received().len(), 8);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sweep_rests_after_a_webhook_with_a_backlog_is_deleted(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let store = &test.store;
    let now = Timestamp(1_000_000);
    let webhook = rows::webhook(store.write(), "w", "http://127.0.0.1:9/").await;
    // More than the transaction of the deletion discards.
    rows::start(store.write(), (0..150).map(|_| rows::delivery(webhook)).collect(), now).await;
    let txn = store.begin_change().await.expect("a transaction");
    assert!(webhook::delete(&txn, webhook, now).await.expect("deleted"));
    arrange::begin(&txn, webhook.into(), false, now).await.expect("begun");
    txn.commit().await.expect("committed");
    assert!(sweep::sweep(store, now, Duration::ZERO).await.expect("swept"), "the rest is discarded");
    assert!(!sweep::sweep(store, now, Duration::ZERO).await.expect("swept"), "nothing is left");
    assert_eq!(entity::delivery::Entity::find().all(store.read()).await.expect("rows").len(), 150);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delivery_queued_past_a_pause_or_deletion_is_caught(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    // Another node may queue deliveries while a webhook is being paused or deleted.
    let server = TestServer::start(test).await;
    let inbox = TestInbox::start().await;
    let (webhook, key) = prepare(&server, &inbox.url, |_| ()).await;
    server.services.backend().webhooks.pause(webhook).await.expect("paused");
    server.post(&key, &json!([power_on("a"), power_on("b")])).await;
    let db = server.services.store.write();
    db.execute_unprepared("UPDATE delivery SET status = 'queued', hold_reason = NULL").await.expect("slipped through");
    server.deliveries_until(|rows| count(rows, Status::Held) == 2).await;
    db.execute_unprepared("UPDATE destination SET deleted_at = 1").await.expect("deleted");
    let rows = server.deliveries_until(|rows| count(rows, Status::Discarded) == 2).await;
    assert_eq!(rows[0].error.as_deref(), Some("The webhook was deleted."));
    assert!(inbox.received().is_empty());
    let failed = failed_runs(&server).await;
    assert_eq!(failed, 2, "their runs have failed");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delivery_held_just_as_its_hold_ends_is_released(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    // Another node may hold deliveries while a webhook is being resumed or its breaker closes.
    let server = TestServer::start(test).await;
    let inbox = TestInbox::start().await;
    let (webhook, key) = prepare(&server, &inbox.url, |_| ()).await;
    server.services.backend().webhooks.pause(webhook).await.expect("paused");
    server.post(&key, &json!([power_on("a"), power_on("b")])).await;
    server.deliveries_until(|rows| count(rows, Status::Held) == 2).await;
    let db = server.services.store.write();
    db.execute_unprepared("UPDATE destination SET paused_at = NULL").await.expect("resumed elsewhere");
    server.deliveries_until(|rows| count(rows, Status::Sent) == 2).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expired_attempt_is_not_repeated_at_a_changed_target(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let (old, new) = (TestInbox::start().await, TestInbox::start().await);
    let (webhook, key) = prepare(&server, &format!("{}/delay/600", old.url), |_| ()).await;
    server.post(&key, &power_on("a")).await;
    server.deliveries_until(|rows| count(rows, Status::Running) == 1).await;
    edit(&server, webhook, |draft| draft.url.clone_from(&new.url)).await;
    // As a sweep releases the lease of a worker that is gone.
    let db = server.services.store.write();
    let sql = "UPDATE delivery SET status = 'queued', lease_owner = NULL, lease_until = NULL";
    db.execute_unprepared(sql).await.expect("released");
    server.services.wake.notify_one();
    server.deliveries_until(|rows| count(rows, Status::Held) == 1).await;
    confirm(&server, webhook).await;
    server.deliveries_until(|rows| count(rows, Status::Sent) == 1).await;
    assert_eq!(bodies(&new), ["a"]);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retry_is_pulled_in_after_the_clock_was_set_back_by_days(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let inbox = TestInbox::start().await;
    let (_, key) = prepare(&server, &format!("{}/status/503", inbox.url), |_| ()).await;
    server.post(&key, &power_on("a")).await;
    server.deliveries_until(|rows| rows.iter().any(|row| row.attempts == 1)).await;
    server.set_clock(Timestamp(server.now().0 - 864_000_000));
    // An hour from now, since the receiver may have asked for it.
    let rows = server
        .deliveries_until(|rows| rows[0].next.as_ref().is_some_and(|next| next.machine.starts_with("2025-10-06T16:38")))
        .await;
    assert_eq!(rows.len(), 1);
}

/// Waits until no run is running. Returns the number of failed runs.
async fn failed_runs(server: &TestServer) -> i64 {
    use sea_orm::Statement;
    let db = server.services.store.read();
    let ask = async |status: &str| {
        let sql = format!("SELECT COUNT(*) AS runs FROM run WHERE status = '{status}'");
        let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), sql)).await;
        row.expect("asked").expect("a row").try_get::<i64>("", "runs").expect("a number")
    };
    eventually("no run is running", async || ask("running").await == 0).await;
    ask("failed").await
}
