//! Guarantees of the store, on both databases.

use crate::harness::Database::{self, Postgres, Sqlite};
use crate::harness::{TestStore, begin_holding, until_lock_is_awaited};
use crate::rows;
use model::access::Role;
use model::breaker::{Breaker, Open};
use model::hold::HoldReason;
use model::id::{DestinationId, TaskId, WebhookId};
use model::time::Timestamp;
use model::webhook::WebhookDraft;
use rstest::rstest;
use sea_orm::{ConnectionTrait, Statement};
use server::clock::new_uuid;
use server::store::claim;
use server::store::lease;
use server::store::receipt::{Identity, Receipt};
use server::store::{
    Error, access, connect, figures, hold, listen, occurrence, receipt, revision, setting, sweep, task, webhook,
};
use std::collections::HashSet;
use std::time::Duration;

const NOW: Timestamp = Timestamp(1_000_000);

async fn add_webhook(test: &TestStore) -> WebhookId {
    rows::webhook(test.store.write(), "w", "http://127.0.0.1:9/").await
}

/// Queues `count` deliveries.
async fn queue(test: &TestStore, count: usize) {
    let (db, destination_id) = (test.store.write(), add_webhook(test).await);
    let new = model::task::Task {
        name: "t".into(),
        description: String::new(),
        is_enabled: true,
        deletes_after_running: false,
        destination_id: destination_id.into(),
        action: model::task::Action::Webhook(model::task::WebhookSend { message: String::new() }),
    };
    task::insert(db, &new, NOW).await.expect("a task");
    rows::start(db, (0..count).map(|_| rows::delivery(destination_id)).collect(), NOW).await;
}

/// A plan for the only webhook.
fn plan(slots: usize) -> [(DestinationId, usize); 1] {
    [(DestinationId(1), slots)]
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn claim_stays_within_its_plan(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    queue(&test, 20).await;
    let claim = async |slots: usize| {
        let until = Timestamp(NOW.0 + 100);
        claim::claim(test.store.write(), uuid::Uuid::nil(), NOW, until, &plan(slots)).await.expect("claims").len()
    };
    for (slots, expected) in [(3, 3), (8, 8), (5, 5), (100, 4), (8, 0)] {
        assert_eq!(claim(slots).await, expected);
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn database_made_before_the_first_release_is_refused_with_a_sentence(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let test = TestStore::new(database).await;
    let sql = "INSERT INTO seaql_migrations (version, applied_at) VALUES ('m0002_engine', 0)";
    test.store.write().execute_unprepared(sql).await.expect("inserted");
    let refused = [
        connect::migrate(&test.store).await.expect_err("refused"),
        connect::is_outdated(&test.store).await.expect_err("refused"),
    ];
    for error in refused {
        assert!(matches!(&error, Error::OtherVersion(_)), "{error:?}");
        assert!(error.to_string().contains("made by a version before the first release"), "{error}");
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn account_with_a_taken_name_is_a_conflict(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let add = || access::insert_account(test.store.write(), "maria", Role::Admin, "hash".into(), NOW);
    add().await.expect("the first");
    assert!(matches!(add().await, Err(Error::Conflict { .. })));
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revoked_key_replaced_twice_at_once_is_a_conflict(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let db = test.store.write();
    let add = |hash: u8| access::insert_key(db, "dc", vec![hash], &[], NOW);
    add(1).await.expect("the first");
    assert!(access::revoke_key(db, "dc", NOW).await.expect("revoked"));
    let (one, other) = if test.store.is_postgres() {
        let open = begin_holding(&test.store).await;
        let one = access::insert_key(&open, "dc", vec![2], &[], NOW).await;
        let commit = async {
            until_lock_is_awaited(&test.store).await;
            open.commit().await.expect("committed");
        };
        (one, tokio::join!(add(3), commit).0)
    } else {
        tokio::join!(add(2), add(3))
    };
    let (valid, refused, hash) = if one.is_ok() { (one, other, 2) } else { (other, one, 3) };
    assert!(matches!(refused, Err(Error::Conflict { .. })), "{refused:?}");
    let found = access::find_key(db, vec![hash]).await.expect("read").expect("valid");
    assert_eq!(found.id, valid.expect("one of them"));
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn setting_is_stored_once_and_taken_once(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let db = test.store.write();
    assert_eq!(setting::insert_once(db, "k", "a").await.expect("stored"), "a");
    assert_eq!(setting::insert_once(db, "k", "b").await.expect("kept"), "a");
    assert!(!setting::take(db, "k", "b").await.expect("not this one"));
    assert!(setting::take(db, "k", "a").await.expect("taken"));
    assert!(!setting::take(db, "k", "a").await.expect("gone"));
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn update_of_an_older_revision_changes_nothing(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let id = add_webhook(&test).await;
    let draft = WebhookDraft { name: "new".into(), url: "http://127.0.0.1:9/".into(), ..WebhookDraft::default() };
    let checked = draft.parse(None).expect("valid");
    let stored = webhook::find(test.store.read(), id).await.expect("read").expect("there");
    let update = || webhook::update(test.store.write(), &stored, &checked.settings, stored.secrets.clone(), NOW);
    assert!(update().await.expect("updated"));
    assert!(!update().await.expect("stale"));
    let row = webhook::find(test.store.read(), id).await.expect("read").expect("there");
    assert_eq!((row.settings.name.as_str(), row.revision), ("new", 2));
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_claims_take_each_delivery_once(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    queue(&test, 250).await;
    let work = |_| {
        let store = test.store.clone();
        tokio::spawn(async move {
            let mut mine = Vec::new();
            loop {
                let owner = new_uuid(NOW);
                let claimed =
                    claim::claim(store.write(), owner, NOW, Timestamp(NOW.0 + 1), &plan(7)).await.expect("claims");
                if claimed.is_empty() {
                    return mine;
                }
                mine.extend(claimed.into_iter().map(|claimed| claimed.uuid));
            }
        })
    };
    let mut all = Vec::new();
    for worker in (0..8).map(work).collect::<Vec<_>>() {
        all.extend(worker.await.expect("no panic"));
    }
    assert_eq!(all.len(), 250);
    assert_eq!(all.into_iter().collect::<HashSet<_>>().len(), 250);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expired_lease_can_be_claimed_again(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    queue(&test, 1).await;
    let store = &test.store;
    let (owner, other) = (uuid::Uuid::from_u128(1), uuid::Uuid::from_u128(2));
    let claim = |now: i64| async move {
        claim::claim(store.write(), owner, Timestamp(now), Timestamp(now + 100 - 5_000), &plan(9)).await
    };
    let release = |now: i64, by, known: Vec<_>| async move {
        lease::return_expired(store.write(), Timestamp(now), by, &known).await.expect("asked")
    };
    let claimed = claim(NOW.0).await.expect("claims");
    assert_eq!(claimed.len(), 1);
    assert_eq!(release(NOW.0 + 99, other, Vec::new()).await, 0, "the lease has not expired");
    assert_eq!(claim(NOW.0 + 99).await.expect("nothing").len(), 0);
    let known = vec![claimed[0].id()];
    assert_eq!(
        release(NOW.0 + 100, owner, known.clone()).await,
        0,
        "its attempt has ended here and waits to be recorded"
    );
    assert_eq!(release(NOW.0 + 100, other, known).await, 1);
    assert_eq!(claim(NOW.0 + 100).await.expect("claims").len(), 1);
    assert_eq!(release(NOW.0 + 200, owner, Vec::new()).await, 1, "its owner does not know it any more");
    assert_eq!(claim(NOW.0 + 200).await.expect("claims").len(), 1);
    assert_eq!(lease::return_all(store.write(), NOW).await.expect("a restart"), 1);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_are_on_disk_before_they_return(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let db = test.store.write();
    let ask = async |sql: &str| {
        let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), sql)).await;
        row.expect("asked").expect("a row")
    };
    if test.store.is_postgres() {
        let row = ask("SHOW synchronous_commit").await;
        assert_eq!(row.try_get_by_index::<String>(0).expect("text"), "on");
        // This holds also when the default of the database is off.
        let name = ask("SELECT current_database()").await.try_get_by_index::<String>(0).expect("text");
        let sql = format!("ALTER DATABASE \"{name}\" SET synchronous_commit = off");
        db.execute_unprepared(&sql).await.expect("a default");
        let url = test.url.as_deref().expect("a url");
        let again = connect::open_postgres(url).await.expect("opens");
        let shown = Statement::from_string(db.get_database_backend(), "SHOW synchronous_commit");
        let row = again.write().query_one_raw(shown).await.expect("asked").expect("a row");
        assert_eq!(row.try_get_by_index::<String>(0).expect("text"), "on");
        // A frozen node frees its locks, above all the lock for claims.
        let row = ask("SHOW idle_in_transaction_session_timeout").await;
        assert_eq!(row.try_get_by_index::<String>(0).expect("text"), "10s");
    } else {
        let row = ask("PRAGMA journal_mode").await;
        assert_eq!(row.try_get_by_index::<String>(0).expect("text"), "wal");
        let row = ask("PRAGMA synchronous").await;
        assert_eq!(row.try_get_by_index::<i32>(0).expect("a number"), 2, "FULL");
        let row = ask("PRAGMA foreign_keys").await;
        assert_eq!(row.try_get_by_index::<i32>(0).expect("a number"), 1);
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn event_scope_without_its_object_or_tag_is_refused(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    queue(&test, 1).await;
    let insert = async |scope: &str| {
        let sql = format!(
            "INSERT INTO event (type_id, event_id, scope, object_id, task_id, is_enabled, revision, created_at, \
             updated_at) VALUES ('vms', 'poweron', '{scope}', NULL, 1, TRUE, 1, 0, 0)"
        );
        test.store.write().execute_unprepared(&sql).await
    };
    assert!(insert("object").await.is_err());
    assert!(insert("tag").await.is_err());
    assert!(insert("other").await.is_err());
    assert!(insert("any").await.is_ok());
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn claim_works_with_hundreds_of_webhooks(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    queue(&test, 3).await;
    let plan: Vec<_> = (1_000..1_600).map(|id| (DestinationId(id), 128)).chain(plan(1)).collect();
    for expected in [1, 1, 1, 0] {
        let claimed = claim::claim(test.store.write(), uuid::Uuid::nil(), NOW, NOW, &plan).await.expect("claims");
        assert_eq!(claimed.len(), expected);
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn webhooks_with_due_deliveries_are_listed_in_rotation(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let db = test.store.write();
    let mut webhooks = Vec::new();
    for (name, at) in [("a", NOW), ("b", NOW), ("later", Timestamp(NOW.0 + 1)), ("c", NOW)] {
        let webhook = rows::webhook(db, name, "http://127.0.0.1:9/").await;
        rows::start(db, (0..20).map(|_| rows::delivery(webhook)).collect(), at).await;
        webhooks.push(DestinationId::from(webhook));
    }
    let [a, b, later, c] = webhooks[..] else { panic!("four") };
    for (after, expected) in [
        (DestinationId(0), [a, b, c]),
        (a, [b, c, a]),
        (b, [c, a, b]),
        (later, [c, a, b]),
        (c, [a, b, c]),
        (DestinationId(c.0 + 7), [a, b, c]),
    ] {
        let due = claim::list_due(db, NOW, after).await.expect("listed");
        assert_eq!((due.destinations, due.is_whole), (expected.to_vec(), true), "after {after}");
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delivery_queued_as_the_breaker_opens_is_held_and_probed(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let db = test.store.write();
    let webhook = rows::webhook(db, "w", "http://127.0.0.1:9/").await;
    let opened = |is_probing: bool| {
        let probe_at = NOW.after(Duration::from_secs(if is_probing { 90 } else { 30 }));
        let open = Some(Open { since: NOW, wait: Duration::from_secs(30), probe_at, is_probing });
        Breaker { failures: 10, open, is_hanging: false }
    };
    hold::save_breaker(db, webhook.into(), &opened(false)).await.expect("opened");
    // By another node, which has not seen the open breaker.
    rows::start(db, (0..3).map(|_| rows::delivery(webhook)).collect(), NOW).await;
    let claim = async |now: Timestamp| {
        claim::claim(db, uuid::Uuid::nil(), now, now, &[(webhook.into(), 8)]).await.expect("claims").len()
    };
    assert_eq!(claim(NOW).await, 0);
    sweep::sweep(&test.store, NOW, Duration::ZERO).await.expect("swept");
    let held = figures::held_by_reason(test.store.read(), webhook.into()).await.expect("counted");
    assert_eq!(held, [figures::HeldCount { reason: HoldReason::Breaker, deliveries: 3 }]);
    let due = NOW.after(Duration::from_secs(30));
    sweep::sweep(&test.store, due, Duration::ZERO).await.expect("swept");
    sweep::sweep(&test.store, due, Duration::ZERO).await.expect("swept");
    assert_eq!(claim(due).await, 1, "only the probe");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn event_scope_with_the_id_of_another_kind_is_refused(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    queue(&test, 1).await;
    let db = test.store.write();
    db.execute_unprepared("INSERT INTO object (type_id, name, created_at, updated_at) VALUES ('vms', 'web', 0, 0)")
        .await
        .expect("made");
    for (scope, object, tag) in
        [("any", "1", "NULL"), ("object", "NULL", "NULL"), ("tag", "1", "NULL"), ("else", "NULL", "NULL")]
    {
        let sql = format!(
            "INSERT INTO event (type_id, event_id, scope, object_id, tag_id, task_id, is_enabled, revision, \
             created_at, updated_at) VALUES ('vms', 'poweron', '{scope}', {object}, {tag}, 1, TRUE, 1, 0, 0)"
        );
        let error = db.execute_unprepared(&sql).await.expect_err(scope).to_string();
        assert!(error.to_lowercase().contains("check constraint"), "{scope}: {error}");
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clock_leap_forgets_only_identities_that_are_used_again(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let db = test.store.write();
    let key = access::insert_key(db, "dc", vec![1], &[], NOW).await.expect("a key");
    let identity = |id: &str| Identity { key, source: "dc".into(), external_id: id.into() };
    let first = Receipt { content_hash: vec![1], occurrence: new_uuid(NOW), tasks_started: 1 };
    let again = Receipt { content_hash: vec![2], ..first.clone() };
    let both = vec![(identity("a"), first.clone()), (identity("b"), first.clone())];
    assert!(receipt::insert(db, both, NOW).await.expect("stored"));
    assert!(
        !receipt::insert(db, vec![(identity("a"), again.clone())], NOW).await.expect("asked"),
        "the identity exists"
    );
    let leapt = NOW.after(2 * receipt::RETAINED);
    assert!(receipt::insert(db, vec![(identity("a"), again.clone())], leapt).await.expect("stored"), "used again");
    let found = receipt::find_many(db, &[identity("a"), identity("b")], NOW).await.expect("read");
    assert_eq!(found, [(identity("a"), again), (identity("b"), first)].into());
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_inserted_together_return_their_own_ids(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let db = test.store.write();
    for count in [1, 16, 17, 131] {
        let rows: Vec<_> = (0..count).map(|_| rows::occurrence()).collect();
        let uuids: Vec<_> = rows.iter().map(|row| row.uuid).collect();
        let ids = occurrence::insert_many(db, rows).await.expect("stored");
        assert_eq!(ids.len(), count);
        for (id, uuid) in ids.into_iter().zip(uuids) {
            let row = occurrence::find_by_id(db, id).await.expect("asked").expect("is there");
            assert_eq!(row.uuid, uuid);
        }
    }
}

#[tokio::test]
async fn concurrent_changes_of_the_same_rows_do_not_deadlock() {
    let test = TestStore::postgres().await;
    queue(&test, 1).await;
    let (first, second) = (TaskId(1), WebhookId(1));
    let both = test.store.begin_change().await.expect("a transaction");
    task::set_enabled(&both, first, false, NOW).await.expect("changed");
    let other = async {
        let txn = test.store.begin_change().await.expect("a transaction");
        webhook::delete(&txn, second, NOW).await.expect("changed");
        txn.commit().await.expect("the other");
    };
    let mut other = std::pin::pin!(other);
    assert!(tokio::time::timeout(Duration::from_millis(200), &mut other).await.is_err(), "the other change waits");
    webhook::delete(&both, second, NOW).await.expect("changed too");
    both.commit().await.expect("both");
    other.await;
}

#[tokio::test]
async fn revisions_become_visible_in_their_order() {
    let test = TestStore::postgres().await;
    queue(&test, 1).await;
    let change = async |is_enabled: bool| {
        let txn = test.store.begin().await.expect("a transaction");
        task::set_enabled(&txn, TaskId(1), is_enabled, NOW).await.expect("noted");
        txn
    };
    let first = change(false).await;
    let seen = revision::newest(test.store.read()).await.expect("asked");
    let delete = async {
        let txn = test.store.begin().await.expect("a transaction");
        webhook::delete(&txn, WebhookId(1), NOW).await.expect("noted");
        txn.commit().await.expect("the second");
    };
    let mut delete = std::pin::pin!(delete);
    // The second change waits for its number until the first is committed.
    let waited = tokio::time::timeout(Duration::from_millis(200), &mut delete).await;
    assert!(waited.is_err());
    assert_eq!(revision::newest(test.store.read()).await.expect("asked"), seen);
    first.commit().await.expect("the first");
    delete.await;
    assert_eq!(revision::newest(test.store.read()).await.expect("asked"), seen + 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn notification_of_one_node_wakes_the_others() {
    let test = TestStore::postgres().await;
    let wake = std::sync::Arc::new(tokio::sync::Notify::new());
    let stop = tokio_util::sync::CancellationToken::new();
    let listening = tokio::spawn(listen::run(test.store.clone(), wake.clone(), stop.clone()));
    // The listener may still be connecting, so the notification is repeated until it wakes.
    let woken = async {
        loop {
            listen::notify(test.store.write()).await.expect("notified");
            if tokio::time::timeout(Duration::from_millis(50), wake.notified()).await.is_ok() {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), woken).await.expect("a wake");
    stop.cancel();
    listening.await.expect("no panic");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clock_of_all_nodes_follows_the_database() {
    let test = TestStore::postgres().await;
    let follower = server::clock::Follower::start(&test.store).await.expect("asked");
    let clock = server::clock::Clock::of_database(follower);
    let before = test.store.now().await.expect("asked").0;
    let ours = clock.now().0;
    let after = test.store.now().await.expect("asked").0;
    // The error is half a round trip in either direction.
    assert!((before - 50..=after + 50).contains(&ours), "{before} {ours} {after}");
    assert!(TestStore::sqlite().await.store.now().await.is_err(), "SQLite has no clock of its own");
}
