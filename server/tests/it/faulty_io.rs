//! The real binary on a disk that fails. `faulty_io.c` is loaded into it, fails chosen writes and syncs, and records
//! their order. SIGKILL alone proves nothing about the disk: the kernel keeps all that was written.

use crate::harness::{Gate, TestInbox, TestStore, client, eventually, pause};
use crate::process::{Process, prepare, serve, serve_changed};
use sea_orm::{ConnectionTrait, DbBackend, Statement};
use serde_json::{Value, json};
use server::store::{connect, delivery, occurrence, setting};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};
use tempfile::TempDir;

/// Name of the write-ahead log in the trace.
const LOG: &str = "hookwright.db-wal";

/// The compiled `faulty_io.c`, and the directory of the files that control it.
struct Shim {
    dir: TempDir,
}

impl Shim {
    fn build() -> Self {
        let shim = Self { dir: crate::harness::folder() };
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/faulty_io.c");
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o"])
            .args([shim.file("faulty_io.so").as_os_str(), source.as_ref()])
            .output()
            .expect("a C compiler, `cc`");
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        shim
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Switches something on by creating a file.
    fn raise(&self, name: &str) {
        std::fs::write(self.file(name), "").expect("written");
    }

    /// Switches something off by removing its file.
    fn lower(&self, name: &str) {
        std::fs::remove_file(self.file(name)).expect("removed");
    }

    /// Returns the lines of one of its files, split into words.
    fn lines(&self, name: &str) -> Vec<Vec<String>> {
        let text = std::fs::read_to_string(self.file(name)).expect("a file of the shim");
        text.lines().map(|line| line.split(' ').map(str::to_owned).collect()).collect()
    }

    /// Starts a server with the shim. `files` are variables with the name of a file of the shim, `values` the others.
    fn serve(&self, test: &TestStore, files: &[(&str, &str)], values: &[(&str, &str)]) -> Process {
        serve_changed(test, &[], |command| {
            command.env("LD_PRELOAD", self.file("faulty_io.so")).env("FAULTY_IO_MATCH", "hookwright.db");
            command.env("HOOKWRIGHT_LOG", "off");
            for (name, file) in files {
                command.env(name, self.file(file));
            }
            command.envs(values.iter().copied());
        })
    }
}

/// Prepares a database and closes it. A server that starts on it after a kill then has to recover it.
async fn prepared(url: &str) -> (TestStore, String) {
    let test = TestStore::sqlite().await;
    let key = prepare(&test, url, "60").await;
    test.store.clone().close().await;
    (test, key)
}

/// A system that reports occurrences.
#[derive(Clone)]
struct Sender {
    client: reqwest::Client,
    url: String,
    key: String,
}

impl Sender {
    fn new(server: &Process, key: &str) -> Self {
        Self { client: client(), url: server.url.clone(), key: key.to_owned() }
    }

    /// Reports an occurrence about this object. The id of the object is also the sender's id of the occurrence, so that
    /// a repetition is recognised. Returns the status and the id of the occurrence.
    async fn post(&self, event: &str, object: &str) -> (u16, String) {
        let body = json!({"type": "vms", "event": event, "object": {"id": object}, "id": object});
        let post = self.client.post(format!("{}/api/v1/events", self.url)).bearer_auth(&self.key);
        let response = post.header("content-type", "application/json").body(body.to_string()).send().await;
        let response = response.expect("the server lives");
        let status = response.status().as_u16();
        let body: Value = serde_json::from_str(&response.text().await.expect("a body")).expect("JSON");
        (status, body["occurrences"][0]["id"].as_str().unwrap_or_default().to_owned())
    }

    /// Reports an occurrence until it is accepted. Returns its id and the number of refusals.
    async fn post_until_accepted(&self, event: &str, object: &str) -> (String, usize) {
        for refused in 0..40 {
            let (status, id) = self.post(event, object).await;
            if status == 202 {
                return (id, refused);
            }
            assert_eq!(status, 503, "neither 202 nor 503: {object}");
            pause().await;
        }
        panic!("{object} was never accepted");
    }

    async fn is_ready(&self) -> bool {
        let response = self.client.get(format!("{}/health/ready", self.url)).send().await.expect("the server lives");
        let status = response.status().as_u16();
        assert!(status == 200 || status == 503, "{status}");
        status == 200
    }
}

/// Waits until a server on a sound disk has sent everything, and stops it. Checks the integrity of the database, and
/// that it has each accepted occurrence once, by the sender's id and under the id that was returned.
async fn assert_all_stored(server: Process, test: &TestStore, accepted: &BTreeMap<String, String>) {
    // The server has recovered the database by now.
    let store = connect::open_sqlite(test.dir.path()).await.expect("opens");
    let mut rows = Vec::new();
    for _ in 0..1200 {
        rows = delivery::list_newest(store.read(), None, 1000).await.expect("deliveries");
        if rows.iter().all(|row| row.status == Some(model::delivery::Status::Sent)) {
            break;
        }
        pause().await;
    }
    assert!(rows.iter().all(|row| row.status == Some(model::delivery::Status::Sent)), "{rows:?}");
    server.stop();
    let check = Statement::from_string(DbBackend::Sqlite, "PRAGMA integrity_check");
    let found = store.read().query_one_raw(check).await.expect("checked").expect("a row");
    assert_eq!(found.try_get_by::<String, _>(0).expect("text"), "ok");
    let stored = occurrence::list_newest(store.read(), 1000).await.expect("read");
    for (object, id) in accepted {
        let of_object = stored.iter().filter(|row| row.external_id.as_ref() == Some(object));
        let ids: Vec<_> = of_object.map(|row| row.uuid.to_string()).collect();
        assert_eq!(ids, [id.as_str()], "the occurrence about {object} is stored once");
    }
    store.close().await;
}

/// Number of occurrences that each server gets.
const EVENTS: usize = 6;
/// Number of servers that run at once.
const SERVERS: usize = 4;
/// Number of calls that fail, each in a server of its own.
const CALLS: usize = 24;

/// Prepares a database whose log is about to reach the length at which SQLite empties it. The first occurrences do
/// that, so that the calls of a checkpoint and of the restarted log are among those that fail.
async fn long_log(url: &str) -> (TestStore, String) {
    let (test, key) = prepared(url).await;
    let full = test.again();
    let store = connect::open_sqlite(test.dir.path()).await.expect("opens");
    // None of this needs to survive a power cut.
    store.write().execute_unprepared("PRAGMA synchronous = OFF; PRAGMA wal_autocheckpoint = 0").await.expect("set");
    let log = test.dir.path().join(LOG);
    let mut round = 0;
    // 1000 pages with their headers, less the pages that a start writes and some more.
    while log.metadata().map_or(0, |data| data.len()) < 940 * (4096 + 24) {
        round += 1;
        setting::put(store.write(), "padding", &round.to_string()).await.expect("put");
    }
    // Copied while it is open, as a killed server leaves it.
    for file in ["hookwright.db", LOG] {
        std::fs::copy(test.dir.path().join(file), full.dir.path().join(file)).expect("copied");
    }
    store.close().await;
    (full, key)
}

/// The start of each run: the database, a key and a receiver.
struct Scenario {
    full: TestStore,
    key: String,
    inbox: TestInbox,
}

impl Scenario {
    /// Reports occurrences to a server whose disk fails as `values` say, kills the server, and starts it on a sound
    /// disk. Returns the counted calls and the number of refusals.
    async fn run(&self, name: &str, shim: &Shim, values: &[(&str, &str)]) -> (Vec<Vec<String>>, usize) {
        let test = self.full.again();
        for file in ["hookwright.db", LOG] {
            std::fs::copy(self.full.dir.path().join(file), test.dir.path().join(file)).expect("copied");
        }
        let (armed, counted) = (format!("armed-{name}"), format!("counted-{name}"));
        let files = [("FAULTY_IO_ARM", armed.as_str()), ("FAULTY_IO_COUNT", counted.as_str())];
        let mut server = shim.serve(&test, &files, values);
        shim.raise(&armed);
        let sender = Sender::new(&server, &self.key);
        let (mut accepted, mut refusals) = (BTreeMap::new(), 0);
        for number in 0..EVENTS {
            let object = format!("{name}-{number}");
            let (id, refused) = sender.post_until_accepted("poweron", &object).await;
            accepted.insert(object, id);
            refusals += refused;
        }
        assert_eq!(server.ended(), None, "{name}");
        drop(server);
        let second = serve(&test);
        assert_all_stored(second, &test, &accepted).await;
        let mut missing: BTreeSet<_> = accepted.keys().cloned().collect();
        for one in self.inbox.received() {
            missing.remove(one.body.trim_matches('"'));
        }
        assert_eq!(missing, BTreeSet::new(), "{name}: recorded as sent, and never received");
        (shim.lines(&counted), refusals)
    }
}

/// Returns `count` of these, evenly spread from the first to the last.
fn spread<T: Copy>(all: &[T], count: usize) -> Vec<T> {
    let last = all.len().saturating_sub(1);
    let indexes: BTreeSet<_> = (0..count).map(|index| index * last / (count - 1).max(1)).collect();
    indexes.into_iter().filter_map(|index| all.get(index).copied()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 6)]
async fn failed_write_at_any_point_loses_nothing_acknowledged() {
    let shim = Arc::new(Shim::build());
    let inbox = TestInbox::start().await;
    let (full, key) = Box::pin(long_log(&inbox.url)).await;
    let scenario = Arc::new(Scenario { full, key, inbox });
    let (calls, _) = Box::pin(scenario.run("count", &shim, &[])).await;
    // Syncs and writes into the database itself are few, so that each kind is chosen from separately.
    let of = |is_meant: &dyn Fn(&[String]) -> bool| -> Vec<usize> {
        calls.iter().enumerate().filter(|(_, call)| is_meant(&call[1..])).map(|(index, _)| index + 1).collect()
    };
    let is_write = |call: &[String]| call[0].contains("write");
    let syncs = of(&|call| !is_write(call));
    let of_database = of(&|call| is_write(call) && call[1] == "hookwright.db");
    let of_log = of(&|call| is_write(call) && call[1] != "hookwright.db");
    for (what, found) in [("syncs", &syncs), ("of the database", &of_database), ("of the log", &of_log)] {
        assert!(found.len() >= 3, "no calls {what}: {calls:?}");
    }
    let mut chosen = [spread(&syncs, CALLS / 3), spread(&of_database, CALLS / 6), spread(&of_log, CALLS / 2)].concat();
    chosen.sort_unstable();
    let waiting: Vec<_> = chosen.into_iter().enumerate().rev().collect();
    let waiting = Arc::new(Mutex::new(waiting));
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..SERVERS {
        let (scenario, shim, waiting) = (scenario.clone(), shim.clone(), waiting.clone());
        running.spawn(async move {
            let mut refusals = 0;
            loop {
                let next = waiting.lock().expect("no panic").pop();
                let Some((index, call)) = next else { return refusals };
                // Each error happens once, which the server's second try overcomes, or 12 times in a row.
                let (error, many) = [("EIO", "1"), ("ENOSPC", "1"), ("EIO", "12"), ("ENOSPC", "12")][index % 4];
                let fail = format!("{call}:{error}");
                let values = [("FAULTY_IO_FAIL", fail.as_str()), ("FAULTY_IO_FAIL_MANY", many)];
                refusals += Box::pin(scenario.run(&format!("{call}-{error}-{many}"), &shim, &values)).await.1;
            }
        });
    }
    let refusals: usize = running.join_all().await.into_iter().sum();
    assert!(refusals > 0, "no failure has reached a sender");
}

/// Returns the marked words of a line of the trace that is a write to the log.
fn written_to_log(line: &[String]) -> Option<&[String]> {
    match line {
        [call, file, _, marks @ ..] if call.contains("write") && file == LOG => Some(marks),
        _ => None,
    }
}

/// Reports whether a line of the trace is a successful sync of the log. The bundled SQLite calls `fsync` instead of
/// `fdatasync`, which does more.
fn is_log_synced(line: &[String]) -> bool {
    matches!(line, [call, file, result] if call.ends_with("sync") && file == LOG && result == "ok")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_202_follows_an_fdatasync_of_the_log() {
    let shim = Shim::build();
    let inbox = TestInbox::start().await;
    let (test, key) = prepared(&inbox.url).await;
    let server = shim.serve(&test, &[("FAULTY_IO_TRACE", "trace")], &[("FAULTY_IO_MARK", "mark-")]);
    let sender = Sender::new(&server, &key);
    // No event matches these occurrences, so that nothing else is written meanwhile.
    for number in 0..10 {
        assert_eq!(sender.post("poweroff", &format!("mark-{number}")).await.0, 202);
    }
    let (mut responses, mut has_written, mut is_synced) = (0, false, false);
    for line in shim.lines("trace") {
        if written_to_log(&line).is_some() {
            (has_written, is_synced) = (true, false);
        } else if is_log_synced(&line) {
            is_synced = true;
        } else if line[0] == "202" {
            assert!(has_written && is_synced, "response {responses} came before its sync");
            responses += 1;
            has_written = false;
        }
    }
    assert_eq!(responses, 10, "each response is in the trace");
    // With many senders at once, and deliveries to record, other writes follow each sync. So each response is compared
    // with the writes of its own occurrence.
    let mut senders = tokio::task::JoinSet::new();
    for one in 0..16 {
        let sender = sender.clone();
        senders.spawn(async move {
            let mut accepted = Vec::new();
            for number in 0..5 {
                let object = format!("mark-{one}-of-many-{number}");
                let (status, id) = sender.post("poweron", &object).await;
                assert_eq!(status, 202);
                accepted.push((object, id));
            }
            accepted
        });
    }
    let accepted = senders.join_all().await.concat();
    let trace = shim.lines("trace");
    for (object, id) in accepted {
        let written = trace.iter().position(|line| written_to_log(line).is_some_and(|marks| marks.contains(&object)));
        let response = trace.iter().position(|line| line[0] == "202" && line[1] == id);
        let (written, response) = (written.expect("a write"), response.expect("a response"));
        let is_durable = written < response && trace[written..response].iter().any(|line| is_log_synced(line));
        assert!(is_durable, "{object}: written in line {written}, response in {response}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn occurrences_get_503_while_syncs_fail() {
    let shim = Shim::build();
    let gate = Gate::closed().await;
    let (test, key) = prepared(&gate.url).await;
    let server = shim.serve(&test, &[("FAULTY_IO_SYNC", "no-sync")], &[]);
    let sender = Sender::new(&server, &key);
    let mut accepted = BTreeMap::new();
    // Three deliveries are settled, and three more are in flight.
    for number in 0..6 {
        if number == 3 {
            gate.respond(3);
            eventually("three have their response", async || gate.waiting() == 0).await;
        }
        let object = format!("before-{number}");
        let (status, id) = sender.post("poweron", &object).await;
        assert_eq!(status, 202);
        accepted.insert(object, id);
    }
    assert!(sender.is_ready().await);
    eventually("the others are in flight", async || gate.waiting() == 3).await;
    shim.raise("no-sync");
    for number in 0..4 {
        assert_eq!(sender.post("poweron", &format!("while-{number}")).await.0, 503);
        assert!(!sender.is_ready().await);
    }
    // Only the readiness probe commits. The attempts wait to be recorded.
    gate.respond(1000);
    for _ in 0..60 {
        assert!(!sender.is_ready().await);
        pause().await;
    }
    shim.lower("no-sync");
    eventually("the server becomes ready by itself", async || sender.is_ready().await).await;
    for number in 0..4 {
        let object = format!("while-{number}");
        let (status, id) = sender.post("poweron", &object).await;
        assert_eq!(status, 202);
        accepted.insert(object, id);
    }
    let (status, id) = sender.post("poweron", "after").await;
    assert_eq!(status, 202);
    accepted.insert("after".to_owned(), id);
    eventually("all have arrived", async || gate.bodies().len() >= accepted.len()).await;
    // All attempts are recorded, so that another server repeats none.
    server.stop();
    let second = serve(&test);
    let sender = Sender::new(&second, &key);
    let (status, id) = sender.post("poweron", "last").await;
    assert_eq!(status, 202);
    accepted.insert("last".to_owned(), id);
    assert_all_stored(second, &test, &accepted).await;
    let mut arrived: Vec<_> = gate.bodies().iter().map(|body| body.trim_matches('"').to_owned()).collect();
    arrived.sort_unstable();
    assert_eq!(arrived, accepted.into_keys().collect::<Vec<_>>(), "each arrived once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delivery_is_sent_once_when_the_second_try_to_store_it_has_its_row_number_again() {
    let shim = Shim::build();
    let gate = Gate::closed().await;
    let (test, key) = prepared(&gate.url).await;
    // The first write fails, and with it the commit. SQLite gives the number of a lost row to the next one.
    let server = shim.serve(
        &test,
        &[("FAULTY_IO_ARM", "armed"), ("FAULTY_IO_COUNT", "counted")],
        &[("FAULTY_IO_FAIL", "1:ENOSPC")],
    );
    let sender = Sender::new(&server, &key);
    // The key was used just before, so that its use is not written now.
    assert_eq!(sender.post("poweroff", "before").await.0, 202);
    shim.raise("armed");
    assert_eq!(sender.post("poweron", "once").await.0, 202);
    assert_eq!(shim.lines("counted")[0][2], LOG, "the first commit failed");
    eventually("the delivery is in flight", async || gate.waiting() == 1).await;
    // Longer than the time between two looks for lost leases.
    for _ in 0..120 {
        assert_eq!(gate.waiting(), 1);
        pause().await;
    }
}
