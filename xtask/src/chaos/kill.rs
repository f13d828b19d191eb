//! The scenarios that kill: a node, one of two nodes, or PostgreSQL, as often as it is asked for.
//!
//! A node is killed soon after events are acknowledged again, and receipts are not waited for. So a thousand kills take
//! minutes, and meet a server that has just started as well as one under load. On PostgreSQL every fifth kill waits longer,
//! since a node that joins others sends nothing for 2.5 s.

use super::installation::Database;
use super::load::RESPONSE_WAIT;
use super::scenario::{BACK_MAX, Scene};
use anyhow::{Context, Result, bail};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The progress is printed each time after so many kills.
const SAID_EVERY: u64 = 50;
/// On PostgreSQL each kill of so many waits until the nodes send.
const LONG_EVERY: u64 = 5;
/// The longest time of a kill with its restart, as the mean of all.
const KILL_LASTS: u32 = 4;

/// Kills a random node at random moments, and starts it again on the same data and port. With two nodes the other one
/// goes on, and acknowledgements go on with it.
pub(super) fn kill(scene: &mut Scene<'_>) -> Result<()> {
    let began = Instant::now();
    let nodes = scene.installation.node_count();
    scene.load.wait_for_acknowledgement(BACK_MAX)?;
    for count in 1..=scene.plan.kills {
        let is_long = scene.database == Database::Postgres && count.is_multiple_of(LONG_EVERY);
        sleep(if is_long { scene.random.millis(2600, 5000) } else { scene.random.millis(20, 300) });
        let node = usize::try_from(scene.random.between(0, nodes.try_into()?))?;
        scene.installation.kill(node)?;
        scene.installation.start_node(node, &Vec::new())?;
        scene.load.wait_for_acknowledgement(BACK_MAX)?;
        let took = began.elapsed();
        if count.is_multiple_of(SAID_EVERY) {
            let (kills, acknowledged) = (scene.plan.kills, scene.load.tally().acknowledged.len());
            let what = if nodes > 1 { "one of two nodes" } else { "one node" };
            let (database, seconds) = (scene.database.name(), took.as_secs());
            println!("{what} on {database}: {count} of {kills} kills, {acknowledged} acknowledged, {seconds} s");
        }
        if took > BACK_MAX + Duration::from_secs(count) * KILL_LASTS {
            bail!("{count} kills took {} s, over {KILL_LASTS} s each", took.as_secs());
        }
    }
    sleep(Duration::from_millis(500));
    let stall = scene.load.tally().stall;
    if nodes > 1 && stall > RESPONSE_WAIT {
        bail!("nothing was acknowledged for {} ms, though a node was there", stall.as_millis());
    }
    Ok(())
}

/// Kills PostgreSQL repeatedly: in turns one of its sessions, which ends all of them, and all of PostgreSQL for a while.
pub(super) fn postgres_killed(scene: &mut Scene<'_>) -> Result<()> {
    for count in 0..scene.plan.postgres_kills {
        sleep(scene.random.millis(300, 1500));
        let outage = scene.random.millis(200, 2000);
        // Marked before and after: an attempt may end without a record in between.
        scene.installation.note_cut()?;
        let postgres = scene.installation.postgres.as_mut().context("this scenario needs PostgreSQL")?;
        if count.is_multiple_of(2) {
            postgres.kill_session()?;
        } else {
            postgres.stop_at_once();
            sleep(outage);
            postgres.start_again()?;
        }
        scene.installation.note_cut()?;
        scene.load.wait_for_acknowledgement(BACK_MAX)?;
    }
    sleep(Duration::from_millis(500));
    Ok(())
}
