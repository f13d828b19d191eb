//! The real binary on a disk that fills up: a tmpfs of 24 MB in a mount namespace of its own.

use crate::harness::{Gate, TestStore, client, eventually, pause};
use crate::process::{Process, prepare, serve};
use serde_json::{Value, json};
use server::store::{connect, delivery, occurrence};
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::process::Command;

/// Variable that is set for the half of the test within the namespace, to the path of the small disk.
const INSIDE: &str = "HOOKWRIGHT_TEST_SMALL_DISK";

#[test]
fn full_disk_leads_to_503_and_loses_nothing_acknowledged() {
    if let Some(disk) = std::env::var_os(INSIDE) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        return runtime.expect("a runtime").block_on(inside(Path::new(&disk)));
    }
    let disk = crate::harness::folder();
    let script = format!(
        "set -e\nmount -t tmpfs -o size=24m,mode=700 tmpfs \"${INSIDE}\"\nexec \"$0\" --exact {} --nocapture\n",
        "small_disk::full_disk_leads_to_503_and_loses_nothing_acknowledged"
    );
    // A user who is not root becomes root in the new namespace. The disk ends with it.
    let output = Command::new("unshare")
        .args(["--mount", "--map-root-user", "sh", "-c", &script])
        .arg(std::env::current_exe().expect("this test"))
        // The directory of the database is made on the disk.
        .env("TMPDIR", disk.path())
        .env(INSIDE, disk.path())
        .output()
        .expect("unshare of util-linux");
    let printed = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && printed.contains("1 passed"), "{printed}");
}

/// Writes until not one byte more fits.
fn fill(file: &Path) {
    let mut file = File::create(file).expect("made");
    for size in [1 << 20, 4096, 1] {
        let error = loop {
            if let Err(error) = file.write_all(&vec![b'x'; size]) {
                break error;
            }
        };
        assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
    }
}

async fn post(client: &reqwest::Client, server: &Process, key: &str, object: &str) -> (u16, String) {
    let body = json!({"type": "vms", "event": "poweron", "object": {"id": object}}).to_string();
    let post = client.post(format!("{}/api/v1/events", server.url)).bearer_auth(key);
    let response = post.header("content-type", "application/json").body(body).send().await.expect("the server lives");
    let status = response.status().as_u16();
    let body: Value = serde_json::from_str(&response.text().await.expect("a body")).expect("JSON");
    (status, body["occurrences"][0]["id"].as_str().unwrap_or_default().to_owned())
}

async fn ready(client: &reqwest::Client, server: &Process) -> u16 {
    client.get(format!("{}/health/ready", server.url)).send().await.expect("the server lives").status().as_u16()
}

async fn inside(disk: &Path) {
    let gate = Gate::closed().await;
    let test = TestStore::sqlite().await;
    assert!(test.dir.path().starts_with(disk));
    let key = prepare(&test, &gate.url, "60").await;
    // Only the server has the database open.
    test.store.clone().close().await;
    let (client, first) = (client(), serve(&test));
    let (status, id) = post(&client, &first, &key, "before").await;
    assert_eq!(status, 202);
    let mut accepted = vec![(id, "before".to_owned())];
    assert_eq!(ready(&client, &first).await, 200);
    eventually("the delivery is in flight", async || gate.waiting() == 1).await;
    let ballast = disk.join("ballast");
    fill(&ballast);
    for number in 0..5 {
        assert_eq!(post(&client, &first, &key, &format!("while-{number}")).await.0, 503);
        assert_eq!(ready(&client, &first).await, 503);
    }
    // Longer than the result of a commit is cached. A commit that has written nothing does not make the server ready.
    for _ in 0..60 {
        assert_eq!(ready(&client, &first).await, 503);
        pause().await;
    }
    // The receiver has responded, but the attempt cannot be recorded yet.
    gate.respond(1000);
    eventually("the delivery has its response", async || gate.waiting() == 0).await;
    assert_eq!(post(&client, &first, &key, "while").await.0, 503);
    std::fs::remove_file(ballast).expect("freed");
    eventually("the server becomes ready by itself", async || ready(&client, &first).await == 200).await;
    for number in 0..10 {
        let object = format!("after-{number}");
        let (status, id) = post(&client, &first, &key, &object).await;
        assert_eq!(status, 202, "{object}");
        accepted.push((id, object));
    }
    eventually("all have arrived", async || gate.bodies().len() >= accepted.len()).await;
    first.stop();
    let second = serve(&test);
    let (status, id) = post(&client, &second, &key, "last").await;
    assert_eq!(status, 202);
    accepted.push((id, "last".to_owned()));
    eventually("the last has arrived", async || gate.bodies().iter().any(|body| body.contains("last"))).await;
    second.stop();
    let store = connect::open_sqlite(test.dir.path()).await.expect("opens");
    let mut stored: Vec<_> = occurrence::list_newest(store.read(), 1000)
        .await
        .expect("read")
        .into_iter()
        .map(|row| (row.uuid.to_string(), row.object_external_id.unwrap_or_default()))
        .collect();
    stored.sort_unstable();
    accepted.sort_unstable();
    assert_eq!(stored, accepted, "exactly the accepted occurrences are stored");
    let rows = delivery::list_newest(store.read(), None, 1000).await.expect("deliveries");
    assert!(rows.iter().all(|row| (row.status, row.attempts) == (Some(model::delivery::Status::Sent), 1)), "{rows:?}");
    let mut arrived: Vec<_> = gate.bodies().iter().map(|body| body.trim_matches('"').to_owned()).collect();
    arrived.sort_unstable();
    let mut expected: Vec<_> = accepted.into_iter().map(|(_, object)| object).collect();
    expected.sort_unstable();
    assert_eq!(arrived, expected, "each was sent once");
    store.close().await;
}
