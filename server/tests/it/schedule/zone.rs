//! The time zone of the console.

use super::{add_trigger, at, paused, runs, save, scheduler, statuses, tick};
use crate::harness::Database::{self, Postgres, Sqlite};
use crate::harness::{TestServer, TestStore};
use app::error::Code;
use jiff::tz::TimeZone;
use model::run::Status;
use model::schedule::ZoneDraft;
use rstest::rstest;
use sea_orm::ConnectionTrait;
use server::clock::Zone;

fn draft(time_zone: &str, revision: &str) -> ZoneDraft {
    ZoneDraft { time_zone: time_zone.into(), revision: revision.into() }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn change_of_the_time_zone_plans_all_schedules_anew_on_every_node(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start(TestStore::new(database).await).await;
    let schedules = server.services.backend().schedules;
    let daily = save(&server, "Daily", |draft| draft.start_time = "18:00".into()).await;
    add_trigger(&server, daily, server.task("t", paused(&server).await, "m", false).await).await;
    let next = async || schedules.detail(daily).await.expect("there").runs[0].machine.clone();
    assert_eq!(next().await, "2025-10-16T22:00:00.000Z");

    let form = schedules.zone_form().await.expect("a form");
    assert_eq!((form.zone.as_str(), form.revision.as_str()), ("America/New_York", "America/New_York"));
    assert!(form.zones.iter().any(|name| name == "Europe/Berlin"));
    for wrong in ["", "Mars/Base", "Europe/Berlin\n-"] {
        let error = schedules.set_zone(draft(wrong, "America/New_York")).await.expect_err("refused");
        assert!(error.fields.0[0].message.contains("Europe/Berlin"), "{error:?}");
    }
    let mut other = scheduler(&server);
    schedules.set_zone(draft("europe/berlin", "America/New_York")).await.expect("changed");
    assert_eq!(schedules.zone_form().await.expect("a form").zone, "Europe/Berlin");
    assert_eq!(next().await, "2025-10-16T16:00:00.000Z");
    let error = schedules.set_zone(draft("UTC", "America/New_York")).await.expect_err("another person has changed it");
    assert_eq!(error.code, Code::Conflict);

    // The other node still has the old zone.
    server.set_clock(at("2025-10-16T16:00:00Z"));
    tick(&mut other).await;
    assert_eq!(runs(&server, "t").await.len(), 1);
    assert_eq!(next().await, "2025-10-17T16:00:00.000Z");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn change_of_the_time_zone_neither_repeats_nor_loses_a_run(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start(TestStore::new(database).await).await;
    let schedules = server.services.backend().schedules;
    let paused = paused(&server).await;
    let daily = save(&server, "Daily", |draft| draft.start_time = "08:00".into()).await;
    add_trigger(&server, daily, server.task("daily", paused, "m", false).await).await;
    let once = save(&server, "Once", |draft| {
        draft.unit = "never".into();
        draft.start_time = "18:00".into();
    })
    .await;
    add_trigger(&server, once, server.task("once", paused, "m", false).await).await;
    let next = async |id| schedules.detail(id).await.expect("there").runs.first().map(|run| run.machine.clone());
    assert_eq!(next(daily).await.as_deref(), Some("2025-10-17T12:00:00.000Z"), "it ran today");
    assert_eq!(next(once).await.as_deref(), Some("2025-10-16T22:00:00.000Z"));

    schedules.set_zone(draft("Pacific/Honolulu", "America/New_York")).await.expect("changed");
    assert_eq!(next(daily).await.as_deref(), Some("2025-10-17T18:00:00.000Z"), "not once more today");
    schedules.set_zone(draft("Asia/Tokyo", "Pacific/Honolulu")).await.expect("changed");
    tick(&mut scheduler(&server)).await;
    assert_eq!(statuses(&server, "once").await, [Status::Missed], "it was due hours ago in Tokyo");
    assert_eq!(next(daily).await.as_deref(), Some("2025-10-16T23:00:00.000Z"));
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn first_start_stores_the_time_zone_and_later_ones_adopt_it(#[values(Sqlite, Postgres)] database: Database) {
    let test = TestStore::new(database).await;
    let zone = |name| TimeZone::get(name).expect("a zone");
    let first = Zone::open(&test.store, Some(&zone("Asia/Tokyo"))).await.expect("opens");
    assert_eq!(first.name(), "Asia/Tokyo");
    for configured in [Some(zone("Europe/Dublin")), None] {
        assert_eq!(Zone::open(&test.store, configured.as_ref()).await.expect("opens").name(), "Asia/Tokyo");
    }
    for (stored, name) in [("Apia/None", "UTC"), ("Pacific/Apia", "Pacific/Apia")] {
        let sql = format!("UPDATE setting SET value = '{stored}' WHERE key = 'time_zone'");
        test.store.write().execute_unprepared(&sql).await.expect("changed");
        first.follow(test.store.read()).await.expect("read");
        assert_eq!(first.name(), name);
        assert_eq!(Zone::open(&test.store, None).await.expect("opens").name(), name);
    }
}
