//! The real binary, killed: what was answered with 202 arrives all the same.

use crate::harness::{TestInbox, TestStore, pause};
use crate::on_both;
use model::access::Scope;
use model::time::Timestamp;
use secrecy::SecretString;
use serde_json::json;
use server::clock::{Clock, new_uuid};
use server::service::account;
use server::store::webhook::Secrets;
use server::store::{delivery, event, task, webhook};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// A running server; killed when dropped.
struct Process {
    child: Child,
    url: String,
}

impl Drop for Process {
    fn drop(&mut self) {
        // SIGKILL: no handler runs, nothing is flushed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Base64 of 32 bytes, shared by the nodes of a test.
const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

fn serve(test: &TestStore) -> Process {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookwright"));
    command.args(["serve", "--listen", "http://127.0.0.1:0", "--egress-allow", "127.0.0.0/8", "--data-dir"]);
    command.arg(test.dir.path()).env("HOOKWRIGHT_KEY", KEY).env("HOOKWRIGHT_LOG", "warn");
    if let Some(url) = &test.url {
        command.args(["--database-url", url]);
    }
    let mut child = command.stdout(Stdio::piped()).spawn().expect("starts");
    let mut lines = BufReader::new(child.stdout.take().expect("output")).lines();
    let line = lines.next().expect("a line").expect("text");
    let url = line.rsplit(' ').next().expect("a url").to_owned();
    Process { child, url }
}

/// A webhook, a task and an event in the database, and a key.
async fn prepare(test: &TestStore, url: &str) -> String {
    fires(test, url).await;
    let password: SecretString = crate::harness::PASSWORD.to_owned().into();
    account::add(&test.store, &Clock::system(), "maria", model::access::Role::Admin, password)
        .await
        .expect("an account");
    account::add_key(&test.store, &Clock::system(), "dc", &[Scope::Ingest]).await.expect("a key")
}

/// A webhook that is told of every VM that is powered on.
async fn fires(test: &TestStore, url: &str) {
    let now = Timestamp(0);
    let db = test.store.write();
    let draft = model::webhook::WebhookDraft {
        name: "w".into(),
        url: url.into(),
        timeout: "3".into(),
        ..model::webhook::WebhookDraft::default()
    };
    let webhook_id = webhook::insert(db, &draft.parse(None).expect("valid"), new_uuid(now), Secrets::default(), now)
        .await
        .expect("a webhook");
    let new = model::task::Task {
        name: "t".into(),
        description: String::new(),
        is_enabled: true,
        deletes_after_running: false,
        webhook_id,
        message: "${NAME}".into(),
    };
    let task_id = task::insert(db, &new, now).await.expect("a task");
    let new = model::event::Event {
        type_id: "vms".into(),
        event_id: "poweron".into(),
        scope: model::event::EventScope::Any,
        filters: model::event::EventFilters::default(),
        task_id,
        is_enabled: true,
    };
    event::insert(db, &new, now).await.expect("an event");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_server_on_one_directory_is_refused_before_it_opens_the_database() {
    let test = TestStore::sqlite().await;
    let _first = serve(&test);
    let migrations = test.dir.path().join("hookwright.db");
    let moved = test.dir.path().join("away.db");
    std::fs::rename(&migrations, &moved).expect("moved");
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookwright"));
    command.args(["serve", "--listen", "http://127.0.0.1:0", "--data-dir"]).arg(test.dir.path());
    let done = command.env("HOOKWRIGHT_KEY", KEY).output().expect("runs");
    assert!(!done.status.success());
    let said = String::from_utf8_lossy(&done.stderr).into_owned() + &String::from_utf8_lossy(&done.stdout);
    assert!(said.contains("already serving"), "{said}");
    assert!(!migrations.exists(), "it has made no database");
}

on_both! {
    async fn what_was_accepted_arrives_after_a_kill(test: TestStore) {
        let inbox = TestInbox::start().await;
        let key = prepare(&test, &format!("{}/delay/20", inbox.url)).await;
        let first = serve(&test);
        let client = crate::harness::client();
        let mut accepted = BTreeSet::new();
        for round in 0..20 {
            let items: Vec<_> = (0..10).map(|item| format!("vm-{round}-{item}")).collect();
            let batch: Vec<_> =
                items.iter().map(|id| json!({"type": "vms", "event": "poweron", "object": {"id": id}})).collect();
            let post = client.post(format!("{}/api/v1/events", first.url)).bearer_auth(&key);
            let post = post.header("content-type", "application/json").body(json!(batch).to_string());
            assert_eq!(post.send().await.expect("an answer").status(), 202);
            accepted.extend(items);
        }
        // Some have arrived, some are in flight, some wait.
        while inbox.received().len() < 20 {
            pause().await;
        }
        drop(first);
        assert!(inbox.received().len() < accepted.len(), "the kill came too late to prove anything");
        let _second = serve(&test);
        let arrived = || inbox.received().into_iter().map(|request| request.body.trim_matches('"').to_owned()).collect();
        for _ in 0..1600 {
            let arrived: BTreeSet<String> = arrived();
            if arrived == accepted {
                break;
            }
            pause().await;
        }
        assert_eq!(arrived(), accepted);
        let repeats = inbox.received().len() - accepted.len();
        assert!(repeats <= 32, "only what was not recorded yet may be repeated, not {repeats}");
        let rows = delivery::list_newest(test.store.read(), 1000).await.expect("deliveries");
        assert_eq!(rows.len(), accepted.len());
    }

    async fn a_wait_between_attempts_is_kept_over_a_kill(test: TestStore) {
        let inbox = TestInbox::start().await;
        let key = prepare(&test, &format!("{}/status/503", inbox.url)).await;
        let first = serve(&test);
        let client = crate::harness::client();
        let post = client.post(format!("{}/api/v1/events", first.url)).bearer_auth(&key);
        let post = post.header("content-type", "application/json").body(json!({"type": "vms", "event": "poweron"}).to_string());
        assert_eq!(post.send().await.expect("an answer").status(), 202);
        let row = async || delivery::list_newest(test.store.read(), 1).await.expect("deliveries").remove(0);
        while row().await.attempts < 1 {
            pause().await;
        }
        let due = row().await.next_attempt_at;
        drop(first);
        let _second = serve(&test);
        while inbox.received().len() < 2 {
            assert!(row().await.next_attempt_at == due || row().await.attempts > 1, "neither lost nor hastened");
            pause().await;
        }
        let times: Vec<_> = inbox.received().iter().map(|one| Timestamp::parse_rfc3339(&one.time).expect("a time")).collect();
        let waited = times[1].since(times[0]);
        assert!(waited >= std::time::Duration::from_secs(5), "{waited:?}");
    }
}
