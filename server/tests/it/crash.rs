//! The real binary is killed. Every occurrence that got a 202 is delivered all the same.

use crate::harness::Database::{self, Postgres, Sqlite};
use crate::harness::{TestInbox, TestStore, eventually, pause};
use crate::process::{KEY, prepare, run, serve};
use model::time::Timestamp;
use rstest::rstest;
use sea_orm::ConnectionTrait;
use serde_json::json;
use server::store::delivery;
use std::collections::BTreeSet;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn second_server_on_a_directory_is_refused_before_it_opens_the_database() {
    let test = TestStore::sqlite().await;
    let _first = serve(&test);
    let database = test.dir.path().join("hookwright.db");
    std::fs::rename(&database, test.dir.path().join("away.db")).expect("moved");
    let (is_done, output) = run(&test, &["serve", "--listen", "http://127.0.0.1:0"], |_| ());
    assert!(!is_done && output.contains("already serving"), "{output}");
    assert!(!database.exists(), "no database was created");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn newer_command_does_not_migrate_the_schema_of_a_running_server() {
    let test = TestStore::sqlite().await;
    let first = serve(&test);
    // As if the running server did not know the newest migration.
    let forget = "DELETE FROM seaql_migrations WHERE version = (SELECT MAX(version) FROM seaql_migrations)";
    test.store.write().execute_unprepared(forget).await.expect("an older schema");
    for arguments in [["key", "add", "x", "--scope=ingest"].as_slice(), &["migrate"]] {
        let (is_done, output) = run(&test, arguments, |_| ());
        assert!(!is_done && output.contains("is of an earlier version"), "{output}");
    }
    first.stop();
    let (_, output) = run(&test, &["migrate"], |_| ());
    assert!(!output.contains("earlier version"), "no server is running: {output}");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_refuses_to_start_with_a_wrong_or_missing_master_key(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    serve(&test).stop();
    let serving = ["serve", "--listen", "http://127.0.0.1:0"];
    let other = KEY.replace("AAEC", "BBEC");
    let (is_done, output) = run(&test, &serving, |command| _ = command.env("HOOKWRIGHT_KEY", &other));
    assert!(!is_done && output.contains("this master key is not the one"), "{output}");
    let file = test.dir.path().join("other.key");
    std::fs::write(&file, &other).expect("written");
    let (is_done, output) = run(&test, &serving, |command| _ = command.arg("--key-file").arg(&file));
    assert!(
        !is_done && output.contains("this master key is not the one"),
        "the file comes before the variable: {output}"
    );
    if test.url.is_some() {
        let (is_done, output) = run(&test, &serving, |command| _ = command.env_remove("HOOKWRIGHT_KEY"));
        assert!(!is_done && output.contains("--key-file or HOOKWRIGHT_KEY"), "{output}");
        assert!(!test.dir.path().join("master.key").exists());
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accepted_occurrences_are_delivered_after_a_kill(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let inbox = TestInbox::start().await;
    // On SQLite the timeout is longer than this test waits, since a server that starts alone does not wait for leases.
    let timeout = if test.url.is_some() { "3" } else { "120" };
    let key = prepare(&test, &format!("{}/delay/20", inbox.url), timeout).await;
    let first = serve(&test);
    let client = crate::harness::client();
    let mut accepted = BTreeSet::new();
    for round in 0..20 {
        let items: Vec<_> = (0..10).map(|item| format!("vm-{round}-{item}")).collect();
        let batch: Vec<_> =
            items.iter().map(|id| json!({"type": "vms", "event": "poweron", "object": {"id": id}})).collect();
        let post = client.post(format!("{}/api/v1/events", first.url)).bearer_auth(&key);
        let post = post.header("content-type", "application/json").body(json!(batch).to_string());
        assert_eq!(post.send().await.expect("a response").status(), 202);
        accepted.extend(items);
    }
    // At the kill some have arrived, some are in flight, and some wait.
    eventually("some have arrived", async || inbox.received().len() >= 20).await;
    drop(first);
    assert!(inbox.received().len() < accepted.len(), "the kill came too late for this test");
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
    assert!(repeats <= 32, "only unrecorded attempts may be repeated, not {repeats}");
    let rows = delivery::list_newest(test.store.read(), None, 1000).await.expect("deliveries");
    assert_eq!(rows.len(), accepted.len());
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wait_between_attempts_survives_a_kill(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let inbox = TestInbox::start().await;
    let key = prepare(&test, &format!("{}/status/503", inbox.url), "3").await;
    let first = serve(&test);
    let client = crate::harness::client();
    let post = client.post(format!("{}/api/v1/events", first.url)).bearer_auth(&key);
    let post =
        post.header("content-type", "application/json").body(json!({"type": "vms", "event": "poweron"}).to_string());
    assert_eq!(post.send().await.expect("a response").status(), 202);
    let row = async || delivery::list_newest(test.store.read(), None, 1).await.expect("deliveries").remove(0);
    eventually("one attempt is made", async || row().await.attempts >= 1).await;
    let due = row().await.next_attempt_at;
    drop(first);
    let _second = serve(&test);
    eventually("another is made", async || {
        assert!(row().await.next_attempt_at == due || row().await.attempts > 1, "the due time stays");
        inbox.received().len() >= 2
    })
    .await;
    let times: Vec<_> =
        inbox.received().iter().map(|one| Timestamp::parse_rfc3339(&one.time).expect("a time")).collect();
    let waited = times[1].since(times[0]);
    assert!(waited >= std::time::Duration::from_secs(5), "{waited:?}");
}
