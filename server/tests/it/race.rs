//! What is deleted at the moment it matches: on PostgreSQL a node may be between reading and writing. The deletion is
//! held open until the other side waits for it.

use crate::harness::{TestInbox, TestServer, TestStore, somebody_waits};
use model::access::Scope;
use sea_orm::{ConnectionTrait, DatabaseTransaction};
use serde_json::{Value, json};

/// Deletes with `sql` while `occurrence` is on its way: its answer.
async fn while_deleting(server: &TestServer, key: &str, sql: &[&str], occurrence: Value) -> (u16, Value) {
    let open: DatabaseTransaction = server.services.store.begin().await.expect("a transaction");
    for statement in sql {
        open.execute_unprepared(statement).await.expect("deleted");
    }
    let answer = server.post(key, &occurrence);
    let commit = async {
        somebody_waits(&server.services.store).await;
        open.commit().await.expect("committed");
    };
    tokio::join!(answer, commit).0
}

fn vm(id: &str) -> Value {
    json!({"type": "vms", "event": "poweron", "object": {"id": id}})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_deleted_while_it_matches_starts_nothing_and_loses_nothing() {
    let server = TestServer::start(TestStore::postgres().await).await;
    let inbox = TestInbox::start().await;
    let key = server.key("dc", &[Scope::Ingest, Scope::Inventory]).await;
    let tag = server.tag("Environment", "production").await;
    let webhook = server.webhook("w", &inbox.url, |_| ()).await;
    let started = |answer: &(u16, Value)| (answer.0, answer.1["occurrences"][0]["tasks_started"].clone());

    // The task, with its event.
    let task = server.task("t", webhook, "", false).await;
    server.event(task).await;
    let first = server.post(&key, &vm("a")).await;
    assert_eq!(started(&first), (202, json!(1)));
    let note = "INSERT INTO revision (kind, row_id, number, changed_at) VALUES ('event', 1, 0, 0), ('task', 1, 0, 0)";
    let gone = while_deleting(&server, &key, &["DELETE FROM event", "DELETE FROM task", note], vm("a")).await;
    assert_eq!(started(&gone), (202, json!(0)));

    // The object that is renamed by what is reported about it: it is made anew.
    let mut renamed = vm("a");
    renamed["object"]["name"] = json!("web-02");
    let again = while_deleting(&server, &key, &["DELETE FROM object WHERE external_id = 'a'"], renamed).await;
    assert_eq!(started(&again), (202, json!(0)));
    // The object that is tagged.
    let mut tagged = vm("a");
    tagged["object"]["tags"] = json!(["Environment/production"]);
    let again = while_deleting(&server, &key, &["DELETE FROM object WHERE external_id = 'a'"], tagged.clone()).await;
    assert_eq!(started(&again), (202, json!(0)));
    let objects = server.services.backend().inventory.list_objects().await.expect("objects");
    let named: Vec<_> = objects.iter().filter(|object| object.type_id == "vms").collect();
    assert_eq!((named.len(), named[0].external_id.as_str(), named[0].tags.len()), (1, "a", 1));
    // The tag: there is none any more, and the sender is told.
    tagged["object"]["id"] = json!("b");
    let delete = format!("DELETE FROM tag WHERE id = {tag}");
    let refused = while_deleting(&server, &key, &[&delete], tagged).await;
    assert_eq!((refused.0, &refused.1["error"]["fields"][0]["field"]), (422, &json!("object.tags")));
}
