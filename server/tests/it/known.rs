//! The intake writes most groups by the state that it has cached from earlier ones. A change in between counts at once.

use crate::harness::Database::{self, Postgres, Sqlite};
use crate::harness::{TestInbox, TestServer, TestStore, eventually};
use crate::hold::ALL;
use model::access::Scope;
use model::delivery::Status;

use rstest::rstest;
use sea_orm::{ConnectionTrait, DbBackend, Statement};
use serde_json::json;

const VMS: &str = "/api/v1/inventory/vms";

/// A server with a task whose message is the name of its object, its receiver, and a key.
struct Scene {
    server: TestServer,
    inbox: TestInbox,
    key: String,
    webhook: model::id::WebhookId,
    task: model::id::TaskId,
}

impl Scene {
    async fn new(database: Database) -> Self {
        let server = Box::pin(async { TestServer::start(TestStore::new(database).await).await }).await;
        let inbox = TestInbox::start().await;
        let key = server.key("dc", &[Scope::Ingest, Scope::Inventory]).await;
        let webhook = server.webhook("w", &inbox.url, |_| ()).await;
        let task = server.task("t", webhook, "${NAME}", false).await;
        server.event(task).await;
        let scene = Self { server, inbox, key, webhook, task };
        scene.put(json!([{"id": "a", "name": "alpha"}])).await;
        // The intake reads the state for the first occurrence, and writes the second one by the cached state.
        for number in 1..=2 {
            assert_eq!(scene.post().await, 202);
            scene.until_received(number, "alpha").await;
        }
        scene
    }

    async fn put(&self, objects: serde_json::Value) {
        assert_eq!(self.server.call("PUT", VMS, &self.key, Some(&objects)).await.0, 200);
    }

    /// Reports that the object was powered on.
    async fn post(&self) -> u16 {
        self.server.post(&self.key, &json!({"type": "vms", "event": "poweron", "object": {"id": "a"}})).await.0
    }

    /// Waits until this many messages have arrived, and compares the last one.
    async fn until_received(&self, count: usize, last: &str) {
        eventually("the message arrives", async || self.inbox.received().len() >= count).await;
        let received = self.inbox.received();
        assert_eq!((received.len(), received[count - 1].body.trim_matches('"')), (count, last));
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn object_that_was_renamed_has_its_new_name(#[values(Sqlite, Postgres)] database: Database) {
    let scene = Scene::new(database).await;
    scene.put(json!([{"id": "a", "name": "beta"}])).await;
    assert_eq!(scene.post().await, 202);
    scene.until_received(3, "beta").await;
    // The object leaves the inventory, and is named again.
    scene.put(json!([])).await;
    assert_eq!(scene.post().await, 202);
    scene.until_received(4, "a").await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn object_that_was_tagged_starts_the_tasks_of_its_tag(#[values(Sqlite, Postgres)] database: Database) {
    let scene = Scene::new(database).await;
    let tag = scene.server.tag("level", "gold").await;
    let task = scene.server.task("gold", scene.webhook, "gold", false).await;
    scene.server.event_of(task, |draft| (draft.use_tag, draft.tag) = ("true".into(), tag.clone())).await;
    assert_eq!(scene.post().await, 202);
    scene.until_received(3, "alpha").await;
    scene.put(json!([{"id": "a", "name": "alpha", "tags": ["level/gold"]}])).await;
    assert_eq!(scene.post().await, 202);
    eventually("both tasks", async || scene.inbox.received().len() == 5).await;
    scene.put(json!([{"id": "a", "name": "alpha", "tags": []}])).await;
    assert_eq!(scene.post().await, 202);
    scene.until_received(6, "alpha").await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn webhook_that_was_paused_holds_the_next_delivery(#[values(Sqlite, Postgres)] database: Database) {
    let scene = Scene::new(database).await;
    let webhooks = scene.server.services.backend().webhooks;
    webhooks.pause(scene.webhook).await.expect("paused");
    assert_eq!(scene.post().await, 202);
    let deliveries = scene.server.deliveries_until(|all| all.len() == 3).await;
    assert_eq!(deliveries[0].status, Some(Status::Held));
    webhooks.resume(scene.webhook, ALL).await.expect("resumed");
    scene.until_received(3, "alpha").await;
    assert_eq!(scene.post().await, 202);
    scene.until_received(4, "alpha").await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn task_that_was_changed_sends_its_new_message(#[values(Sqlite, Postgres)] database: Database) {
    let scene = Scene::new(database).await;
    let tasks = scene.server.services.backend().tasks;
    let mut draft = tasks.load_form(Some(scene.task), None).await.expect("the form").draft;
    draft.message = "changed".into();
    tasks.save(Some(scene.task), draft).await.expect("saved");
    assert_eq!(scene.post().await, 202);
    scene.until_received(3, "changed").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn occurrence_by_what_is_known_reads_nothing_before() {
    let scene = Scene::new(Postgres).await;
    for number in 3..=12 {
        assert_eq!(scene.post().await, 202);
        scene.until_received(number, "alpha").await;
    }
    scene.server.deliveries_until(|all| all.iter().all(|one| one.status == Some(Status::Sent))).await;
    // The query returns the last statement of each connection. The connections for statements that commit themselves
    // take turns, so a read of the last group would be among these.
    let sql = "SELECT query FROM pg_stat_activity WHERE datname = current_database()";
    let db = scene.server.services.store.pages();
    let rows = db.query_all_raw(Statement::from_string(DbBackend::Postgres, sql)).await.expect("asked");
    let texts: Vec<_> = rows.iter().map(|row| row.try_get::<String>("", "query").expect("a text")).collect();
    let count = |start: &str| texts.iter().filter(|text| text.starts_with(start)).count();
    assert!(count("WITH unchanged AS") > 0, "{texts:#?}");
    assert_eq!(count("WITH now AS"), 0, "{texts:#?}");
}
