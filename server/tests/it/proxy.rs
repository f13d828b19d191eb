//! The console behind a reverse proxy: the client's address, the public URL, cookies and redirects.

use crate::harness::{PASSWORD, TestServer, TestStore};
use model::access::Role;
use reqwest::Response;
use reqwest::header::HeaderMap;
use server::config::PublicUrl;
use server::http::proxy::Proxies;
use server::service::{Services, account};

fn proxies(public: Option<&str>) -> Proxies {
    let public = public.map(|origin| PublicUrl { origin: origin.into(), is_https: origin.starts_with("https") });
    Proxies::new(public, vec!["127.0.0.1/32".parse().expect("a network")])
}

/// Posts a sign-in with these headers, as a proxy does.
async fn sign_in(server: &TestServer, password: &str, headers: &[(&str, &str)]) -> Response {
    let headers: HeaderMap =
        headers.iter().map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value"))).collect();
    server
        .http
        .post(format!("{}/sign-in", server.url))
        .header("content-type", "application/x-www-form-urlencoded")
        .headers(headers)
        .body(format!("name=maria&password={}", password.replace(' ', "+")))
        .send()
        .await
        .expect("a response")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_sign_ins_behind_a_trusted_proxy_lock_out_only_their_sender() {
    let server = TestServer::start_behind(TestStore::sqlite().await, proxies(None)).await;
    server.sign_in("maria", Role::Admin).await;
    let stranger = [("x-forwarded-for", "203.0.113.9")];
    let mut last = 0;
    for _ in 0..12 {
        last = sign_in(&server, "wrong password", &stranger).await.status().as_u16();
    }
    assert_eq!(last, 429);
    let page = sign_in(&server, "wrong password", &stranger).await.text().await.expect("a page");
    assert!(page.contains("Too many tries from 203.0.113.9") && !page.contains("--trusted-proxy"), "{page}");
    // Addresses that the client itself puts into the header are ignored.
    let spoofed = [("x-forwarded-for", "198.51.100.7, 203.0.113.9")];
    assert_eq!(sign_in(&server, PASSWORD, &spoofed).await.status(), 429);
    assert_eq!(sign_in(&server, PASSWORD, &[("x-forwarded-for", "198.51.100.7")]).await.status(), 303);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sign_in_limit_behind_an_untrusted_proxy_names_the_remedy() {
    let server = TestServer::start(TestStore::sqlite().await).await;
    let mut last = String::new();
    for number in 0..12 {
        let hop = format!("203.0.113.{number}");
        last = sign_in(&server, "wrong password", &[("x-forwarded-for", &hop)]).await.text().await.expect("a page");
    }
    assert!(last.contains("Too many tries from 127.0.0.1"), "{last}");
    assert!(last.contains("start the server with --trusted-proxy 127.0.0.1"), "{last}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn form_through_a_proxy_that_drops_the_port_needs_the_public_url() {
    let dropped = [("origin", "http://nas:8088"), ("host", "nas"), ("x-forwarded-for", "198.51.100.7")];
    let server = TestServer::start(TestStore::sqlite().await).await;
    server.sign_in("maria", Role::Admin).await;
    let refused = sign_in(&server, PASSWORD, &dropped).await;
    assert_eq!(refused.status(), 403);
    let page = refused.text().await.expect("a page");
    assert!(page.contains("from http://nas:8088") && page.contains("is at nas"), "{page}");
    assert!(page.contains("--public-url http://nas:8088"), "{page}");

    let server = TestServer::start_behind(TestStore::sqlite().await, proxies(Some("http://nas:8088"))).await;
    server.sign_in("maria", Role::Admin).await;
    let taken = sign_in(&server, PASSWORD, &dropped).await;
    assert_eq!(taken.status(), 303);
    let cookie = taken.headers()["set-cookie"].to_str().expect("text");
    assert!(!cookie.contains("Secure"), "a browser would not send it back by http: {cookie}");
    let other = [("origin", "https://evil.example"), ("host", "nas"), ("sec-fetch-site", "cross-site")];
    assert_eq!(sign_in(&server, PASSWORD, &other).await.status(), 403, "another site");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cookie_behind_an_https_proxy_is_secure() {
    let public = "https://hooks.example.com";
    let server = TestServer::start_behind(TestStore::sqlite().await, proxies(Some(public))).await;
    let password = PASSWORD.to_owned().into();
    let Services { store, clock, .. } = &server.services;
    account::add(store, clock, "maria", Role::Admin, password).await.expect("an account");
    let forwarded = [
        ("origin", public),
        ("host", "hooks.example.com"),
        ("x-forwarded-for", "198.51.100.7"),
        ("x-forwarded-proto", "https"),
    ];
    let taken = sign_in(&server, PASSWORD, &forwarded).await;
    assert_eq!(taken.status(), 303);
    let cookie = taken.headers()["set-cookie"].to_str().expect("text");
    assert!(cookie.starts_with("__Host-hookwright-") && cookie.contains("Secure"), "{cookie}");
    assert_eq!(taken.headers()["strict-transport-security"], "max-age=31536000");

    let get = async |proto: &str| {
        let request = server.http.get(format!("{}/sign-in?next=%2F", server.url));
        request.header("x-forwarded-proto", proto).send().await.expect("a response")
    };
    let sent_on = get("http").await;
    assert_eq!(sent_on.status(), 307);
    assert_eq!(sent_on.headers()["location"], "https://hooks.example.com/sign-in?next=%2F");
    assert_eq!(get("https").await.status(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_request_past_the_proxy_is_told_the_public_url() {
    let public = PublicUrl { origin: "https://hooks.example.com".into(), is_https: true };
    let server = TestServer::start_behind(TestStore::sqlite().await, Proxies::new(Some(public), Vec::new())).await;
    let response = server.http.get(format!("{}/sign-in", server.url)).send().await.expect("a response");
    assert_eq!(response.status(), 421);
    let page = response.text().await.expect("a page");
    assert!(page.contains("https://hooks.example.com") && page.contains("--trusted-proxy 127.0.0.1"), "{page}");
    let response = server.http.get(format!("{}/health/live", server.url)).send().await.expect("a response");
    assert_eq!(response.status(), 200, "health checks come without the proxy");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn live_stream_disables_buffering_in_proxies() {
    let server = TestServer::start(TestStore::sqlite().await).await;
    let cookie = server.sign_in("maria", Role::Admin).await;
    let response = server.http.get(format!("{}/live", server.url)).header("cookie", cookie).send().await;
    assert_eq!(response.expect("a response").headers()["x-accel-buffering"], "no");
}
