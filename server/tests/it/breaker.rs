//! The breaker: when it opens, which probes are sent and when, which deliveries it holds, and what releases them.

use crate::harness::Database::{self, Postgres, Sqlite};
use crate::harness::{
    Gate, Switch, TestInbox, TestServer, TestStore, begin_holding, eventually, until_lock_is_awaited,
};
use crate::hold::{ALL, bodies, count, edit, power_on, prepare};
use crate::rows;
use app::view::delivery::DeliveryLine;
use app::view::destination::{Held, ReleaseChoice};
use model::breaker::{Breaker, Open};
use model::delivery::Status;
use model::hold::HoldReason;
use model::id::{DeliveryId, WebhookId};
use model::time::Timestamp;
use rstest::rstest;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder};
use serde_json::json;
use server::store::delivery::NewDelivery;
use server::store::figures::{self, HeldCount};
use server::store::{Store, claim, entity, hold, lease, sweep, webhook};
use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

const NOW: Timestamp = Timestamp(1_000_000);
/// Time after which a probe counts as lost: the timeout of the webhook and the margin.
const LOST_AFTER: Duration = Duration::from_secs(15);
const MARGIN: Duration = Duration::from_secs(10);

/// Inserts a webhook whose breaker is open and may probe at [`NOW`], and a held delivery for each of these due times.
async fn opened(store: &Store, due: &[Timestamp]) -> WebhookId {
    let db = store.write();
    let id = rows::webhook(db, "w", "http://127.0.0.1:9/").await;
    let open = Some(Open { since: Timestamp(0), wait: Duration::from_secs(30), probe_at: NOW, is_probing: false });
    hold::save_breaker(db, id.into(), &Breaker { failures: 10, open, is_hanging: false }).await.expect("opened");
    for due in due {
        let new = NewDelivery { hold: Some(HoldReason::Breaker), ..rows::delivery(id) };
        rows::start(db, vec![new], *due).await;
    }
    id
}

/// Returns the ids of the queued deliveries.
async fn queued(store: &Store) -> Vec<i64> {
    let all = entity::delivery::Entity::find().filter(entity::delivery::Column::Status.eq("queued"));
    let rows = all.order_by_asc(entity::delivery::Column::Id).all(store.read()).await.expect("read");
    rows.into_iter().map(|row| row.id).collect()
}

async fn sweep_at(store: &Store, now: Timestamp) {
    sweep::sweep(store, now, MARGIN).await.expect("swept");
}

async fn state(store: &Store, id: WebhookId) -> model::hold::HoldState {
    webhook::find(store.read(), id).await.expect("read").expect("there").hold
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn breaker_opens_at_the_tenth_failure_and_closes_after_a_probe(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let (receiver, inbox) = (Switch::failing().await, TestInbox::start().await);
    let (webhook, key) = prepare(&server, &receiver.url, |draft| draft.retries = "0".into()).await;
    // Another webhook is told of the failure and of the recovery. The failing webhook itself is not.
    let pager = server.webhook("pager", &inbox.url, |_| ()).await;
    for (name, via) in [("tell the pager", pager), ("tell itself", webhook)] {
        let task = server.task(name, via, "${EVENT} ${NAME}", false).await;
        server.event_of(task, |draft| draft.event = "webhooks.failing".into()).await;
        server.event_of(task, |draft| draft.event = "webhooks.recovered".into()).await;
    }
    for vm in 0..10 {
        assert_eq!(count(&server.deliveries_until(|_| true).await, Status::Held), 0, "{vm}");
        server.post(&key, &power_on(&format!("vm-{vm}"))).await;
        server.deliveries_until(|rows| count(rows, Status::Error) == vm + 1).await;
    }
    server.post(&key, &json!([power_on("late-1"), power_on("late-2")])).await;
    server.deliveries_until(|rows| count(rows, Status::Held) == 2).await;
    eventually("the pager is told once", async || bodies(&inbox) == ["failing\" \"w"]).await;

    // The first probe fails, and its delivery has no retries. The second probe waits twice as long.
    server.advance(Duration::from_secs(29));
    assert_eq!(receiver.bodies().len(), 10);
    server.advance(Duration::from_secs(2));
    server.deliveries_until(|rows| count(rows, Status::Error) == 11).await;
    assert_eq!(receiver.bodies().len(), 11);
    receiver.recover();
    server.post(&key, &power_on("late-3")).await;
    server.deliveries_until(|rows| count(rows, Status::Held) == 2).await;
    server.advance(Duration::from_secs(61));
    server.deliveries_until(|rows| count(rows, Status::Held) == 0 && rows.iter().all(DeliveryLine::is_settled)).await;
    assert_eq!(receiver.bodies().len(), 13, "the probe, and the deliveries that it released");
    eventually("the pager is told of the recovery", async || bodies(&inbox).len() == 2).await;
    assert!(bodies(&inbox).iter().any(|body| body.contains("recovered")));
    assert!(receiver.bodies().iter().all(|body| !body.contains("failing") && !body.contains("recovered")));
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn open_breaker_survives_a_restart(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let (dir, url) = (test.dir.path().to_owned(), test.url.clone());
    let server = TestServer::start(test).await;
    let receiver = Switch::failing().await;
    let (webhook, key) = prepare(&server, &receiver.url, |draft| draft.retries = "0".into()).await;
    let batch: Vec<_> = (0..10).map(|vm| power_on(&format!("vm-{vm}"))).collect();
    server.post(&key, &json!(batch)).await;
    server.deliveries_until(|rows| count(rows, Status::Error) == 10).await;
    let store = match url {
        Some(url) => server::store::connect::open_postgres(&url).await.expect("opens"),
        None => server::store::connect::open_sqlite(&dir).await.expect("opens"),
    };
    let open = state(&store, webhook).await.breaker.open.expect("open");
    assert_eq!((open.wait, open.is_probing), (Duration::from_secs(30), false));
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn probe_waits_until_a_held_delivery_is_due(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let store = test.store;
    let after = |seconds| NOW.after(Duration::from_secs(seconds));
    opened(&store, &[after(3600), after(10), after(20)]).await;
    for (now, expected) in [(NOW, vec![]), (after(9), vec![]), (after(10), vec![2]), (after(20), vec![2])] {
        sweep_at(&store, now).await;
        assert_eq!(queued(&store).await, expected, "at {now:?}");
    }
    let row = entity::delivery::Entity::find_by_id(2).one(store.read()).await.expect("read").expect("there");
    assert_eq!(row.next_attempt_at, Some(after(10).0));
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn probe_without_a_slot_is_not_followed_by_another(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let store = test.store;
    opened(&store, &[NOW, NOW, NOW]).await;
    sweep_at(&store, NOW).await;
    let mut now = NOW.after(LOST_AFTER);
    for status in ["queued", "running"] {
        store
            .write()
            .execute_unprepared(&format!("UPDATE delivery SET status = '{status}' WHERE id = 1"))
            .await
            .expect("changed");
        for _ in 0..3 {
            sweep_at(&store, now).await;
            now = now.after(LOST_AFTER);
        }
        assert!(queued(&store).await.iter().all(|id| *id == 1), "{status}");
    }
    store.write().execute_unprepared("UPDATE delivery SET status = 'discarded' WHERE id = 1").await.expect("discarded");
    sweep_at(&store, now).await;
    assert_eq!(queued(&store).await, [2]);
}

/// The ways in which a delivery loses its lease.
#[derive(Clone, Copy)]
enum Way {
    Expired,
    Restarted,
    Lost,
    Returned,
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delivery_that_lost_its_lease_is_not_sent_beside_the_probe(
    #[values(Sqlite, Postgres)] database: Database,
    #[values(Way::Expired, Way::Restarted, Way::Lost, Way::Returned)] way: Way,
) {
    let test = TestStore::new(database).await;
    let store = test.store;
    let db = store.write();
    let id = opened(&store, &[NOW, NOW]).await;
    let owner = uuid::Uuid::from_u128(1);
    // A node claimed these before the breaker opened, and is gone. The last one goes to an earlier target.
    rows::start(db, (0..3).map(|_| rows::delivery(id)).collect(), NOW).await;
    let sql = format!(
        "UPDATE delivery SET status = 'running', next_attempt_at = NULL, lease_until = {}, claims = 1, lease_owner = {} \
         WHERE id > 2; UPDATE delivery SET replay_revision = 1 WHERE id = 5",
        NOW.0,
        if store.is_postgres() { format!("'{owner}'") } else { format!("x'{}'", owner.simple()) }
    );
    db.execute_unprepared(&sql).await.expect("claimed");
    let claim = async |now: Timestamp| {
        match way {
            Way::Expired => _ = lease::return_expired(db, now, owner, &[]).await.expect("released"),
            Way::Restarted => _ = lease::return_all(db, now).await.expect("released"),
            Way::Lost => _ = lease::give_back_unknown(db, now, owner, || Some(HashSet::new())).await.expect("released"),
            Way::Returned => {
                let leased = [1, 2, 3, 4, 5].map(DeliveryId).to_vec();
                let returned = [(lease::Returned { due: None, until: Timestamp(i64::MAX) }, leased)].into();
                lease::give_back(db, owner, &returned, now).await.expect("released");
            }
        }
        let claimed = claim::claim(db, owner, now, now.after(MARGIN), &[(id.into(), 8)]).await.expect("claimed");
        claimed.iter().map(|one| one.id().0).collect::<BTreeSet<_>>()
    };
    sweep_at(&store, NOW).await;
    assert_eq!(claim(NOW).await, [1, 5].into(), "the probe, and what does not wait for the breaker");
    let held = figures::held_by_reason(store.read(), id.into()).await.expect("counted");
    assert_eq!(held, [HeldCount { reason: HoldReason::Breaker, deliveries: 3 }]);
    // The node with the probe is lost, too. Another probe follows, and again no other delivery.
    let lost = NOW.after(LOST_AFTER);
    assert_eq!(claim(lost).await, [5].into());
    sweep_at(&store, lost).await;
    let next = if matches!(way, Way::Returned | Way::Lost) { 1 } else { 2 };
    assert_eq!(&claim(lost).await - &[5].into(), [next].into(), "one that is returned has its place again");
    hold::save_breaker(db, id.into(), &Breaker::default()).await.expect("closed");
    sweep_at(&store, lost).await;
    assert!(claim(lost).await.is_superset(&[1, 3, 4].into()), "all are released");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn run_with_a_delivery_behind_the_breaker_is_still_running(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let receiver = Switch::failing().await;
    let (_, key) = prepare(&server, &receiver.url, |_| ()).await;
    let batch: Vec<_> = (0..10).map(|vm| power_on(&format!("vm-{vm}"))).collect();
    server.post(&key, &json!(batch)).await;
    server.deliveries_until(|rows| count(rows, Status::Held) == 10).await;
    let runs = entity::run::Entity::find().all(server.services.store.read()).await.expect("read");
    assert!(runs.iter().all(|run| run.status == "running" && run.ended_at.is_none()), "{runs:?}");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn release_at_a_rate_continues_after_an_open_breaker(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let receiver = Switch::failing().await;
    let (webhook, key) = prepare(&server, &receiver.url, |draft| draft.retries = "0".into()).await;
    let post = async |count: usize| {
        let batch: Vec<_> = (0..count).map(|vm| power_on(&format!("vm-{vm}"))).collect();
        server.post(&key, &json!(batch)).await;
    };
    post(10).await;
    server.deliveries_until(|rows| count(rows, Status::Error) == 10).await;
    // The breaker holds three and the pause two. Resuming decides about all of them.
    let webhooks = server.services.backend().webhooks;
    for choice in [Held::None, Held::All] {
        post(3).await;
        webhooks.pause(webhook).await.expect("paused");
        post(2).await;
        server.deliveries_until(|rows| count(rows, Status::Held) == 5).await;
        webhooks.resume(webhook, ReleaseChoice { held: choice, per_second: Some(1) }).await.expect("resumed");
        let left = if choice == Held::None { 0 } else { 5 };
        server.deliveries_until(|rows| count(rows, Status::Held) == left).await;
    }
    server.deliveries_until(|rows| count(rows, Status::Discarded) == 5).await;
    receiver.recover();
    server.advance(Duration::from_secs(31));
    server.deliveries_until(|rows| count(rows, Status::Sent) == 1 && count(rows, Status::Held) == 4).await;
    for sent in 2..=5 {
        assert_eq!(receiver.bodies().len(), 10 + sent - 1);
        server.advance(Duration::from_secs(1));
        server.deliveries_until(|rows| count(rows, Status::Sent) == sent).await;
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replay_to_an_earlier_target_ignores_the_breaker(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let (old, new) = (Switch::failing().await, Switch::failing().await);
    let (webhook, key) = prepare(&server, &old.url, |draft| draft.retries = "0".into()).await;
    server.post(&key, &power_on("first")).await;
    let first = server.deliveries_until(|rows| count(rows, Status::Error) == 1).await.remove(0).uuid;
    edit(&server, webhook, |draft| draft.url.clone_from(&new.url)).await;
    let deliveries = server.services.backend().deliveries;
    for replays in 1..=10 {
        deliveries.replay(first.clone(), true, "maria".into()).await.expect("replayed");
        server.deliveries_until(|rows| count(rows, Status::Error) == 1 + replays).await;
    }
    let store = &server.services.store;
    assert_eq!(state(store, webhook).await.breaker, Breaker::default(), "the replays do not count for the new target");
    for vm in 0..10 {
        assert_eq!(state(store, webhook).await.breaker.open, None);
        server.post(&key, &power_on(&format!("vm-{vm}"))).await;
        server.deliveries_until(|rows| count(rows, Status::Error) == 12 + vm).await;
    }
    let open = state(store, webhook).await.breaker;
    assert!(open.open.is_some());
    old.recover();
    let webhooks = server.services.backend().webhooks;
    deliveries.replay(first.clone(), true, "maria".into()).await.expect("replayed");
    server.deliveries_until(|rows| count(rows, Status::Sent) == 1).await;
    // The replay waits for the end of a pause.
    webhooks.pause(webhook).await.expect("paused");
    deliveries.replay(first.clone(), true, "maria".into()).await.expect("replayed");
    server.deliveries_until(|rows| count(rows, Status::Held) == 1).await;
    webhooks.resume(webhook, ALL).await.expect("resumed");
    server.deliveries_until(|rows| count(rows, Status::Sent) == 2).await;
    assert_eq!(state(store, webhook).await.breaker, open, "the breaker of the current target has not changed");
    assert_eq!(new.bodies().len(), 10);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delivery_with_an_ended_hold_reason_waits_for_the_current_one(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let store = test.store;
    let id = opened(&store, &[NOW.after(Duration::from_hours(1)), NOW, NOW]).await;
    // Delivery 2: another node holds it just as a person resumes. Delivery 3: a replay as of its revision, resumed at a
    // rate.
    let sql = "UPDATE destination SET breaker_probe_at = 9999999; UPDATE delivery SET hold_reason = 'paused' WHERE id = 2; \
               UPDATE delivery SET hold_reason = 'releasing', replay_revision = 1 WHERE id = 3";
    store.write().execute_unprepared(sql).await.expect("changed");
    sweep_at(&store, NOW).await;
    assert_eq!(queued(&store).await, [3], "the replay does not wait for the breaker");
    let reasons = async || figures::held_by_reason(store.read(), id.into()).await.expect("counted");
    assert_eq!(reasons().await, [HeldCount { reason: HoldReason::Breaker, deliveries: 2 }]);
    let sql = "UPDATE destination SET breaker_opened_at = NULL, release_per_second = 1, released_at = 1000000; \
               UPDATE delivery SET hold_reason = 'paused' WHERE id = 2";
    store.write().execute_unprepared(sql).await.expect("changed");
    sweep_at(&store, NOW).await;
    assert_eq!(reasons().await, [HeldCount { reason: HoldReason::Releasing, deliveries: 2 }]);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attempts_at_the_previous_target_do_not_change_the_breaker(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let (gate, new) = (Gate::closed().await, TestInbox::start().await);
    let (webhook, key) = prepare(&server, &gate.url, |draft| draft.retries = "0".into()).await;
    let store = &server.services.store;
    let open = "UPDATE destination SET breaker_failures = 10, breaker_opened_at = 1, breaker_probe_at = 1, \
                breaker_is_probing = TRUE, is_hanging = TRUE";
    server.post(&key, &power_on("late")).await;
    eventually("it is in flight", async || gate.waiting() == 1).await;
    store.write().execute_unprepared(open).await.expect("opened");
    // A person corrects the address. New deliveries go there at once.
    edit(&server, webhook, |draft| draft.url.clone_from(&new.url)).await;
    assert_eq!(state(store, webhook).await.breaker, Breaker::default());
    server.post(&key, &power_on("new")).await;
    server.deliveries_until(|rows| count(rows, Status::Sent) == 1).await;
    store
        .write()
        .execute_unprepared("UPDATE destination SET breaker_failures = 9")
        .await
        .expect("nine failures of the new target");
    gate.hang_up();
    server.deliveries_until(|rows| rows.iter().all(DeliveryLine::is_settled)).await;
    assert_eq!(count(&server.deliveries_until(|_| true).await, Status::Error), 1, "the late attempt has failed");
    assert_eq!(state(store, webhook).await.breaker, Breaker { failures: 9, ..Breaker::default() });
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replay_as_of_its_revision_uses_that_of_the_last_attempt(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let inbox = TestInbox::start().await;
    let (webhook, key) = prepare(&server, &format!("{}/status/503", inbox.url), |_| ()).await;
    server.post(&key, &power_on("a")).await;
    server.deliveries_until(|rows| rows[0].attempts == 1).await;
    edit(&server, webhook, |draft| draft.url = format!("{}/second", inbox.url)).await;
    server.advance(Duration::from_secs(6));
    let id = server.deliveries_until(|rows| count(rows, Status::Sent) == 1).await.remove(0).uuid;
    edit(&server, webhook, |draft| draft.url = format!("{}/third", inbox.url)).await;
    server.services.backend().deliveries.replay(id, true, "maria".into()).await.expect("replayed");
    server.deliveries_until(|rows| count(rows, Status::Sent) == 2).await;
    let paths: Vec<_> = inbox.received().into_iter().map(|one| one.path).collect();
    assert_eq!(paths, ["/status/503", "/second", "/second"]);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleted_webhook_has_no_hold_state_and_reports_nothing(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let store = &server.services.store;
    let id = opened(store, &[NOW]).await;
    store.write().execute_unprepared("UPDATE destination SET paused_at = 1, is_hanging = TRUE").await.expect("paused");
    server.services.backend().webhooks.delete(vec![id]).await.expect("deleted");
    let row = entity::destination::Entity::find_by_id(id.0).one(store.read()).await.expect("read").expect("there");
    assert_eq!((row.paused_at, row.breaker_opened_at, row.breaker_failures, row.is_hanging), (None, None, 0, false));
    assert!(hold::load_states(store.read(), &[id.into()], false).await.expect("read").is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delivery_discarded_as_it_becomes_the_probe_stays_discarded() {
    let test = TestStore::postgres().await;
    let store = &test.store;
    opened(store, &[NOW, NOW]).await;
    let ids: Vec<_> = entity::delivery::Entity::find().all(store.read()).await.expect("read");
    let (first, second) = (ids[0].id.min(ids[1].id), ids[0].id.max(ids[1].id));
    let discard = begin_holding(store).await;
    hold::discard_one(&discard, first, "no longer wanted", NOW).await.expect("discarded");
    let commit = async {
        until_lock_is_awaited(store).await;
        discard.commit().await.expect("committed");
    };
    tokio::join!(sweep_at(store, NOW), commit);
    assert_eq!(queued(store).await, [] as [i64; 0]);
    sweep_at(store, NOW).await;
    assert_eq!(queued(store).await, [second], "the next sweep probes with the other delivery");
    let row = entity::delivery::Entity::find_by_id(first).one(store.read()).await.expect("read").expect("there");
    assert_eq!((row.status.as_str(), row.settled_at), ("discarded", Some(NOW.0)));
}
