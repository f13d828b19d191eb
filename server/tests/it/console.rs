//! The pages of the console as the server renders them: their content, the secrets that they hide, and their commands.

use crate::harness::Database::{self, Postgres, Sqlite};
use crate::harness::{Gate, TestInbox, TestServer, TestStore, eventually};
use app::view::delivery::{DeliveryLine, DeliveryQuery};
use app::view::run::RunQuery;
use app::view::webhook::TestRequest;
use base64::Engine;
use model::access::{Role, Scope};
use model::event::EventDraft;
use model::webhook::WebhookDraft;
use rstest::rstest;
use sea_orm::ConnectionTrait;
use serde_json::json;

/// A secret that can be found in a page, and that every encoding has to escape.
const CANARY: &str = "canary-4f7a+%\"q";

pub(crate) async fn page(server: &TestServer, cookie: &str, path: &str) -> (u16, String) {
    let response = server.http.get(format!("{}{path}", server.url)).header("cookie", cookie).send().await;
    let response = response.expect("a response");
    (response.status().as_u16(), response.text().await.expect("a page"))
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_appear_on_no_page(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let inbox = TestInbox::start().await;
    let key = server.key("dc", &[Scope::Ingest]).await;
    let webhook = server
        .webhook("w", &format!("{}/status/503", inbox.url), |draft| {
            (draft.auth_type, draft.username, draft.password) = ("basic".into(), "maria".into(), CANARY.into());
            (draft.sign, draft.signing_secret) = ("true".into(), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into());
            draft.retries = "0".into();
            draft.headers = "X-Auth-Token: canary-4f7a-header\nX-Plain: shown".into();
        })
        .await;
    let task = server.task("t", webhook, "x", false).await;
    server.event(task).await;
    let (_, response) = server.post(&key, &json!({"type": "vms", "event": "poweron", "object": {"name": "web"}})).await;
    let occurrence = response["occurrences"][0]["id"].as_str().expect("an id").to_owned();
    let rows = server.deliveries_until(|rows| rows.iter().any(DeliveryLine::is_settled)).await;
    let request = inbox.received().remove(0);
    let sent = request.headers.iter().find(|(name, _)| name == "Authorization").expect("sent");
    let base64 = base64::engine::general_purpose::STANDARD.encode(format!("maria:{CANARY}"));
    assert_eq!(sent.1, format!("Basic {base64}"));
    for role in [Role::Viewer, Role::Operator, Role::Admin] {
        let cookie = server.sign_in(role.as_str(), role).await;
        for path in [
            "/".to_owned(),
            "/webhooks".into(),
            "/webhooks/1".into(),
            "/webhooks/1/edit".into(),
            "/tasks".into(),
            "/tasks/1".into(),
            "/tasks/1/edit".into(),
            "/events".into(),
            "/events/1".into(),
            "/deliveries".into(),
            format!("/deliveries/{}", rows[0].uuid),
            format!("/occurrences/{occurrence}"),
            "/runs".into(),
            "/objects".into(),
            "/objects/1".into(),
            "/tags".into(),
            "/types".into(),
        ] {
            let (status, text) = page(&server, &cookie, &path).await;
            assert_eq!(status, 200, "{path} as {}", role.as_str());
            // The form shows plain headers to those who may edit them.
            let text = if role != Role::Viewer && path == "/webhooks/1/edit" {
                text.replace("canary-4f7a-header", "")
            } else {
                text
            };
            for needle in ["canary-4f7a", base64.as_str(), "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"] {
                assert!(!text.contains(needle), "{path} shows {needle} to {}", role.as_str());
            }
        }
        let (_, detail) = page(&server, &cookie, &format!("/deliveries/{}", rows[0].uuid)).await;
        assert!(detail.contains("••••••••") && detail.contains("Returned 503"), "{detail}");
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn viewer_sees_no_secret_part_of_urls_and_headers(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let inbox = TestInbox::start().await;
    let secrets =
        ["canary-path", "canary-query", "canary-auth", "canary-subscription", "canary-location", "canary-token"];
    let webhook = server
        .webhook("w", &format!("{}/services/canary-path?key=canary-query", inbox.url), |draft| {
            draft.headers =
                "X-Auth: canary-auth\nOcp-Apim-Subscription-Key: canary-subscription\nAccept: text/plain".into();
        })
        .await;
    server.event(server.task("t", webhook, "${NAME}", false).await).await;
    // The location of the redirect repeats a part of the URL.
    let to = format!("{}/redirect?to=http://other.example/canary-location", inbox.url);
    let redirected = server.webhook("r", &to, |draft| draft.retries = "0".into()).await;
    server.event(server.task("r", redirected, "${NAME}", false).await).await;
    // Some systems take a token as the user name, with an empty password.
    let basic = server.webhook("b", &inbox.url, |draft| {
        (draft.auth_type, draft.username) = ("basic".into(), "canary-token".into());
    });
    assert_eq!(basic.await.0, 3);
    let key = server.key("dc", &[Scope::Ingest]).await;
    server.post(&key, &json!({"type": "vms", "event": "poweron", "object": {"id": "a", "name": "a"}})).await;
    let rows = server.deliveries_until(|rows| rows.len() == 2 && rows.iter().all(DeliveryLine::is_settled)).await;
    let cookies = [server.sign_in("victor", Role::Viewer).await, server.sign_in("olga", Role::Operator).await];
    let mut seen = [String::new(), String::new()];
    for (cookie, seen) in cookies.iter().zip(&mut seen) {
        let [first, second] = [0, 1].map(|index: usize| format!("/deliveries/{}", rows[index].uuid));
        for path in [
            "/",
            "/webhooks",
            "/webhooks/1",
            "/webhooks/1/edit",
            "/webhooks/1/test",
            "/webhooks/3",
            "/webhooks/3/edit",
            "/tasks/1",
            "/events/1",
            "/deliveries",
            &first,
            &second,
        ] {
            *seen += &page(&server, cookie, path).await.1;
        }
    }
    for secret in secrets {
        assert!(!seen[0].contains(secret), "{secret}");
        assert!(seen[1].contains(secret), "an operator sees {secret}");
    }
    assert!(
        seen[0].contains(&format!("{}/…", inbox.url)) && seen[0].contains("text/plain"),
        "parts that are no secret are shown"
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deliveries_are_filtered_sorted_and_paged(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let inbox = TestInbox::start().await;
    let key = server.key("dc", &[Scope::Ingest]).await;
    for (name, path) in [("Güte ΟΔΟΣ", ""), ("Bad one", "/status/503")] {
        let webhook = server.webhook(name, &format!("{}{path}", inbox.url), |draft| draft.retries = "0".into()).await;
        server.event(server.task(&format!("task of {name}"), webhook, "x", false).await).await;
    }
    let batch: Vec<_> =
        (0..30).map(|vm| json!({"type": "vms", "event": "poweron", "object": {"id": format!("vm-{vm}")}})).collect();
    server.post(&key, &json!(batch)).await;
    server
        .deliveries_until(|rows| {
            rows.len() == 60
                && rows.iter().all(|row| row.is_settled() || row.status == Some(model::delivery::Status::Held))
        })
        .await;
    let search = async |change: fn(&mut DeliveryQuery)| {
        let mut query = DeliveryQuery { page: 1, ..DeliveryQuery::default() };
        change(&mut query);
        server.services.backend().deliveries.search(query).await.expect("found")
    };
    let all = search(|_| ()).await;
    assert_eq!((all.rows.len(), all.total), (50, 60));
    assert_eq!(search(|query| query.page = 2).await.rows.len(), 10);
    assert_eq!(search(|query| query.status = "sent".into()).await.total, 30);
    assert_eq!(search(|query| query.destination = "Bad".into()).await.total, 30);
    assert_eq!(search(|query| query.destination = "bAD ONE".into()).await.total, 30, "in any case");
    assert_eq!(search(|query| query.task = "OF GÜTE οδος".into()).await.total, 30, "in any alphabet");
    let of_task = RunQuery { task: "oF gÜTE".into(), page: 1, ..RunQuery::default() };
    let runs = server.services.backend().deliveries.runs(of_task).await.expect("runs");
    assert_eq!(runs.total, 30);
    assert_eq!(search(|query| query.object = "VM-29".into()).await.total, 2);
    assert_eq!(search(|query| query.object = "vm_29".into()).await.total, 0, "underscore is no wildcard");
    assert_eq!(search(|query| query.event = "vms.poweron".into()).await.total, 60);
    assert_eq!(search(|query| query.event = "vms.poweroff".into()).await.total, 0);
    assert_eq!(search(|query| query.result = "200".into()).await.total, 30);
    assert_eq!(search(|query| query.since = "1h".into()).await.total, 60);
    let first = search(|query| query.sort = "time".into()).await.rows[0].object.clone();
    let last = search(|query| query.sort = "-time".into()).await.rows[0].object.clone();
    assert_ne!(first, last);
    let durations: Vec<_> =
        search(|query| query.sort = "-duration".into()).await.rows.iter().map(|row| row.duration_ms).collect();
    let known = durations.iter().take_while(|ms| ms.is_some()).count();
    assert!(
        durations[..known].windows(2).all(|pair| pair[0] >= pair[1]) && durations[known..].iter().all(Option::is_none)
    );
    let board = server.services.backend().deliveries.dashboard().await.expect("a dashboard");
    assert_eq!((board.webhooks, board.hours.len(), board.hours[23].sent), (2, 24, 30));
    assert!(board.p50_ms.is_some() && board.failing == 1);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_to_the_deliveries_and_runs_of_one_thing_list_no_other_whose_name_contains_its_name(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let inbox = TestInbox::start().await;
    let backend = server.services.backend();
    let mut ids = Vec::new();
    for (name, times) in [("Chat", 2), ("Chat staging", 3)] {
        let webhook = server.webhook(name, &inbox.url, |_| ()).await;
        let task = server.task(name, webhook, "x", false).await;
        for _ in 0..times {
            backend.tasks.execute(task, "maria".into()).await.expect("executed");
        }
        ids.push((webhook, task));
    }
    server.deliveries_until(|rows| rows.len() == 5 && rows.iter().all(DeliveryLine::is_settled)).await;
    let (chat, task) = ids[0];
    let mut draft = backend.webhooks.load_form(chat).await.expect("a form").draft;
    draft.name = "Talk".into();
    backend.webhooks.save(Some(chat), draft).await.expect("renamed");
    let search = async |change: &dyn Fn(&mut DeliveryQuery)| {
        let mut query = DeliveryQuery { of_destination: chat.to_string(), page: 1, ..DeliveryQuery::default() };
        change(&mut query);
        let found = backend.deliveries.search(query).await.expect("found");
        (found.rows.iter().filter(|row| row.destination.name == "Chat").count(), found.total, found.of_name)
    };
    let of = Some("Talk".to_owned());
    assert_eq!(search(&|_| ()).await, (2, 2, of.clone()), "also those of before its new name");
    for sort in ["time", "-time", "attempts", "-duration"] {
        assert_eq!(search(&|query| query.sort = sort.into()).await, (2, 2, of.clone()), "{sort}");
    }
    for (status, found) in [("sent", 2), ("error", 0), ("held", 0), ("queued", 0)] {
        assert_eq!(search(&|query| query.status = status.into()).await.1, found, "{status}");
    }
    assert_eq!(search(&|query| query.since = "1h".into()).await.1, 2);
    assert_eq!(search(&|query| query.task = "staging".into()).await.1, 0);
    assert_eq!(search(&|query| query.beyond = Some(i64::MAX)).await.1, 2);
    assert_eq!(search(&|query| query.of_destination = "x".into()).await, (0, 0, None));
    let runs = async |change: &dyn Fn(&mut RunQuery)| {
        let mut query = RunQuery { of_task: task.to_string(), page: 1, ..RunQuery::default() };
        change(&mut query);
        let found = backend.deliveries.runs(query).await.expect("found");
        (found.rows.iter().filter(|run| run.task_id == Some(task)).count(), found.total)
    };
    assert_eq!(runs(&|_| ()).await, (2, 2));
    assert_eq!(runs(&|query| query.status = "succeeded".into()).await, (2, 2));
    assert_eq!(runs(&|query| query.status = "failed".into()).await, (0, 0));
    assert_eq!(runs(&|query| query.task = "staging".into()).await, (0, 0));
    assert_eq!(runs(&|query| query.of_task = "x".into()).await, (0, 0));
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_of_a_type_are_found_among_many_others(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let key = server.key("dc", &[Scope::Ingest, Scope::Inventory]).await;
    let tenants: Vec<_> =
        (0..1_200).map(|one| json!({"id": format!("t-{one}"), "name": format!("tenant {one:04}")})).collect();
    assert_eq!(server.call("PUT", "/api/v1/inventory/tenants", &key, Some(&json!(tenants))).await.0, 200);
    for (id, name) in [("vm-1", "web-01"), ("vm-2", "Büro ÄPFEL"), ("vm-3", "DB")] {
        server.post(&key, &json!({"type": "vms", "event": "created", "object": {"id": id, "name": name}})).await;
    }
    let events = server.services.backend().events;
    let find = async |type_id: &str, text: &str| {
        let found = events.find_objects(type_id.into(), text.into()).await.expect("found");
        (found.choices.into_iter().map(|choice| choice.label).collect::<Vec<_>>(), found.has_more)
    };
    assert_eq!(find("vms", "").await, (["Büro ÄPFEL", "DB", "web-01"].map(str::to_owned).to_vec(), false));
    for (text, expected) in
        [("WEB", "web-01"), ("äpf", "Büro ÄPFEL"), ("VM-3", "DB"), (" db ", "DB"), ("_", ""), ("%", "")]
    {
        let expected: Vec<_> = Some(expected.to_owned()).filter(|name| !name.is_empty()).into_iter().collect();
        assert_eq!(find("vms", text).await, (expected, false), "{text}");
    }
    let (tenants, has_more) = find("tenants", "").await;
    assert_eq!((tenants.len(), has_more), (50, true));
    assert_eq!(find("tenants", "1199").await.0, ["tenant 1199"]);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn test_message_uses_unsaved_values_but_no_foreign_secret(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let (inbox, other) = (TestInbox::start().await, TestInbox::start().await);
    let webhooks = server.services.backend().webhooks;
    let id = server
        .webhook("w", &inbox.url, |draft| (draft.auth_type, draft.token) = ("bearer".into(), "canary-1".into()))
        .await;
    let mut draft = webhooks.load_form(id).await.expect("a form").draft;
    draft.headers = "X-New: unsaved".into();
    let message = "{\"vm\": \"${NAME}\"}".to_owned();
    let response = webhooks
        .send_test(Some(id), TestRequest { draft: draft.clone(), message: message.clone() })
        .await
        .expect("sent");
    assert_eq!((response.status_code, response.error), (Some(200), None));
    assert!(
        response
            .headers
            .iter()
            .any(|header| header.name == "Authorization" && header.is_masked && !header.value.contains("canary"))
    );
    let received = inbox.received().remove(0);
    let header = |name: &str| received.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.clone());
    assert_eq!(
        (header("X-New").as_deref(), header("Authorization").as_deref()),
        (Some("unsaved"), Some("Bearer canary-1"))
    );
    assert_eq!(received.body, "{\"vm\": \"web-01\"}".replace("\"web-01\"", &json!("web-01").to_string()));
    // The test has saved nothing.
    assert!(!webhooks.load_form(id).await.expect("a form").draft.headers.contains("X-New"));
    draft.url.clone_from(&other.url);
    let refused =
        webhooks.send_test(Some(id), TestRequest { draft, message: message.clone() }).await.expect_err("refused");
    assert_eq!(refused.fields.0[0].field, "token");
    assert!(other.received().is_empty());
    let metadata = WebhookDraft { name: "x".into(), url: "http://169.254.169.254/".into(), ..WebhookDraft::default() };
    let refused = webhooks.send_test(None, TestRequest { draft: metadata, message }).await.expect_err("refused");
    assert_eq!(refused.fields.0[0].field, "url");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unsaved_event_shows_how_often_it_would_have_fired(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let key = server.key("dc", &[Scope::Ingest, Scope::Inventory]).await;
    let tag = server.tag("Environment", "production").await;
    for (id, tags) in [("a", json!(["Environment/production"])), ("b", json!([]))] {
        for _ in 0..2 {
            server.post(&key, &json!({"type": "vms", "event": "poweron", "object": {"id": id, "tags": tags}})).await;
        }
    }
    let events = server.services.backend().events;
    let matches = async |change: &dyn Fn(&mut EventDraft)| {
        let mut draft = EventDraft { event: "vms.poweron".into(), ..EventDraft::new_form() };
        change(&mut draft);
        let found = events.matches(draft).await.expect("asked");
        (found.objects, found.occurrences)
    };
    assert_eq!(matches(&|_| ()).await, (Some(2), 4));
    assert_eq!(matches(&|draft| draft.object = "1".into()).await, (Some(1), 2));
    assert_eq!(matches(&|draft| (draft.use_tag, draft.tag) = ("true".into(), tag.clone())).await, (Some(1), 2));
    assert_eq!(matches(&|draft| draft.event = "alarms.raised".into()).await, (None, 0));
    // 20,000 newer ones would be read first.
    let gap = "UPDATE occurrence SET id = id + 20000 WHERE id = 4";
    server.services.store.write().execute_unprepared(gap).await.expect("changed");
    let draft = EventDraft { event: "vms.poweron".into(), ..EventDraft::new_form() };
    let found = events.matches(draft).await.expect("asked");
    assert_eq!((found.occurrences, found.among, found.newest.len()), (1, Some(20_000), 1));
    server.advance(std::time::Duration::from_hours(24 * 8));
    assert_eq!(matches(&|_| ()).await, (Some(2), 0));
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_change_checked_rows_and_explain_refusals(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let cookie = server.sign_in("maria", Role::Admin).await;
    let webhook = server.webhook("Chat", "http://127.0.0.1:9/", |_| ()).await;
    let task = server.task("Tell", webhook, "x", false).await;
    server.task("Other", webhook, "x", false).await;
    let event = server.event(task).await;
    let post = async |path: &str, fields: &[(&str, &str)]| {
        let response = server.post_form(path, &cookie, fields).await;
        (response.status().as_u16(), response.text().await.expect("a page"))
    };
    let (status, text) = post("/tasks/delete", &[]).await;
    assert!(status == 400 && text.contains("Check the rows first"), "{status}");
    let (status, text) = post("/tasks/delete", &[("row.1", "true"), ("row.2", "true")]).await;
    assert!(status == 200 && text.contains("Done for 1, and not for 1."), "{text}");
    assert!(text.contains(&format!("href=\"/events/{event}\"")), "{text}");
    let left = server.services.backend().tasks.list().await.expect("tasks");
    assert_eq!(left.iter().map(|task| task.name.as_str()).collect::<Vec<_>>(), ["Tell"]);
    let (status, text) = post("/tasks/delete", &[("row.1", "true")]).await;
    assert!(status == 409 && text.contains("Nothing was deleted."), "{text}");
    server.task("Third", webhook, "x", false).await;
    assert_eq!(post("/tasks/disable", &[("row.1", "true"), ("row.3", "true")]).await.0, 303);
    assert!(server.services.backend().tasks.list().await.expect("tasks").iter().all(|task| !task.is_enabled));
    assert_eq!(post("/tasks/1/execute", &[]).await.0, 303);
    assert_eq!(post("/events/delete", &[("row.1", "true")]).await.0, 303);
    assert_eq!(post("/tasks/delete", &[("row.1", "true"), ("row.3", "true")]).await.0, 303);
    assert_eq!(post("/webhooks/1/delete", &[]).await.0, 303);
    assert!(server.services.backend().webhooks.list().await.expect("webhooks").is_empty());
    for (path, status) in [
        ("/webhooks/1/pause", 404),
        ("/webhooks/x/pause", 404),
        ("/webhooks/1/explode", 404),
        ("/tasks/9/execute", 404),
    ] {
        assert_eq!(post(path, &[]).await.0, status, "{path}");
    }
    let (status, text) = post("/tags/categories/new", &[("category_name", "a/b"), ("description", "kept")]).await;
    assert!(status == 422 && text.contains("value=\"a/b\"") && text.contains("value=\"kept\""), "{text}");
    assert_eq!(post("/tags/categories/new", &[("category_name", "Environment"), ("type.vms", "true")]).await.0, 303);
    assert_eq!(post("/tags/new", &[("category", "1"), ("name", "production")]).await.0, 303);
    assert_eq!(post("/objects/new", &[("type_id", "vms"), ("name", "web"), ("tag.1", "true")]).await.0, 303);
    let (_, text) = page(&server, &cookie, "/objects").await;
    assert!(text.contains("Environment - production"));
    // A refused form still knows the version that it was opened on, and after a conflict the one that is stored.
    let opened_on = ("revision", "another version");
    let (status, text) = post("/objects/1", &[opened_on, ("name", "")]).await;
    assert!(status == 422 && text.contains("value=\"another version\""), "{text}");
    let (status, text) = post("/objects/1", &[opened_on, ("name", "web-2")]).await;
    assert!(status == 409 && !text.contains("another version") && text.contains("Somebody else changed"), "{text}");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn command_on_checked_rows_returns_to_the_filters_and_the_page_of_the_list(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let cookie = server.sign_in("maria", Role::Admin).await;
    let webhook = server.webhook("Chat", "http://127.0.0.1:9/", |_| ()).await;
    server.task("Tell", webhook, "x", false).await;
    let post = async |query: &str| {
        let fields = [("row.1", "true"), ("query", query)];
        let response = server.post_form("/tasks/disable", &cookie, &fields).await;
        response.headers()["location"].to_str().expect("text").to_owned()
    };
    assert_eq!(
        post("name=T%26&page=1&sort=-name&done=deleted").await,
        "/tasks?name=T%26&page=1&sort=-name&done=disabled"
    );
    assert_eq!(post("").await, "/tasks?done=disabled");
    // Any posted text becomes pairs of a query, never a path or a host.
    assert_eq!(post("//evil.example?a=b").await, "/tasks?%2F%2Fevil.example%3Fa=b&done=disabled");
    let fields = [("query", "name=Tell&sort=-name")];
    let response = server.post_form("/tasks/delete", &cookie, &fields).await;
    let (status, text) = (response.status(), response.text().await.expect("a page"));
    assert!(status == 400 && text.contains("Check the rows first"), "{status} {text}");
    assert!(text.contains("href=\"/tasks?sort=-name\""), "the refusal keeps the filter and the order: {text}");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replay_of_a_selection_skips_and_names_unfinished_deliveries(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let cookie = server.sign_in("maria", Role::Admin).await;
    let key = server.key("dc", &[Scope::Ingest]).await;
    let gate = Gate::closed().await;
    let open = server.webhook("open", &format!("{}/open", gate.url), |_| ()).await;
    let closed = server.webhook("closed", &format!("{}/closed", gate.url), |_| ()).await;
    server.event(server.task("to open", open, "x", false).await).await;
    for _ in 0..3 {
        server.post(&key, &json!({"type": "vms", "event": "poweron"})).await;
    }
    let settled = |rows: &[DeliveryLine]| rows.iter().filter(|row| row.is_settled()).count();
    server.deliveries_until(|rows| settled(rows) == 3).await;
    server
        .services
        .backend()
        .tasks
        .execute(server.task("to closed", closed, "x", false).await, "maria".into())
        .await
        .expect("started");
    let rows = server.deliveries_until(|_| gate.waiting() == 1).await;
    let unfinished = rows.iter().find(|row| !row.is_settled()).expect("one").uuid.clone();
    let fields: Vec<_> = rows.iter().map(|row| (format!("row.{}", row.uuid), "true")).collect();
    let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    let response = server.post_form("/deliveries/replay", &cookie, &fields).await;
    let (status, text) = (response.status(), response.text().await.expect("a page"));
    assert!(status == 200 && text.contains("Done for 3, and not for 1."), "{status} {text}");
    assert!(text.contains(&format!("Delivery {unfinished}: This delivery is still on its way.")), "{text}");
    server.deliveries_until(|rows| rows.len() == 7 && settled(rows) == 6).await;
    // The unfinished delivery alone is refused, and nothing is sent again.
    let alone = format!("row.{unfinished}");
    let response = server.post_form("/deliveries/replay", &cookie, &[(&alone, "true")]).await;
    assert_eq!(response.status(), 409);
    assert_eq!(server.deliveries_until(|_| true).await.len(), 7);
    gate.respond(1);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn live_stream_reports_changes_and_ends_with_the_session(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let key = server.key("dc", &[Scope::Ingest]).await;
    let cookie = server.sign_in("maria", Role::Viewer).await;
    let mut stream =
        server.http.get(format!("{}/live", server.url)).header("cookie", &cookie).send().await.expect("a stream");
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    let mut text = String::new();
    let listen = async {
        while !text.contains("data: changed") {
            // An occurrence before the first state of the stream is part of that state, so one is reported in each
            // round.
            server.post(&key, &json!({"type": "logs", "event": "created"})).await;
            if let Ok(Ok(Some(chunk))) =
                tokio::time::timeout(std::time::Duration::from_millis(300), stream.chunk()).await
            {
                text += &String::from_utf8_lossy(&chunk);
            }
        }
        server.post_form("/sign-out", &cookie, &[]).await;
        while stream.chunk().await.expect("no error").is_some() {}
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), listen).await.expect("it ends");
    assert!(text.contains("id: "), "the stream has ids, so that a browser can resume it");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn demo_is_created_once_and_its_button_reports_an_occurrence(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let inbox = TestInbox::start().await;
    let cookie = server.sign_in("maria", Role::Operator).await;
    assert_eq!(server.post_form("/demo", &cookie, &[]).await.status(), 404, "there is no demo yet");
    for _ in 0..2 {
        server::service::demo::make(&server.services, &inbox.url).await.expect("made");
    }
    assert_eq!(server.services.backend().webhooks.list().await.expect("webhooks").len(), 3);
    assert_eq!(server.services.backend().events.list().await.expect("events").len(), 3);
    for presses in 1..=4 {
        assert_eq!(server.post_form("/demo", &cookie, &[]).await.status(), 303);
        eventually("each press shows something", async || inbox.received().len() == presses).await;
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn run_of_a_deleted_task_keeps_its_name_and_loses_its_link(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start(TestStore::new(database).await).await;
    let inbox = TestInbox::start().await;
    let cookie = server.sign_in("maria", Role::Admin).await;
    let webhook = server.webhook("w", &inbox.url, |_| ()).await;
    let task = server.task("nightly report", webhook, "x", false).await;
    let tasks = server.services.backend().tasks;
    let delivery = tasks.execute(task, "maria".to_owned()).await.expect("executed");
    let pages = ["/runs".to_owned(), format!("/deliveries/{delivery}")];
    let link = format!("href=\"/tasks/{task}\"");
    for path in &pages {
        assert!(page(&server, &cookie, path).await.1.contains(&link), "{path}");
    }
    tasks.delete(vec![task]).await.expect("deleted");
    for path in &pages {
        let (status, text) = page(&server, &cookie, path).await;
        assert!(status == 200 && text.contains("nightly report") && !text.contains(&link), "{path}");
    }
}
