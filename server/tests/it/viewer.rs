//! Slow pages. They time out with a message, and do not slow down deliveries.

use crate::harness::Database::{self, Postgres, Sqlite};
use crate::harness::{TestInbox, TestServer, TestStore, eventually};
use model::access::{Role, Scope};
use model::delivery::Status;
use rstest::rstest;
use sea_orm::ConnectionTrait;
use serde_json::json;
use server::store::{Error, Store};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Returns a query that does not end by itself.
fn endless(store: &Store) -> &'static str {
    if store.is_postgres() {
        "SELECT pg_sleep(600)"
    } else {
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT COUNT(*) FROM n"
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_pages_time_out_with_a_message_and_deliveries_continue(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let server = TestServer::start(test).await;
    let inbox = TestInbox::start().await;
    let key = server.key("dc", &[Scope::Ingest]).await;
    let webhook = server.webhook("w", &inbox.url, |_| ()).await;
    server.event(server.task("t", webhook, "${NAME}", false).await).await;
    let cookie = server.sign_in("maria", Role::Viewer).await;
    let look = async || {
        let request = server.http.get(format!("{}/deliveries", server.url)).header("cookie", &cookie);
        let response = request.send().await.expect("a response");
        (response.status().as_u16(), response.text().await.expect("a page"))
    };
    assert_eq!(look().await.0, 200);
    // More queries than there are connections for pages, each repeated.
    let looked = CancellationToken::new();
    let slow: Vec<_> = (0..8)
        .map(|_| {
            let (store, looked) = (server.services.store.clone(), looked.clone());
            tokio::spawn(async move {
                let mut errors = Vec::new();
                while !looked.is_cancelled() {
                    let done = store.pages().execute_unprepared(endless(&store)).await;
                    errors.push(Error::from(done.expect_err("it does not end by itself")));
                }
                errors
            })
        })
        .collect();
    let page = tokio::spawn({
        let (http, url, cookie) = (server.http.clone(), server.url.clone(), cookie.clone());
        async move {
            let response =
                http.get(format!("{url}/deliveries")).header("cookie", cookie).send().await.expect("a response");
            (response.status().as_u16(), response.text().await.expect("a page"))
        }
    });
    let object = |id: usize| json!({"type": "vms", "event": "poweron", "object": {"name": format!("vm-{id}")}});
    for id in 0..20 {
        assert_eq!(server.post(&key, &object(id)).await.0, 202);
    }
    eventually("all arrive", async || inbox.received().len() == 20).await;
    assert!(!page.is_finished(), "deliveries are sent while the page waits");
    let (status, text) = page.await.expect("no panic");
    looked.cancel();
    assert_eq!(status, 503);
    assert!(text.contains("took too long"), "{text}");
    for query in slow {
        let errors = query.await.expect("no panic");
        assert!(errors.iter().all(Error::is_late), "{errors:?}");
    }
    assert_eq!(look().await.0, 200, "pages work again");
    let sent = server.deliveries_until(|rows| rows.iter().all(|row| row.status == Some(Status::Sent))).await;
    assert_eq!(sent.len(), 20);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_query_on_a_new_connection_times_out_too(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let store = &test.store;
    // Closes all connections, so that the next query opens a new one.
    if store.is_postgres() {
        let pool = store.pages().get_postgres_connection_pool();
        while let Some(connection) = pool.try_acquire() {
            connection.close().await.expect("close");
        }
    } else {
        let pool = store.pages().get_sqlite_connection_pool();
        while let Some(connection) = pool.try_acquire() {
            connection.close().await.expect("close");
        }
    }
    let query = store.pages().execute_unprepared(endless(store));
    let done = tokio::time::timeout(Duration::from_secs(30), query).await.expect("an end");
    let error = Error::from(done.expect_err("it does not end by itself"));
    assert!(error.is_late(), "{error:?}");
}
