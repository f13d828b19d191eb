//! Secret headers: sealed, sent, never shown, and in no revision.

use crate::harness::Database::{self, Postgres, Sqlite};
use crate::harness::{TestInbox, TestServer, TestStore};
use model::access::{Role, Scope};
use model::delivery::Status;
use model::header::MASK;
use model::id::WebhookId;
use rstest::rstest;
use sea_orm::{ConnectionTrait, Statement};
use serde_json::json;
use server::store::Store;

/// Returns the stored documents of all revisions and the stored headers of all webhooks.
async fn stored(store: &Store) -> String {
    let db = store.read();
    let mut text = String::new();
    for sql in ["SELECT document AS t FROM revision WHERE document IS NOT NULL", "SELECT headers AS t FROM webhook"] {
        for row in db.query_all_raw(Statement::from_string(db.get_database_backend(), sql)).await.expect("rows") {
            text += &row.try_get::<String>("", "t").expect("text");
        }
    }
    text
}

async fn fire(server: &TestServer, key: &str, name: &str, count: usize) {
    let occurrence = json!({"type": "vms", "event": "poweron", "object": {"name": name}});
    assert_eq!(server.post(key, &occurrence).await.0, 202);
    server
        .deliveries_until(|rows| rows.len() == count && rows.iter().all(|row| row.status == Some(Status::Sent)))
        .await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secret_header_is_sent_kept_by_its_mask_and_never_shown(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let inbox = TestInbox::start().await;
    let key = server.key("dc", &[Scope::Ingest]).await;
    let id = server
        .webhook("w", &inbox.url, |draft| {
            draft.headers = format!("X-Api-Key: {MASK}\nX-Plain: seen\nX-Api-Key: {MASK}");
            draft.secret_headers = "X-Api-Key: canary-one\nX-Api-Key: canary-two".into();
        })
        .await;
    server.event(server.task("t", id, "${NAME}", false).await).await;
    fire(&server, &key, "a", 1).await;
    let sent = |request: &server::inbox::Received| {
        let of = |(name, value): &(String, String)| name.to_lowercase().starts_with("x-").then(|| value.clone());
        request.headers.iter().filter_map(of).collect::<Vec<_>>()
    };
    // Headers of one name are sent together, as the page explains.
    assert_eq!(sent(&inbox.received()[0]), ["canary-one", "canary-two", "seen"]);
    assert!(!stored(&server.services.store).await.contains("canary"));
    let cookie = server.sign_in("maria", Role::Admin).await;
    let uuid = server.deliveries_until(|_| true).await[0].uuid.clone();
    let paths = ["/webhooks/1", "/webhooks/1/edit", "/webhooks/1/test", "/deliveries", &format!("/deliveries/{uuid}")];
    for path in paths {
        let page = server.http.get(format!("{}{path}", server.url)).header("cookie", &cookie).send().await;
        let page = page.expect("a response").text().await.expect("a page");
        assert!(!page.contains("canary"), "{path}");
    }

    // Headers are moved and their masks stay. Each retains its own value.
    let webhooks = server.services.backend().webhooks;
    let mut draft = webhooks.load_form(id).await.expect("a form").draft;
    assert_eq!(draft.headers, format!("X-Api-Key: {MASK}\nX-Plain: seen\nX-Api-Key: {MASK}"));
    draft.headers = format!("X-Plain: other\nX-Api-Key: {MASK}\nX-Api-Key: {MASK}");
    webhooks.save(Some(id), draft).await.expect("saved");
    fire(&server, &key, "b", 2).await;
    assert_eq!(sent(&inbox.received()[1]), ["other", "canary-one", "canary-two"]);

    // One of the values is typed anew.
    let mut draft = webhooks.load_form(id).await.expect("a form").draft;
    draft.secret_headers = format!("X-Api-Key: {MASK}\nX-Api-Key: canary-three");
    webhooks.save(Some(id), draft).await.expect("saved");
    fire(&server, &key, "c", 3).await;
    assert_eq!(sent(&inbox.received()[2]), ["other", "canary-one", "canary-three"]);

    // Another target does not get the secrets of this one.
    let mut draft = webhooks.load_form(id).await.expect("a form").draft;
    draft.url = "http://127.0.0.1:9/".into();
    let refused = webhooks.save(Some(id), draft.clone()).await.expect_err("another target");
    assert!(
        refused.fields.message("secret_headers").is_some_and(|message| message.contains("X-Api-Key")),
        "{refused:?}"
    );
    let test = app::view::webhook::TestRequest { draft, message: "x".into() };
    assert!(webhooks.send_test(Some(id), test).await.is_err());

    // A replay as of its revision has the current values, and is refused when one is missing.
    let oldest = server.deliveries_until(|_| true).await.pop().expect("the first").uuid;
    let deliveries = server.services.backend().deliveries;
    deliveries.replay(oldest.clone(), true, "maria".into()).await.expect("replayed");
    server.deliveries_until(|rows| rows.len() == 4 && rows.iter().all(|row| row.status == Some(Status::Sent))).await;
    assert_eq!(sent(&inbox.received()[3]), ["canary-one", "canary-three", "seen"]);
    let mut draft = webhooks.load_form(id).await.expect("a form").draft;
    draft.headers = format!("X-Api-Key: {MASK}");
    webhooks.save(Some(id), draft).await.expect("saved");
    let refused = deliveries.replay(oldest, true, "maria".into()).await.expect_err("one value is gone");
    assert!(refused.message.contains("X-Api-Key"), "{refused}");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plain_header_that_looks_secret_is_reported_and_can_be_sealed(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let inbox = TestInbox::start().await;
    let key = server.key("dc", &[Scope::Ingest]).await;
    let id = server.webhook("w", &inbox.url, |draft| draft.headers = "X-Api-Key: canary-old\nX-Route: a".into()).await;
    server.event(server.task("t", id, "${NAME}", false).await).await;
    assert!(stored(&server.services.store).await.contains("canary-old"));
    let cookie = server.sign_in("olga", Role::Operator).await;
    let page = async || {
        let page = server.http.get(format!("{}/webhooks/1", server.url)).header("cookie", &cookie).send().await;
        page.expect("a response").text().await.expect("a page")
    };
    assert!(page().await.contains("X-Api-Key: stored in clear, and looks like a secret."));
    let stale = server.post_form("/webhooks/1/seal", &cookie, &[("revision", "7")]).await;
    assert_eq!(stale.status(), 409);
    let done = server.post_form("/webhooks/1/seal", &cookie, &[("revision", "1")]).await;
    assert_eq!(done.headers()["location"], "/webhooks/1?done=sealed");
    assert!(!page().await.contains("stored in clear"));
    assert!(!stored(&server.services.store).await.contains("canary-old"), "no revision has the value");
    fire(&server, &key, "a", 1).await;
    assert!(inbox.received()[0].headers.contains(&("X-Api-Key".to_owned(), "canary-old".to_owned())));

    // Making a header secret in the form has the same effect.
    let webhooks = server.services.backend().webhooks;
    let mut draft = webhooks.load_form(WebhookId(1)).await.expect("a form").draft;
    draft.headers = format!("X-Api-Key: {MASK}\nX-Route: {MASK}");
    draft.secret_headers = "X-Route: canary-route".into();
    webhooks.save(Some(id), draft).await.expect("saved");
    assert!(!stored(&server.services.store).await.contains("\"a\""), "no revision has the plain route");
    fire(&server, &key, "b", 2).await;
    assert!(inbox.received()[1].headers.contains(&("X-Route".to_owned(), "canary-route".to_owned())));
}
