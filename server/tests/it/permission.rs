//! Permissions of routes and server functions. The tests go through the lists, so that a new route without a rule
//! fails.

use crate::harness::Database::{self, Postgres, Sqlite};
use crate::harness::{PASSWORD, TestInbox, TestServer, TestStore};
use app::server_fn::PERMISSIONS;
use leptos::server_fn::axum::server_fn_paths;
use model::access::{Permission, Role};
use rstest::rstest;
use sea_orm::ConnectionTrait;
use server::http::command::COMMANDS;
use std::collections::BTreeSet;
use std::time::Duration;

/// Returns each path that a browser gets.
fn pages() -> Vec<String> {
    let pages = server::http::pages();
    let pages = pages.iter().map(|page| page.path().replace("{id}", "1"));
    let pages = pages.filter(|path| !["/sign-in", "/setup"].contains(&path.as_str()));
    pages.chain(["/live".to_owned(), "/nowhere".to_owned()]).collect()
}

/// Forms with a page of their own.
const FORMS: &[&str] = &[
    "/webhooks/new",
    "/webhooks/1/edit",
    "/tasks/new",
    "/tasks/1/edit",
    "/events/new",
    "/events/1",
    "/schedules/new",
    "/schedules/1/edit",
];

/// Returns each path that a browser posts to, with the permission that it needs.
fn posts() -> Vec<(String, Permission)> {
    let forms = FORMS.iter().map(|path| ((*path).to_owned(), Permission::Edit));
    let fill = |path: &str| path.replace("{id}", "1").replace("{event}", "failed");
    forms.chain(COMMANDS.iter().map(|(path, permission)| (fill(path), *permission))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_functions_declare_and_enforce_their_permission() {
    let server = TestServer::start(TestStore::sqlite().await).await;
    let declared: BTreeSet<_> = PERMISSIONS.iter().map(|(path, _)| *path).collect();
    let registered: BTreeSet<_> = server_fn_paths().map(|(path, _)| path).collect();
    assert_eq!(declared, registered);
    let viewer = server.sign_in("victor", Role::Viewer).await;
    let operator = server.sign_in("olga", Role::Operator).await;
    // Enough for each of the functions: missing members are read as absent, additional ones are ignored.
    let body = r#"{"id": null, "draft": {}, "address": "/", "task": "", "webhook": "", "message": "", "occurrence": "", "recipient": ""}"#;
    for (path, permission) in PERMISSIONS {
        let call = |cookie: String| {
            server
                .http
                .post(format!("{}{path}", server.url))
                .header("cookie", cookie)
                .header("sec-fetch-site", "same-origin")
                .header("content-type", "application/json")
                .body(body)
                .send()
        };
        assert_eq!(call(String::new()).await.expect("a response").status(), 401, "{path}");
        for (role, cookie) in [(Role::Viewer, &viewer), (Role::Operator, &operator)] {
            let status = call(cookie.clone()).await.expect("a response").status().as_u16();
            assert_eq!(status == 403, !role.may(*permission), "{path}: {status}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_require_a_session_and_viewers_cannot_post() {
    let server = TestServer::start(TestStore::sqlite().await).await;
    for path in pages() {
        let response = server.http.get(format!("{}{path}", server.url)).send().await.expect("a response");
        assert_eq!(response.status(), 303, "{path}");
        assert!(response.headers()["location"].to_str().expect("text").starts_with("/sign-in?next="), "{path}");
    }
    let viewer = server.sign_in("victor", Role::Viewer).await;
    let operator = server.sign_in("olga", Role::Operator).await;
    for (path, permission) in posts() {
        assert_eq!(server.post_form(&path, "", &[("name", "x")]).await.status(), 401, "{path}");
        assert_eq!(server.post_form(&path, &viewer, &[("name", "x")]).await.status(), 403, "{path}");
        if !Role::Operator.may(permission) {
            assert_eq!(server.post_form(&path, &operator, &[("name", "x")]).await.status(), 403, "{path}");
        }
    }
}

/// A test uses the stored webhook: URL and secret in the operator's post are ignored.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operator_tests_only_saved_webhooks_and_sees_no_secret() {
    let server = TestServer::start(TestStore::sqlite().await).await;
    let inbox = TestInbox::start().await;
    let webhook = server.webhook("w", &inbox.url, |draft| {
        (draft.auth_type, draft.token) = ("bearer".into(), "canary-4f7a".into());
    });
    let path = format!("/webhooks/{}/test", webhook.await);
    let operator = server.sign_in("olga", Role::Operator).await;
    let typed = [("message", "{\"n\": ${NAME}}"), ("url", "http://127.0.0.1:9/"), ("token", "other")];
    let response = server.post_form(&path, &operator, &typed).await;
    assert_eq!(response.status(), 200);
    let page = response.text().await.expect("a page");
    assert!(page.contains("Received: HTTP 200") && !page.contains("canary-4f7a"), "{page}");
    let request = inbox.received().remove(0);
    assert_eq!(request.body, "{\"n\": \"web-01\"}");
    assert!(request.headers.contains(&("Authorization".to_owned(), "Bearer canary-4f7a".to_owned())));
    assert!(server.deliveries_until(|_| true).await.is_empty(), "a test makes no delivery");

    let viewer = server.sign_in("victor", Role::Viewer).await;
    assert_eq!(server.post_form(&path, &viewer, &typed).await.status(), 403);
    let page = server.http.get(format!("{}{path}", server.url)).header("cookie", &viewer).send().await;
    assert_eq!(page.expect("a response").status(), 403);
    for (path, status) in [("/webhooks/99/test", 404), ("/webhooks/nonsense/test", 404)] {
        assert_eq!(server.post_form(path, &operator, &typed).await.status(), status, "{path}");
    }
    let large = "${DATE}".repeat(70_000);
    assert_eq!(server.post_form(&path, &operator, &[("message", &large)]).await.status(), 422, "{}", large.len());
    assert_eq!(inbox.received().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sign_out_ends_the_session_at_once() {
    let server = TestServer::start(TestStore::sqlite().await).await;
    let cookie = server.sign_in("maria", Role::Admin).await;
    let page = || server.http.get(format!("{}/webhooks", server.url)).header("cookie", &cookie).send();
    assert_eq!(page().await.expect("a response").status(), 200);
    assert_eq!(server.post_form("/sign-out", &cookie, &[]).await.status(), 303);
    assert_eq!(page().await.expect("a response").status(), 303);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_response_has_the_security_headers() {
    let server = TestServer::start(TestStore::sqlite().await).await;
    let cookie = server.sign_in("maria", Role::Admin).await;
    for path in ["/webhooks/new", "/nowhere", "/health/live", "/pkg/none.js", "/api/v1/events"] {
        let response = server.http.get(format!("{}{path}", server.url)).header("cookie", &cookie).send().await;
        let response = response.expect("a response");
        let header =
            |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        assert_eq!(header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(header("referrer-policy"), "same-origin", "{path}");
        let policy = header("content-security-policy");
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{path}: {policy}");
        assert!(!policy.contains("unsafe-inline"), "{path}");
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn session_ends_after_12_idle_hours_or_30_days(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let cookie = server.sign_in("maria", Role::Admin).await;
    let page = async || {
        let page = server.http.get(format!("{}/webhooks", server.url)).header("cookie", &cookie).send().await;
        page.expect("a response").status().as_u16()
    };
    let idle = Duration::from_hours(12);
    let almost = Duration::from_secs(12 * 3600 - 1);
    // 59 times a second less than 12 h: each use prolongs the session.
    for _ in 0..59 {
        server.advance(almost);
        assert_eq!(page().await, 200);
    }
    server.advance(almost);
    assert_eq!(page().await, 200, "a minute before thirty days");
    server.advance(Duration::from_mins(1));
    assert_eq!(page().await, 303, "thirty days after signing in");
    let cookie = server.post_form("/sign-in", "", &[("name", "maria"), ("password", PASSWORD)]).await;
    let cookie = cookie.headers()["set-cookie"].to_str().expect("text").split(';').next().expect("a pair").to_owned();
    let page = async || {
        let page = server.http.get(format!("{}/webhooks", server.url)).header("cookie", &cookie).send().await;
        page.expect("a response").status().as_u16()
    };
    assert_eq!(page().await, 200);
    server.advance(idle);
    assert_eq!(page().await, 303, "twelve hours without use");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn impossible_name_is_treated_as_a_wrong_name(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    for name in ["nobody", "a\0b", "\0", "\u{202e}x", ""] {
        let response = server.post_form("/sign-in", "", &[("name", name), ("password", "x")]).await;
        assert_eq!(response.status(), 422, "{name:?}");
    }
    let cookie = server.sign_in("maria", Role::Admin).await;
    for path in ["/deliveries?webhook=%00", "/runs?task=a%00b", "/objects?name=%00&page=%00", "/deliveries?sort=%00"] {
        let response = server.http.get(format!("{}{path}", server.url)).header("cookie", &cookie).send().await;
        assert_eq!(response.expect("a response").status(), 200, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn session_cookie_is_same_site_and_a_changed_role_applies_at_once() {
    let server = TestServer::start(TestStore::sqlite().await).await;
    let cookie = server.sign_in("maria", Role::Admin).await;
    let again = server.post_form("/sign-in", "", &[("name", "maria"), ("password", PASSWORD)]).await;
    let set = again.headers()["set-cookie"].to_str().expect("text").to_owned();
    for part in ["hookwright-", "HttpOnly", "SameSite=Lax", "Path=/"] {
        assert!(set.contains(part), "{set}");
    }
    let db = server.services.store.write();
    db.execute_unprepared("UPDATE account SET role = 'viewer'").await.expect("changed");
    assert_eq!(server.post_form("/webhooks/delete", &cookie, &[("row.1", "on")]).await.status(), 403);
    db.execute_unprepared("DELETE FROM account").await.expect("gone");
    assert_eq!(server.post_form("/webhooks/delete", &cookie, &[("row.1", "on")]).await.status(), 401);
}
