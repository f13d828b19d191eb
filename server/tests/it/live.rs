//! The streams of changes: however many pages are open, the server looks at the database once a second for all of them.

use crate::harness::Database::{self, Postgres, Sqlite};
use crate::harness::{TestServer, TestStore};
use futures_util::future::join_all;
use log::LevelFilter;
use model::access::{Role, Scope};
use rstest::rstest;
use serde_json::json;
use server::store::connect;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::{Layer, Registry};

/// The number of open pages.
const PAGES: usize = 100;
/// The number of changes that each page is told of.
const CHANGES: usize = 3;

/// Counts the statements that read sessions.
#[derive(Clone, Default)]
struct SessionReads(Arc<AtomicUsize>);

struct IsSessionRead(bool);

impl tracing::field::Visit for IsSessionRead {
    fn record_debug(&mut self, _: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        self.0 |= format!("{value:?}").contains("\"session\"") || format!("{value:?}").contains("\\\"session\\\"");
    }
}

impl Layer<Registry> for SessionReads {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, Registry>) {
        let mut read = IsSessionRead(false);
        event.record(&mut read);
        self.0.fetch_add(usize::from(event.metadata().target() == "sqlx::query" && read.0), Ordering::SeqCst);
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hundred_open_pages_look_at_the_database_once_a_second(#[values(Sqlite, Postgres)] database: Database) {
    let reads = SessionReads::default();
    tracing::subscriber::set_global_default(Registry::default().with(reads.clone())).expect("the only one");
    let mut test = TestStore::new(database).await;
    test.store = match &test.url {
        Some(url) => connect::open_postgres_logging(url, LevelFilter::Info).await.expect("opens"),
        None => connect::open_sqlite_logging(test.dir.path(), LevelFilter::Info).await.expect("opens"),
    };
    let server = TestServer::start(test).await;
    let key = server.key("dc", &[Scope::Ingest]).await;
    let cookie = server.sign_in("maria", Role::Viewer).await;
    let url = format!("{}/live", server.url);
    let open = async || server.http.get(&url).header("cookie", &cookie).send().await.expect("a stream");
    let mut streams = join_all((0..PAGES).map(|_| open())).await;
    let (before, since) = (reads.0.load(Ordering::SeqCst), Instant::now());
    assert!(before >= PAGES, "the statements are counted: a page reads its session");
    for _ in 0..CHANGES {
        server.post(&key, &json!({"type": "logs", "event": "created"})).await;
        // The feed also tells of a state twice more, so that each page is told at least once for each change.
        let told = join_all(streams.iter_mut().map(reqwest::Response::chunk)).await;
        assert!(told.into_iter().all(|chunk| chunk.expect("no error").is_some()));
    }
    let seconds = usize::try_from(since.elapsed().as_secs()).expect("few") + 1;
    let looks = reads.0.load(Ordering::SeqCst) - before;
    assert!(looks <= seconds, "{looks} looks in {seconds} s");
    server.post_form("/sign-out", &cookie, &[]).await;
    let ends =
        join_all(streams.iter_mut().map(async |stream| while stream.chunk().await.is_ok_and(|it| it.is_some()) {}));
    tokio::time::timeout(Duration::from_secs(20), ends).await.expect("all streams end with their session");
}
