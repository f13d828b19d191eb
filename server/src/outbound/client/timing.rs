//! How long connecting took: a layer around the client's connector that tells the request which waits for it.
//!
//! A request that gets a kept connection hears nothing, which is how "reused" is known.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;
use tower::{Layer, Service};

tokio::task_local! {
    static TOOK: Cell<Option<Duration>>;
}

/// Runs a request, and answers how long it spent connecting, if it did.
pub async fn timed<T>(request: impl Future<Output = T>) -> (T, Option<Duration>) {
    TOOK.scope(Cell::new(None), async {
        let answer = request.await;
        (answer, TOOK.with(Cell::get))
    })
    .await
}

/// Times every connection that is made.
#[derive(Debug, Clone, Copy)]
pub struct ConnectTimer;

impl<S> Layer<S> for ConnectTimer {
    type Service = Timed<S>;

    fn layer(&self, inner: S) -> Timed<S> {
        Timed(inner)
    }
}

/// A connector with a watch.
#[derive(Debug, Clone)]
pub struct Timed<S>(S);

impl<S, R> Service<R> for Timed<S>
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
        let begun = Instant::now();
        let connecting = self.0.call(target);
        Box::pin(async move {
            let connection = connecting.await;
            // Outside a request (a connection made ahead) nobody is told.
            let _ = TOOK.try_with(|took| took.set(Some(begun.elapsed())));
            connection
        })
    }
}
