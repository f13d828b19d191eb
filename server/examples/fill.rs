//! Fills a database with made-up deliveries and all that belongs to them, so that the console can be tried at size:
//! `cargo xtask fill`. Not part of the product.
//!
//! The store makes the few rows that people configure, so that their revisions are noted as always. The many rows are
//! made inside the database, a chunk a transaction: [`Filling::stage`] throws the dice of a chunk into a temporary
//! table, and one statement a table reads from it. It must only add: existing rows are neither changed nor removed. SQL
//! gets nothing pasted in but numbers and texts of this file.
//!
//! Occurrences come in cycles. A cycle has each kind of event as often as its weight says, and an occurrence has one
//! run with one delivery for each task that its kind starts. So the console's "why" agrees with what was sent.

#![expect(clippy::print_stdout, reason = "a command line tool talks")]

use anyhow::{Context, Result, anyhow};
use clap::{Parser, value_parser};
use model::access::Scope;
use model::event::{Event, EventFilters, EventScope};
use model::id::{EventId, ObjectId, TagId, TaskId, WebhookId};
use model::tag::{Category, Tag};
use model::task::Task;
use model::time::Timestamp;
use model::webhook::WebhookDraft;
use sea_orm::{ConnectionTrait, DatabaseTransaction as Transaction, Statement};
use server::clock::{Clock, new_uuid};
use server::config::{DatabaseOptions, resolve_database};
use server::serve::open_beside;
use server::store::{Store, access, event, hold, revision, tag, task, webhook};
use std::time::{Duration, Instant};

/// Deliveries of a transaction: a second of writing, so that a running console does not wait for long.
const CHUNK: i64 = 20_000;
/// Between two transactions. Whoever waits for SQLite's writer tries again every 100 ms.
const PAUSE: Duration = Duration::from_millis(120);
const MINUTE: i64 = 60_000;
const DAY: i64 = 1440 * MINUTE;
/// How many days the settled deliveries reach back.
const DAYS: i64 = 28;
/// What a paused webhook holds at most (`model::delivery::HELD_MAX`), and what `serve` keeps of each by default.
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
/// The kind that only the paused webhooks hear of.
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

/// Why deliveries fail. Number 4 takes the whole timeout, 5 has no connection, the last two come before any attempt.
const FAILURE: &str = "failure (k, code, http, error) AS (VALUES
    (0, 'status', 500, 'Answered 500 Internal Server Error.'), (1, 'status', 503, 'Answered 503 Service Unavailable.'),
    (2, 'status', 429, 'Answered 429 Too Many Requests.'), (3, 'status', 502, 'Answered 502 Bad Gateway.'),
    (4, 'timeout', NULL, 'No answer within 5 s.'),
    (5, 'connect', NULL, 'Cannot connect: nothing accepts connections on this port.'),
    (6, 'reset', NULL, 'The connection was closed before an answer arrived.'),
    (7, 'redirect', 302, 'Answered 302 Found to /sign-in. Redirects are not followed; enter the final URL.'),
    (8, 'status', 410, 'Answered 410 Gone.'),
    (9, 'too_large', NULL, 'the rendered message is larger than 1048576 bytes'),
    (10, NULL, NULL, 'Given up by admin.'))";
const SOURCE: &str = "CASE f.ro % 3 WHEN 0 THEN 'vcenter-1' WHEN 1 THEN 'vcenter-2' ELSE 'monitoring' END";
const DATA: &str = r#"'{"host":"node-' || (f.ro % 40) || '","level":"' || CASE f.ro % 3 WHEN 0 THEN 'warning'
    WHEN 1 THEN 'error' ELSE 'message' END || '","operation":' || f.ro || ',"detail":"as its agent has reported it"}'"#;
const ACCEPTED: &str = "CASE WHEN f.rd % 6 = 0 THEN 202 ELSE 200 END";
const HEADERS: &str =
    "content-type: application/json\ncontent-length: 45\nserver: receiver/2.4\ncache-control: no-store";
/// Of 45 bytes.
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

/// What repeats: a row of SQL for each delivery, and for each occurrence that starts nothing.
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
    /// When the first is queued. They come in waves, densest where one ends and the next begins.
    from: i64,
    waves: i64,
    wave: i64,
    /// The newest revision, which occurrences note.
    mark: i64,
    /// The key of which the newest occurrences have receipts, and how many.
    receipts: (i64, i64),
}

/// How many rows were made: occurrences, runs, deliveries, attempts, receipts.
type Made = [u64; 5];

fn add(all: &mut Made, some: Made) {
    all.iter_mut().zip(some).for_each(|(all, some)| *all += some);
}

struct Filling {
    store: Store,
    now: i64,
    /// When everything begins.
    start: Timestamp,
    seed: i64,
    /// Ends each name, so that two fillings have none in common.
    suffix: String,
}

/// What the two databases have different words for.
impl Filling {
    fn sql<'a>(&self, postgres: &'a str, sqlite: &'a str) -> &'a str {
        if self.store.is_postgres() { postgres } else { sqlite }
    }

    /// The body of a recursive table `turn (c)`: the integers from `low` up to before `high`.
    fn series(&self, low: i64, high: i64) -> String {
        let postgres = format!("SELECT generate_series(CAST({low} AS BIGINT), {high} - 1)");
        let sqlite = format!("SELECT {low} UNION ALL SELECT c + 1 FROM turn WHERE c + 1 < {high}");
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

    /// The first of `count` ids in a row that nobody else uses.
    async fn reserve(&self, txn: &Transaction, table: &str, count: i64) -> Result<i64> {
        let postgres = format!(
            "SELECT MIN(v) AS low, MAX(v) AS high
             FROM (SELECT nextval(pg_get_serial_sequence('{table}', 'id')) AS v FROM generate_series(1, {count})) AS ids"
        );
        // Nobody else writes while the transaction lasts.
        let last = format!("COALESCE((SELECT seq FROM sqlite_sequence WHERE name = '{table}'), 0)");
        let sqlite = format!("SELECT {last} + 1 AS low, {last} + {count} AS high");
        loop {
            let statement = Statement::from_string(txn.get_database_backend(), self.sql(&postgres, &sqlite));
            let row = txn.query_one_raw(statement).await?.context("the database answers without a row")?;
            let (low, high): (i64, i64) = (row.try_get("", "low")?, row.try_get("", "high")?);
            // A running console may have taken some in between: they are left out then.
            if high - low + 1 == count {
                return Ok(low);
            }
        }
    }
}

/// The many rows.
impl Filling {
    async fn fill(&self, phase: &Phase) -> Result<Made> {
        let mut made = Made::default();
        let cycles = (phase.deliveries + phase.cycle.deliveries - 1) / phase.cycle.deliveries;
        let step = (CHUNK / phase.cycle.deliveries).max(1);
        let mut first = 0;
        while first < cycles {
            let next = (first + step).min(cycles);
            let txn = self.store.begin().await?;
            self.stage(&txn, phase, first, next, cycles).await?;
            add(&mut made, self.insert(&txn, phase, cycles).await?);
            txn.execute_unprepared("DROP TABLE fill").await?;
            self.store.commit(txn).await?;
            println!("{:>12} of {} {}", made[2], phase.deliveries, phase.name);
            tokio::time::sleep(PAUSE).await;
            first = next;
        }
        Ok(made)
    }

    /// Makes the temporary table of a chunk: all that rows of more than one table have to agree about. It has a row for
    /// each delivery and for each occurrence that starts nothing. An occurrence's first row has `n = 0`.
    async fn stage(&self, txn: &Transaction, phase: &Phase, first: i64, next: i64, cycles: i64) -> Result<()> {
        let Phase { cycle: Cycle { rows, occurrences, deliveries, unreliable }, from, waves, wave, .. } = phase;
        let (all, last) = (cycles * occurrences, phase.deliveries);
        let count = last.min(next * deliveries) - first * deliveries;
        let occurrence = self.reserve(txn, "occurrence", (next - first) * occurrences).await? - first * occurrences;
        let run = self.reserve(txn, "run", count).await? - first * deliveries;
        let delivery = self.reserve(txn, "delivery", count).await? - first * deliveries;
        let (rows, turns) = (rows.join(", "), self.series(first, next));
        let (ro, rd, waits) = (dice("o", self.seed), dice("d", self.seed + 1), waits("attempts"));
        // In thousandths: what becomes of the delivery.
        let fate = match unreliable {
            Some(id) if phase.name == "settled" => {
                format!("CASE WHEN webhook_id = {id} THEN 800 + rd % 190 ELSE rd % 1000 END")
            }
            _ => "-1".to_owned(),
        };
        let status = phase.name;
        let sql = format!(
            "CREATE TEMP TABLE fill AS WITH RECURSIVE turn (c) AS ({turns}),
             slot (occ, n, pos, task_id, webhook_id, event_row, type_id, event_id, reasons, started, low, objects)
                AS (VALUES {rows}),
             placed AS (SELECT slot.*, c * {occurrences} + occ AS o, c * {deliveries} + pos AS d
                FROM turn CROSS JOIN slot WHERE c * {deliveries} + pos < {last}),
             thrown AS (SELECT placed.*, {ro} AS ro, {rd} AS rd, o * {waves} * 1000000 / {all} AS y FROM placed),
             fated AS (SELECT thrown.*, {fate} AS m, y / 1000000 AS w, y % 1000000 - 500000 AS g FROM thrown),
             judged AS (SELECT fated.*,
                {from} + (w * 1000000 + 500000 - g * g * g / 1000000000000 + g * 5 / 4) * {wave} / 1000000 AS at,
                CASE WHEN m < 0 THEN '{status}' WHEN m < 965 THEN 'sent' WHEN m < 996 THEN 'error' ELSE 'discarded' END
                    AS status,
                CASE WHEN m < 0 THEN 0 WHEN m < 900 THEN 1 WHEN m < 945 THEN 2 WHEN m < 960 THEN 3 WHEN m < 985 THEN 4
                    WHEN m < 992 THEN 1 ELSE 0 END AS attempts,
                CASE WHEN m < 900 THEN NULL WHEN m < 985 THEN rd / 1000 % 8 WHEN m < 992 THEN 8 WHEN m < 996 THEN 9
                    ELSE 10 END AS failure,
                12 + rd / 64 % 170 + CASE WHEN rd % 37 = 0 THEN 1400 ELSE 0 END AS ms FROM fated),
             timed AS (SELECT judged.*, at + 2 + rd % 40 AS first_at,
                CASE WHEN failure = 4 THEN 5000 ELSE ms END AS failed_ms,
                CASE WHEN failure = 4 AND status <> 'sent' THEN 5000 ELSE ms END AS last_ms FROM judged)
             SELECT o, n, o + {occurrence} AS occurrence_id, d + {run} AS run_id, d + {delivery} AS delivery_id, task_id,
                webhook_id, event_row, type_id, event_id, reasons, started, at, ro, rd, status, attempts, failure,
                CASE WHEN objects > 0 THEN low + ro / 7 % objects END AS object_id, first_at, failed_ms, last_ms,
                CASE WHEN m < 0 THEN NULL WHEN failure = 10 THEN at + 60000 WHEN attempts = 0 THEN at
                    ELSE first_at + {waits} + (attempts - 1) * failed_ms + last_ms END AS settled_at FROM timed"
        );
        txn.execute_unprepared(&sql).await?;
        Ok(())
    }

    /// Copies the chunk into the tables. `LEFT JOIN` keeps SQLite to the order of ids, in which the indexes grow.
    async fn insert(&self, txn: &Transaction, phase: &Phase, cycles: i64) -> Result<Made> {
        let (uuid, mark, (key, receipts)) = (self.uuid(), phase.mark, phase.receipts);
        let tags = self.sql(
            "(SELECT CAST(json_agg(c.tag_id ORDER BY c.tag_id) AS TEXT) FROM object_tag c WHERE c.object_id = o.id)",
            "(SELECT NULLIF(json_group_array(c.tag_id), '[]') FROM object_tag c WHERE c.object_id = o.id)",
        );
        let occurrence = format!(
            "INSERT INTO occurrence (id, uuid, type_id, event_id, object_id, object_external_id, object_name, external_id,
                source, occurred_at, received_at, data, tasks_started, object_tags, reasons, revision_mark)
             SELECT f.occurrence_id, {uuid}, f.type_id, f.event_id, o.id, o.external_id, o.name, 'e-' || f.occurrence_id,
                {SOURCE}, f.at - 30 - f.ro % 1500, f.at, {DATA}, f.started, {tags}, f.reasons, {mark}
             FROM fill f LEFT JOIN object o ON o.id = f.object_id WHERE f.n = 0 ORDER BY f.occurrence_id"
        );
        let run = format!(
            "INSERT INTO run (id, uuid, task_id, task_name, occurrence_id, event_ids, status, started_at, ended_at, cause)
             SELECT f.run_id, {uuid}, f.task_id, t.name, f.occurrence_id, CAST(f.event_row AS TEXT), CASE WHEN f.settled_at
                IS NULL THEN 'running' WHEN f.status = 'sent' THEN 'succeeded' ELSE 'failed' END, f.at, f.settled_at,
                'occurrence'
             FROM fill f LEFT JOIN task t ON t.id = f.task_id WHERE f.task_id IS NOT NULL ORDER BY f.run_id"
        );
        let message = VALUES
            .iter()
            .fold(format!("'{MESSAGE}'"), |text, (name, value)| text.replace(name, &format!("' || {value} || '")));
        let body = self.bytes(&format!("CASE WHEN x.code = 'too_large' THEN '' ELSE {message} END"));
        let delivery = format!(
            "WITH {FAILURE} INSERT INTO delivery (id, uuid, run_id, webhook_id, webhook_name, task_name, type_id, event_id,
                object_id, object_name, status, body, attempts, next_attempt_at, http_status, error_code, error,
                duration_ms, created_at, settled_at, hold_reason, webhook_revision)
             SELECT f.delivery_id, {uuid}, f.run_id, f.webhook_id, w.name, t.name, f.type_id, f.event_id, o.id, o.name,
                f.status, {body}, f.attempts, CASE WHEN f.settled_at IS NULL THEN f.at END,
                CASE WHEN f.status = 'sent' THEN {ACCEPTED} ELSE x.http END, x.code, x.error,
                CASE WHEN f.attempts > 0 THEN f.last_ms END, f.at, f.settled_at,
                CASE WHEN f.status = 'held' THEN 'paused' END, w.revision
             FROM fill f LEFT JOIN webhook w ON w.id = f.webhook_id LEFT JOIN task t ON t.id = f.task_id
             LEFT JOIN object o ON o.id = f.object_id LEFT JOIN failure x ON x.k = f.failure AND f.status <> 'sent'
             WHERE f.task_id IS NOT NULL ORDER BY f.delivery_id"
        );
        let (waits, response) = (waits("f.number"), format!("CASE WHEN f.has_response THEN {RESPONSE} ELSE '' END"));
        let response = self.bytes(&response);
        // All but the last have failed; whether that has is the delivery's status.
        let attempt = format!(
            "WITH {FAILURE}, one (number) AS (VALUES (1), (2), (3), (4)),
             made AS (SELECT f.*, one.number, x.k, x.code, x.http, x.error, x.k IS NULL OR x.http IS NOT NULL
                AS has_response, CASE WHEN one.number < f.attempts THEN f.failed_ms ELSE f.last_ms END AS ms
                FROM fill f LEFT JOIN one ON one.number <= f.attempts LEFT JOIN failure x ON x.k = f.failure
                AND (f.status <> 'sent' OR one.number < f.attempts) WHERE f.task_id IS NOT NULL AND f.attempts > 0)
             INSERT INTO attempt (delivery_id, number, started_at, duration_ms, http_status, error_code, error,
                answer_headers, answer_body, webhook_revision, connect_ms, first_byte_ms)
             SELECT f.delivery_id, f.number, f.first_at + {waits} + (f.number - 1) * f.failed_ms, f.ms,
                CASE WHEN f.k IS NULL THEN {ACCEPTED} ELSE f.http END, f.code, f.error,
                CASE WHEN f.has_response THEN '{HEADERS}' ELSE '' END, {response}, 1,
                CASE WHEN f.number = 1 AND COALESCE(f.failure, 0) <> 5 THEN 1 + f.rd % 9 END,
                CASE WHEN f.has_response THEN f.ms * 9 / 10 END FROM made f ORDER BY f.delivery_id, f.number"
        );
        // Of the last day, as older ones are not kept.
        let (oldest, from) = (self.now - 23 * 60 * MINUTE, cycles * phase.cycle.occurrences - receipts);
        let hash = self.sql("sha256(convert_to(CAST(gen_random_uuid() AS TEXT), 'UTF8'))", "randomblob(32)");
        let receipt = format!(
            "INSERT INTO receipt (key_id, source, external_id, content_hash, occurrence, tasks_started, created_at, repeats)
             SELECT {key}, o.source, o.external_id, {hash}, o.uuid, o.tasks_started, CASE WHEN f.at < {oldest}
                THEN {oldest} ELSE f.at END, CASE WHEN f.o % 50 = 0 THEN 1 ELSE 0 END
             FROM fill f LEFT JOIN occurrence o ON o.id = f.occurrence_id WHERE f.n = 0 AND f.o >= {from}"
        );
        let mut made = Made::default();
        for (count, sql) in made.iter_mut().zip([occurrence, run, delivery, attempt, receipt]) {
            *count = txn.execute_unprepared(&sql).await?.rows_affected();
        }
        Ok(made)
    }

    /// Makes objects of each type. `environments` and `teams` are tags that some of them carry.
    async fn make_objects(&self, count: i64, environments: &[TagId], teams: &[TagId]) -> Result<Objects> {
        let mut made = Vec::new();
        for (type_id, prefix, share) in OBJECTS {
            let (count, at, suffix) = ((count * share / 100).max(1), self.start.0, &self.suffix);
            let txn = self.store.begin().await?;
            let low = self.reserve(&txn, "object", count).await?;
            let turns = format!("WITH RECURSIVE turn (c) AS ({})", self.series(low, low + count));
            let sql = format!(
                "{turns} INSERT INTO object (id, type_id, external_id, name, created_at, updated_at) SELECT c, '{type_id}',
                 '{prefix}-{suffix}-' || c, '{prefix}-' || (c - {low} + 1) || '-{suffix}', {at}, {at} FROM turn ORDER BY c"
            );
            txn.execute_unprepared(&sql).await?;
            let carried = [(environments, 1), (&teams[..4], 2), (&teams[4..], 7)];
            let kinds_of_tags =
                [("vms", 3), ("tenants", 1)].into_iter().find(|of| of.0 == type_id).map_or(0, |of| of.1);
            for (tags, every) in &carried[..kinds_of_tags] {
                let rows: Vec<_> = tags.iter().enumerate().map(|(n, tag)| format!("({n}, {tag})")).collect();
                let (rows, count) = (rows.join(", "), rows.len());
                let sql = format!(
                    "{turns}, carried (n, tag_id) AS (VALUES {rows}) INSERT INTO object_tag (object_id, tag_id) SELECT c,
                     tag_id FROM turn LEFT JOIN carried ON n = c / {every} % {count} WHERE c % {every} = 0 ORDER BY c"
                );
                txn.execute_unprepared(&sql).await?;
            }
            self.store.commit(txn).await?;
            made.push((type_id, low, count));
        }
        Ok(made)
    }
}

/// What people configure.
impl Filling {
    async fn make_tags(&self, category: &str, types: &[&str], names: &[&str]) -> Result<Vec<TagId>> {
        let txn = self.store.begin_change().await?;
        let category = Category {
            name: format!("{category} {}", self.suffix),
            description: String::new(),
            is_single: types.len() > 1,
            type_ids: types.iter().map(|id| (*id).to_owned()).collect(),
        };
        let category_id = tag::insert_category(&txn, &category, self.start).await?;
        let mut made = Vec::new();
        for name in names {
            made.push(tag::insert(&txn, &Tag { name: (*name).to_owned(), category_id }, self.start).await?);
        }
        self.store.commit(txn).await?;
        Ok(made)
    }

    /// Makes a webhook, a task that sends to it, and an event that starts the task.
    async fn make_task(&self, txn: &Transaction, number: u16, kind: Kind) -> Result<Ids> {
        let receiver = ["Chat", "Tickets", "Ledger", "Pager", "Workflow"][usize::from(number % 5)];
        let draft = WebhookDraft {
            name: format!("{receiver} {number:02} ({})", self.suffix),
            // Where the receiver of `cargo xtask run` is: what is sent never leaves this machine.
            url: format!("http://127.0.0.1:9000/fill/{number}"),
            ..WebhookDraft::default()
        };
        let parsed = draft.parse(None).map_err(|wrong| anyhow!("the webhook is refused: {wrong:?}"))?;
        let uuid = new_uuid(self.start);
        let webhook_id = webhook::insert(txn, &parsed, uuid, webhook::Secrets::default(), self.start).await?;
        let task = Task {
            name: format!("Tell {receiver} {number:02} of {}.{} ({})", kind.0, kind.1, self.suffix),
            description: "Made by cargo xtask fill.".to_owned(),
            is_enabled: true,
            deletes_after_running: false,
            webhook_id,
            message: MESSAGE.to_owned(),
        };
        let task_id = task::insert(txn, &task, self.start).await?;
        Ok((task_id, webhook_id, self.make_event(txn, kind, EventScope::Any, task_id).await?))
    }

    /// Makes an event, enabled only where it is about any object.
    async fn make_event(&self, txn: &Transaction, kind: Kind, scope: EventScope, task: TaskId) -> Result<EventId> {
        let (type_id, event_id, is_enabled) = (kind.0.to_owned(), kind.1.to_owned(), scope == EventScope::Any);
        let new = Event { type_id, event_id, scope, filters: EventFilters::default(), task_id: task, is_enabled };
        Ok(event::insert(txn, &new, self.start).await?)
    }

    async fn run(&self, options: &Options) -> Result<Made> {
        let environments =
            self.make_tags("Environment", &["vms", "tenants"], &["production", "staging", "test"]).await?;
        let teams = ["red", "blue", "green", "amber", "on call", "audited", "legacy", "pilot"];
        let teams = self.make_tags("Team", &["vms"], &teams).await?;
        let objects = self.make_objects(options.deliveries / 10, &environments, &teams).await?;
        let paused_at = self.now - 15 * MINUTE;
        let txn = self.store.begin_change().await?;
        let mut kinds: Started = KINDS.map(|kind| (kind, Vec::new())).into();
        for number in 0..options.webhooks {
            let (kind, tasks) = &mut kinds[usize::from(number) % KINDS_WITH_TASKS];
            tasks.push(self.make_task(&txn, number + 1, *kind).await?);
        }
        let task_id = kinds[0].1[0].0;
        self.make_event(&txn, KINDS[0], EventScope::Tag(environments[0]), task_id).await?;
        self.make_event(&txn, KINDS[1], EventScope::Object(ObjectId(objects[0].1)), task_id).await?;
        let mut paused = Vec::new();
        for number in (options.webhooks + 1..).take(usize::try_from((options.held + PER_WEBHOOK - 1) / PER_WEBHOOK)?) {
            let ids = self.make_task(&txn, number, HELD_KIND).await?;
            hold::pause(&txn, ids.1, Timestamp(paused_at)).await?;
            paused.push(ids);
        }
        // Of random bytes, not of a key: nobody can use it.
        let (hash, name) = (rand::random::<[u8; 32]>().to_vec(), format!("fill {}", self.suffix));
        let key = access::insert_key(&txn, &name, hash, &[Scope::Ingest], self.start).await?;
        let mark = revision::newest(&txn).await?;
        self.store.commit(txn).await?;
        let phase = |name, deliveries, kinds: &Started, from, waves, wave| {
            let receipts = if waves > 1 { options.receipts.unwrap_or(options.deliveries / 10) } else { 0 };
            let cycle = Cycle::new(kinds, &objects);
            Phase { name, deliveries, cycle, from, waves, wave, mark, receipts: (key.0, receipts) }
        };
        let phases = [
            phase("settled", options.deliveries, &kinds, self.start.0, DAYS, DAY),
            phase("held", options.held, &vec![(HELD_KIND, paused)], paused_at, 1, 10 * MINUTE),
            phase("queued", options.queued, &kinds, self.now - 5 * MINUTE, 1, 5 * MINUTE),
        ];
        let mut made = Made::default();
        for phase in phases.iter().filter(|phase| phase.deliveries > 0) {
            add(&mut made, self.fill(phase).await?);
        }
        Ok(made)
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
    let made = filling.run(&options).await?;
    if store.is_postgres() {
        let tables = "occurrence, run, delivery, attempt, receipt, object, object_tag";
        store.write().execute_unprepared(&format!("ANALYZE {tables}")).await?;
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
