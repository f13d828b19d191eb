//! Measures how long a request spends on connecting: DNS, TCP, and the TLS handshake.
//!
//! The connector of reqwest is private, but the client builder accepts a tower layer around it. [`ConnectTimer`] is
//! that layer: it wraps the connector in a service that measures each call. [`timed`] runs a request with a task-local
//! cell in scope. The client polls the connector within the future of the request, so the service finds the cell of the
//! request that waits for the connection, and writes the time into it.
//!
//! A request that gets a connection from the pool calls no connector. Its cell stays empty, and the attempt is shown as
//! one on a reused connection.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;
use tower::{Layer, Service};

tokio::task_local! {
    static CONNECT_TIME: Cell<Option<Duration>>;
}

/// Runs a request. Returns its output, and the time that connecting took, if the request had to connect.
pub async fn timed<T>(request: impl Future<Output = T>) -> (T, Option<Duration>) {
    CONNECT_TIME
        .scope(Cell::new(None), async {
            let output = request.await;
            (output, CONNECT_TIME.with(Cell::get))
        })
        .await
}

/// The layer that wraps a connector in a [`TimedConnector`].
#[derive(Debug, Clone, Copy)]
pub struct ConnectTimer;

impl<S> Layer<S> for ConnectTimer {
    type Service = TimedConnector<S>;

    fn layer(&self, inner: S) -> TimedConnector<S> {
        TimedConnector(inner)
    }
}

/// A connector that reports the time of each call to the request that waits for it.
#[derive(Debug, Clone)]
pub struct TimedConnector<S>(S);

impl<S, R> Service<R> for TimedConnector<S>
where
    S: Service<R>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, target: R) -> Self::Future {
        let start = Instant::now();
        let connecting = self.0.call(target);
        Box::pin(async move {
            let connection = connecting.await;
            // There is no cell if the request has got a connection from the pool meanwhile: the client then completes
            // this connection in a separate task, for a later request.
            let _ = CONNECT_TIME.try_with(|time| time.set(Some(start.elapsed())));
            connection
        })
    }
}
