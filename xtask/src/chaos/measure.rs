//! Runs a scenario and counts its faults: a row of the table.

use super::Plan;
use super::installation::{Database, Installation};
use super::load::Load;
use super::random::Random;
use super::receipts::Receipts;
use super::scenario::{Scenario, Scene};
use anyhow::Result;
use std::time::{Duration, Instant};

/// The most attempts of one webhook, and of all, that a crash may repeat (`docs/operating.md`).
pub(crate) const UNRECORDED_MAX: usize = 32;
pub(crate) const UNRECORDED_ALL_MAX: usize = 512;
/// The longest time without a receipt while events are missing, and the longest time until all have arrived.
const STALL_MAX: Duration = Duration::from_secs(30);
const ARRIVE_MAX: Duration = Duration::from_mins(10);
/// The time until deliveries of a node killed on PostgreSQL are sent again: a lease of the webhook (its timeout of 3 s,
/// and 10 s), and 1.5 s until a node looks at the lease.
pub(crate) const LEASES_LAST: Duration = Duration::from_millis(14_500);
/// The time without a receipt after which no more is expected.
const QUIET: Duration = Duration::from_millis(700);
/// A server with nothing under way stops within this time.
const IDLE_STOP_MAX: Duration = Duration::from_secs(1);

/// A row of the table, its faults, and notes.
pub(crate) type Row = (Vec<String>, Vec<String>, Vec<String>);

/// Runs a scenario, waits until all acknowledged events have arrived, and counts.
pub(crate) fn measure(plan: &Plan, scenario: &Scenario, database: Database) -> Row {
    count(plan, scenario, database).unwrap_or_else(|error| failed(scenario, database, &error))
}

/// Returns the row of a scenario that could not be counted.
pub(crate) fn failed(scenario: &Scenario, database: Database, error: &anyhow::Error) -> Row {
    let cells = [scenario.name, database.name()].into_iter().chain(["?"; 8]).map(str::to_owned).collect();
    (cells, vec![format!("{error:#}")], Vec::new())
}

fn count(plan: &Plan, scenario: &Scenario, database: Database) -> Result<Row> {
    let name = scenario.name.bytes().chain(database.name().bytes());
    let seed = name.fold(plan.seed, |seed, byte| seed.wrapping_mul(31).wrapping_add(byte.into()));
    let mut random = Random::new(seed);
    let (mut installation, key) = Installation::start(&plan.binary, database, scenario, &mut random)?;
    let load = Load::new(installation.addresses(), &key);
    let mut scene = Scene {
        binary: &plan.binary,
        database,
        installation: &mut installation,
        load: &load,
        random,
        plan,
        notes: Vec::new(),
        removed: 0,
    };
    let done = load.during(|| (scenario.run)(&mut scene));
    let (mut notes, removed) = (scene.notes, scene.removed);
    let mut faults: Vec<_> = done.err().map(|error| format!("{error:#}")).into_iter().collect();
    let mut receipts = Receipts::open(&installation.record)?;
    let stall_max = if faults.is_empty() { STALL_MAX } else { LEASES_LAST };
    let missing = wait_for_receipts(&mut receipts, &load, &installation, stall_max)?;
    let gone = load.count_gone(removed).unwrap_or_else(|error| {
        faults.push(format!("{error:#}"));
        0
    });
    if faults.is_empty() && !scenario.hangs {
        let mut took = Duration::ZERO;
        for number in 0..scenario.nodes {
            took = took.max(installation.stop(number)?);
        }
        notes.push(format!("stopped {} ms after SIGTERM, idle", took.as_millis()));
        if took > IDLE_STOP_MAX {
            faults.push(format!("a server with nothing under way took {} ms to stop", took.as_millis()));
        }
    }
    let tally = load.tally();
    let doubled = receipts.doubled();
    let (of_a_webhook, of_a_cut) = (receipts.most_of_a_webhook(), receipts.most_of_a_cut());
    let mut check = |is_fault: bool, text: String| faults.extend(is_fault.then_some(text));
    check(missing > 0, format!("{missing} acknowledged events never arrived"));
    check(gone > 0, format!("{gone} acknowledged occurrences are not in the database"));
    check(of_a_webhook > UNRECORDED_MAX, format!("{of_a_webhook} attempts of one webhook repeated after one cut"));
    check(of_a_cut > UNRECORDED_ALL_MAX, format!("{of_a_cut} attempts repeated after one cut"));
    check(receipts.without_cut > 0, format!("{} attempts repeated without a cut", receipts.without_cut));
    check(doubled > 0, format!("{doubled} events posted again with the same id were taken in twice"));
    check(tally.idle > 0, format!("{} acknowledged events did not start their tasks", tally.idle));
    for (status, count) in &tally.refused {
        // Only a 503 tells a sender to try again.
        check(*status != 503, format!("{count} responses {status}"));
    }
    let unavailable = tally.refused.get(&503).copied().unwrap_or_default();
    notes.push(format!(
        "{unavailable} responses 503, {} connections broken, {} events abandoned",
        tally.broken, tally.abandoned
    ));
    if !faults.is_empty() {
        notes.extend(installation.last_lines());
    }
    let (lost, repeated) = (missing.max(gone), receipts.repeated());
    let numbers = [tally.acknowledged.len(), lost, receipts.cuts, repeated, of_a_webhook, of_a_cut];
    let stalls = [tally.stall.as_millis().to_string(), receipts.stall.to_string()];
    let names = [scenario.name.to_owned(), database.name().to_owned()];
    Ok((names.into_iter().chain(numbers.map(|number| number.to_string())).chain(stalls).collect(), faults, notes))
}

/// Waits until all acknowledged events and their repeats have arrived. Returns the number of missing events.
fn wait_for_receipts(
    receipts: &mut Receipts,
    load: &Load,
    installation: &Installation,
    stall_max: Duration,
) -> Result<usize> {
    let (began, mut last) = (Instant::now(), Instant::now());
    loop {
        if receipts.read()? > 0 {
            last = Instant::now();
        }
        let tally = load.tally();
        let missing = tally.acknowledged.iter().filter(|event| !receipts.has(event)).count();
        drop(tally);
        let has_leases = installation.last_kill.is_some_and(|kill| kill.elapsed() < LEASES_LAST);
        let is_over = missing == 0 && last.elapsed() > QUIET && !(installation.postgres.is_some() && has_leases);
        if is_over || last.elapsed() > stall_max || began.elapsed() > ARRIVE_MAX {
            return Ok(missing);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
