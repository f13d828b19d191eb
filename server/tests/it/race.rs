//! Changes of rows that another transaction depends on. On PostgreSQL another node may be between reading and writing.
//! Each test keeps a change open until the other side waits for it.

use crate::harness::{TestInbox, TestServer, TestStore, begin_holding, eventually, until_lock_is_awaited};
use app::view::inventory::ObjectLine;
use app::view::inventory::ObjectQuery;
use model::access::Scope;
use model::catalog::{EventKindDraft, TypeDraft, WEBHOOKS};
use model::delivery::Status;
use model::event::EventDraft;
use model::id::{DestinationId, ObjectId, TagId};
use model::occurrence::{ObjectReference, Occurrence};
use model::task::TaskDraft;
use model::time::Timestamp;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, EntityTrait, Statement};
use serde_json::{Value, json};
use server::store::internal::{self, InternalEvent};
use server::store::object::{self, NewObject, Wanted};
use server::store::{catalog, entity, tag, webhook};
use std::collections::BTreeSet;

/// Posts an occurrence while an open transaction has deleted rows with `sql`. Returns the response.
async fn while_deleting(server: &TestServer, key: &str, sql: &[&str], occurrence: Value) -> (u16, Value) {
    let open = begin_holding(&server.services.store).await;
    for statement in sql {
        open.execute_unprepared(statement).await.expect("deleted");
    }
    let post = server.post(key, &occurrence);
    let commit = async {
        until_lock_is_awaited(&server.services.store).await;
        open.commit().await.expect("committed");
    };
    tokio::join!(post, commit).0
}

/// Runs `other`, and commits `open` when `other` waits for it. Returns the result of `other`.
async fn while_open<T>(server: &TestServer, open: DatabaseTransaction, other: impl Future<Output = T>) -> T {
    let commit = async {
        until_lock_is_awaited(&server.services.store).await;
        open.commit().await.expect("committed");
    };
    tokio::join!(other, commit).0
}

/// Returns the virtual machines: name, external id and tags.
async fn machines(server: &TestServer) -> Vec<(String, String, Vec<String>)> {
    let objects = server.services.backend().inventory.list_objects(ObjectQuery::default()).await.expect("objects").rows;
    let tags = |one: &ObjectLine| one.tags.iter().map(|tag| tag.label.clone()).collect();
    let machine = |one: ObjectLine| (one.name.clone(), one.external_id.clone(), tags(&one));
    objects.into_iter().filter(|one| one.type_id == "vms").map(machine).collect()
}

fn vm(id: &str) -> Value {
    json!({"type": "vms", "event": "poweron", "object": {"id": id}})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_deleted_during_matching_start_nothing_and_lose_nothing() {
    let server = TestServer::start(TestStore::postgres().await).await;
    let inbox = TestInbox::start().await;
    let key = server.key("dc", &[Scope::Ingest, Scope::Inventory]).await;
    let tag = server.tag("Environment", "production").await;
    let webhook = server.webhook("w", &inbox.url, |_| ()).await;
    let started = |response: &(u16, Value)| (response.0, response.1["occurrences"][0]["tasks_started"].clone());

    // The task is deleted with its event. Until the commit it is started, and nothing waits.
    let task = server.task("t", webhook, "", false).await;
    server.event(task).await;
    let first = server.post(&key, &vm("a")).await;
    assert_eq!(started(&first), (202, json!(1)));
    let open = begin_holding(&server.services.store).await;
    let note = "INSERT INTO revision (kind, row_id, number, changed_at) VALUES ('event', 1, 0, 0), ('task', 1, 0, 0)";
    for sql in ["DELETE FROM event", "DELETE FROM task", note] {
        open.execute_unprepared(sql).await.expect("deleted");
    }
    assert_eq!(started(&server.post(&key, &vm("a")).await), (202, json!(1)));
    open.commit().await.expect("committed");
    assert_eq!(started(&server.post(&key, &vm("a")).await), (202, json!(0)));
    server.deliveries_until(|all| all.iter().all(|one| one.status == Some(Status::Sent))).await;

    // The object that the occurrence renames is deleted. It is made anew.
    let mut renamed = vm("a");
    renamed["object"]["name"] = json!("web-02");
    let again = while_deleting(&server, &key, &["DELETE FROM object WHERE external_id = 'a'"], renamed).await;
    assert_eq!(started(&again), (202, json!(0)));
    // The object that the occurrence tags is deleted.
    let mut tagged = vm("a");
    tagged["object"]["tags"] = json!(["Environment/production"]);
    let again = while_deleting(&server, &key, &["DELETE FROM object WHERE external_id = 'a'"], tagged.clone()).await;
    assert_eq!(started(&again), (202, json!(0)));
    let objects = server.services.backend().inventory.list_objects(ObjectQuery::default()).await.expect("objects").rows;
    let named: Vec<_> = objects.iter().filter(|object| object.type_id == "vms").collect();
    assert_eq!((named.len(), named[0].external_id.as_str(), named[0].tags.len()), (1, "a", 1));
    // The tag is deleted. The occurrence is refused.
    tagged["object"]["id"] = json!("b");
    let delete = format!("DELETE FROM tag WHERE id = {tag}");
    let refused = while_deleting(&server, &key, &[&delete], tagged).await;
    assert_eq!((refused.0, &refused.1["error"]["fields"][0]["field"]), (422, &json!("object.tags")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn object_named_by_two_nodes_is_created_once_with_one_id() {
    let server = TestServer::start(TestStore::postgres().await).await;
    let store = &server.services.store;
    let key = server.key("dc", &[Scope::Ingest, Scope::Inventory]).await;
    let named = |id: Option<&str>| json!({"type": "vms", "event": "poweron", "object": {"id": id, "name": "web"}});
    let web = BTreeSet::from(["web".to_owned()]);
    let locked = async || {
        let open = begin_holding(store).await;
        assert!(object::lock_names(&open, "vms", &web).await.expect("locked"));
        open
    };

    // Another node makes the object without an id. The occurrence here has an id, or none either.
    for id in [Some("a"), None] {
        let open = locked().await;
        let new = NewObject { type_id: "vms".into(), external_id: None, name: "web".into() };
        object::insert_many(&open, vec![new], Timestamp(0)).await.expect("made");
        assert_eq!(while_open(&server, open, server.post(&key, &named(id))).await.0, 202);
        let id = id.unwrap_or_default().to_owned();
        assert_eq!(machines(&server).await, [("web".to_owned(), id, vec![])]);
        store.write().execute_unprepared("DELETE FROM object").await.expect("deleted");
    }

    // Another node gives the object an id. The id of the occurrence then names another object.
    server.post(&key, &named(None)).await;
    let open = locked().await;
    open.execute_unprepared("UPDATE object SET external_id = 'b'").await.expect("adopted");
    assert_eq!(while_open(&server, open, server.post(&key, &named(Some("a")))).await.0, 202);
    let object = |id: &str| ("web".to_owned(), id.to_owned(), vec![]);
    assert_eq!(BTreeSet::from_iter(machines(&server).await), [object("a"), object("b")].into());

    // An inventory waits for all names of its type.
    let open = locked().await;
    let inventory = json!([{"id": "c", "name": "web"}]);
    let put = server.call("PATCH", "/api/v1/inventory/vms", &key, Some(&inventory));
    assert_eq!(while_open(&server, open, put).await.0, 200);
    assert_eq!(machines(&server).await.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn object_changed_after_reading_is_read_again() {
    let server = TestServer::start(TestStore::postgres().await).await;
    let store = &server.services.store;
    let key = server.key("dc", &[Scope::Ingest, Scope::Inventory]).await;
    let tags = [server.tag("Environment", "production").await, server.tag("Team", "blue").await];
    server.post(&key, &vm("a")).await;
    let change = async |sql: &str| {
        let open = begin_holding(store).await;
        open.execute_unprepared(sql).await.expect("changed");
        open
    };

    // The id of the object changes while the object is renamed. The old id is not written back.
    let open = change("UPDATE object SET external_id = 'b'").await;
    let renamed = json!({"type": "vms", "event": "poweron", "object": {"id": "a", "name": "web"}});
    assert_eq!(while_open(&server, open, server.post(&key, &renamed)).await.0, 202);
    let expected = [("a", "b"), ("web", "a")].map(|(name, id)| (name.to_owned(), id.to_owned(), vec![]));
    assert_eq!(machines(&server).await, expected);

    // The object is deleted while an inventory renames it.
    let open = change("DELETE FROM object WHERE external_id = 'a'").await;
    let put = json!([{"id": "a", "name": "renamed"}]);
    let response = while_open(&server, open, server.call("PUT", "/api/v1/inventory/vms", &key, Some(&put))).await;
    assert_eq!((response.0, &response.1["deleted"]), (200, &json!(1)));
    assert_eq!(machines(&server).await, [("renamed".to_owned(), "a".to_owned(), vec![])]);

    // Two nodes tag the object at the same time. Only the tags of the last one stay.
    let found =
        object::find_wanted(store.read(), "vms", Wanted { external_ids: ["a".into()].into(), ..Wanted::default() })
            .await
            .expect("found");
    let id: ObjectId = *found.keys().next().expect("one");
    let open = begin_holding(store).await;
    let other: TagId = TagId(tags[0].parse().expect("a number"));
    tag::assign(&open, &[(id, &[other])]).await.expect("tagged");
    let mut tagged = vm("a");
    tagged["object"]["tags"] = json!(["Team/blue"]);
    assert_eq!(while_open(&server, open, server.post(&key, &tagged)).await.0, 202);
    assert_eq!(machines(&server).await[0].2, ["Team - blue"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_checked_by_a_change_are_not_removed_by_another() {
    let server = TestServer::start(TestStore::postgres().await).await;
    let backend = server.services.backend();
    let store = &server.services.store;
    let now = Timestamp(0);
    let webhook = server.webhook("w", "http://127.0.0.1:9/", |_| ()).await;

    // A task is saved on a webhook that is being deleted.
    let open = store.begin_change().await.expect("a transaction");
    webhook::delete(&open, webhook, now).await.expect("deleted");
    let draft = TaskDraft { name: "t".into(), object: webhook.to_string(), ..TaskDraft::new_form() };
    let refused = while_open(&server, open, backend.tasks.save(None, draft)).await.expect_err("no such webhook");
    assert_eq!(refused.fields.0[0].field, "object");

    // An event is saved on a type that is being deleted, and another on a tag that is being deleted.
    let webhook = server.webhook("other", "http://127.0.0.1:9/", |_| ()).await;
    let task = server.task("t", webhook, "x", false).await;
    let id = "backups".to_owned();
    let draft = TypeDraft { id: id.clone(), singular: "B".into(), plural: "Bs".into(), ..TypeDraft::default() };
    backend.catalog.add_type(draft).await.expect("a type");
    let draft = EventKindDraft { id: "failed".into(), label: "Failed".into() };
    backend.catalog.add_event(id.clone(), draft).await.expect("an event");
    let tag = server.tag("Environment", "production").await;
    let draft = EventDraft { task: task.to_string(), ..EventDraft::new_form() };
    let of_type = EventDraft { event: "backups.failed".into(), ..draft.clone() };
    let of_tag = EventDraft { event: "vms.poweron".into(), use_tag: "true".into(), tag: tag.clone(), ..draft };
    let open = store.begin_change().await.expect("a transaction");
    catalog::delete_type(&open, &id, Timestamp(0)).await.expect("deleted");
    tag::delete(&open, TagId(tag.parse().expect("a number"))).await.expect("deleted");
    let saved = async { (backend.events.save(None, of_type).await, backend.events.save(None, of_tag).await) };
    let (of_type, of_tag) = while_open(&server, open, saved).await;
    assert_eq!(of_type.expect_err("no such type").fields.0[0].field, "event");
    assert_eq!(of_tag.expect_err("no such tag").fields.0[0].field, "tag");

    // A task is saved and disabled at the same time. Both take effect.
    let mut form = backend.tasks.load_form(Some(task), None).await.expect("a form");
    form.draft.message = "y".into();
    let (saved, switched) =
        tokio::join!(backend.tasks.save(Some(task), form.draft), backend.tasks.set_enabled(vec![task], false));
    assert!(switched.is_ok(), "{switched:?}");
    let form = backend.tasks.load_form(Some(task), None).await.expect("a form");
    assert_eq!((form.draft.enabled.as_str(), saved.is_ok()), ("", form.draft.message == "y"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn report_about_a_deleted_webhook_is_dropped() {
    let server = TestServer::start(TestStore::sqlite().await).await;
    let store = &server.services.store;
    let webhook = server.webhook("w", "http://127.0.0.1:9/", |_| ()).await;
    server.services.backend().webhooks.delete(vec![webhook]).await.expect("deleted");
    let failing = |id: DestinationId| InternalEvent {
        occurrence: Occurrence {
            type_id: WEBHOOKS.into(),
            event_id: "failing".into(),
            object: Some(ObjectReference {
                external_id: Some(id.to_string()),
                name: Some("w".into()),
                tags: None,
                is_subject: false,
            }),
            external_id: None,
            source: None,
            time: None,
            data: None,
        },
        about_destination: Some(id),
        depth: 1,
    };
    let other = server.webhook("other", "http://127.0.0.1:9/", |_| ()).await;
    for id in [webhook, other] {
        internal::insert(store.write(), &failing(id.into()), Timestamp(0)).await.expect("left");
    }
    eventually("both are taken in", async || {
        internal::list_waiting(store.read(), 9, &mut BTreeSet::new()).await.expect("read").is_empty()
    })
    .await;
    let occurrences = entity::occurrence::Entity::find().all(store.read()).await.expect("read");
    let about: Vec<_> = occurrences.iter().map(|one| one.about_destination).collect();
    assert_eq!(about, [Some(other.0)]);
    let objects = object::search(store.read(), WEBHOOKS, "", 100).await.expect("read");
    assert_eq!(objects.len(), 1, "the deleted webhook does not become an object again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_time_task_that_fails_at_once_does_not_deadlock_with_a_change_of_it() {
    let server = TestServer::start(TestStore::postgres().await).await;
    let store = &server.services.store;
    let webhook = server.webhook("w", "http://127.0.0.1:9/", |_| ()).await;
    // The value makes the message too large, so that the run ends within the transaction of the intake.
    let task = server.task("once", webhook, &"${data.x}".repeat(30), true).await;
    server.event(task).await;
    let key = server.key("k", &[Scope::Ingest]).await;
    let change = begin_holding(store).await;
    change.execute_unprepared("SELECT pg_advisory_xact_lock(x'7265766973696f6e'::BIGINT)").await.expect("locked");
    let occurrence = json!({"type": "vms", "event": "poweron", "data": {"x": "x".repeat(50_000)}});
    let post = server.post(&key, &occurrence);
    let commit = async {
        until_lock_is_awaited(store).await;
        let done = change.execute_unprepared("UPDATE task SET description = 'changed'").await;
        done.expect("no deadlock");
        change.commit().await.expect("committed");
    };
    let (response, ()) = tokio::join!(post, commit);
    assert_eq!(response.0, 202, "{response:?}");
    let sql = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    let row = store.read().query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await;
    let deadlocks: i64 = row.expect("asked").expect("a row").try_get("", "deadlocks").expect("a number");
    assert_eq!(deadlocks, 0);
    let form = server.services.backend().tasks.load_form(Some(task), None).await.expect("a form");
    assert_eq!(form.draft.enabled, "", "the failed task is disabled");
}
