//! Plans of the server's statements. On a filled database the test collects each statement that a busy server sends,
//! and reads its plan. A statement that scans a growing table must be listed with its reason.

use crate::harness::{PASSWORD, TestInbox, TestServer, TestStore, eventually};
use app::view::delivery::{DeliveryLine, DeliveryQuery};
use app::view::destination::{Held, ReleaseChoice};
use log::LevelFilter;
use model::access::{Role, Scope};
use model::id::{TaskId, WebhookId};
use model::schedule::TriggerDraft;
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend, Statement};
use serde_json::json;
use server::retention::{Limits, Retention};
use server::schedule::worker::Scheduler;
use server::service::Services;
use server::store::{Store, connect};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::{Layer, Registry};

/// Tables that grow with occurrences and deliveries.
const GROWING: [&str; 8] = ["delivery", "attempt", "run", "occurrence", "receipt", "revision", "object", "object_tag"];

/// Statements that may scan, by a part of their text, and the reason.
const MAY_SCAN: &[(&str, &str)] = &[
    (
        "COUNT(*) FROM delivery WHERE status = 'queued'",
        "the length of the queue, shared by all viewers: an index of waiting deliveries",
    ),
    (
        "SELECT +destination_id AS destination_id, COUNT(*) AS deliveries FROM delivery WHERE status = 'held'",
        "waiting deliveries, for a page",
    ),
    ("status = 'running' AND lease_owner", "deliveries in flight: at most 512 a node"),
    ("WHERE TRUE ORDER BY", "a page of a list without a filter: it ends with its limit"),
    ("WHERE TRUE LIMIT", "counted up to 10,000"),
    ("FROM \"occurrence\" ORDER BY \"occurrence\".\"id\" DESC LIMIT", "the newest: it ends with its limit"),
    ("tasks_started = 0 ORDER BY received_at DESC LIMIT 1 OFFSET", "once an hour, by index"),
    ("FROM \"delivery\" WHERE status = 'error'", "by the index of failures; it ends with its limit"),
    ("FROM \"delivery\" WHERE status = 'held' LIMIT", "by the index of held deliveries, counted up to 10,000"),
    ("FROM delivery WHERE status = 'held' LIMIT 1 OFFSET", "whether few are held: up to 10,000, by their index"),
    ("FROM \"delivery\" WHERE status = 'held' ORDER BY +id", "up to 10,000 held deliveries, by their index"),
    ("FROM delivery WHERE status = 'queued' LIMIT 1 OFFSET", "whether the queue is short: up to 10,000, by its index"),
    ("FROM \"delivery\" WHERE status = 'queued' ORDER BY +id", "a queue of up to 10,000, by its index"),
    ("(status = 'held') AND (+destination_id", "by the index of held deliveries, as without the destination"),
    ("(status = 'queued') AND (+destination_id", "by the index of queued deliveries, for a page"),
    ("GROUP BY kind, row_id HAVING COUNT(*)", "once an hour, by index; revisions of a row are bounded"),
    ("ORDER BY CASE WHEN duration_ms IS NULL", "a list sorted by a column without an index: of the newest 10,000"),
    ("ORDER BY \"delivery\".\"attempts\"", "a list sorted by a column without an index: of the newest 10,000"),
    ("WHERE TRUE ORDER BY \"object\".\"type_id\"", "the first 10,000 objects, for a page"),
    ("AS \"object\" ORDER BY", "sorts what an inner query has found: at most 10,000 objects"),
    ("WHERE status = 'running' AND created_at >=", "deliveries in flight: at most 512 a node"),
    ("(lower(name)", "a search: objects whose name contains a text, one at a time"),
];

/// Statements about few of many rows, by a part of their text, and the index that their plan must use: an index of all
/// rows would be read whole.
const BY_INDEX: &[(&str, &str)] = &[
    ("AS deliveries FROM delivery WHERE status = 'held'", "delivery_held"),
    ("FROM \"delivery\" WHERE status = 'held'", "delivery_held"),
    ("FROM \"delivery\" WHERE (status = 'held') AND (+destination_id", "delivery_held"),
    ("FROM \"delivery\" WHERE (status = 'queued') AND (+destination_id", "delivery_due"),
    ("FROM \"delivery\" WHERE status = 'error'", "delivery_failed"),
    ("FROM delivery WHERE status = 'queued' LIMIT", "delivery_due"),
    ("FROM \"delivery\" WHERE status = 'queued' ORDER BY +id", "delivery_due"),
    ("destination_id <= $1 AND settled_at IS NOT NULL", "delivery_destination"),
    ("run.occurrence_id = occurrence.id LIMIT 1 OFFSET 0", "run_occurrence"),
];

/// Returns true where a step of SQLite's plan reads all deliveries of a destination, or all that are held for a reason,
/// though the statement is about the waiting deliveries of one destination.
fn reads_too_much(sql: &str, step: &str) -> bool {
    let is_about_waiting = ["'held'", "'running'", "'queued'"].iter().any(|status| sql.contains(status));
    let reads_history = step.contains("delivery_destination (destination_id=") && !step.ends_with("AND id=?)");
    (is_about_waiting && reads_history)
        || (step.ends_with("delivery_held (hold_reason=?)") && !step.starts_with("SCAN"))
}

/// Collects the statements.
#[derive(Clone, Default)]
struct Texts(Arc<Mutex<BTreeSet<String>>>);

#[derive(Default)]
struct Text {
    summary: String,
    statement: String,
}

impl tracing::field::Visit for Text {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        if field.name() == "summary" {
            self.summary = format!("{value:?}");
        }
    }

    fn record_str(&mut self, field: &tracing::field::Field, value: &str) {
        match field.name() {
            "summary" => value.clone_into(&mut self.summary),
            "db.statement" => value.trim().clone_into(&mut self.statement),
            _ => {}
        }
    }
}

impl Layer<Registry> for Texts {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, Registry>) {
        if event.metadata().target() != "sqlx::query" {
            return;
        }
        let mut text = Text::default();
        event.record(&mut text);
        // sqlx logs a statement of four words or fewer as its summary alone.
        let text = if text.statement.is_empty() { text.summary } else { text.statement };
        self.0.lock().expect("no panic").insert(text);
    }
}

/// Copies the first row of each growing table thousands of times.
async fn fill(store: &Store) {
    let postgres = store.is_postgres();
    let db = store.write();
    let uuid = if postgres { "gen_random_uuid()" } else { "randomblob(16)" };
    let numbers = |count: u32| {
        format!(
            "(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count}) \
             SELECT i FROM n) AS numbers"
        )
    };
    let copy = async |table: &str, columns: &str, values: &str, count: u32| {
        let sql = format!(
            "INSERT INTO {table} ({columns}) SELECT {values} FROM {table}, {} \
             WHERE {table}.id = (SELECT MIN(id) FROM {table})",
            numbers(count)
        );
        db.execute_unprepared(&sql).await.unwrap_or_else(|error| panic!("{table}: {error}"));
    };
    let occurrence = "type_id, event_id, source, occurred_at, tasks_started, reasons, depth, revision_mark";
    copy(
        "occurrence",
        &format!("uuid, received_at, {occurrence}"),
        &format!("{uuid}, received_at - i * 1000, {}", occurrence.replace("tasks_started", "i % 2")),
        20_000,
    )
    .await;
    copy(
        "run",
        "task_id, task_name, cause, occurrence_id, event_ids, status, started_at, ended_at",
        "task_id, task_name, cause, occurrence_id + i, event_ids, status, started_at - i * 1000, ended_at - i * 1000",
        20_000,
    )
    .await;
    let delivery = "destination_name, task_name, type_id, event_id, status, body, attempts, status_code, duration_ms, \
                    destination_revision";
    copy(
        "delivery",
        &format!("id, uuid, destination_id, created_at, settled_at, {delivery}"),
        &format!(
            "(SELECT MAX(id) FROM run) + 1 - i, {uuid}, 1 + i % 3, created_at - i * 1000, settled_at - i * 1000, {}",
            delivery.replace("status, body", "CASE WHEN i % 10 = 0 THEN 'error' ELSE 'sent' END, body")
        ),
        20_000,
    )
    .await;
    let attempt = "number, started_at, duration_ms, response_headers, response_body, destination_revision";
    copy("attempt", &format!("delivery_id, {attempt}"), &format!("delivery_id + i, {attempt}"), 20_000).await;
    copy(
        "receipt",
        "key_id, source, external_id, content_hash, occurrence, tasks_started, created_at, repeats",
        &format!("key_id, source, CAST(i AS TEXT), content_hash, {uuid}, tasks_started, created_at - i, 0"),
        20_000,
    )
    .await;
    copy(
        "object",
        "type_id, external_id, name, created_at, updated_at",
        "'vms', 'filled-' || CAST(i AS TEXT), 'filled-' || CAST(i AS TEXT), created_at, updated_at",
        20_000,
    )
    .await;
    copy(
        "revision",
        "kind, row_id, number, document, changed_at",
        "kind, 1000 + i % 2000, i, document, changed_at + i",
        20_000,
    )
    .await;
    // Deliveries behind a pause.
    let waiting = "destination_name, task_name, type_id, event_id, body, attempts, destination_revision";
    copy(
        "delivery",
        &format!("id, uuid, destination_id, created_at, status, hold_reason, next_attempt_at, object_id, {waiting}"),
        &format!("0 - i, {uuid}, 2, created_at, 'held', 'paused', created_at + i, i % 100, {waiting}"),
        5000,
    )
    .await;
    if postgres {
        db.execute_unprepared("ANALYZE").await.expect("analysed");
    }
}

/// The pages, with the filters and orders that have queries of their own.
const PAGES: &[&str] = &[
    "/",
    "/webhooks",
    "/webhooks/1",
    "/tasks",
    "/tasks/1",
    "/events",
    "/runs",
    "/runs?task=t&status=failed",
    "/runs?of_task=1",
    "/runs?of_task=1&status=failed",
    "/runs?of_task=1&task=w&beyond=10000",
    "/objects",
    "/objects?name=web",
    "/objects?type=Virtual+Machines&sort=tags",
    "/objects?tags=production&sort=-type",
    "/objects/1",
    "/tags",
    "/types",
    "/deliveries",
    "/deliveries?page=3",
    "/deliveries?status=error",
    "/deliveries?status=held",
    "/deliveries?status=queued",
    "/deliveries?time=1h",
    "/deliveries?time=7d&status=error",
    "/deliveries?status=discarded",
    "/deliveries?of_destination=2",
    "/deliveries?of_destination=2&page=3&sort=time",
    "/deliveries?of_destination=2&time=1h",
    "/deliveries?of_destination=2&status=held",
    "/deliveries?of_destination=2&status=held&sort=attempts",
    "/deliveries?of_destination=2&status=queued",
    "/deliveries?of_destination=2&status=error",
    "/deliveries?of_destination=2&object=web&time=7d",
    "/deliveries?of_destination=2&object=web&sort=time&beyond=100",
    "/deliveries?of_destination=2&sort=-attempts",
    "/deliveries?destination=w&task=t&object=web",
    "/deliveries?object=web&sort=time&beyond=100",
    "/runs?task=t&beyond=100",
    "/deliveries?result=404",
    "/deliveries?result=timeout",
    "/deliveries?sort=attempts",
    "/deliveries?sort=-duration",
    "/deliveries?sort=time",
    "/schedules",
    "/schedules/1",
    "/schedules/1/edit",
    "/triggers/new?task=1",
    "/time-zone",
    "/webhooks/1/edit",
    "/tasks/1/edit",
    "/events/1",
];

/// Uses once each function that people, senders and the clock use.
async fn use_everything(server: &TestServer, key: &str, cookie: &str) {
    let backend = server.services.backend();
    let sent = DeliveryQuery { status: "sent".into(), ..DeliveryQuery::default() };
    let uuid = backend.deliveries.search(sent).await.expect("found").rows.remove(0).uuid;
    let object = json!({"id": "vm-1", "name": "web", "tags": []});
    let again = json!({"type": "vms", "event": "poweron", "id": "again", "object": object});
    let why = server.post(key, &again).await;
    server.post(key, &again).await;
    server.post(key, &json!([{"type": "logs", "event": "created"}, {"type": "made", "event": "up"}])).await;
    let occurrence = why.1["occurrences"][0]["id"].as_str().unwrap_or_else(|| panic!("{why:?}")).to_owned();
    let details = [format!("/deliveries/{uuid}"), format!("/occurrences/{occurrence}")];
    for path in PAGES.iter().copied().chain(details.iter().map(String::as_str)) {
        let response =
            server.http.get(format!("{}{path}", server.url)).header("cookie", cookie).send().await.expect("a response");
        assert_eq!(response.status(), 200, "{path}");
    }
    let (status, _) = server.call("GET", &format!("/api/v1/occurrences/{occurrence}/why"), key, None).await;
    assert_eq!(status, 200);
    let objects = json!(
        (0..20).map(|id| json!({"id": format!("i-{id}"), "name": format!("i-{id}"), "tags": []})).collect::<Vec<_>>()
    );
    server.call("PATCH", "/api/v1/inventory/nodes", key, Some(&objects)).await;
    server.call("PUT", "/api/v1/inventory/nodes", key, Some(&json!([{"id": "i-1", "name": "i-1"}]))).await;
    let webhooks = &backend.webhooks;
    let filled = WebhookId(2);
    webhooks.pause(WebhookId(1)).await.expect("paused");
    backend.tasks.execute(TaskId(1), "maria".into()).await.expect("executed");
    for held in [Held::Newest, Held::None, Held::All] {
        webhooks.resume(WebhookId(1), ReleaseChoice { held, per_second: None }).await.expect("resumed");
        webhooks.pause(WebhookId(1)).await.expect("paused");
        backend.tasks.execute(TaskId(1), "maria".into()).await.expect("executed");
    }
    let mut draft = webhooks.load_form(filled).await.expect("a form").draft;
    draft.url = draft.url.replace("127.0.0.1", "127.0.0.2");
    let saved = webhooks.save(Some(filled), draft).await.expect("saved");
    let revision = webhooks.detail(saved.id).await.expect("there").revision;
    webhooks
        .confirm_target(filled, revision, ReleaseChoice { held: Held::Newest, per_second: Some(5) })
        .await
        .expect("confirmed");
    backend.deliveries.replay(uuid, false, "maria".into()).await.expect("replayed");
    backend.deliveries.search(DeliveryQuery::default()).await.expect("found");
    let held = backend
        .deliveries
        .search(DeliveryQuery { status: "held".into(), ..DeliveryQuery::default() })
        .await
        .expect("found");
    backend.deliveries.discard(held.rows[0].uuid.clone(), "maria".into()).await.expect("discarded");
    webhooks.delete(vec![WebhookId(3)]).await.expect("deleted");
    let kept = Limits {
        settled: Duration::from_secs(19_900_000),
        per_destination: 6500,
        unmatched: Duration::from_secs(19_900_000),
    };
    Retention::new(server.services.store.clone(), server.services.clock.clone(), kept).sweep().await.expect("swept");
}

/// Lets a schedule start a task, in time and too late.
async fn run_a_schedule(server: &TestServer) {
    let schedules = server.services.backend().schedules;
    let mut draft = schedules.load_form(None).await.expect("a form").draft;
    draft.name = "Each Minute".into();
    draft.unit = "minutes".into();
    let schedule = schedules.save(None, draft).await.expect("saved").to_string();
    let draft = TriggerDraft { schedule, task: "1".into(), enabled: "true".into() };
    schedules.add_trigger(draft).await.expect("added");
    let Services { store, clock, zone, wake, .. } = server.services.clone();
    let mut node = Scheduler::new(store, clock, zone, wake);
    for minutes in [0, 1, 180] {
        server.advance(Duration::from_mins(minutes));
        node.tick().await.expect("looked");
    }
}

/// Returns the plan of a statement, one line for each step.
async fn explain(db: &DatabaseConnection, sql: &str) -> Result<Vec<String>, String> {
    let rows = if db.get_database_backend() == DbBackend::Sqlite {
        let text = format!("EXPLAIN QUERY PLAN {sql}");
        db.query_all_raw(Statement::from_string(DbBackend::Sqlite, text)).await
    } else {
        db.execute_unprepared(&format!("PREPARE one AS {sql}")).await.map_err(|error| error.to_string())?;
        let count = (1..70_000).take_while(|index| sql.contains(&format!("${index}"))).count();
        let nothing = if count == 0 { String::new() } else { format!("({})", vec!["NULL"; count].join(", ")) };
        let rows = db
            .query_all_raw(Statement::from_string(DbBackend::Postgres, format!("EXPLAIN EXECUTE one{nothing}")))
            .await;
        db.execute_unprepared("DEALLOCATE one").await.map_err(|error| error.to_string())?;
        rows
    };
    let column = if db.get_database_backend() == DbBackend::Sqlite { "detail" } else { "QUERY PLAN" };
    let rows = rows.map_err(|error| error.to_string())?;
    Ok(rows.iter().map(|row| row.try_get::<String>("", column).expect("text")).collect())
}

/// Returns the growing table that this step of a plan scans.
fn scanned(sql: &str, step: &str) -> Option<String> {
    let words: Vec<_> = step.split_whitespace().collect();
    let (is_postgres, name) = match words.as_slice() {
        ["SCAN", name, ..] => (false, *name),
        _ => {
            let index =
                words.windows(3).position(|three| three[0] == "Seq" && three[1] == "Scan" && three[2] == "on")?;
            (true, *words.get(index + 3)?)
        }
    };
    if GROWING.contains(&name) {
        return Some(name.to_owned());
    }
    // SQLite names the alias, as in `FROM delivery d`.
    let words: Vec<_> = sql.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty()).collect();
    let names: BTreeMap<_, _> = words
        .windows(3)
        .filter(|three| matches!(three[0], "FROM" | "JOIN") && GROWING.contains(&three[1]))
        .map(|three| (three[2].to_owned(), three[1].to_owned()))
        .collect();
    if is_postgres { None } else { names.get(name).cloned() }
}

async fn read_plans(test: TestStore, texts: Texts, plans: DatabaseConnection) {
    let server = TestServer::start(test).await;
    let inbox = TestInbox::start().await;
    let key = server.key("dc", &[Scope::Ingest, Scope::Inventory, Scope::Read]).await;
    for name in ["w", "held", "third"] {
        let webhook = server.webhook(name, &inbox.url, |_| ()).await;
        if name != "third" {
            server.event(server.task(name, webhook, "${NAME}", false).await).await;
        }
    }
    server
        .post(&key, &json!({"type": "vms", "event": "poweron", "id": "first", "object": {"id": "vm-1", "name": "web"}}))
        .await;
    server.deliveries_until(|rows| rows.len() == 2 && rows.iter().all(DeliveryLine::is_settled)).await;
    server.services.backend().webhooks.pause(WebhookId(2)).await.expect("paused");
    fill(&server.services.store).await;
    let cookie = server.sign_in("maria", Role::Admin).await;
    assert!(!PASSWORD.is_empty());
    texts.0.lock().expect("no panic").clear();
    use_everything(&server, &key, &cookie).await;
    run_a_schedule(&server).await;
    server.advance(Duration::from_secs(2));
    eventually("a sweep has run", async || {
        texts.0.lock().expect("no panic").iter().any(|text| text.contains("(arranging > 0"))
    })
    .await;
    let all: Vec<_> = texts.0.lock().expect("no panic").iter().cloned().collect();
    assert!(all.len() > 100, "{} statements were collected", all.len());
    let mut wrong = String::new();
    // A text for SQLite may have several statements. EXPLAIN would explain the first one and run the others.
    let separator = if plans.get_database_backend() == DbBackend::Sqlite { "; " } else { "\0" };
    for sql in all.iter().flat_map(|text| text.split(separator)) {
        let verb = sql.split_whitespace().next().unwrap_or_default();
        if !["SELECT", "UPDATE", "DELETE", "INSERT", "WITH"].contains(&verb) || sql.contains("pg_advisory") {
            continue;
        }
        match explain(&plans, sql).await {
            // PostgreSQL cannot infer the types of VALUES. Such a statement finds rows by their primary key.
            Err(_) if sql.contains("FROM (VALUES") => {}
            Err(error) => _ = writeln!(wrong, "cannot be explained: {error}\n  {sql}\n"),
            Ok(steps) => {
                let scanned: Vec<_> = steps.iter().filter_map(|step| scanned(sql, step)).collect();
                for (_, index) in BY_INDEX.iter().filter(|(part, _)| sql.contains(part)) {
                    if !steps.iter().any(|step| step.contains(index)) {
                        _ = writeln!(wrong, "does not use {index}:\n  {sql}\n    {}\n", steps.join("\n    "));
                    }
                }
                if steps.iter().any(|step| reads_too_much(sql, step)) {
                    _ = writeln!(wrong, "reads too much:\n  {sql}\n    {}\n", steps.join("\n    "));
                }
                if !scanned.is_empty() && !MAY_SCAN.iter().any(|(part, _)| sql.contains(part)) {
                    _ = writeln!(wrong, "scans {}:\n  {sql}\n    {}\n", scanned.join(", "), steps.join("\n    "));
                }
            }
        }
    }
    // On PostgreSQL some statements have another text.
    if plans.get_database_backend() == DbBackend::Sqlite {
        for (part, _) in MAY_SCAN.iter().chain(BY_INDEX) {
            if !all.iter().any(|text| text.contains(part)) {
                _ = writeln!(wrong, "no statement has this part any more: {part}");
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

fn collect() -> Texts {
    let texts = Texts::default();
    tracing::subscriber::set_global_default(Registry::default().with(texts.clone()))
        .expect("the only one of this process");
    texts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statements_scan_no_growing_table_on_sqlite() {
    let texts = collect();
    let mut test = TestStore::sqlite().await;
    test.store = connect::open_sqlite_logging(test.dir.path(), LevelFilter::Info).await.expect("opens");
    let file = test.dir.path().join("hookwright.db");
    let plans = Database::connect(format!("sqlite://{}", file.display())).await.expect("opens");
    read_plans(test, texts, plans).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statements_scan_no_growing_table_on_postgres() {
    let texts = collect();
    let mut test = TestStore::postgres().await;
    let url = test.url.clone().expect("a URL");
    test.store = connect::open_postgres_logging(&url, LevelFilter::Info).await.expect("opens");
    let mut options = ConnectOptions::new(url);
    options.max_connections(1);
    let plans = Database::connect(options).await.expect("opens");
    plans.execute_unprepared("SET plan_cache_mode = force_generic_plan").await.expect("set");
    // As in the sessions of the engine. A statement that still scans has no index.
    plans.execute_unprepared("SET enable_seqscan = off").await.expect("set");
    read_plans(test, texts, plans).await;
}
