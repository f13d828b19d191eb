//! The client's address as seen through trusted proxies, and the console's own URL. Requests that would fail in the
//! browser are refused with a message.

use super::proxy::Proxies;
use super::{Http, refusal};
use crate::config::PublicUrl;
use app::error::Code;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use std::net::{IpAddr, SocketAddr};
use tower_http::csrf::{CsrfLayer, ProtectionError};

/// Returns the address, or the /64 of an IPv6 address: a client that has one address of a /64 has all of them.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) & !u128::from(u64::MAX)).into()),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// Request extension: the request has `X-Forwarded-For`, and its peer, this address, is not a trusted proxy.
#[derive(Clone, Copy)]
pub(super) struct Untrusted(IpAddr);

impl Untrusted {
    /// Returns the remedy to append to a refusal. Empty without an untrusted peer.
    pub(super) fn remedy(untrusted: Option<&Self>) -> String {
        untrusted.map(|Self(peer)| trust(*peer)).unwrap_or_default()
    }
}

fn trust(peer: IpAddr) -> String {
    format!(" If that is the address of your proxy, start the server with --trusted-proxy {peer}.")
}

/// Request extension: the request came through a trusted proxy.
#[derive(Clone, Copy)]
struct Forwarded;

/// Replaces the proxy's address by the client's, for all handlers.
pub(super) async fn see_through(State(http): State<Http>, mut request: Request, next: Next) -> Response {
    let connected = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0);
    if let Some(peer) = connected {
        if http.proxies.is_trusted(peer.ip()) {
            let client = http.proxies.client(peer.ip(), request.headers());
            request.extensions_mut().insert(ConnectInfo(SocketAddr::new(client, 0)));
            request.extensions_mut().insert(Forwarded);
        } else if request.headers().contains_key("x-forwarded-for") {
            request.extensions_mut().insert(Untrusted(peer.ip().to_canonical()));
        }
    }
    next.run(request).await
}

/// Refuses http when the public URL is https, since a browser would drop the session's cookie.
pub(super) async fn by_public_url(State(http): State<Http>, request: Request, next: Next) -> Response {
    let Some(url) = http.proxies.public_url.as_ref().filter(|url| url.is_https) else { return next.run(request).await };
    let forwarded_proto =
        request.headers().get("x-forwarded-proto").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_forwarded = request.extensions().get::<Forwarded>().is_some();
    if is_forwarded && forwarded_proto.eq_ignore_ascii_case("http") && request.method().is_safe() {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        return Redirect::temporary(&format!("{}{path}", url.origin)).into_response();
    }
    if is_forwarded || http.is_https {
        return next.run(request).await;
    }
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip().to_canonical());
    let seen = peer.map(|peer| format!(" This request came from {peer} by http.{}", trust(peer)));
    let message = format!("This console is at {}.{}", url.origin, seen.unwrap_or_default());
    refusal(request.uri().path(), StatusCode::MISDIRECTED_REQUEST, Code::Forbidden, &message)
}

/// Response extension: `CsrfLayer`, which does not see the request, has refused it.
#[derive(Clone, Copy)]
struct OtherSite;

/// Returns the layer that refuses forms of other sites.
pub(super) fn no_other_site(proxies: &Proxies) -> CsrfLayer<fn(ProtectionError) -> Response> {
    let refuse: fn(ProtectionError) -> Response = |_| {
        let mut response = StatusCode::FORBIDDEN.into_response();
        response.extensions_mut().insert(OtherSite);
        response
    };
    let layer = CsrfLayer::new();
    let trusted = proxies.public_url.as_ref().map(|url| layer.clone().add_trusted_origin(&url.origin));
    // The configuration has checked the origin.
    trusted.and_then(Result::ok).unwrap_or(layer).with_rejection_response(refuse)
}

/// Adds a message to a refused form of another site.
pub(super) async fn name_other_site(State(http): State<Http>, request: Request, next: Next) -> Response {
    if request.method().is_safe() {
        return next.run(request).await;
    }
    let message = other_site(request.headers(), http.proxies.public_url.as_ref());
    let path = request.uri().path().to_owned();
    let response = next.run(request).await;
    if response.extensions().get::<OtherSite>().is_none() {
        return response;
    }
    refusal(&path, StatusCode::FORBIDDEN, Code::Forbidden, &message)
}

fn other_site(headers: &HeaderMap, public_url: Option<&PublicUrl>) -> String {
    let shown = |name: header::HeaderName| {
        let text = headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("an unnamed site");
        text.chars().take(200).collect::<String>()
    };
    let (origin, host) = (shown(header::ORIGIN), shown(header::HOST));
    let console = public_url.map_or(host, |url| url.origin.clone());
    format!(
        "Nothing was saved: this form came from {origin}, and this console is at {console}. If both are this console, start \
         the server with --public-url {origin}, or have the proxy pass the Host header on with its port."
    )
}
