//! Fills a database with made-up deliveries and all that belongs to them, so that the console can be tried at size:
//! `cargo xtask fill`. Not part of the product.
//!
//! The store makes the few rows that people configure, so that their revisions are noted as always. The many rows are
//! made in the database itself, one chunk in each transaction: [`Filling::stage`] fills a temporary table with the
//! random values of a chunk, and one statement for each table reads from it. The example only adds rows, and neither
//! changes nor removes existing ones. Only numbers and texts of this file become parts of the SQL.
//!
//! Occurrences come in cycles. A cycle has each kind of event as often as its weight says, and an occurrence has one
//! run with one delivery for each task that its kind starts. So the console's "why" agrees with what was sent.

#![expect(clippy::print_stdout, reason = "a command line tool talks")]

mod configured;
mod rows;

use anyhow::{Context, Result, anyhow};
use clap::{Parser, value_parser};
use model::access::Scope;
use model::event::{Event, EventFilters, EventScope};
use model::id::{EventId, ObjectId, TagId, TaskId, WebhookId};
use model::tag::{Category, Tag};
use model::task::{Action, Task, WebhookSend};
use model::time::Timestamp;
use model::webhook::WebhookDraft;
use sea_orm::{ConnectionTrait, DatabaseTransaction as Transaction, Statement};
use server::clock::{Clock, new_uuid};
use server::config::{DatabaseOptions, resolve_database};
use server::serve::open_beside;
use server::store::{Store, access, event, hold, revision, tag, task, webhook};
use sqlx::Executor as _;
use std::time::{Duration, Instant};

/// Deliveries of a transaction: a second of writing, so that a running console does not wait for long.
const CHUNK: i64 = 20_000;
/// The pause between two transactions. A process that waits for SQLite's writer tries again every 100 ms.
const PAUSE: Duration = Duration::from_millis(120);
const MINUTE: i64 = 60_000;
const DAY: i64 = 1440 * MINUTE;
/// The number of days that the settled deliveries reach back.
const DAYS: i64 = 28;
/// The most deliveries that a paused webhook holds (`model::delivery::HELD_MAX`), and that `serve` retains for each
/// webhook by default.
const PER_WEBHOOK: i64 = 100_000;

#[derive(Parser)]
#[command(bin_name = "cargo xtask fill", about = "Fill a database with made-up deliveries, beside what is in it")]
struct Options {
    /// How many settled deliveries to make
    #[arg(value_name = "N", value_parser = value_parser!(i64).range(1..=100_000_000))]
    deliveries: i64,
    /// How many deliveries to make that paused webhooks hold
    #[arg(long, value_name = "H", default_value_t = 0, value_parser = value_parser!(i64).range(0..=10_000_000))]
    held: i64,
    /// How many deliveries to make that are due: a running console sends them, to port 9000 of this machine
    #[arg(long, value_name = "Q", default_value_t = 0, value_parser = value_parser!(i64).range(0..=10_000_000))]
    queued: i64,
    /// How many webhooks to make, each with a task and an event
    #[arg(long, value_name = "W", default_value_t = 20, value_parser = value_parser!(u16).range(1..=500))]
    webhooks: u16,
    /// How many receipts to make, by which the intake recognises repeats [default: N/10]
    #[arg(long, value_name = "R", value_parser = value_parser!(i64).range(0..))]
    receipts: Option<i64>,
    #[command(flatten)]
    database: DatabaseOptions,
}

/// Type, event, how often in a cycle, and what its occurrences note about events that did not fire.
type Kind = (&'static str, &'static str, i64, &'static str);

/// The last two start nothing.
const KINDS: [Kind; 12] = [
    ("vms", "poweron", 4, r#"{"event_disabled":1}"#),
    ("vms", "poweroff", 3, r#"{"event_disabled":1}"#),
    ("alarms", "raised", 3, "{}"),
    ("logs", "created", 4, "{}"),
    ("tenants", "online", 2, "{}"),
    ("site_syncs_outgoing", "completed", 2, "{}"),
    ("alarms", "lowered", 2, "{}"),
    ("tenants", "offline", 2, "{}"),
    ("certificates", "after_renewal", 1, "{}"),
    ("tenants", "error", 1, "{}"),
    ("vms", "created", 2, "{}"),
    ("update_settings", "completed", 1, "{}"),
];
const KINDS_WITH_TASKS: usize = 10;
/// The kind that starts tasks of the paused webhooks only.
const HELD_KIND: Kind = ("site_syncs_outgoing", "error", 1, "{}");

/// Object types, what their names begin with, and their share in percent.
const OBJECTS: [(&str, &str, i64); 5] = [
    ("vms", "vm", 60),
    ("tenants", "tenant", 15),
    ("volumes", "volume", 10),
    ("certificates", "cert", 10),
    ("site_syncs_outgoing", "sync", 5),
];

const MESSAGE: &str = r#"{"event":"${TYPE}.${EVENT}","object":"${NAME}","at":${TIMESTAMP},"reference":${RANDOM},"text":"The state of a managed object has changed. Look at the console of the system it belongs to before you act, and close the ticket only when the state has been stable for ten minutes.","task":"${TASK}"}"#;

/// The variables of [`MESSAGE`] in SQL.
const VALUES: [(&str, &str); 6] = [
    ("${TYPE}", "f.type_id"),
    ("${EVENT}", "f.event_id"),
    ("${NAME}", "COALESCE(o.name, t.name)"),
    ("${TIMESTAMP}", "(f.at / 1000)"),
    ("${RANDOM}", "f.rd"),
    ("${TASK}", "t.name"),
];

/// The reasons why deliveries fail. Number 4 takes the whole timeout, 5 has no connection, the last two come before any
/// attempt.
const FAILURE: &str = "failure (k, code, http, error) AS (VALUES
    (0, 'status', 500, 'Returned 500 Internal Server Error.'), (1, 'status', 503, 'Returned 503 Service Unavailable.'),
    (2, 'status', 429, 'Returned 429 Too Many Requests.'), (3, 'status', 502, 'Returned 502 Bad Gateway.'),
    (4, 'timeout', NULL, 'No response within 5 s.'),
    (5, 'connect', NULL, 'Cannot connect: nothing accepts connections on this port.'),
    (6, 'reset', NULL, 'The connection was closed before a response arrived.'),
    (7, 'redirect', 302, 'Returned 302 Found to /sign-in. Redirects are not followed; enter the final URL.'),
    (8, 'status', 410, 'Returned 410 Gone.'),
    (9, 'too_large', NULL, 'The message is larger than 1 MiB once its values are filled in.'),
    (10, NULL, NULL, 'Discarded by admin.'))";
const SOURCE: &str = "CASE f.ro % 3 WHEN 0 THEN 'vcenter-1' WHEN 1 THEN 'vcenter-2' ELSE 'monitoring' END";
const DATA: &str = r#"'{"host":"node-' || (f.ro % 40) || '","level":"' || CASE f.ro % 3 WHEN 0 THEN 'warning'
    WHEN 1 THEN 'error' ELSE 'message' END || '","operation":' || f.ro || ',"detail":"as its agent has reported it"}'"#;
const ACCEPTED: &str = "CASE WHEN f.rd % 6 = 0 THEN 202 ELSE 200 END";
const HEADERS: &str =
    "content-type: application/json\ncontent-length: 45\nserver: receiver/2.4\ncache-control: no-store";
/// A response of 45 bytes.
const RESPONSE: &str = r#"'{"reference":"' || (1000000000 + f.rd) || '","state":"' || CASE WHEN f.k IS NULL
    THEN 'accepted' ELSE 'rejected' END || '"}'"#;

/// A number below 2^31 that looks random, by arithmetic that both databases do alike.
fn dice(from: &str, seed: i64) -> String {
    let line = format!("((CAST({from} AS BIGINT) * 1103515245 + {seed}) % 2147483647)");
    format!("({line} * {line} % 2147483647)")
}

/// The waits before an attempt of this number in ms, as `model::retry` has them.
fn waits(number: &str) -> String {
    format!("5000 * ((1 << ({number} - 1)) - 1)")
}

/// The part that repeats: a row of SQL for each delivery, and for each occurrence that starts nothing.
#[derive(Default)]
struct Cycle {
    rows: Vec<String>,
    occurrences: i64,
    deliveries: i64,
    /// The webhook whose receiver fails more often than the others.
    unreliable: Option<WebhookId>,
}

/// A task, the webhook it sends to, and the event that starts it.
type Ids = (TaskId, WebhookId, EventId);
/// Each kind with the tasks it starts.
type Started = Vec<(Kind, Vec<Ids>)>;
/// Each type with the first id of its objects, and their number.
type Objects = Vec<(&'static str, i64, i64)>;

impl Cycle {
    fn new(kinds: &Started, objects: &Objects) -> Self {
        // Each kind evenly over the cycle.
        let mut order = Vec::new();
        for (kind, tasks) in kinds {
            order.extend((0..kind.2).map(|n| ((2 * n + 1) * 1000 / kind.2, kind, tasks)));
        }
        order.sort_by_key(|(place, ..)| *place);
        let mut cycle = Self::default();
        for (_, (type_id, event_id, _, reasons), tasks) in order {
            let (_, low, count) = objects.iter().find(|of_type| of_type.0 == *type_id).unwrap_or(&("", 0, 0));
            cycle.unreliable = cycle.unreliable.or(tasks.first().map(|ids| ids.1));
            let ids = tasks.iter().map(|(task, webhook, event)| format!("{task}, {webhook}, {event}"));
            let nothing = tasks.is_empty().then(|| "NULL, NULL, NULL".to_owned());
            for (n, ids) in ids.chain(nothing).enumerate() {
                let (o, d, started) = (cycle.occurrences, cycle.deliveries, tasks.len());
                let what = format!("'{type_id}', '{event_id}', '{reasons}', {started}, {low}, {count}");
                cycle.rows.push(format!("({o}, {n}, {d}, {ids}, {what})"));
                cycle.deliveries += i64::from(started > 0);
            }
            cycle.occurrences += 1;
        }
        cycle
    }
}

/// Deliveries of one status, or all that are settled, made one after the other.
struct Phase {
    name: &'static str,
    deliveries: i64,
    cycle: Cycle,
    /// The time at which the first is queued. The deliveries come in waves, densest where one ends and the next begins.
    from: i64,
    waves: i64,
    wave: i64,
    /// The newest revision, which occurrences note.
    mark: i64,
    /// The key whose newest occurrences have receipts, and the number of these receipts.
    receipts: (i64, i64),
}

/// The number of rows that were made: occurrences, runs, deliveries, attempts, receipts.
type Made = [u64; 5];

fn add(all: &mut Made, some: Made) {
    all.iter_mut().zip(some).for_each(|(all, some)| *all += some);
}

struct Filling {
    store: Store,
    now: i64,
    /// The time of the oldest rows.
    start: Timestamp,
    seed: i64,
    /// Ends each name, so that two fillings have none in common.
    suffix: String,
}

/// The SQL in which the two databases differ.
impl Filling {
    fn sql<'a>(&self, postgres: &'a str, sqlite: &'a str) -> &'a str {
        if self.store.is_postgres() { postgres } else { sqlite }
    }

    /// The body of a recursive table `span (c)`: the integers from `low` up to before `high`.
    fn series(&self, low: i64, high: i64) -> String {
        let postgres = format!("SELECT generate_series(CAST({low} AS BIGINT), {high} - 1)");
        let sqlite = format!("SELECT {low} UNION ALL SELECT c + 1 FROM span WHERE c + 1 < {high}");
        self.sql(&postgres, &sqlite).to_owned()
    }

    /// A UUID version 7 of the row's instant. PostgreSQL takes a random one's digits from the version on.
    fn uuid(&self) -> &'static str {
        self.sql(
            "CAST(lpad(to_hex(f.at), 12, '0') || '7' ||
                substr(replace(CAST(gen_random_uuid() AS TEXT), '-', ''), 14) AS UUID)",
            "unhex(printf('%012x7%03x%x%015x', f.at, random() & 4095, 8 | (random() & 3), random() & 1152921504606846975))",
        )
    }

    fn bytes(&self, text: &str) -> String {
        format!("{}({text}{})", self.sql("convert_to", "CAST"), self.sql(", 'UTF8'", " AS BLOB"))
    }

    /// The first of `count` ids in a row that no other process uses.
    async fn reserve(&self, txn: &Transaction, table: &str, count: i64) -> Result<i64> {
        let postgres = format!(
            "SELECT MIN(v) AS low, MAX(v) AS high
             FROM (SELECT nextval(pg_get_serial_sequence('{table}', 'id')) AS v FROM generate_series(1, {count})) AS ids"
        );
        // No other process writes while the transaction lasts.
        let last = format!("COALESCE((SELECT seq FROM sqlite_sequence WHERE name = '{table}'), 0)");
        let sqlite = format!("SELECT {last} + 1 AS low, {last} + {count} AS high");
        loop {
            let statement = Statement::from_string(txn.get_database_backend(), self.sql(&postgres, &sqlite));
            let row = txn.query_one_raw(statement).await?.context("the database answers without a row")?;
            let (low, high): (i64, i64) = (row.try_get("", "low")?, row.try_get("", "high")?);
            // A running console may have taken some ids in between. Then other ids are reserved.
            if high - low + 1 == count {
                return Ok(low);
            }
        }
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::parse();
    let config = resolve_database(&options.database)?;
    let began = Instant::now();
    let store = open_beside(&config).await?;
    let place = config.data_dir.display().to_string();
    println!("filling {}", if store.is_postgres() { "the PostgreSQL database" } else { &place });
    let now = if store.is_postgres() { store.now().await? } else { Clock::system().now() }.0;
    let filling = Filling {
        start: Timestamp(now - 15 * MINUTE - DAYS * DAY),
        seed: rand::random_range(0..1_000_000),
        suffix: format!("{:06x}", rand::random_range(0..1 << 24)),
        store: store.clone(),
        now,
    };
    if store.is_postgres() {
        store.write().execute_unprepared("ALTER TABLE delivery SET (fillfactor = 100)").await?;
    }
    let made = filling.run(&options).await?;
    if store.is_postgres() {
        // Settled rows do not change. With the room that a page keeps for changes, each page would take one more row that is
        // smaller than most, and each new delivery would be written to another old page.
        store.write().execute_unprepared("ALTER TABLE delivery SET (fillfactor = 80)").await?;
        // The database is left as it is after weeks of use. Otherwise it would still have to process all the new rows.
        let mut connection = store.write().get_postgres_connection_pool().acquire().await?;
        connection.execute("SET statement_timeout = 0").await?;
        connection.execute("VACUUM (ANALYZE) occurrence, run, delivery, attempt, receipt, object, object_tag").await?;
        // Not every account may do this, and the rows are complete without it.
        let _ = connection.execute("CHECKPOINT").await;
        // The connection has changed settings, so it does not return to the pool.
        connection.close().await?;
    }
    drop(filling);
    store.close().await;
    for (count, of) in made.iter().zip(["occurrences", "runs", "deliveries", "attempts", "receipts"]) {
        println!("{count:>12} {of}");
    }
    let took = began.elapsed();
    let rate = u128::from(made.iter().sum::<u64>()) * 1000 / took.as_millis().max(1);
    println!("in {:.1} s: {rate} rows/s", took.as_secs_f64());
    if options.deliveries / i64::from(options.webhooks) > PER_WEBHOOK / 2 {
        println!(
            "The console keeps {PER_WEBHOOK} settled deliveries of each webhook unless --keep-per-webhook says more."
        );
    }
    Ok(())
}
