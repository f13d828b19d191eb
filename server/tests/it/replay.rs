//! Actions of a person: executing a task, replaying and discarding a delivery; previews and signatures.

use crate::harness::Database::{self, Postgres, Sqlite};
use crate::harness::{Switch, TestInbox, TestServer, TestStore};
use app::view::delivery::DeliveryLine;
use app::view::destination::{Held, ReleaseChoice};
use app::view::task::Previewed;
use model::access::Scope;
use model::delivery::Status;
use model::task::TaskDraft;
use rstest::rstest;
use serde_json::json;

fn header(request: &server::inbox::Received, name: &str) -> Option<String> {
    request.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.clone())
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn disabled_task_can_be_executed_by_hand_with_its_own_name(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let inbox = TestInbox::start().await;
    let webhook = server.webhook("w", &inbox.url, |_| ()).await;
    let task = server.task("Nightly", webhook, "{\"n\": ${NAME}, \"t\": \"${TYPE}\"}", true).await;
    let tasks = server.services.backend().tasks;
    let mut form = tasks.load_form(Some(task), None).await.expect("a form");
    form.draft.enabled = String::new();
    tasks.save(Some(task), form.draft).await.expect("saved");
    let id = tasks.execute(task, "maria".into()).await.expect("started");
    let again = tasks.execute(task, "maria".into()).await;
    let rows = server.deliveries_until(|rows| rows.iter().all(DeliveryLine::is_settled)).await;
    assert_eq!(rows[0].uuid, id);
    assert_eq!(inbox.received()[0].body, "{\"n\": \"Nightly\", \"t\": \"\"}");
    assert!(again.is_err() || rows.len() == 1, "the task runs once");
    assert!(tasks.list().await.expect("tasks").is_empty(), "the task is deleted after running");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replay_uses_the_current_or_past_webhook_and_no_foreign_secret(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let (first, second) = (TestInbox::start().await, TestInbox::start().await);
    let key = server.key("dc", &[Scope::Ingest]).await;
    let webhook = server
        .webhook("w", &first.url, |draft| {
            (draft.auth_type, draft.token) = ("bearer".into(), "canary-1".into());
            draft.headers = "X-Env: old".into();
        })
        .await;
    let task = server.task("once", webhook, "${RANDOM}", true).await;
    server.event(task).await;
    server.post(&key, &json!({"type": "vms", "event": "poweron"})).await;
    let old =
        server.deliveries_until(|rows| rows.len() == 1 && rows[0].status == Some(Status::Sent)).await.remove(0).uuid;
    let webhooks = server.services.backend().webhooks;
    let edit = async |url: String, token: &str, header: &str| {
        let mut form = webhooks.load_form(webhook).await.expect("a form");
        (form.draft.url, form.draft.token, form.draft.headers) = (url, token.into(), header.into());
        webhooks.save(Some(webhook), form.draft).await.expect("saved");
    };
    let deliveries = server.services.backend().deliveries;
    let sent = async |count: usize| {
        server
            .deliveries_until(|rows| rows.len() == count && rows.iter().all(|row| row.status == Some(Status::Sent)))
            .await
    };
    // The same target with another path and secret. A replay as of its revision has the past headers and the current
    // secret.
    edit(format!("{}/new", first.url), "canary-2", "X-Env: new").await;
    deliveries.replay(old.clone(), true, "maria".into()).await.expect("replayed");
    sent(2).await;
    deliveries.replay(old.clone(), false, "maria".into()).await.expect("replayed");
    sent(3).await;
    let received = first.received();
    let shown: Vec<_> =
        received.iter().map(|one| (one.path.as_str(), header(one, "X-Env"), header(one, "Authorization"))).collect();
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(
        shown,
        [
            ("/", some("old"), some("Bearer canary-1")),
            ("/", some("old"), some("Bearer canary-2")),
            ("/new", some("new"), some("Bearer canary-2")),
        ]
    );
    assert!(received.iter().all(|one| one.body == received[0].body), "each replay has the original body");
    assert_ne!(header(&received[0], "Webhook-Id"), header(&received[1], "Webhook-Id"));
    // Another kind of authorization. The past revision needs a token, and there is only a password.
    let mut form = webhooks.load_form(webhook).await.expect("a form");
    (form.draft.auth_type, form.draft.username, form.draft.password) = ("basic".into(), "u".into(), "canary-4".into());
    (form.draft.sign, form.draft.signing_secret) = ("true".into(), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into());
    webhooks.save(Some(webhook), form.draft).await.expect("saved");
    deliveries.replay(old.clone(), true, "maria".into()).await.expect("replayed");
    sent(4).await;
    let last = first.received().pop().expect("arrived");
    assert_eq!(header(&last, "Authorization"), None);
    assert!(
        header(&last, "Webhook-Signature").is_some(),
        "the signing secret belongs to the target, which is the same"
    );
    let mut form = webhooks.load_form(webhook).await.expect("a form");
    (form.draft.auth_type, form.draft.token, form.draft.sign) = ("bearer".into(), "canary-5".into(), String::new());
    webhooks.save(Some(webhook), form.draft).await.expect("saved");
    // Another target. The current secret belongs to it and is not sent elsewhere.
    edit(second.url.clone(), "canary-3", "X-Env: moved").await;
    deliveries.replay(old.clone(), true, "maria".into()).await.expect("replayed");
    sent(5).await;
    let last = first.received().pop().expect("arrived");
    assert_eq!((header(&last, "Authorization"), header(&last, "X-Env")), (None, some("old")));
    assert!(second.received().is_empty());
    assert!(deliveries.replay("nonsense".into(), false, "maria".into()).await.is_err());
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_one_time_task_stays_disabled_also_after_a_replay(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let receiver = Switch::failing().await;
    let key = server.key("dc", &[Scope::Ingest]).await;
    let webhook = server.webhook("w", &receiver.url, |draft| draft.retries = "0".into()).await;
    let task = server.task("once", webhook, "x", true).await;
    server.event(task).await;
    server.post(&key, &json!({"type": "vms", "event": "poweron"})).await;
    let failed =
        server.deliveries_until(|rows| rows.len() == 1 && rows[0].status == Some(Status::Error)).await.remove(0);
    // The task shows the error, and starts no further run.
    let detail = server.services.backend().tasks.detail(task).await.expect("a task");
    let failure = detail.failure().expect("it failed");
    assert_eq!((failure.uuid.as_str(), failure.error.as_deref()), (failed.uuid.as_str(), failed.error.as_deref()));
    let (_, response) = server.post(&key, &json!({"type": "vms", "event": "poweron"})).await;
    assert_eq!(response["occurrences"][0]["tasks_started"], 0, "the task is disabled");
    receiver.recover();
    server.services.backend().deliveries.replay(failed.uuid, false, "maria".into()).await.expect("replayed");
    server.deliveries_until(|rows| rows.len() == 2 && rows.iter().all(DeliveryLine::is_settled)).await;
    let left = server.services.backend().tasks.list().await.expect("tasks");
    assert_eq!((left.len(), left[0].is_enabled), (1, false));
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn earlier_run_does_not_decide_about_a_one_time_task(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let receiver = Switch::failing().await;
    let webhook = server.webhook("w", &receiver.url, |draft| draft.retries = "0".into()).await;
    let task = server.task("t", webhook, "x", false).await;
    let tasks = server.services.backend().tasks;
    let webhooks = server.services.backend().webhooks;
    webhooks.pause(webhook).await.expect("paused");
    tasks.execute(task, "maria".into()).await.expect("the earlier run");
    server.advance(std::time::Duration::from_secs(1));
    let mut form = tasks.load_form(Some(task), None).await.expect("a form");
    form.draft.delete_after_running = "true".into();
    tasks.save(Some(task), form.draft).await.expect("saved");
    let last = tasks.execute(task, "maria".into()).await.expect("the last run");
    let deliveries = server.services.backend().deliveries;
    let rows = server.deliveries_until(|rows| rows.len() == 2).await;
    let first = rows.iter().find(|row| row.uuid != last).expect("there").uuid.clone();
    deliveries.discard(first, "maria".into()).await.expect("the earlier run fails");
    assert!(tasks.execute(task, "maria".into()).await.is_err(), "the task is still claimed");
    receiver.recover();
    let all = ReleaseChoice { held: Held::All, per_second: None };
    webhooks.resume(webhook, all).await.expect("resumed");
    server.deliveries_until(|rows| rows.iter().all(DeliveryLine::is_settled)).await;
    assert!(tasks.list().await.expect("tasks").is_empty(), "the task is deleted by the success of its own run");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_delivery_can_be_discarded_once(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let receiver = Switch::failing().await;
    let key = server.key("dc", &[Scope::Ingest]).await;
    let webhook = server.webhook("w", &receiver.url, |_| ()).await;
    server.event(server.task("t", webhook, "x", false).await).await;
    server.post(&key, &json!({"type": "vms", "event": "poweron"})).await;
    let rows = server.deliveries_until(|rows| rows.len() == 1 && rows[0].attempts == 1).await;
    let deliveries = server.services.backend().deliveries;
    deliveries.discard(rows[0].uuid.clone(), "maria".into()).await.expect("discarded");
    assert!(deliveries.discard(rows[0].uuid.clone(), "maria".into()).await.is_err());
    let rows = server.deliveries_until(|rows| rows[0].status == Some(Status::Discarded)).await;
    assert_eq!(rows[0].error.as_deref(), Some("Discarded by maria."));
    server.advance(std::time::Duration::from_hours(1));
    assert_eq!(receiver.bodies().len(), 1);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn preview_equals_the_message_that_is_sent(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let inbox = TestInbox::start().await;
    let key = server.key("dc", &[Scope::Ingest]).await;
    let tasks = server.services.backend().tasks;
    for (content_type, message) in [
        (
            "application/json",
            "{\"n\": \"${NAME}\", \"d\": ${data.disk}, \"t\": ${TIMESTAMP}, \"at\": \"${DATE}\", \"no\": \"${HOST}\"}",
        ),
        ("application/xml; charset=utf-8", "<n a=\"${NAME}\">${data.disk}</n>"),
        ("application/x-www-form-urlencoded", "n=${NAME}&t=${TASK}&o=${OBJECT_ID}"),
        ("text/plain", "${NAME} $${NAME} ${TYPE}.${EVENT}"),
    ] {
        let webhook = server
            .webhook(content_type, &inbox.url, |draft| draft.headers = format!("Content-Type: {content_type}"))
            .await;
        let task = server.task(content_type, webhook, message, false).await;
        let event = server.event(task).await;
        let name = "a\"b<c>&d é\n";
        let object = json!({"id": "vm 1", "name": name});
        let one = json!({"type": "vms", "event": "poweron", "object": object, "data": {"disk": [1, "x"]}});
        let (_, response) = server.post(&key, &one).await;
        let occurrence = response["occurrences"][0]["id"].as_str().expect("an id").to_owned();
        server.deliveries_until(|rows| rows.iter().all(DeliveryLine::is_settled)).await;
        let draft = TaskDraft {
            name: content_type.into(),
            object: webhook.to_string(),
            message: message.into(),
            ..TaskDraft::default()
        };
        let preview = tasks.preview(draft, occurrence).await.expect("a preview");
        assert_eq!(body(preview), inbox.received().pop().expect("arrived").body);
        server.services.backend().events.delete(vec![event]).await.expect("deleted");
    }
    let sample = TaskDraft { message: "${NAME}".into(), ..TaskDraft::default() };
    assert_eq!(body(tasks.preview(sample, String::new()).await.expect("a preview")), "\"web-01\"");
}

/// Returns the body of a previewed request.
fn body(previewed: Previewed) -> String {
    match previewed {
        Previewed::Request(preview) => preview.body,
        Previewed::Email(email) => panic!("an e-mail: {email:?}"),
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_attempt_is_signed_anew_with_the_stored_secret(#[values(Sqlite, Postgres)] database: Database) {
    use base64::Engine;
    use hmac::{Hmac, KeyInit, Mac};
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let inbox = TestInbox::start().await;
    let key = server.key("dc", &[Scope::Ingest]).await;
    let webhook = server
        .webhook("w", &format!("{}/status/503", inbox.url), |draft| {
            (draft.sign, draft.signing_secret) = ("true".into(), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into());
        })
        .await;
    server.event(server.task("t", webhook, "{\"n\": ${RANDOM}}", false).await).await;
    server.post(&key, &json!({"type": "vms", "event": "poweron"})).await;
    server.deliveries_until(|rows| rows.iter().any(|row| row.attempts == 1)).await;
    server.advance(std::time::Duration::from_secs(6));
    server.deliveries_until(|rows| rows.iter().any(|row| row.attempts == 2)).await;
    let received = inbox.received();
    for request in &received {
        let part = |name: &str| header(request, name).expect("there");
        let base64 = base64::engine::general_purpose::STANDARD;
        let secret = base64.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("base64");
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(&secret).expect("a key");
        mac.update(format!("{}.{}.{}", part("Webhook-Id"), part("Webhook-Timestamp"), request.body).as_bytes());
        let expected = format!("v1,{}", base64.encode(mac.finalize().into_bytes()));
        assert_eq!(part("Webhook-Signature"), expected);
    }
    assert_eq!(received.len(), 2);
    assert_ne!(header(&received[0], "Webhook-Signature"), header(&received[1], "Webhook-Signature"));
    // The form never shows the secret, and keeps it when it is saved without one.
    let mut form = server.services.backend().webhooks.load_form(webhook).await.expect("a form");
    assert_eq!((form.draft.sign.as_str(), form.draft.signing_secret.as_str()), ("true", ""));
    form.draft.name = "renamed".into();
    server.services.backend().webhooks.save(Some(webhook), form.draft).await.expect("kept");
    let mut form = server.services.backend().webhooks.load_form(webhook).await.expect("a form");
    form.draft.url = "http://127.0.0.1:9/".into();
    let refused = server.services.backend().webhooks.save(Some(webhook), form.draft).await.expect_err("another target");
    assert_eq!(refused.fields.0[0].field, "signing_secret");
}
