//! PostgreSQL: no statement of the hot path costs more with history or backlog, whatever the planner knows.
//!
//! Each statement runs in a transaction of its own, which counts the blocks that it has fetched. The counts at 100 rows
//! and at 1,000,000 may differ by the height of the indexes only.

use crate::harness::TestStore;
use crate::rows;
use model::delivery::{Next, Outcome, Status};
use model::id::{ApiKeyId, DestinationId, ObjectId, OccurrenceId};
use model::run::Cause;
use model::time::Timestamp;
use sea_orm::{ConnectionTrait, DatabaseTransaction, Statement, TransactionTrait};
use server::store::claim::{self, Claimed};
use server::store::current::{self, Unchanged};
use server::store::delivery::{self, Attempted, Lease, NewDelivery, Settlement};
use server::store::receipt::{Identity, Receipt};
use server::store::run::NewRun;
use server::store::{hold, lease, object, occurrence, revision, sweep};
use std::collections::{BTreeMap, HashSet};
use std::time::Duration;
use uuid::Uuid;

const NOW: Timestamp = Timestamp(1_000_000_000);
/// The deliveries of a group.
const GROUP: usize = 20;
/// The webhooks.
const WEBHOOKS: i64 = 50;

/// The number of the first delivery that is held.
const HELD: i64 = 1_000_000_000;

/// Adds rows from `first` to `last` to each table of the queue: half of the deliveries are settled and half are queued,
/// and half as many again are held. The indexes are built afterwards, which takes a fifth of the time.
async fn fill(db: &impl ConnectionTrait, first: i64, last: i64) {
    let sql = format!(
        "DO $$ DECLARE made TEXT[]; one TEXT; BEGIN
           SELECT array_agg(indexdef) INTO made FROM pg_indexes i WHERE tablename IN ('occurrence', 'run', 'delivery', 'attempt')
             AND indexdef NOT LIKE '%UNIQUE%';
           FOR one IN SELECT indexname FROM pg_indexes WHERE tablename IN ('occurrence', 'run', 'delivery', 'attempt')
             AND indexdef NOT LIKE '%UNIQUE%' LOOP EXECUTE 'DROP INDEX ' || one; END LOOP;
           SET LOCAL session_replication_role = replica;
           INSERT INTO occurrence (id, uuid, type_id, event_id, source, received_at, tasks_started, reasons, revision_mark)
             SELECT i, gen_random_uuid(), 'vms', 'poweron', 's', i, 1, '{{}}', 0 FROM generate_series({first}, {last}) i;
           INSERT INTO run (id, task_name, cause, occurrence_id, event_ids, status, started_at, ended_at)
             SELECT i, 't', 'occurrence', i, '1', CASE WHEN i % 2 = 0 THEN 'succeeded' ELSE 'running' END, i,
             CASE WHEN i % 2 = 0 THEN i END FROM generate_series({first}, {last}) i;
           INSERT INTO delivery (id, uuid, destination_id, status, next_attempt_at, attempts, created_at, settled_at,
             type_id, event_id, destination_name, task_name, body)
             SELECT i, gen_random_uuid(), i / 2 % {WEBHOOKS} + 1, CASE WHEN i % 2 = 0 THEN 'sent' ELSE 'queued' END,
             CASE WHEN i % 2 = 1 THEN i END, 0, i, CASE WHEN i % 2 = 0 THEN i END, 'vms', 'poweron', 'w', 't', ''
             FROM generate_series({first}, {last}) i;
           INSERT INTO delivery (id, uuid, destination_id, status, hold_reason, next_attempt_at, attempts, created_at,
             type_id, event_id, destination_name, task_name, body)
             SELECT {HELD} + i, gen_random_uuid(), i / 2 % {WEBHOOKS} + 1, 'held', 'paused', i, 0, i, 'vms', 'poweron', 'w', 't', ''
             FROM generate_series({first}, {last}) i WHERE i % 2 = 0;
           INSERT INTO attempt (id, delivery_id, number, destination_revision, started_at, duration_ms, response_headers,
             response_body) SELECT i, i, 1, 1, i, 1, '', '' FROM generate_series({first}, {last}) i WHERE i % 2 = 0;
           INSERT INTO object (id, type_id, external_id, name, created_at, updated_at)
             SELECT i, 'vms', i::text, i::text, i, i FROM generate_series({first}, {last}) i;
           INSERT INTO receipt (key_id, source, external_id, content_hash, occurrence, tasks_started, repeats, created_at)
             SELECT 1, 's', i::text, '', gen_random_uuid(), 1, 0, i FROM generate_series({first}, {last}) i;
           INSERT INTO revision (kind, row_id, number, changed_at)
             SELECT 'task', i, 1, i FROM generate_series({first}, {last}) i;
           PERFORM setval(pg_get_serial_sequence(name, 'id'), {last}) FROM unnest(ARRAY['occurrence', 'run', 'delivery', 'attempt']) name;
           FOREACH one IN ARRAY made LOOP EXECUTE one; END LOOP;
         END $$"
    );
    db.execute_unprepared(&sql).await.expect("filled");
}

/// The blocks that each step of the hot path fetched.
#[derive(Default)]
struct Counts(BTreeMap<&'static str, i64>);

impl Counts {
    async fn note(&mut self, step: &'static str, txn: &DatabaseTransaction) {
        // TOAST tables and system tables do not grow with the queue.
        let sql = "SELECT CAST(SUM(pg_stat_get_xact_blocks_fetched(oid)) AS BIGINT) AS blocks FROM pg_class \
                   WHERE relnamespace = 'public'::regnamespace";
        let row = txn.query_one_raw(Statement::from_string(txn.get_database_backend(), sql)).await.expect("counted");
        let blocks: i64 = row.expect("one row").try_get("", "blocks").expect("a number");
        let before: i64 = self.0.values().sum::<i64>() - self.0.get(step).copied().unwrap_or_default();
        *self.0.entry(step).or_default() = blocks - before;
    }
}

/// Returns a delivery of each of these occurrences, leased from the start.
fn leased(occurrences: impl IntoIterator<Item = OccurrenceId>, owner: Uuid) -> Vec<(NewRun, NewDelivery)> {
    let lease = Lease { owner, until: NOW.after(Duration::from_secs(20)), revision: 1, ends_task: false };
    let run =
        |id| NewRun { task_id: None, task_name: "t".into(), cause: Cause::Occurrence(Some(id)), event_ids: Vec::new() };
    let delivery =
        |number: i64| NewDelivery { lease: Some(lease), ..rows::delivery(DestinationId(number % WEBHOOKS + 1)) };
    (0..).zip(occurrences).map(|(number, occurrence)| (run(occurrence), delivery(number))).collect()
}

/// Starts a group of deliveries.
async fn start_group(txn: &DatabaseTransaction, owner: Uuid) -> Vec<Claimed> {
    let occurrences = (0..GROUP).map(|_| rows::occurrence()).collect();
    let occurrences = occurrence::insert_many(txn, occurrences).await.expect("occurrences");
    delivery::start_many(txn, leased(occurrences, owner), NOW).await.expect("started").claimed
}

/// Starts a group by the cached state of its objects and receipts, as most groups are started.
async fn start_alone(txn: &DatabaseTransaction, owner: Uuid) {
    let mark = revision::newest(txn).await.expect("asked");
    let ids: Vec<_> = (1..=WEBHOOKS).map(DestinationId).collect();
    let now = current::read(txn, &[], &ids).await.expect("read");
    let object = |number: usize| {
        let name = (number + 1).to_string();
        let id = ObjectId(i64::try_from(number + 1).expect("small"));
        let row = object::Row { id, type_id: "vms".into(), external_id: Some(name.clone()), name, is_gone: false };
        (row, Vec::new())
    };
    let identity =
        |number: usize| Identity { key: ApiKeyId(1), source: "s".into(), external_id: format!("new-{number}") };
    let unchanged = Unchanged {
        mark,
        keys: Vec::new(),
        destinations: now.destinations.into_iter().map(|(id, now)| (id, now.text)).collect(),
        objects: (0..GROUP).map(object).collect(),
        new: (0..GROUP).map(identity).collect(),
    };
    let occurrences: Vec<_> = (0..GROUP).map(|_| rows::occurrence()).collect();
    let receipt = |(number, row): (usize, &occurrence::Row)| {
        let receipt = Receipt { content_hash: vec![1; 32], occurrence: row.uuid, tasks_started: 1 };
        (identity(number), receipt)
    };
    let occurred = delivery::Occurred {
        receipts: occurrences.iter().enumerate().map(receipt).collect(),
        occurrences,
        new: leased((1..).map(OccurrenceId).take(GROUP), owner),
        has_queued: false,
        unchanged: Some(unchanged),
    };
    let started = delivery::start_alone(txn, occurred, NOW).await.expect("asked").expect("started");
    assert_eq!(started.claimed.len(), GROUP);
}

async fn settle_group(txn: &DatabaseTransaction, owner: Uuid, group: Vec<Claimed>) {
    let attempted = Attempted {
        outcome: Outcome::Sent,
        ..Attempted::failed(NOW, Duration::from_millis(1), model::delivery::ErrorCode::Internal, String::new())
    };
    let settle = |claimed: Claimed| Settlement::new(claimed, attempted.clone(), Next::Settle(Status::Sent), 1);
    delivery::settle_many(txn, owner, group.into_iter().map(settle).collect(), NOW).await.expect("settled");
}

/// Runs each statement of the hot path once, and rolls it back.
async fn run_all(db: &impl TransactionTrait<Transaction = DatabaseTransaction>) -> BTreeMap<&'static str, i64> {
    let owner = Uuid::from_u128(7);
    let txn = db.begin().await.expect("a transaction");
    // PostgreSQL uses such a plan after some calls.
    txn.execute_unprepared("SET LOCAL plan_cache_mode = force_generic_plan").await.expect("set");
    let mut counts = Counts::default();
    // PostgreSQL adds the blocks that earlier transactions of the session fetched, as far as it has not published them
    // yet.
    counts.note("before", &txn).await;

    let claimed = start_group(&txn, owner).await;
    counts.note("start a group", &txn).await;
    settle_group(&txn, owner, claimed).await;
    counts.note("settle a group", &txn).await;

    start_alone(&txn, owner).await;
    counts.note("start a group while all is unchanged", &txn).await;

    let due = claim::list_due(&txn, NOW, DestinationId(3)).await.expect("listed");
    assert_eq!(due.destinations.len(), usize::try_from(WEBHOOKS).expect("small"));
    counts.note("list what is due", &txn).await;
    let plan: Vec<_> = due.destinations[..GROUP].iter().map(|id| (*id, 1)).collect();
    let claimed = claim::claim(&txn, owner, NOW, NOW, &plan).await.expect("claimed");
    assert_eq!(claimed.len(), GROUP);
    counts.note("claim a group", &txn).await;
    let ids: Vec<_> = claimed.iter().map(Claimed::id).collect();
    let until = claimed[0].lease_until();
    lease::give_back(&txn, owner, &[(lease::Returned { due: None, until }, ids)].into(), NOW).await.expect("returned");
    counts.note("give a group back", &txn).await;

    claim::next_due(&txn).await.expect("asked");
    lease::return_expired(&txn, NOW, owner, &[]).await.expect("released");
    lease::give_back_unknown(&txn, NOW, owner, || Some(HashSet::new())).await.expect("returned");
    sweep::list_due(&txn, NOW).await.expect("listed");
    hold::load_states(&txn, &[DestinationId(1), DestinationId(2)], true).await.expect("loaded");
    counts.note("look around", &txn).await;
    txn.rollback().await.expect("rolled back");
    counts.0.remove("before");
    counts.0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hot_path_fetches_as_many_blocks_at_a_million_rows_as_at_a_hundred() {
    let test = TestStore::postgres().await;
    let db = test.store.write();
    for table in ["occurrence", "run", "delivery", "attempt"] {
        db.execute_unprepared(&format!("ALTER TABLE {table} SET (autovacuum_enabled = false)")).await.expect("set");
    }
    for number in 1..=WEBHOOKS {
        rows::webhook(db, &format!("w{number}"), "http://127.0.0.1:9/").await;
    }
    let key = "INSERT INTO api_key (id, name, key_hash, scopes, created_at) VALUES (1, 'k', '', 'ingest', 0)";
    db.execute_unprepared(key).await.expect("a key");
    let mut all: Vec<(String, BTreeMap<&str, i64>)> = Vec::new();
    let mut filled = 0;
    for count in [100, 10_000, 1_000_000] {
        // This long statement may take longer than those of the engine.
        let unlimited = db.begin().await.expect("a transaction");
        unlimited.execute_unprepared("SET LOCAL statement_timeout = 0").await.expect("set");
        fill(&unlimited, filled + 1, count).await;
        unlimited.commit().await.expect("committed");
        filled = count;
        all.push((format!("{count} rows, old statistics"), run_all(db).await));
        db.execute_unprepared("ANALYZE").await.expect("analysed");
        all.push((format!("{count} rows, new statistics"), run_all(db).await));
    }
    let least = all[0].1.clone();
    for (at, counts) in &all {
        for (step, blocks) in counts {
            let first = least[step];
            assert!(*blocks <= first * 3 + 100, "{step} at {at}: {blocks} blocks, and {first} at first\n{all:#?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settling_does_not_read_what_was_leased_since_the_last_vacuum() {
    let test = TestStore::postgres().await;
    let db = test.store.write();
    db.execute_unprepared("ALTER TABLE delivery SET (autovacuum_enabled = false)").await.expect("set");
    for number in 1..=WEBHOOKS {
        rows::webhook(db, &format!("w{number}"), "http://127.0.0.1:9/").await;
    }
    let mut all = Vec::new();
    for round in 0..2 {
        let owner = Uuid::from_u128(7);
        let txn = db.begin().await.expect("a transaction");
        txn.execute_unprepared("SET LOCAL plan_cache_mode = force_generic_plan").await.expect("set");
        let claimed = start_group(&txn, owner).await;
        let mut counts = Counts::default();
        counts.note("before", &txn).await;
        settle_group(&txn, owner, claimed).await;
        counts.note("settle", &txn).await;
        txn.rollback().await.expect("rolled back");
        all.push(counts.0["settle"]);
        if round == 0 {
            let leased = "INSERT INTO delivery (id, uuid, destination_id, status, lease_owner, lease_until, attempts, created_at, \
                 type_id, event_id, destination_name, task_name, body) SELECT 1000 + i, gen_random_uuid(), 1, 'running', \
                 gen_random_uuid(), i, 0, i, 'vms', 'poweron', 'w', 't', '' FROM generate_series(1, 40000) i";
            db.execute_unprepared(leased).await.expect("leased");
            let sent = "UPDATE delivery SET status = 'sent', settled_at = 1, lease_owner = NULL, lease_until = NULL";
            db.execute_unprepared(sent).await.expect("sent");
        }
    }
    assert!(all[1] <= all[0] * 2 + 50, "{all:?} blocks");
}
