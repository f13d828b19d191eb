//! What is old and over goes; what waits, or is young, stays; a clock that jumps removes nothing.

use crate::harness::{TestInbox, TestServer};
use crate::on_both;
use model::access::Scope;
use serde_json::json;
use server::retention::Retention;
use std::time::Duration;

const DAY: Duration = Duration::from_hours(24);

on_both! {
    async fn only_what_is_settled_and_old_is_removed(test: TestStore) {
        let server = TestServer::start(test).await;
        let inbox = TestInbox::start().await;
        let key = server.key("dc", &[Scope::Ingest]).await;
        let good = server.webhook("good", &inbox.url, |_| ()).await;
        server.event(server.task("sent", good, "", false).await).await;
        server.post(&key, &json!({"type": "vms", "event": "poweron"})).await;
        server.post(&key, &json!({"type": "logs", "event": "created"})).await;
        server.deliveries_until(|rows| rows.iter().all(|row| row.status.is_settled())).await;
        let retention = Retention::new(server.services.store.clone(), server.services.clock.clone());
        assert_eq!(retention.sweep().await.expect("the first sweep"), 0);

        // A clock that jumps by months is not believed, once.
        server.advance(DAY * 71);
        assert_eq!(retention.sweep().await.expect("a jump"), 0);
        // A young one, and one that waits for its retry.
        let bad = server.webhook("bad", &format!("{}/status/503", inbox.url), |_| ()).await;
        server.event(server.task("waits", bad, "", false).await).await;
        server.post(&key, &json!({"type": "vms", "event": "poweron"})).await;
        server.deliveries_until(|rows| rows.len() == 3 && rows.iter().all(|row| row.attempts == 1)).await;
        let removed = retention.sweep().await.expect("a sweep");
        assert_eq!(removed, 4, "a delivery, its run, its occurrence, and the one that started nothing");
        let rows = server.deliveries_until(|_| true).await;
        let mut left: Vec<_> = rows.iter().map(|row| (row.task.as_str(), row.status.as_str())).collect();
        left.sort_unstable();
        assert_eq!(left, [("sent", "sent"), ("waits", "queued")]);
    }

    async fn occurrences_that_started_nothing_go_after_two_weeks(test: TestStore) {
        let server = TestServer::start(test).await;
        let key = server.key("dc", &[Scope::Ingest]).await;
        server.post(&key, &json!({"type": "logs", "event": "created"})).await;
        let retention = Retention::new(server.services.store.clone(), server.services.clock.clone());
        let mut removed = 0;
        for day in 0..=15 {
            assert_eq!(removed, 0, "day {day}");
            removed += retention.sweep().await.expect("a sweep");
            server.advance(DAY);
        }
        assert_eq!(removed, 1);
    }
}
