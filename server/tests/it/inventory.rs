//! `/api/v1/inventory`, and deleting rows that events use. An event never comes to match more than before.

use crate::harness::Database::{self, Postgres, Sqlite};
use crate::harness::{TestInbox, TestServer, TestStore};
use crate::search::{numbers, reading};
use app::view::inventory::ObjectQuery;
use model::access::{Role, Scope};
use model::id::ObjectId;
use model::object::{self, ObjectDraft};
use model::occurrence::ObjectReference;
use rstest::rstest;
use sea_orm::{ConnectionTrait, DatabaseTransaction};
use serde_json::{Value, json};
use server::intake::objects::Objects;
use server::store::object as rows;
use std::collections::BTreeSet;

const VMS: &str = "/api/v1/inventory/vms";

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn object_of_a_type_without_objects_can_be_deleted(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    // Earlier versions made objects for every reported type.
    let new = |type_id: &str| server::store::object::NewObject {
        type_id: type_id.into(),
        external_id: None,
        name: "line 4711".into(),
    };
    let made = server::store::object::insert_many(
        server.services.store.write(),
        vec![new("logs"), new("nobody_knows")],
        model::time::Timestamp(0),
    );
    let made = made.await.expect("made");
    let inventory = server.services.backend().inventory;
    inventory.delete_objects(made).await.expect("deleted");
    assert!(inventory.list_objects(ObjectQuery::default()).await.expect("objects").rows.is_empty());
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn put_replaces_patch_merges_and_objects_of_events_remain(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let inbox = TestInbox::start().await;
    let key = server.key("cmdb", &[Scope::Inventory, Scope::Ingest]).await;
    let put = async |body: Value| server.call("PUT", VMS, &key, Some(&body)).await;
    let patch = async |body: Value| server.call("PATCH", VMS, &key, Some(&body)).await;
    assert_eq!(put(json!([{"id": "a", "name": "web"}, {"id": "b"}, {"name": "by hand"}])).await.1["objects"], 3);
    let names = async || {
        let vms = server.services.backend().events.find_objects("vms".into(), String::new()).await.expect("found");
        vms.choices.into_iter().map(|object| object.label).collect::<Vec<_>>()
    };
    assert_eq!(names().await, ["b", "by hand", "web"]);
    patch(json!([{"id": "a", "name": "web-01"}, {"id": "c"}])).await;
    assert_eq!(names().await, ["b", "by hand", "c", "web-01"]);

    // A new list lacks the object that an event names.
    let webhook = server.webhook("w", &inbox.url, |_| ()).await;
    let task = server.task("t", webhook, "${NAME}", false).await;
    let found = server.services.backend().events.find_objects("vms".into(), "web-01".into()).await.expect("found");
    let object = found.choices.first().expect("there").value.clone();
    let event = server.event_of(task, |draft| draft.object.clone_from(&object)).await;
    let (_, response) = put(json!([{"id": "b"}])).await;
    assert_eq!((&response["deleted"], &response["gone"]), (&json!(2), &json!(1)));
    assert_eq!(names().await, ["b", "web-01 (gone)"]);
    patch(json!([{"id": "b"}])).await;
    assert_eq!(names().await, ["b", "web-01 (gone)"], "a PATCH of another object does not bring it back");
    let row = server.services.backend().events.list().await.expect("events").remove(0);
    assert_eq!((row.id, row.scope.as_str()), (event, "web-01 (gone: matches nothing)"));
    let power = |id: &str| json!({"type": "vms", "event": "poweron", "object": {"id": id}});
    assert_eq!(
        server.post(&key, &power("b")).await.1["occurrences"][0]["tasks_started"],
        0,
        "the event does not match other objects"
    );
    assert_eq!(server.post(&key, &power("a")).await.1["occurrences"][0]["tasks_started"], 1, "the object is back");
    assert_eq!(names().await, ["b", "web-01"]);
    let refused = server.services.backend().inventory.delete_objects(vec![object.parse().expect("an id")]).await;
    assert_eq!(refused.expect_err("in use").links[0].href, format!("/events/{event}"));
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalid_inventory_is_refused_as_a_whole(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let key = server.key("cmdb", &[Scope::Inventory]).await;
    let other = server.key("dc", &[Scope::Ingest]).await;
    server.tag("Environment", "production").await;
    let good = json!([{"id": "a"}]);
    for (path, key, body, status, text) in [
        (VMS, &other, good.clone(), 403, "scope inventory"),
        ("/api/v1/inventory/users", &key, good.clone(), 403, "belong to the console"),
        ("/api/v1/inventory/webhooks", &key, good.clone(), 403, "belong to the console"),
        ("/api/v1/inventory/ghosts", &key, good.clone(), 404, "no such object type"),
        ("/api/v1/inventory/alarms", &key, good.clone(), 422, "1 field"),
        (
            "/api/v1/inventory/site_syncs_outgoing",
            &key,
            json!([{"id": "a", "tags": ["Environment/production"]}]),
            422,
            "1 field",
        ),
        (VMS, &key, json!({"id": "a"}), 422, "1 field"),
        (VMS, &key, json!([{"id": "a"}, {"id": "a"}, {}]), 422, "2 fields"),
        (VMS, &key, json!([{"id": "a", "tags": ["Environment/unknown"]}]), 422, "1 field"),
        (VMS, &key, json!([{"id": "a", "name": "x".repeat(256)}]), 422, "1 field"),
    ] {
        let (found, response) = server.call("PUT", path, key, Some(&body)).await;
        assert_eq!(found, status, "{path} {response}");
        let message = response["error"]["message"].as_str().expect("a message");
        assert!(message.contains(text), "{message}");
    }
    assert_eq!(server.call("PUT", VMS, &key, None).await.0, 415);
    let objects = server::store::object::search(server.services.store.read(), "vms", "", 100).await.expect("listed");
    assert!(objects.is_empty(), "nothing is stored");
}

fn reference(id: Option<&str>, name: &str) -> ObjectReference {
    let (external_id, name) = (id.map(str::to_owned), Some(name.to_owned()));
    ObjectReference { external_id, name, tags: None, is_subject: false }
}

/// Adds 5,000 virtual machines, of which `count` have the name `disk`.
async fn fill(test: &TestStore, count: usize) {
    let sql = format!(
        "INSERT INTO object (id, type_id, external_id, name, created_at, updated_at) {} SELECT i, 'vms', \
         'id-' || CAST(i AS TEXT), CASE WHEN i <= {count} THEN 'disk' ELSE 'vm-' || CAST(i AS TEXT) END, 0, 0 FROM n",
        numbers(5000)
    );
    test.store.write().execute_unprepared(&sql).await.expect("filled");
    if test.store.is_postgres() {
        test.store.write().execute_unprepared("VACUUM ANALYZE object, object_tag").await.expect("analysed");
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inventory_of_one_object_does_not_read_the_others_of_its_type(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    fill(&test, 0).await;
    let one = [reference(Some("id-7"), "renamed")];
    let load = async |txn: &DatabaseTransaction| Objects::load_inventory(txn, "vms", &one).await;
    let mut objects = reading(&test, "object", 20, load).await.expect("loaded");
    let index = objects.resolve("vms", &one[0], true, "").expect("one");
    assert_eq!(objects.id(index), Some(ObjectId(7)));
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inventory_with_a_name_that_it_makes_ambiguous_is_refused_as_a_whole(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start(TestStore::new(database).await).await;
    let key = server.key("cmdb", &[Scope::Inventory]).await;
    // More than the same queries look for.
    let mut objects: Vec<_> = (0..2100).map(|id| json!({"id": id.to_string(), "name": "disk"})).collect();
    objects.push(json!({"name": "disk"}));
    assert_eq!(server.call("PATCH", VMS, &key, Some(&json!(objects))).await.0, 422);
    let stored = server::store::object::search(server.services.store.read(), "vms", "", 100).await.expect("listed");
    assert!(stored.is_empty(), "nothing is stored");
    objects.pop();
    assert_eq!(server.call("PATCH", VMS, &key, Some(&json!(objects))).await.0, 200);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn name_that_thousands_of_objects_have_is_refused_without_reading_them(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let test = TestStore::new(database).await;
    fill(&test, 4000).await;
    let disk = reference(None, "disk");
    let load = async |txn: &DatabaseTransaction| {
        Objects::load(txn, [("vms", &disk)].into_iter(), BTreeSet::from(["vms".to_owned()]), None).await
    };
    let mut objects = reading(&test, "object", 20, load).await.expect("loaded");
    assert!(objects.resolve("vms", &disk, true, "").is_err(), "ambiguous");
}

/// The objects that an earlier reference of the group renames, and those that are gone, do not hide the others.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn name_is_ambiguous_by_the_objects_that_still_have_it(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let db = test.store.write();
    let disk = reference(None, "disk");
    let renamed = ["id-1", "id-2"].map(|id| reference(Some(id), "renamed"));
    // The number of objects with the name, the first id that is gone, and the object that is meant at last: none where
    // the name is ambiguous.
    let new = Some(None);
    for (disks, gone, expected) in [
        (2, None, new),
        (3, None, Some(Some(3))),
        (4, None, None),
        (3, Some(3), Some(Some(3))),
        (4, Some(3), None),
        (4, Some(4), Some(Some(3))),
    ] {
        db.execute_unprepared("DELETE FROM object").await.expect("deleted");
        fill(&test, disks).await;
        if let Some(gone) = gone {
            db.execute_unprepared(&format!("UPDATE object SET gone_at = 0 WHERE id BETWEEN {gone} AND 4"))
                .await
                .expect("gone");
        }
        let all = renamed.iter().chain([&disk]);
        let txn = test.store.begin().await.expect("a transaction");
        let types = BTreeSet::from(["vms".to_owned()]);
        let mut objects = Objects::load(&txn, all.clone().map(|one| ("vms", one)), types, None).await.expect("loaded");
        let last = all.map(|one| objects.resolve("vms", one, true, "")).last().expect("three");
        let found = last.ok().map(|index| objects.id(index).map(|id| id.0));
        assert_eq!(found, expected, "{disks} have the name, {gone:?}");
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleting_a_row_in_use_is_refused_and_names_its_uses(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let backend = server.services.backend();
    let tag = server.tag("Environment", "production").await;
    let webhook = server.webhook("Chat", "http://127.0.0.1:9/", |_| ()).await;
    let task = server.task("Tell", webhook, "", false).await;
    let event = server.event_of(task, |draft| (draft.use_tag, draft.tag) = ("true".into(), tag.clone())).await;
    let tag_id = tag.parse().expect("an id");
    let href = format!("/events/{event}");
    assert_eq!(backend.inventory.delete_tag(tag_id).await.expect_err("in use").links[0].href, href);
    assert_eq!(
        backend.inventory.delete_category(model::id::CategoryId(1)).await.expect_err("in use").links[0].href,
        href
    );
    assert_eq!(backend.tasks.delete(vec![task]).await.expect_err("in use").links[0].href, href);
    let refused = backend.webhooks.delete(vec![webhook]).await.expect_err("in use");
    assert_eq!(refused.message, "The webhook Chat is used by the task Tell. Nothing was deleted.");
    backend.events.delete(vec![event]).await.expect("deleted");
    backend.inventory.delete_tag(tag_id).await.expect("deleted");
    backend.inventory.delete_category(model::id::CategoryId(1)).await.expect("deleted");
    backend.tasks.delete(vec![task]).await.expect("deleted");
    backend.webhooks.delete(vec![webhook]).await.expect("deleted");
    assert!(backend.webhooks.list().await.expect("webhooks").is_empty());
    assert!(backend.webhooks.delete(vec![webhook]).await.is_err());
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tag_of_many_objects_is_deleted_in_steps_and_other_tags_stay(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let (many, few) = (server.tag("Environment", "test").await, server.tag("Team", "blue").await);
    let key = server.key("cmdb", &[Scope::Inventory]).await;
    let object = |number: usize| {
        let tags = if number < 3 { json!(["Environment/test", "Team/blue"]) } else { json!(["Environment/test"]) };
        json!({"id": number.to_string(), "tags": tags})
    };
    server.call("PUT", VMS, &key, Some(&json!((0..250).map(object).collect::<Vec<_>>()))).await;
    let inventory = server.services.backend().inventory;
    let (db, many) = (server.services.store.write(), many.parse().expect("an id"));
    assert_eq!(server::store::tag::remove_from_objects(db, many, 100).await.expect("removed"), 100);
    inventory.delete_tag(many).await.expect("deleted");
    let categories = inventory.list_categories().await.expect("categories");
    let left: Vec<_> =
        categories.iter().flat_map(|one| &one.tags).map(|tag| (tag.name.as_str(), tag.objects)).collect();
    assert_eq!(left, [("blue", 3)]);
    let team = categories.iter().find(|one| one.name == "Team").expect("there").id;
    inventory.delete_category(team).await.expect("deleted");
    assert!(inventory.delete_tag(few.parse().expect("an id")).await.is_err(), "it went with its category");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn category_that_an_event_uses_is_refused_and_none_of_its_tags_leaves_an_object(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let inventory = server.services.backend().inventory;
    server.tag("Environment", "test").await;
    let category = inventory.list_categories().await.expect("categories")[0].id;
    let draft = model::tag::TagDraft { name: "used".into(), category: category.to_string() };
    let used = inventory.add_tag(draft).await.expect("a tag").to_string();
    let key = server.key("cmdb", &[Scope::Inventory]).await;
    server.call("PUT", VMS, &key, Some(&json!([{"id": "a", "tags": ["Environment/test"]}]))).await;
    let webhook = server.webhook("Chat", "http://127.0.0.1:9/", |_| ()).await;
    let task = server.task("Tell", webhook, "", false).await;
    server.event_of(task, |draft| (draft.use_tag, draft.tag) = ("true".into(), used)).await;
    assert_eq!(inventory.delete_category(category).await.expect_err("in use").links.len(), 1);
    let tags = inventory.list_categories().await.expect("categories").remove(0).tags;
    assert_eq!(tags.iter().find(|tag| tag.name == "test").map(|tag| tag.objects), Some(1));
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn object_made_by_hand_accepts_only_tags_of_its_type(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let inventory = server.services.backend().inventory;
    let tag = server.tag("Environment", "production").await;
    let draft = ObjectDraft {
        type_id: "vms".into(),
        name: "web".into(),
        external_id: "a".into(),
        tags: tag.clone(),
        ..ObjectDraft::default()
    };
    let id = inventory.save_object(None, draft.clone()).await.expect("saved");
    let again = inventory.save_object(None, draft.clone()).await.expect_err("the id is taken");
    assert_eq!(again.fields.0[0].field, "external_id");
    let tags = [tag.parse().expect("an id")];
    let revision = object::revision("web", Some("a"), false, &tags);
    let renamed = ObjectDraft { name: "web-02".into(), revision, ..draft.clone() };
    inventory.save_object(Some(id), renamed.clone()).await.expect("renamed");
    let late = inventory.save_object(Some(id), ObjectDraft { name: "web-03".into(), ..renamed }).await;
    let late = late.expect_err("somebody else has changed the object");
    let versions: Vec<_> = late.versions.iter().map(|one| (one.field.as_str(), one.saved.as_str())).collect();
    let saved = object::revision("web-02", Some("a"), false, &tags);
    assert_eq!(versions, [("revision", saved.as_str()), ("Name", "web-02")], "{}", late.message);
    for (type_id, field) in [("certificates", "tags"), ("alarms", "type_id")] {
        let other = ObjectDraft { type_id: type_id.into(), ..draft.clone() };
        let refused = inventory.save_object(None, other).await.expect_err("refused");
        assert_eq!(refused.fields.0[0].field, field);
    }
    assert!(inventory.save_object(None, ObjectDraft { type_id: "users".into(), ..draft }).await.is_err());
    inventory.delete_objects(vec![id]).await.expect("deleted");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn form_of_an_object_keeps_the_id_and_name_of_its_sender(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start(TestStore::new(database).await).await;
    let cookie = server.sign_in("maria", Role::Admin).await;
    let tag = server.tag("Environment", "production").await;
    let sent = ObjectReference {
        external_id: Some("vm-1 ".to_owned()),
        name: Some("we\u{200b}b".to_owned()),
        tags: None,
        is_subject: false,
    };
    server.services.write_inventory("vms", &[sent], false).await.expect("written");
    let row = rows::search(server.services.store.read(), "vms", "", 1).await.expect("objects").remove(0);
    let revision = object::revision(&row.name, row.external_id.as_deref(), false, &[]);
    let tag = format!("tag.{tag}");
    let fields =
        [("name", row.name.as_str()), ("external_id", "vm-1 "), (tag.as_str(), "true"), ("revision", &revision)];
    let response = server.post_form(&format!("/objects/{}", row.id), &cookie, &fields).await;
    assert_eq!(response.status(), 303);
    let after = rows::find(server.services.store.read(), row.id).await.expect("read").expect("there");
    assert_eq!((after.external_id, after.name), (row.external_id, row.name));
}
