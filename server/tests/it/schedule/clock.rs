//! Late runs, and clocks that are set.

use super::{
    HOUR, MINUTE, add_trigger, at, each_minute, paused, queued_each_minute, runs, save, scheduler, statuses, tick,
};
use crate::harness::Database::{self, Postgres, Sqlite};
use crate::harness::{TestServer, TestStore};
use model::run::Status;
use model::time::Timestamp;
use rstest::rstest;
use std::time::Duration;

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn late_run_is_caught_up_once_within_the_hour(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start(TestStore::new(database).await).await;
    queued_each_minute(&server).await;
    // The first run is at 11:39.
    server.advance(HOUR);
    let (mut one, mut other) = (scheduler(&server), scheduler(&server));
    tick(&mut one).await;
    tick(&mut other).await;
    assert_eq!(statuses(&server, "t").await, [Status::Missed, Status::Running]);
    let missed = runs(&server, "t").await.remove(1);
    assert_eq!(missed.cause, "Started by the schedule Each Minute");
    assert_eq!(
        missed.note.as_deref(),
        Some(
            "59 runs from Thu, 16 Oct 2025 11:39:00 EDT to Thu, 16 Oct 2025 12:37:00 EDT were missed: no server could \
             start them then."
        )
    );
    assert!(missed.deliveries.is_empty() && missed.ended.is_some());
    server.advance(MINUTE);
    tick(&mut other).await;
    assert_eq!(statuses(&server, "t").await, [Status::Missed, Status::Running, Status::Running]);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn run_that_is_an_hour_late_is_recorded_as_missed(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start(TestStore::new(database).await).await;
    let webhook = paused(&server).await;
    let daily = save(&server, "Daily", |draft| "12:00".clone_into(&mut draft.start_time)).await;
    for name in ["on", "off"] {
        let task = server.task(name, webhook, "m", false).await;
        add_trigger(&server, daily, task).await;
        server.services.backend().tasks.set_enabled(vec![task], name == "on").await.expect("changed");
    }
    server.set_clock(at("2025-10-16T17:00:00Z"));
    let mut node = scheduler(&server);
    for _ in 0..3 {
        tick(&mut node).await;
        server.advance(MINUTE);
    }
    assert_eq!(statuses(&server, "on").await, [Status::Missed]);
    assert!(runs(&server, "off").await.is_empty());
    let detail = server.services.backend().schedules.detail(daily).await.expect("there");
    assert_eq!(detail.runs[0].machine, "2025-10-17T16:00:00.000Z");
    server.set_clock(at("2025-10-17T16:59:59Z"));
    tick(&mut node).await;
    assert_eq!(statuses(&server, "on").await, [Status::Missed, Status::Running]);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clock_that_is_set_back_or_forward_repeats_no_day_and_stops_no_minute(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start(TestStore::new(database).await).await;
    let webhook = paused(&server).await;
    let minutes = each_minute(&server).await;
    let daily = save(&server, "Daily", |draft| "11:40".clone_into(&mut draft.start_time)).await;
    add_trigger(&server, minutes, server.task("minute", webhook, "m", false).await).await;
    add_trigger(&server, daily, server.task("day", webhook, "m", false).await).await;
    let (mut one, mut other) = (scheduler(&server), scheduler(&server));
    let mut pass = async |minutes: u32| {
        for _ in 0..minutes {
            server.advance(MINUTE);
            tick(&mut one).await;
            tick(&mut other).await;
        }
    };
    pass(5).await;
    assert_eq!((statuses(&server, "minute").await.len(), statuses(&server, "day").await.len()), (5, 1));

    server.set_clock(Timestamp(server.now().0 - 3_600_000));
    pass(10).await;
    let count = runs(&server, "minute").await.len();
    assert!((13..=15).contains(&count), "{count} runs: it goes on within two minutes");
    pass(70).await;
    let statuses_of = async || (statuses(&server, "minute").await, statuses(&server, "day").await);
    let (minute, day) = statuses_of().await;
    assert_eq!(minute, vec![Status::Running; count + 70]);
    assert_eq!(day, [Status::Running], "11:40 has run, and is shown again");

    server.set_clock(server.now().after(Duration::from_hours(24)));
    pass(1).await;
    let (mut minute, day) = statuses_of().await;
    assert_eq!(minute.len(), count + 72);
    assert_eq!(minute.split_off(count + 70), [Status::Missed, Status::Running]);
    assert_eq!(day, [Status::Running, Status::Running], "11:40 of the next day is under an hour past");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clock_that_was_a_year_ahead_stops_no_schedule(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start(TestStore::new(database).await).await;
    let webhook = paused(&server).await;
    let daily = save(&server, "Daily", |draft| "12:00".clone_into(&mut draft.start_time)).await;
    add_trigger(&server, daily, server.task("day", webhook, "m", false).await).await;
    let beginning = server.now();
    server.set_clock(beginning.after(Duration::from_hours(24 * 365)));
    tick(&mut scheduler(&server)).await;
    assert_eq!(statuses(&server, "day").await, [Status::Missed]);
    server.set_clock(beginning);
    // The worker of a node that starts now knows nothing of the other time.
    let mut node = scheduler(&server);
    for _ in 0..48 {
        tick(&mut node).await;
        server.advance(HOUR);
    }
    assert_eq!(statuses(&server, "day").await, [Status::Missed, Status::Running]);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn daily_run_happens_once_where_the_clock_skips_or_repeats_its_time(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start(TestStore::new(database).await).await;
    let webhook = paused(&server).await;
    // New York: the clock shows 01:30 twice on November 2, and skips 02:30 on March 8.
    for (name, start, time, midnight, expected) in [
        ("twice", "2025-11-02", "01:30", "2025-11-02T04:00:00Z", ["2025-11-02T05:30:00", "2025-11-03T06:30:00"]),
        ("skipped", "2026-03-08", "02:30", "2026-03-08T05:00:00Z", ["2026-03-08T07:00:00", "2026-03-09T06:30:00"]),
    ] {
        server.set_clock(at(midnight));
        let daily = save(&server, name, |draft| {
            start.clone_into(&mut draft.start_date);
            time.clone_into(&mut draft.start_time);
        })
        .await;
        add_trigger(&server, daily, server.task(name, webhook, "m", false).await).await;
        let mut node = scheduler(&server);
        for _ in 0..2 * 30 {
            server.advance(MINUTE * 30);
            tick(&mut node).await;
        }
        let mut started: Vec<_> = runs(&server, name).await.into_iter().map(|run| run.started.machine).collect();
        started.reverse();
        assert_eq!(started, expected.map(|at| format!("{at}.000Z")), "{name}");
    }
}
