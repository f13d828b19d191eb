//! Forms as plain posts: saved with 303, or refused with 422 and all that was typed except secrets.

use crate::harness::Database::{self, Postgres, Sqlite};
use crate::harness::{PASSWORD, TestServer, TestStore};
use model::access::{Role, Scope};
use model::id::WebhookId;
use rstest::rstest;
use serde_json::json;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt};

async fn server() -> (TestServer, String) {
    let server = TestServer::start(TestStore::sqlite().await).await;
    let cookie = server.sign_in("maria", Role::Admin).await;
    (server, cookie)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn saved_form_redirects_to_its_row() {
    let (server, cookie) = server().await;
    for (name, url, path) in [
        ("address", "https://10.1.2.3/", "/webhooks/1"),
        ("nobody", "https://nobody.invalid/", "/webhooks/2?done=unresolved"),
    ] {
        let response = server.post_form("/webhooks/new", &cookie, &[("name", name), ("url", url)]).await;
        assert_eq!((response.status().as_u16(), response.headers()["location"].as_bytes()), (303, path.as_bytes()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn webhook_made_for_a_task_leads_back_to_the_task_form_without_wasm() {
    let (server, cookie) = server().await;
    for (index, (of, path)) in [
        ("/tasks/new", "/tasks/new?object=1"),
        ("/tasks/7/edit", "/tasks/7/edit?object=2"),
        ("/webhooks", "/webhooks/3"),
        ("//evil.example", "/webhooks/4"),
        ("/tasks/%0D%0Ax", "/webhooks/5"),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("w {index}");
        let fields = [("name", name.as_str()), ("url", "https://10.1.2.3/")];
        let response = server.post_form(&format!("/webhooks/new?for={of}"), &cookie, &fields).await;
        assert_eq!((response.status().as_u16(), response.headers()["location"].as_bytes()), (303, path.as_bytes()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn note_at_its_limit_posted_with_crlf_is_stored_with_lf() {
    let (server, cookie) = server().await;
    let note = format!("{}\r\n{}", "x".repeat(249), "x".repeat(250));
    let fields = [("name", "w"), ("url", "https://10.1.2.3/"), ("note", note.as_str())];
    assert_eq!(server.post_form("/webhooks/new", &cookie, &fields).await.status(), 303);
    let form = server.services.backend().webhooks.load_form(WebhookId(1)).await.expect("a form");
    assert_eq!(form.draft.note, note.replace('\r', ""));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_form_is_shown_again_without_its_secrets() {
    let (server, cookie) = server().await;
    let fields = [("name", "<b>\"w\"</b>"), ("url", "nowhere"), ("auth_type", "bearer"), ("token", "canary-4f7a")];
    let response = server.post_form("/webhooks/new", &cookie, &fields).await;
    assert_eq!(response.status(), 422);
    let page = response.text().await.expect("a page");
    assert!(page.contains("Start the URL with http:// or https://"));
    assert!(page.contains("value=\"nowhere\""));
    assert!(!page.contains("<b>\"w\""), "typed text is escaped");
    assert!(!page.contains("canary-4f7a"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secret_lost_by_a_refused_form_must_be_typed_again_or_kept_explicitly() {
    let (server, cookie) = server().await;
    let typed =
        |token: &'static str, url: &'static str, revision: &'static str, more: &[(&'static str, &'static str)]| {
            let mut fields = vec![("name", "w"), ("auth_type", "bearer"), ("token", token), ("url", url)];
            fields.push(("revision", revision));
            fields.extend_from_slice(more);
            fields
        };
    let url = "https://example.com/";
    assert_eq!(server.post_form("/webhooks/new", &cookie, &typed("canary-1", url, "", &[])).await.status(), 303);
    // A new token, and an error in another field.
    let response = server.post_form("/webhooks/1/edit", &cookie, &typed("canary-2", "nowhere", "1", &[])).await;
    assert_eq!(response.status(), 422);
    let page = response.text().await.expect("a page");
    assert!(page.contains("name=\"retype\" value=\"token\"") && !page.contains("canary-2"), "{page}");
    assert!(page.contains("Enter the new token again") && !page.contains("Leave empty to keep it"), "{page}");
    // The error is corrected, but the token was not typed again.
    let lost = [("retype", "token")];
    let response = server.post_form("/webhooks/1/edit", &cookie, &typed("", url, "1", &lost)).await;
    assert_eq!(response.status(), 422, "the old token would stay in use");
    let page = response.text().await.expect("a page");
    assert!(page.contains("name=\"retype\" value=\"token\"") && page.contains("name=\"keep_secrets\""), "{page}");
    let kept = [("retype", "token"), ("keep_secrets", "true")];
    assert_eq!(server.post_form("/webhooks/1/edit", &cookie, &typed("", url, "1", &kept)).await.status(), 303);
    let again = typed("canary-2", url, "2", &lost);
    assert_eq!(server.post_form("/webhooks/1/edit", &cookie, &again).await.status(), 303);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn object_of_an_event_is_found_by_its_typed_id_or_name() {
    let (server, cookie) = server().await;
    let key = server.key("dc", &[Scope::Ingest]).await;
    for (id, name) in [("vm-1", "web"), ("vm-2", "twin"), ("vm-3", "twin"), ("web", "another")] {
        server.post(&key, &json!({"type": "vms", "event": "created", "object": {"id": id, "name": name}})).await;
    }
    let webhook = server.webhook("w", "https://example.com/", |_| ()).await;
    let task = server.task("t", webhook, "x", false).await.to_string();
    let post = async |event: &str, named: &str| {
        let fields =
            [("event", event), ("object", "any"), ("object_named", named), ("task", &task), ("enabled", "true")];
        let response = server.post_form("/events/new", &cookie, &fields).await;
        (response.status().as_u16(), response.text().await.expect("a page"))
    };
    for (named, error) in [("nobody", "No object of Virtual Machines"), ("twin", "Enter the id instead: vm-2, vm-3")] {
        let (status, page) = post("vms.poweron", named).await;
        assert!(status == 422 && page.contains(error) && page.contains(&format!("value=\"{named}\"")), "{page}");
    }
    let (status, page) = post("alarms.raised", "web").await;
    assert!(status == 422 && page.contains("Alarms have no objects"), "{page}");
    // An id is preferred to a name.
    for (named, expected) in [("", "Any"), (" vm-3 ", "twin"), ("web", "another"), ("another", "another")] {
        assert_eq!(post("vms.poweron", named).await.0, 303, "{named}");
        let rows = server.services.backend().events.list().await.expect("events");
        let newest = rows.iter().max_by_key(|row| row.id).expect("one");
        assert_eq!(newest.scope, expected, "{named}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn viewer_sees_a_locked_form_without_submit() {
    let (server, admin) = server().await;
    let fields = [("name", "w"), ("url", "https://example.com/")];
    assert_eq!(server.post_form("/webhooks/new", &admin, &fields).await.status(), 303);
    let cookie = server.sign_in("victor", Role::Viewer).await;
    let get = async |path: &str| {
        let request = server.http.get(format!("{}{path}", server.url)).header("cookie", &cookie);
        let response = request.send().await.expect("a response");
        (response.status().as_u16(), response.text().await.expect("a page"))
    };
    for path in ["/webhooks/new", "/tasks/new", "/events/new"] {
        let (status, page) = get(path).await;
        assert!(status == 403 && page.contains("reads everything and changes nothing"), "{path}: {status} {page}");
    }
    let (status, page) = get("/webhooks/1/edit").await;
    assert!(status == 200 && page.contains("<fieldset disabled class=\"c-locked\">"), "{status}");
    assert!(page.contains("reads everything and changes nothing") && !page.contains(">Submit<"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uncallable_url_is_refused_at_save() {
    let (server, cookie) = server().await;
    for url in ["http://xn--a.example/", "http://a.example/b/../c", "http://a.example/?q='"] {
        let response = server.post_form("/webhooks/new", &cookie, &[("name", "w"), ("url", url)]).await;
        assert_eq!(response.status(), 422, "{url}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stale_form_shows_both_versions_before_it_replaces_one() {
    let (server, cookie) = server().await;
    let typed = |name: &'static str, revision: &'static str| {
        [("name", name), ("url", "https://example.com/"), ("revision", revision)]
    };
    server.post_form("/webhooks/new", &cookie, &typed("w", "")).await;
    assert_eq!(server.post_form("/webhooks/1/edit", &cookie, &typed("theirs", "1")).await.status(), 303);
    let response = server.post_form("/webhooks/1/edit", &cookie, &typed("mine", "1")).await;
    assert_eq!(response.status(), 409);
    let page = response.text().await.expect("a page");
    assert!(page.contains("Somebody else changed this webhook"));
    assert!(page.contains("<td>mine<!></td><td>theirs<!></td>"), "both versions");
    assert!(page.contains("name=\"revision\" value=\"2\""), "the next submit replaces theirs");
    assert_eq!(server.post_form("/webhooks/1/edit", &cookie, &typed("mine", "2")).await.status(), 303);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cross_site_post_is_refused() {
    let (server, cookie) = server().await;
    let post = |site: &'static str| {
        server
            .http
            .post(format!("{}/webhooks/new", server.url))
            .header("cookie", &cookie)
            .header("sec-fetch-site", site)
            .header("content-type", "application/x-www-form-urlencoded")
            .body("name=w&url=https%3A%2F%2Fexample.com%2F")
            .send()
    };
    assert_eq!(post("cross-site").await.expect("a response").status(), 403);
    assert_eq!(post("same-origin").await.expect("a response").status(), 303);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn setup_link_creates_one_administrator() {
    let server = TestServer::start(TestStore::sqlite().await).await;
    let store = &server.services.store;
    let token = server::service::account::new_setup_token(store, &server.services.clock)
        .await
        .expect("asked")
        .expect("a token");
    let fields =
        |token: &'static str| [("name", "maria"), ("password", PASSWORD), ("repeat", PASSWORD), ("token", token)];
    let wrong = server.post_form("/setup", "", &fields("hwk_wrong")).await;
    assert_eq!(wrong.status(), 403);
    let mismatch = [("name", "maria"), ("password", PASSWORD), ("repeat", "other"), ("token", &token)];
    assert_eq!(server.post_form("/setup", "", &mismatch).await.status(), 422);
    let right = [("name", "maria"), ("password", PASSWORD), ("repeat", PASSWORD), ("token", &token)];
    // A new link replaces the earlier one. No link is stored in clear.
    let newer = server::service::account::new_setup_token(store, &server.services.clock).await;
    let newer = newer.expect("asked").expect("a token");
    assert_eq!(server.post_form("/setup", "", &right).await.status(), 403, "the earlier link");
    let stored = server::store::setting::find(store.read(), "setup_token").await.expect("read").expect("there");
    assert!(!stored.contains(&newer), "{stored}");
    server.advance(Duration::from_hours(1));
    let late = [("name", "maria"), ("password", PASSWORD), ("repeat", PASSWORD), ("token", &newer)];
    assert_eq!(server.post_form("/setup", "", &late).await.status(), 403, "an hour later");
    let token = server::service::account::new_setup_token(store, &server.services.clock).await;
    let token = token.expect("asked").expect("a token");
    let right = [("name", "maria"), ("password", PASSWORD), ("repeat", PASSWORD), ("token", &token)];
    assert_eq!(server.post_form("/setup", "", &right).await.status(), 303);
    assert_eq!(server.post_form("/setup", "", &right).await.status(), 403, "the link was used");
    assert_eq!(server::service::account::new_setup_token(store, &server.services.clock).await.expect("asked"), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sign_in_is_limited_by_name_and_address() {
    let server = TestServer::start(TestStore::sqlite().await).await;
    let fields = [("name", "maria"), ("password", "guess")];
    let mut statuses = Vec::new();
    for _ in 0..11 {
        statuses.push(server.post_form("/sign-in", "", &fields).await.status().as_u16());
    }
    assert_eq!(statuses[0], 422);
    assert_eq!(statuses[10], 429);
}

/// Sends these bytes on a connection of its own. Returns the status line of the response and the time until it came.
async fn send_raw(server: &TestServer, request: &str) -> (String, Duration) {
    let address = server.url.trim_start_matches("http://");
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("connects");
    let since = std::time::Instant::now();
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut line = String::new();
    tokio::io::BufReader::new(&mut stream).read_line(&mut line).await.expect("a response");
    (line.trim().to_owned(), since.elapsed())
}

fn form_of(path: &str, length: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nSec-Fetch-Site: same-origin\r\n\
         Content-Type: application/x-www-form-urlencoded\r\n{length}\r\n\r\n"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_or_slow_form_of_a_stranger_is_refused_early() {
    let server = TestServer::start(TestStore::sqlite().await).await;
    // Refused by its length, before the body is read.
    let (line, _) = send_raw(&server, &form_of("/sign-in", "Content-Length: 2000000")).await;
    assert!(line.contains("413"), "{line}");
    // A chunked body does not state its length.
    let chunk = format!("2400\r\n{}\r\n0\r\n\r\n", "name=".repeat(0x2400 / 5 + 1).split_at(0x2400).0);
    let (line, _) = send_raw(&server, &(form_of("/setup", "Transfer-Encoding: chunked") + &chunk)).await;
    assert!(line.contains("413"), "{line}");
    let (line, took) = send_raw(&server, &(form_of("/sign-in", "Content-Length: 20") + "name=")).await;
    assert!(line.contains("408") && took < Duration::from_secs(5), "{line} after {took:?}");
    let (line, _) = send_raw(&server, &(form_of("/theme", "Content-Length: 10") + "theme=dark")).await;
    assert!(line.contains("303"), "{line}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn setup_over_the_limit_is_refused_before_its_form_is_read() {
    let server = TestServer::start(TestStore::sqlite().await).await;
    let wrong = [("name", "maria"), ("password", PASSWORD), ("repeat", PASSWORD), ("token", "hwk_wrong")];
    let mut tries = 0;
    // The limit grants one more try each second, and a busy machine may take that long between two of these.
    let line = loop {
        while server.post_form("/setup", "", &wrong).await.status() == 403 {
            tries += 1;
            assert!(tries < 600, "never refused");
        }
        let (line, _) = send_raw(&server, &form_of("/setup", "Content-Length: 50")).await;
        if line.contains("429") || tries >= 600 {
            break line;
        }
    };
    assert!(tries >= 60 && line.contains("429"), "{tries}: {line}");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_choice_list_shows_50_rows_finds_others_and_accepts_names(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let cookie = server.sign_in("maria", Role::Admin).await;
    let mut last = None;
    for number in 0..60 {
        let webhook = server.webhook(&format!("hook {number:02} Güte"), "http://127.0.0.1:9/", |_| ()).await;
        last = Some((webhook, server.task(&format!("task {number:02}"), webhook, "x", false).await));
    }
    let (webhook, task) = last.expect("sixty");
    let backend = server.services.backend();
    let form = backend.tasks.load_form(Some(task), None).await.expect("a form");
    assert_eq!((form.webhooks.choices.len(), form.webhooks.has_more), (50, true));
    assert_eq!(
        form.object.map(|choice| choice.label).as_deref(),
        Some("hook 59 Güte"),
        "the chosen webhook is in the form"
    );
    for text in ["HOOK 59", "59 GÜTE", &webhook.to_string()] {
        let found = backend.tasks.find_webhooks(text.to_owned()).await.expect("found");
        assert!(found.choices.iter().any(|choice| choice.value == webhook.to_string()), "{text}: {found:?}");
    }
    assert_eq!(backend.tasks.find_webhooks("%".into()).await.expect("found").choices, []);
    let form = backend.events.load_form(None, Some(task)).await.expect("a form");
    assert_eq!(form.task.map(|choice| choice.label).as_deref(), Some("task 59"));
    assert!(backend.events.find_tasks("task 58".into()).await.expect("found").choices.len() == 1);

    // Without WASM the list is a text field for the name.
    let page = server.http.get(format!("{}/tasks/new", server.url)).header("cookie", &cookie).send().await;
    let page = page.expect("a response").text().await.expect("a page");
    assert!(page.contains("The name or id of a webhook, or SMTP.") && page.len() < 100_000, "{}", page.len());
    let fields = [("name", "by name"), ("object", "hook 59 Güte"), ("message", "x"), ("enabled", "true")];
    let saved = server.post_form("/tasks/new", &cookie, &fields).await;
    assert_eq!(saved.status(), 303);
    let rows = backend.tasks.list().await.expect("tasks");
    assert!(rows.iter().any(|row| row.name == "by name" && row.destination.id == webhook.into()));
    let fields = [("name", "nobody"), ("object", "no such hook"), ("message", "x")];
    let refused = server.post_form("/tasks/new", &cookie, &fields).await;
    assert_eq!(refused.status(), 422);
    let page = refused.text().await.expect("a page");
    assert!(page.contains("Choose a webhook.") && page.contains("no such hook"), "typed text stays");
    let fields = [("event", "vms.poweron"), ("object", "any"), ("task", "task 59"), ("enabled", "true")];
    assert_eq!(server.post_form("/events/new", &cookie, &fields).await.status(), 303);
}
