//! Listeners: addresses, and deadlines for connections that send nothing.

use super::Workers;
use crate::config::Listen;
use crate::http::door::Door;
use crate::http::{Http, Shared, router};
use anyhow::Context;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use axum_server::{Handle, Server};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

/// Deadline of a TLS handshake.
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(10);
/// Deadline of the head of the first request.
const HEAD_DEADLINE: Duration = Duration::from_secs(15);
/// Time that a connection may stay open without a request, and deadline of the head of later requests.
const IDLE_MAX: Duration = Duration::from_mins(1);
/// The most requests at once on one connection of HTTP/2. A browser has one connection for all its tabs, and each live page
/// has a request of its own.
const STREAMS_MAX: u32 = 64;

/// A bound listener. Its port is the real one, also when port 0 was asked for.
pub(super) struct Bound {
    pub(super) listener: TcpListener,
    pub(super) address: SocketAddr,
    pub(super) is_https: bool,
}

pub(super) fn bind(listen: &Listen) -> anyhow::Result<Bound> {
    let listener = TcpListener::bind(listen.address)
        .with_context(|| format!("cannot listen on {}; is another program there?", listen.address))?;
    listener.set_nonblocking(true)?;
    Ok(Bound { address: listener.local_addr()?, listener, is_https: listen.is_https })
}

/// Serves a listener. A listener for https uses the certificate.
pub(super) fn listen_on(
    bound: Bound,
    door: Door,
    http: &Http,
    tls: Option<&RustlsConfig>,
    handle: &Handle<SocketAddr>,
    workers: &mut Workers,
) -> anyhow::Result<()> {
    let http = Http::from(Shared { is_https: bound.is_https, ..Shared::clone(http) });
    let service = router(&http).into_make_service_with_connect_info::<SocketAddr>();
    let scheme = if bound.is_https { "https" } else { "http" };
    tracing::info!(url = format!("{scheme}://{}", bound.address), "listening");
    let report = |result: std::io::Result<()>| {
        if let Err(error) = result {
            tracing::error!(%error, "a listener has failed");
        }
    };
    if let Some(tls) = tls.filter(|_| bound.is_https) {
        let tls = RustlsAcceptor::new(tls.clone()).handshake_timeout(HANDSHAKE_DEADLINE).acceptor(door);
        let server = with_deadlines(axum_server::from_tcp(bound.listener)?.acceptor(tls).handle(handle.clone()));
        workers.start("listener", async move { report(server.serve(service).await) });
    } else {
        let server = with_deadlines(axum_server::from_tcp(bound.listener)?.acceptor(door).handle(handle.clone()));
        workers.start("listener", async move { report(server.serve(service).await) });
    }
    Ok(())
}

/// Sets the deadlines for connections that send nothing, or not enough.
fn with_deadlines<A>(server: Server<SocketAddr, A>) -> Server<SocketAddr, A> {
    let mut server = server.first_request_timeout(HEAD_DEADLINE);
    // Simple senders close their half of the connection after the request, and still read the response.
    server.http_builder().http1().header_read_timeout(IDLE_MAX).half_close(true);
    let mut builder = server.http_builder().http2();
    builder.keep_alive_interval(IDLE_MAX).keep_alive_timeout(HEAD_DEADLINE).max_concurrent_streams(STREAMS_MAX);
    server
}

/// Raises the limit of open files as far as the system allows. Returns the limit.
pub(super) fn raise_file_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let most = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, most) {
        tracing::warn!(%error, "the limit of open files is unchanged");
        return limit.current.unwrap_or(u64::MAX);
    }
    limit.maximum.unwrap_or(u64::MAX)
}
