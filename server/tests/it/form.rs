//! Forms as plain posts: saved with 303, refused with 422 and everything typed but secrets.

use crate::harness::{PASSWORD, TestServer, TestStore};
use model::access::Role;

async fn server() -> (TestServer, String) {
    let server = TestServer::start(TestStore::sqlite().await).await;
    let cookie = server.sign_in("maria", Role::Admin).await;
    (server, cookie)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_saved_form_leads_to_its_row() {
    let (server, cookie) = server().await;
    for (name, url, path) in [
        ("address", "https://10.1.2.3/", "/webhooks/1"),
        ("nobody", "https://nobody.invalid/", "/webhooks/2?done=unresolved"),
    ] {
        let answer = server.post_form("/webhooks/new", &cookie, &[("name", name), ("url", url)]).await;
        assert_eq!((answer.status().as_u16(), answer.headers()["location"].as_bytes()), (303, path.as_bytes()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_form_comes_back_without_its_secrets() {
    let (server, cookie) = server().await;
    let fields = [("name", "<b>\"w\"</b>"), ("url", "nowhere"), ("auth_type", "bearer"), ("token", "canary-4f7a")];
    let answer = server.post_form("/webhooks/new", &cookie, &fields).await;
    assert_eq!(answer.status(), 422);
    let page = answer.text().await.expect("a page");
    assert!(page.contains("Start the URL with http:// or https://"));
    assert!(page.contains("value=\"nowhere\""));
    assert!(!page.contains("<b>\"w\""), "what was typed is escaped");
    assert!(!page.contains("canary-4f7a"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_form_opened_before_somebody_elses_change_shows_both_versions_and_loses_neither() {
    let (server, cookie) = server().await;
    let typed = |name: &'static str, revision: &'static str| {
        [("name", name), ("url", "https://example.com/"), ("revision", revision)]
    };
    server.post_form("/webhooks/new", &cookie, &typed("w", "")).await;
    assert_eq!(server.post_form("/webhooks/1/edit", &cookie, &typed("theirs", "1")).await.status(), 303);
    let answer = server.post_form("/webhooks/1/edit", &cookie, &typed("mine", "1")).await;
    assert_eq!(answer.status(), 409);
    let page = answer.text().await.expect("a page");
    assert!(page.contains("Somebody else changed this webhook"));
    assert!(page.contains("<td>mine<!></td><td>theirs<!></td>"), "both versions");
    assert!(page.contains("name=\"revision\" value=\"2\""), "the next submit replaces theirs");
    assert_eq!(server.post_form("/webhooks/1/edit", &cookie, &typed("mine", "2")).await.status(), 303);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_post_from_another_site_is_refused() {
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
    assert_eq!(post("cross-site").await.expect("an answer").status(), 403);
    assert_eq!(post("same-origin").await.expect("an answer").status(), 303);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_setup_link_makes_one_administrator() {
    let server = TestServer::start(TestStore::sqlite().await).await;
    let store = &server.services.store;
    let token = server::service::account::setup_token(store).await.expect("asked").expect("a token");
    let fields =
        |token: &'static str| [("name", "maria"), ("password", PASSWORD), ("repeat", PASSWORD), ("token", token)];
    let wrong = server.post_form("/setup", "", &fields("hwk_wrong")).await;
    assert_eq!(wrong.status(), 403);
    let mismatch = [("name", "maria"), ("password", PASSWORD), ("repeat", "other"), ("token", &token)];
    assert_eq!(server.post_form("/setup", "", &mismatch).await.status(), 422);
    let right = [("name", "maria"), ("password", PASSWORD), ("repeat", PASSWORD), ("token", &token)];
    assert_eq!(server.post_form("/setup", "", &right).await.status(), 303);
    assert_eq!(server.post_form("/setup", "", &right).await.status(), 403);
    assert_eq!(server::service::account::setup_token(store).await.expect("asked"), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signing_in_is_limited_by_name_and_address() {
    let server = TestServer::start(TestStore::sqlite().await).await;
    let fields = [("name", "maria"), ("password", "guess")];
    let mut statuses = Vec::new();
    for _ in 0..11 {
        statuses.push(server.post_form("/sign-in", "", &fields).await.status().as_u16());
    }
    assert_eq!(statuses[0], 422);
    assert_eq!(statuses[10], 429);
}
