//! Two receivers, the targets of every webhook. Each webhook has a path of its own, and a reply that the test chooses. Must
//! not end a request by the clock: only another reply does.

use super::reference::Reply;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::watch;

/// The requests at each of the two receivers, by the id of their delivery.
pub(super) type Requests = HashMap<String, [u32; 2]>;

pub(super) struct Receivers {
    urls: [String; 2],
    replies: Arc<Vec<watch::Sender<Reply>>>,
    /// The time of the last change of each reply.
    changed: Mutex<Vec<Instant>>,
    requests: Arc<Mutex<Requests>>,
}

impl Receivers {
    /// Starts the receivers of webhooks with these first replies.
    pub(super) async fn start(replies: impl Iterator<Item = Reply>) -> Self {
        let replies = Arc::new(replies.map(watch::Sender::new).collect::<Vec<_>>());
        let requests = Arc::<Mutex<Requests>>::default();
        let mut urls = [const { String::new() }; 2];
        for (number, url) in urls.iter_mut().enumerate() {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            *url = format!("http://{}", listener.local_addr().expect("an address"));
            let (replies, requests) = (replies.clone(), requests.clone());
            let handler = move |uri: Uri, headers: HeaderMap| {
                let id = headers["webhook-id"].to_str().expect("an id").to_owned();
                requests.lock().expect("no panic").entry(id).or_default()[number] += 1;
                let slot: usize = uri.path()[1..].parse().expect("a slot");
                let mut reply = replies[slot].subscribe();
                async move {
                    let reply = reply.wait_for(|reply| *reply != Reply::Pending).await;
                    reply.map_or(Reply::Failure, |reply| *reply).into_response()
                }
            };
            tokio::spawn(async move { axum::serve(listener, axum::Router::new().fallback(handler)).await });
        }
        let changed = Mutex::new(vec![Instant::now(); replies.len()]);
        Self { urls, replies, changed, requests }
    }

    /// Returns the URL of a webhook at one of the receivers.
    pub(super) fn url(&self, target: usize, slot: usize) -> String {
        format!("{}/{slot}", self.urls[target % 2])
    }

    /// Gives this reply from now on, also to the requests that wait.
    pub(super) fn reply(&self, slot: usize, reply: Reply) {
        if self.replies[slot].send_replace(reply) != reply {
            self.changed.lock().expect("no panic")[slot] = Instant::now();
        }
    }

    /// Returns the webhooks whose requests may have waited for longer than this.
    pub(super) fn pending_for(&self, longest: Duration) -> Vec<usize> {
        let changed = self.changed.lock().expect("no panic");
        let is_late =
            |slot: &usize| *self.replies[*slot].borrow() == Reply::Pending && changed[*slot].elapsed() > longest;
        (0..changed.len()).filter(is_late).collect()
    }

    pub(super) fn requests(&self) -> Requests {
        self.requests.lock().expect("no panic").clone()
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let retry_after = [(header::RETRY_AFTER, (self.retry_after() / 1000).to_string())];
        match self {
            Self::Success => StatusCode::OK.into_response(),
            Self::Failure | Self::Pending => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
            Self::Redirect => (StatusCode::FOUND, [(header::LOCATION, "http://elsewhere.invalid/")]).into_response(),
            Self::Gone => StatusCode::GONE.into_response(),
            Self::Busy => (StatusCode::SERVICE_UNAVAILABLE, retry_after).into_response(),
            Self::Limited => (StatusCode::TOO_MANY_REQUESTS, retry_after).into_response(),
        }
    }
}
