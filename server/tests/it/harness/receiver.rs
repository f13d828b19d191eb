//! Receivers of webhooks: one that records, one that fails until it recovers, one that responds when it is told to.

use axum::http::{StatusCode, Uri};
use server::clock::Clock;
use server::inbox::{self, Received};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, SemaphorePermit};

/// A receiver that records each request.
pub(crate) struct TestInbox {
    pub(crate) url: String,
    received: Arc<Mutex<Vec<Received>>>,
}

impl TestInbox {
    pub(crate) async fn start() -> Self {
        Self::start_on("127.0.0.1").await
    }

    /// Starts a receiver on an address of this machine; `[::]` listens on all of them.
    pub(crate) async fn start_on(host: &str) -> Self {
        let listener = TcpListener::bind(format!("{host}:0")).await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let received = Arc::<Mutex<Vec<Received>>>::default();
        let sink = received.clone();
        let keep: inbox::Sink = Arc::new(move |one| {
            sink.lock().expect("no panic").push(one);
            Box::pin(std::future::ready(()))
        });
        tokio::spawn(inbox::serve(listener, Clock::system(), keep));
        Self { url, received }
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().expect("no panic").clone()
    }
}

/// A receiver that responds 500 until it recovers, and then 200.
pub(crate) struct Switch {
    pub(crate) url: String,
    is_failing: Arc<AtomicBool>,
    bodies: Arc<Mutex<Vec<String>>>,
}

impl Switch {
    /// Starts a receiver that fails.
    pub(crate) async fn failing() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let switch = Self { url, is_failing: Arc::new(true.into()), bodies: Arc::default() };
        let (is_failing, bodies) = (switch.is_failing.clone(), switch.bodies.clone());
        let handler = move |body: String| {
            bodies.lock().expect("no panic").push(body);
            let is_failing = is_failing.load(Ordering::SeqCst);
            async move { if is_failing { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK } }
        };
        let router = axum::Router::new().fallback(handler);
        tokio::spawn(async move { axum::serve(listener, router).await });
        switch
    }

    pub(crate) fn recover(&self) {
        self.is_failing.store(false, Ordering::SeqCst);
    }

    /// Returns the bodies received so far, in order.
    pub(crate) fn bodies(&self) -> Vec<String> {
        self.bodies.lock().expect("no panic").clone()
    }
}

/// A receiver that responds only when it is told to, and counts the requests that wait at each path.
pub(crate) struct Gate {
    pub(crate) url: String,
    /// A permit for each response that may be sent.
    permits: Arc<Semaphore>,
    seen: Arc<Mutex<Seen>>,
}

/// Requests by path: the number that waits now, and the most that have waited at once; and all bodies in order.
#[derive(Default)]
struct Seen {
    waiting: BTreeMap<String, usize>,
    most: BTreeMap<String, usize>,
    bodies: Vec<String>,
}

/// A request that waits at a path. Dropping it counts it out, also when the client has hung up.
struct Waiting(Arc<Mutex<Seen>>, String);

impl Waiting {
    fn at(seen: Arc<Mutex<Seen>>, path: String, body: String) -> Self {
        let mut counts = seen.lock().expect("no panic");
        counts.bodies.push(body);
        let waiting = counts.waiting.entry(path.clone()).or_default();
        *waiting += 1;
        let now = *waiting;
        let most = counts.most.entry(path.clone()).or_default();
        *most = now.max(*most);
        drop(counts);
        Self(seen, path)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        *self.0.lock().expect("no panic").waiting.entry(self.1.clone()).or_default() -= 1;
    }
}

impl Gate {
    /// Starts a receiver that responds to nothing except requests for `/open`.
    pub(crate) async fn closed() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let gate = Self { url, permits: Arc::new(Semaphore::new(0)), seen: Arc::default() };
        let (permits, seen) = (gate.permits.clone(), gate.seen.clone());
        let handler = move |uri: Uri, body: String| {
            let waiting = Waiting::at(seen.clone(), uri.path().to_owned(), body);
            let permits = permits.clone();
            async move {
                let pass =
                    if waiting.1 == "/open" { Ok(()) } else { permits.acquire().await.map(SemaphorePermit::forget) };
                drop(waiting);
                if pass.is_ok() { StatusCode::OK } else { StatusCode::INTERNAL_SERVER_ERROR }
            }
        };
        tokio::spawn(async move { axum::serve(listener, axum::Router::new().fallback(handler)).await });
        gate
    }

    /// Responds to `count` requests: first to those that wait, then to new ones.
    pub(crate) fn respond(&self, count: usize) {
        self.permits.add_permits(count);
    }

    /// Closes the gate for good: each request that waits or comes gets 500.
    pub(crate) fn hang_up(&self) {
        self.permits.close();
    }

    /// Returns the number of requests that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.seen.lock().expect("no panic").waiting.values().sum()
    }

    /// Returns the highest number of requests that waited at one path at once.
    pub(crate) fn most(&self) -> usize {
        self.seen.lock().expect("no panic").most.values().copied().max().unwrap_or_default()
    }

    /// Returns the bodies received so far, in order.
    pub(crate) fn bodies(&self) -> Vec<String> {
        self.seen.lock().expect("no panic").bodies.clone()
    }
}
