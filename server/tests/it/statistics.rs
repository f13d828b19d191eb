//! PostgreSQL plans by statistics that are minutes old. Rows that are newer must not make the engine read whole tables.

use crate::harness::Database::{self, Postgres, Sqlite};
use crate::harness::TestStore;
use crate::rows;
use model::id::{DestinationId, ObjectId, TaskId};
use model::time::Timestamp;
use rstest::rstest;
use sea_orm::{ConnectionTrait, EntityTrait, Statement};
use server::store::arrange;
use server::store::claim;
use server::store::entity;
use server::store::object::{self, Wanted};
use server::store::search;
use server::store::set_back;
use server::store::sweep;
use std::time::Duration;

const NOW: Timestamp = Timestamp(1_000_000);
const MANY: i64 = 20_000;

/// Returns the number of rows of a table that this transaction has read by its indexes.
async fn rows_read(db: &impl ConnectionTrait, table: &str) -> i64 {
    let sql = format!(
        "SELECT CAST(SUM(pg_stat_get_xact_tuples_returned(indexrelid)) AS BIGINT) AS read FROM pg_index \
         WHERE indrelid = '{table}'::regclass"
    );
    let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), sql)).await.expect("counted");
    row.expect("one row").try_get("", "read").expect("a number")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn claim_and_sweep_do_not_read_a_backlog_unknown_to_the_statistics() {
    let test = TestStore::postgres().await;
    let db = test.store.write();
    let webhook = rows::webhook(db, "w", "http://127.0.0.1:9/").await;
    let mut delivery = rows::delivery(webhook);
    delivery.body = b"{}".to_vec();
    rows::start(db, vec![delivery], NOW).await;
    db.execute_unprepared("ALTER TABLE delivery SET (autovacuum_enabled = false)").await.expect("set");
    let columns = "destination_id, destination_name, task_name, type_id, event_id, body, attempts, created_at";
    let add = async |first: i64, status: &str, reason: &str, due: &str, settled: &str| {
        let sql = format!(
            "INSERT INTO delivery (id, uuid, status, hold_reason, next_attempt_at, settled_at, {columns}) SELECT \
             {first} + i, gen_random_uuid(), '{status}', {reason}, {due}, {settled}, {columns} \
             FROM delivery, generate_series(1, {MANY}) AS i WHERE id = 1"
        );
        db.execute_unprepared(&sql).await.expect("filled");
    };
    add(MANY, "sent", "NULL", "NULL", "i").await;
    db.execute_unprepared("ANALYZE").await.expect("analysed");
    let due = format!("{} + i", NOW.0);
    add(2 * MANY, "queued", "NULL", &due, "NULL").await;
    add(3 * MANY, "held", "'paused'", &due, "NULL").await;
    add(4 * MANY, "held", "'target'", &due, "NULL").await;
    let txn = test.store.begin().await.expect("a transaction");
    // PostgreSQL uses such a plan after some claims.
    txn.execute_unprepared("SET LOCAL plan_cache_mode = force_generic_plan").await.expect("set");
    assert_eq!(claim::next_due(&txn).await.expect("looked up"), Some(NOW));
    let due = sweep::list_due(&txn, NOW).await.expect("looked up");
    assert_eq!(due.len(), 1, "one webhook is due for the sweep");
    let later = NOW.after(Duration::from_mins(1));
    let due = claim::list_due(&txn, later, DestinationId(0)).await.expect("listed").destinations;
    assert_eq!(due.len(), 1);
    let claimed = claim::claim(&txn, uuid::Uuid::nil(), later, NOW, &[(due[0], 10)]).await;
    assert_eq!(claimed.expect("claimed").len(), 10);
    let read = rows_read(&txn, "delivery").await;
    assert!(read < 2000, "{read} rows were read");
    txn.execute_unprepared("UPDATE destination SET target_revision = 1").await.expect("set");
    arrange::begin(&txn, due[0], false, NOW).await.expect("arranged");
    let read = rows_read(&txn, "delivery").await - read;
    assert!(read < 5000, "{read} rows were read to look for deliveries to an earlier target");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn claim_and_sweep_do_not_read_what_is_held_when_the_statistics_say_that_nothing_waits() {
    let test = TestStore::postgres().await;
    let db = test.store.write();
    let webhook = DestinationId::from(rows::webhook(db, "w", "http://127.0.0.1:9/").await);
    rows::start(db, vec![rows::delivery(webhook)], NOW).await;
    db.execute_unprepared("ALTER TABLE delivery SET (autovacuum_enabled = false)").await.expect("set");
    let fill = format!(
        "INSERT INTO delivery (id, uuid, status, hold_reason, next_attempt_at, destination_id, destination_name, \
         task_name, type_id, event_id, body, attempts, created_at) SELECT 1 + i, gen_random_uuid(), 'held', 'breaker', i, \
         destination_id, destination_name, task_name, type_id, event_id, body, attempts, i \
         FROM delivery, generate_series(1, {MANY}) AS i WHERE id = 1"
    );
    let set = [
        "UPDATE destination SET breaker_opened_at = 1, breaker_probe_at = 1000000000",
        &fill,
        "UPDATE delivery SET status = 'sent', hold_reason = NULL, settled_at = 1 WHERE id > 1",
        // The indexes of waiting deliveries keep their size, and have no rows by these statistics.
        "VACUUM ANALYZE",
        "UPDATE delivery SET status = 'held', hold_reason = 'breaker', settled_at = NULL WHERE id > 1",
    ];
    for sql in set {
        db.execute_unprepared(sql).await.expect("set");
    }
    let txn = test.store.begin().await.expect("a transaction");
    txn.execute_unprepared("SET LOCAL plan_cache_mode = force_generic_plan").await.expect("set");
    let mut read = vec![("nothing", rows_read(&txn, "delivery").await)];
    claim::next_due(&txn).await.expect("looked up");
    read.push(("the next due delivery", rows_read(&txn, "delivery").await));
    sweep::list_due(&txn, NOW).await.expect("looked up");
    read.push(("what is due for the sweep", rows_read(&txn, "delivery").await));
    assert_eq!(set_back::list_parts(&txn, NOW).await.expect("looked up").len(), 0);
    read.push(("whether times are wrong", rows_read(&txn, "delivery").await));
    arrange::begin(&txn, webhook, false, NOW).await.expect("arranged");
    read.push(("a step of arranging", rows_read(&txn, "delivery").await));
    let row = entity::destination::Entity::find().one(&txn).await.expect("read").expect("there");
    let row = entity::destination::Model {
        breaker_opened_at: None,
        release_per_second: Some(10),
        released_at: Some(NOW.0 - 1000),
        ..row
    };
    sweep::release_at_rate(&txn, &row, NOW).await.expect("released");
    read.push(("a release at a rate", rows_read(&txn, "delivery").await));
    txn.execute_unprepared("UPDATE destination SET deleted_at = 1").await.expect("deleted");
    arrange::begin(&txn, webhook, false, NOW).await.expect("arranged");
    read.push(("a step of discarding", rows_read(&txn, "delivery").await));
    // The numbers are running sums.
    assert!(read.windows(2).all(|pair| pair[1].1 - pair[0].1 < 500), "rows read: {read:?}");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn object_is_found_by_its_id_among_many_of_one_name(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let db = test.store.write();
    let new = |number: i64| object::NewObject {
        type_id: "vms".into(),
        external_id: (number > 0).then(|| format!("vm-{number}")),
        name: "web".into(),
    };
    object::insert_many(db, (0..3000).map(new).collect(), NOW).await.expect("made");
    let txn = test.store.begin().await.expect("a transaction");
    let wanted = Wanted { names_without_id: ["web".into()].into(), ..Wanted::default() };
    let found = object::find_wanted(&txn, "vms", wanted).await.expect("found");
    assert_eq!(found.len(), 1);
    let wanted = Wanted { external_ids: ["vm-7".into()].into(), ..Wanted::default() };
    let found = object::find_wanted(&txn, "vms", wanted).await.expect("found");
    assert_eq!(found.keys().collect::<Vec<_>>(), [&ObjectId(found.values().next().expect("one").0.id.0)]);
    if test.store.is_postgres() {
        let read = rows_read(&txn, "object").await;
        assert!(read < 100, "{read} rows were read");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn newest_of_a_task_or_webhook_without_any_is_not_looked_for_among_all() {
    let test = TestStore::postgres().await;
    let db = test.store.write();
    let webhooks =
        [rows::webhook(db, "busy", "http://127.0.0.1:9/").await, rows::webhook(db, "new", "http://b/").await];
    rows::start(db, vec![rows::delivery(webhooks[0])], NOW).await;
    for (name, webhook) in [("busy", webhooks[0]), ("new", webhooks[1])] {
        let new = model::task::Task {
            name: name.into(),
            description: String::new(),
            is_enabled: true,
            deletes_after_running: false,
            destination_id: webhook.into(),
            action: model::task::Action::Webhook(model::task::WebhookSend { message: String::new() }),
        };
        server::store::task::insert(db, &new, NOW).await.expect("a task");
    }
    let runs = format!(
        "INSERT INTO run (task_id, task_name, cause, event_ids, status, started_at) \
         SELECT 1, 't', 'schedule', '', 'failed', i FROM generate_series(1, {MANY}) AS i"
    );
    db.execute_unprepared(&runs).await.expect("filled");
    let deliveries = format!(
        "INSERT INTO delivery (id, uuid, destination_id, status, attempts, created_at, settled_at, type_id, event_id, \
         destination_name, task_name, body) SELECT -i, gen_random_uuid(), 1, 'sent', 1, i, i, '', '', 'w', 't', '' \
         FROM generate_series(1, {MANY}) AS i"
    );
    db.execute_unprepared(&deliveries).await.expect("filled");
    db.execute_unprepared("ANALYZE").await.expect("analysed");
    let txn = test.store.begin().await.expect("a transaction");
    assert_eq!(server::store::figures::failed_tasks(&txn, Timestamp(0)).await.expect("counted"), 1);
    let newest = server::store::delivery::list_newest(&txn, Some(webhooks[1].into()), 10).await.expect("listed");
    assert!(newest.is_empty());
    let filter = search::RunFilter { task_id: Some(TaskId(2)), ..search::RunFilter::default() };
    let page = search::runs(&txn, &filter, search::Part { offset: 0, limit: 50 }).await.expect("listed");
    assert!(page.rows.is_empty());
    let read = rows_read(&txn, "run").await + rows_read(&txn, "delivery").await;
    assert!(read < 100, "{read} rows were read");
}
