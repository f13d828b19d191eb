//! The scenario `fail-points`: the server is killed once at each of its named fault points (`server/src/fault.rs`),
//! that of the master key on SQLite alone. It takes some minutes, most of them for a schedule that runs each minute.

use super::installation::{Database, Variables, WEBHOOKS};
use super::load::Acknowledged;
use super::measure::LEASES_LAST;
use super::receipts::Receipts;
use super::scenario::{BACK_MAX, Scene};
use super::schedule::{EachMinute, MINUTE};
use crate::server::{Program, Running};
use anyhow::{Context, Result, bail};
use std::os::unix::process::ExitStatusExt;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The longest wait for a named fault point. On PostgreSQL the leases of a killed node, 13 s, end first.
const POINT_MAX: Duration = Duration::from_secs(30);
/// The signal by which a fault point ends the server.
const SIGABRT: i32 = 6;
/// The settled deliveries of a webhook that retention is told to retain.
const RETAINED: usize = 500;
/// The events around that limit that retention may remove or retain. Events that are posted while the server starts
/// move the limit, and deliveries that are not settled do not count.
const SLACK: usize = 200;
/// The fewest events that retention has to remove. The first steps remove at most 100, 200 and 400 deliveries of a
/// webhook, so it takes three steps or more for each.
const SURPLUS: usize = 600;
/// The events that are posted at once for that, in seconds of the load.
const BURST: u64 = 20;
/// The passes of `retention.between-steps` before deliveries are removed: sessions, receipts and what is too old.
const OTHER_STEPS: u64 = 3;

/// Kills the server once at each fault point.
pub(super) fn fail_points(scene: &mut Scene<'_>) -> Result<()> {
    /// The fault points that are passed under load, each with the most passes before the kill.
    const POINTS: &[(&str, u64)] = &[
        ("intake.before-commit", 60),
        ("intake.after-commit", 60),
        ("settle.before-commit", 30),
        ("settle.after-commit", 30),
        ("send.before", 200),
        ("send.after", 200),
    ];
    sleep(Duration::from_secs(1));
    scene.installation.kill(0)?;
    for (point, most) in POINTS {
        let pass = scene.random.between(1, most + 1);
        die_at(scene, point, pass, Vec::new(), POINT_MAX)?;
    }
    die_in_the_sweep(scene)?;
    scene.installation.start_node(0, &Vec::new())?;
    scene.load.wait_for_acknowledgement(BACK_MAX)?;
    die_in_retention(scene)?;
    die_in_the_schedule(scene)?;
    sleep(Duration::from_millis(500));
    if scene.database == Database::Sqlite {
        die_while_writing_the_key(scene)?;
    }
    Ok(())
}

/// Kills the server in the sweep, which releases the deliveries of a webhook at a rate.
fn die_in_the_sweep(scene: &mut Scene<'_>) -> Result<()> {
    scene.installation.start_node(0, &Vec::new())?;
    scene.installation.post("/webhooks/1/pause", "")?;
    scene.load.wait_for_acknowledgement(BACK_MAX)?;
    sleep(Duration::from_secs(1));
    scene.installation.post("/webhooks/1/resume", "held=all&per_second=10")?;
    scene.installation.kill(0)?;
    let pass = scene.random.between(1, 4);
    die_at(scene, "sweep.before-commit", pass, Vec::new(), POINT_MAX)
}

/// Kills the server while retention removes deliveries. The next start with the same limit has to remove the others,
/// and nothing else.
fn die_in_retention(scene: &mut Scene<'_>) -> Result<()> {
    let limit = || -> Variables { vec![("HOOKWRIGHT_KEEP_PER_WEBHOOK", RETAINED.to_string().into())] };
    let mut receipts = Receipts::open(&scene.installation.record)?;
    wait_for_surplus(scene)?;
    let gone = scene.load.count_gone(0)?;
    if gone > 0 {
        bail!("{gone} acknowledged occurrences were not in the database before any was removed");
    }
    let events = come_to_rest(scene, &mut receipts)?;
    scene.removed = events.len();
    let (due, retained) = parts(&events);
    // The kill is at the second step that removes deliveries or a later one, and before the last.
    let pass = OTHER_STEPS + scene.random.between(2, 5);
    die_at(scene, "retention.between-steps", pass, limit(), POINT_MAX)?;
    // The server starts without the limit, so that retention removes nothing yet.
    scene.installation.start_node(0, &Vec::new())?;
    let stored: usize = scene.load.count_stored(due)?.into_iter().flatten().sum();
    let all = due.len() * WEBHOOKS.len();
    if stored == 0 || stored >= all {
        bail!("{stored} of {all} deliveries were left: retention was not killed while it removed them");
    }
    check_retained(scene, retained)?;
    scene.notes.push(format!("retention was killed when {stored} of {all} deliveries were left to remove"));

    let events = come_to_rest(scene, &mut receipts)?;
    let (due, retained) = parts(&events);
    scene.installation.start_node(0, &limit())?;
    let began = Instant::now();
    while scene.load.count_stored(due)?.iter().any(Option::is_some) {
        if began.elapsed() > POINT_MAX {
            bail!("retention did not remove the others within {} s after it was killed", POINT_MAX.as_secs());
        }
        sleep(Duration::from_millis(200));
    }
    check_retained(scene, retained)?;
    scene.removed = events.len() - retained.len();
    scene.load.wait_for_acknowledgement(BACK_MAX)
}

/// Waits until there are enough acknowledged events for [`parts`].
fn wait_for_surplus(scene: &Scene<'_>) -> Result<()> {
    const EVENTS: usize = SURPLUS + SLACK + RETAINED;
    let began = Instant::now();
    scene.load.hurry(BURST);
    while scene.load.tally().acknowledged.len() < EVENTS {
        if began.elapsed() > POINT_MAX {
            bail!("{EVENTS} events were not acknowledged within {} s", POINT_MAX.as_secs());
        }
        sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// Waits until all acknowledged events have arrived, and stops the server, which records them. Returns the events.
fn come_to_rest(scene: &mut Scene<'_>, receipts: &mut Receipts) -> Result<Vec<Acknowledged>> {
    // A killed node may have sent deliveries that are not settled before its leases end.
    if let Some(kill) = scene.installation.last_kill.filter(|_| scene.database == Database::Postgres) {
        sleep((LEASES_LAST + Duration::from_secs(1)).saturating_sub(kill.elapsed()));
    }
    let events = scene.load.acknowledged();
    receipts.wait_for(&events, POINT_MAX)?;
    scene.installation.stop(0)?;
    Ok(scene.load.acknowledged())
}

/// Returns the events whose deliveries retention has to remove at the next start, and those that it has to retain.
fn parts(events: &[Acknowledged]) -> (&[Acknowledged], &[Acknowledged]) {
    let limit = events.len().saturating_sub(RETAINED);
    (&events[..limit.saturating_sub(SLACK)], &events[(limit + SLACK).min(events.len())..])
}

fn check_retained(scene: &Scene<'_>, retained: &[Acknowledged]) -> Result<()> {
    let stored = scene.load.count_stored(retained)?;
    let less = retained.iter().zip(stored).filter(|(event, stored)| *stored != Some(event.webhooks)).count();
    if less > 0 {
        bail!("retention removed deliveries of {less} events that it had to retain");
    }
    Ok(())
}

/// Kills the server before and after the commit that starts a run of a schedule. The run has to be started once.
fn die_in_the_schedule(scene: &mut Scene<'_>) -> Result<()> {
    let schedule = EachMinute::make(scene.installation)?;
    schedule.wait_for_runs(1, MINUTE + BACK_MAX)?;
    scene.installation.stop(0)?;
    die_at(scene, "schedule.before-commit", 1, Vec::new(), MINUTE + BACK_MAX)?;
    // The run is still due.
    die_at(scene, "schedule.after-commit", 1, Vec::new(), BACK_MAX)?;
    scene.installation.start_node(0, &Vec::new())?;
    schedule.wait_for_runs(2, BACK_MAX)?;
    // The run of the next minute is not due yet.
    sleep(Duration::from_secs(5));
    let runs = schedule.count_runs()?;
    if runs > 2 {
        bail!("a run of a schedule was started {} times", runs - 1);
    }
    EachMinute::end(scene.installation)?;
    scene.load.wait_for_acknowledgement(BACK_MAX)
}

/// Starts the stopped server with a fault, and waits until the fault has killed it.
fn die_at(scene: &mut Scene<'_>, point: &str, pass: u64, mut variables: Variables, bound: Duration) -> Result<()> {
    variables.push(("HOOKWRIGHT_FAULT", format!("{point}=kill@{pass}").into()));
    // The server may pass the point before it says where it listens.
    let mut server = scene.installation.launch_node(0, &variables)?;
    wait_for_fault(&mut server, point, bound)?;
    scene.installation.note_kill()
}

/// Waits until the fault at this point has killed a server. Fails if the server has ended by anything else.
fn wait_for_fault(server: &mut Running, point: &str, bound: Duration) -> Result<()> {
    let Some(status) = server.wait(bound)? else {
        bail!("{point} was not reached within {} s", bound.as_secs());
    };
    let lines = server.printed_to_the_end();
    let is_said = lines.iter().any(|line| line.contains("injecting a fault") && line.contains(point));
    if status.signal() != Some(SIGABRT) || !is_said {
        let last = lines.last().map_or("nothing", String::as_str);
        bail!("the server ended with {status} and not by the fault at {point}; its last line: {last}");
    }
    Ok(())
}

/// Kills a first start while it writes the master key. The next start has to work.
fn die_while_writing_the_key(scene: &Scene<'_>) -> Result<()> {
    let program = Program::new(scene.binary, &scene.installation.folder().join("new"));
    let (listen, point) = ("http://127.0.0.1:0", "key.before-rename");
    let fault = format!("{point}=kill@1");
    let mut server = program.launch(listen, |serve| _ = serve.env("HOOKWRIGHT_FAULT", fault))?;
    wait_for_fault(&mut server, point, POINT_MAX)?;
    program.serve(listen, |_| ()).map(drop).context("after a kill while the key was written the server cannot start")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_leave_out_the_events_around_the_limit() {
        let event = || Acknowledged { object: String::new(), occurrence: String::new(), webhooks: WEBHOOKS.len() };
        let of = |count: usize| {
            let events: Vec<_> = std::iter::repeat_with(event).take(count).collect();
            let (due, retained) = parts(&events);
            (due.len(), retained.len())
        };
        assert_eq!(of(RETAINED + SLACK + SURPLUS), (SURPLUS, RETAINED - SLACK));
        assert_eq!(of(SLACK), (0, 0));
    }
}
