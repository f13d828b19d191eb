//! Names and values that try to break out of messages, headers and pages.

use crate::harness::Database::{self, Postgres, Sqlite};
use crate::harness::{TestInbox, TestServer, TestStore};
use app::view::delivery::DeliveryLine;
use app::view::inventory::ObjectQuery;
use model::access::{Role, Scope};
use rstest::rstest;
use serde_json::json;

const HOSTILE: &[&str] = &[
    "\",\"admin\":true,\"x\":\"",
    "1,\"admin\":true",
    "a\r\nX-Evil: 1",
    "\u{202e}txt.exe",
    "\u{2067}a\u{2069}b\u{2066}",
    "<img src=x onerror=alert(1)>",
    "]]><evil/>",
    "</title><evil/>",
    "</textarea><evil/>",
    "</script><evil/>",
    "${DATE}${RANDOM}",
    "&admin=true",
    "\\",
];

/// Posts an occurrence for each hostile value, which is the name and the id of its object and a value in its data.
async fn post_all(server: &TestServer, key: &str) {
    let about = |text: &&str| {
        let object = json!({"name": text, "id": format!("{text}!")});
        json!({"type": "vms", "event": "poweron", "object": object, "source": text, "data": {"x": text}})
    };
    let batch: Vec<_> = HOSTILE.iter().map(about).collect();
    let (status, response) = server.post(key, &json!(batch)).await;
    assert_eq!(status, 202, "{response}");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_names_stay_inside_their_string(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let inbox = TestInbox::start().await;
    let key = server.key("dc", &[Scope::Ingest]).await;
    let message =
        "{\"in\": \"<${NAME}|${OBJECT_ID}|${data.x}|${TASK}>\", \"out\": [${NAME}, ${OBJECT_ID}, ${data.x}, ${TASK}]}";
    let task = "\",\"admin\":true,\"${NAME}";
    let json_webhook = server.webhook("json", &inbox.url, |_| ()).await;
    server.event(server.task(task, json_webhook, message, false).await).await;
    let of_type = |content_type: &'static str| {
        move |draft: &mut model::webhook::WebhookDraft| draft.headers = format!("Content-Type: {content_type}")
    };
    let xml = server.webhook("xml", &inbox.url, of_type("text/xml")).await;
    server.event(server.task("xml", xml, "<n a=\"${NAME}\">${OBJECT_ID}${data.x}</n>", false).await).await;
    let form = server.webhook("form", &inbox.url, of_type("application/x-www-form-urlencoded")).await;
    server.event(server.task("form", form, "n=${NAME}&i=${OBJECT_ID}&x=${data.x}", false).await).await;
    post_all(&server, &key).await;
    server.deliveries_until(|rows| rows.len() == 3 * HOSTILE.len() && rows.iter().all(DeliveryLine::is_settled)).await;
    let received = inbox.received();
    for text in HOSTILE {
        let id = format!("{text}!");
        let inside = json!(format!("<{text}|{id}|{text}|{task}>"));
        let expected = format!(
            "{{\"in\": {inside}, \"out\": [{}, {}, {}, {}]}}",
            json!(text),
            json!(id),
            json!(text),
            json!(task)
        );
        assert!(received.iter().any(|one| one.body == expected), "{expected}");
        let form: String = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("n", text)
            .append_pair("i", &id)
            .append_pair("x", text)
            .finish();
        let read = |body: &str| url::form_urlencoded::parse(body.as_bytes()).into_owned().collect::<Vec<_>>();
        assert!(received.iter().any(|one| read(&one.body) == read(&form)), "{form}");
        let escaped = text
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;")
            .replace('"', "&quot;")
            .replace('\r', "&#13;")
            .replace('\n', "&#10;");
        let expected = format!("<n a=\"{escaped}\">{escaped}!{escaped}</n>");
        assert!(received.iter().any(|one| one.body == expected), "{expected}");
    }
    assert!(received.iter().all(|request| !request.headers.iter().any(|(name, _)| name == "X-Evil")));
    let huge = json!({"type": "vms", "event": "poweron", "object": {"name": "x".repeat(10_000)}});
    assert_eq!(server.post(&key, &huge).await.0, 422);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_names_are_shown_as_text_and_do_not_reorder_pages(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let inbox = TestInbox::start().await;
    let key = server.key("dc", &[Scope::Ingest]).await;
    let cookie = server.sign_in("maria", Role::Admin).await;
    let webhook = server.webhook("</title><evil/>", &inbox.url, |_| ()).await;
    let message = "${NAME} ${OBJECT_ID} ${data.x} </textarea></script><evil/>";
    let task = server.task("</title><evil/><!--", webhook, message, false).await;
    server.event(task).await;
    post_all(&server, &key).await;
    let rows =
        server.deliveries_until(|rows| rows.len() == HOSTILE.len() && rows.iter().all(DeliveryLine::is_settled)).await;
    let mut paths: Vec<_> = [
        "/",
        "/deliveries",
        "/runs",
        "/tasks",
        "/tasks/1",
        "/tasks/1/edit",
        "/webhooks",
        "/webhooks/1",
        "/webhooks/1/edit",
        "/webhooks/1/test",
        "/objects",
        "/events",
        "/events/new",
        "/tasks/new",
    ]
    .map(str::to_owned)
    .into();
    // An event about each object shows its name as a scope.
    let inventory = server.services.backend().inventory;
    for object in inventory
        .list_objects(ObjectQuery::default())
        .await
        .expect("objects")
        .rows
        .iter()
        .filter(|object| object.type_id == "vms")
    {
        let event = server.event_of(task, |draft| draft.object = object.id.to_string()).await;
        paths.extend([format!("/objects/{}", object.id), format!("/events/{event}")]);
        let refused = inventory.delete_objects(vec![object.id]).await.expect_err("in use");
        assert!(!reorders(&refused.message), "{}", refused.message);
    }
    for row in rows {
        let delivery = server.services.backend().deliveries.detail(row.uuid.clone()).await.expect("there");
        paths.extend([
            format!("/deliveries/{}", row.uuid),
            format!("/occurrences/{}", delivery.occurrence.expect("one")),
        ]);
    }
    for path in paths {
        let response = server.http.get(format!("{}{path}", server.url)).header("cookie", &cookie).send().await;
        let response = response.expect("a response");
        assert_eq!(response.status(), 200, "{path}");
        let page = response.text().await.expect("a page");
        // The value of a control is in quotes, is posted again unchanged, and cannot reorder the text around it.
        let rest_of = |part: &str| part.split_once('"').map_or(part, |(_, rest)| rest).to_owned();
        // The same is true of the properties of an island.
        let page = page.replace(" data-props=\"", " value=\"");
        let outside: String = page.split(" value=\"").map(rest_of).collect();
        assert!(!outside.contains("<img") && !outside.contains("<evil"), "{path}: names are text");
        assert!(!reorders(&outside), "{path}");
    }
    let tested = server.post_form("/webhooks/1/test", &cookie, &[("message", message)]).await;
    assert_eq!(tested.status(), 200);
    let page = tested.text().await.expect("a page");
    assert!(page.contains("Received: HTTP 200") && !page.contains("<evil"), "{page}");
    // The newest is first, so this is the fourth of those posted.
    let past = server.services.backend().tasks.load_form(None, None).await.expect("a form").occurrences;
    let occurrence = past[HOSTILE.len() - 4].value.clone();
    let body = json!({"draft": {"object": "1", "message": "${NAME}"}, "occurrence": occurrence});
    let response = server
        .http
        .post(format!("{}/api/tasks/preview", server.url))
        .header("cookie", &cookie)
        .header("sec-fetch-site", "same-origin");
    let response =
        response.header("content-type", "application/json").body(body.to_string()).send().await.expect("a response");
    let html = response.text().await.expect("a fragment");
    assert!(html.contains("txt.exe") && !reorders(&html), "{html}");
}

fn reorders(text: &str) -> bool {
    text.contains(['\u{202e}', '\u{2066}', '\u{2067}', '\u{2069}'])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_responses_are_shown_as_text_and_do_not_reorder_pages() {
    let response = "HTTP/1.1 500 <evil/>\r\nX-A: <img src=x onerror=alert(1)>\r\nX-B: \u{202e}x\r\n\r\n\
                  </pre><evil/>\u{202e}txt.exe\u{2066}";
    let (url, _) = crate::answers::receiver(response.as_bytes().to_vec()).await;
    let server = TestServer::start(TestStore::sqlite().await).await;
    let key = server.key("dc", &[Scope::Ingest]).await;
    let cookie = server.sign_in("maria", Role::Admin).await;
    let webhook = server.webhook("w", &url, |draft| draft.retries = "0".into()).await;
    server.event(server.task("t", webhook, "x", false).await).await;
    server.post(&key, &json!({"type": "vms", "event": "poweron"})).await;
    let rows = server.deliveries_until(|rows| rows.iter().any(DeliveryLine::is_settled)).await;
    for path in ["/".to_owned(), "/deliveries".into(), "/webhooks/1".into(), format!("/deliveries/{}", rows[0].uuid)] {
        let page = server.http.get(format!("{}{path}", server.url)).header("cookie", &cookie).send().await;
        let page = page.expect("a response").text().await.expect("a page");
        assert!(!page.contains("<img") && !page.contains("<evil") && !reorders(&page), "{path}");
        assert!(!path.starts_with("/deliveries/") || page.contains("txt.exe"), "the response is shown: {path}");
    }
    let tested = server.post_form("/webhooks/1/test", &cookie, &[("message", "x")]).await;
    let page = tested.text().await.expect("a page");
    assert!(
        page.contains("txt.exe") && !page.contains("<evil") && !page.contains("<img") && !reorders(&page),
        "{page}"
    );
}
