//! The scenarios that kill: a node, one of two nodes, or PostgreSQL, as often as the command line says.
//!
//! Four of five kills meet a node that has delivered since its start, within a burst of events, so that deliveries are
//! on their way. Each fifth does not wait for that: on PostgreSQL it mostly meets a node that has sent nothing, since a
//! node that joins others waits for 2.5 s first. The scenarios do not wait for receipts.
//!
//! A node that was killed counts as present for five seconds. Where it was the only one, its row is therefore deleted
//! before the restart, as if these seconds had passed, except before each fifth kill. With two nodes the wait is real.
//! So a thousand kills of one node take about a quarter of an hour, and of one of two nodes half an hour.

use super::installation::Installation;
use super::load::RESPONSE_WAIT;
use super::scenario::{BACK_MAX, Scene};
use anyhow::{Context, Result, bail};
use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The number of kills after which the progress is printed again.
const SAID_EVERY: u64 = 50;
/// One kill of this many does not wait until the node delivers.
const EARLY_EVERY: u64 = 5;
/// The events that are posted at once before a kill, in seconds of the load: more than may be unrecorded of a webhook.
const BURST: u64 = 1;
/// The highest mean of the seconds that a kill takes with its restart.
const KILL_LASTS: u32 = 4;

/// Kills a random node at random moments, and starts it again on the same data and port. With two nodes the other one
/// goes on, and acknowledgements go on with it.
pub(super) fn kill(scene: &mut Scene<'_>) -> Result<()> {
    let (began, kills) = (Instant::now(), scene.plan.kills);
    let nodes = scene.installation.node_count();
    let mut delivering = 0;
    scene.load.wait_for_acknowledgement(BACK_MAX)?;
    for count in 1..=kills {
        let node = usize::try_from(scene.random.between(0, nodes.try_into()?))?;
        if !count.is_multiple_of(EARLY_EVERY) {
            wait_until_it_delivers(scene.installation, node)?;
        }
        sleep(scene.random.millis(0, 400));
        scene.load.hurry(BURST);
        sleep(scene.random.millis(5, 150));
        delivering += u64::from(has_delivered(scene.installation, node)?);
        scene.installation.kill(node)?;
        let is_next_early = (count + 1).is_multiple_of(EARLY_EVERY);
        if let Some(postgres) = scene.installation.postgres.as_ref().filter(|_| nodes == 1 && !is_next_early) {
            postgres.ask("DELETE FROM node")?;
        }
        scene.installation.start_node(node, &Vec::new())?;
        scene.load.wait_for_acknowledgement(BACK_MAX)?;
        let took = began.elapsed();
        if count.is_multiple_of(SAID_EVERY) {
            let acknowledged = scene.load.tally().acknowledged.len();
            let what = if nodes > 1 { "one of two nodes" } else { "one node" };
            let (database, seconds) = (scene.database.name(), took.as_secs());
            println!(
                "{what} on {database}: {count} of {kills} kills, {delivering} of a node that had delivered, \
                 {acknowledged} acknowledged, {seconds} s"
            );
        }
        if took > BACK_MAX + Duration::from_secs(count) * KILL_LASTS {
            bail!("{count} kills took {} s, over {KILL_LASTS} s each", took.as_secs());
        }
    }
    scene.notes.push(format!("{delivering} of {kills} kills met a node that had delivered since its start"));
    sleep(Duration::from_millis(500));
    let stall = scene.load.tally().stall;
    if nodes > 1 && stall > RESPONSE_WAIT {
        bail!("nothing was acknowledged for {} ms, though a node was there", stall.as_millis());
    }
    Ok(())
}

fn wait_until_it_delivers(installation: &Installation, node: usize) -> Result<()> {
    let began = Instant::now();
    while !has_delivered(installation, node)? {
        if began.elapsed() > BACK_MAX {
            bail!("a node has delivered nothing within {} s", BACK_MAX.as_secs());
        }
        sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// Returns true if a node has delivered since its start: its connections to the receiver stay open.
fn has_delivered(installation: &Installation, node: usize) -> Result<bool> {
    let sockets = sockets_to(installation.receiver_port()?, &fs::read_to_string("/proc/net/tcp")?);
    let files = fs::read_dir(format!("/proc/{}/fd", installation.node_id(node)?))?;
    // A file may have been closed since.
    Ok(files.flatten().filter_map(|file| fs::read_link(file.path()).ok()).any(|file| sockets.contains(&file)))
}

/// Returns the sockets that are connected to a port, as links to open files name them, from `/proc/net/tcp` (proc(5)).
fn sockets_to(port: u16, table: &str) -> HashSet<PathBuf> {
    let port = format!(":{port:04X}");
    let socket = |line: &str| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let (remote, inode) = (fields.get(2)?, fields.get(9)?);
        remote.ends_with(&port).then(|| PathBuf::from(format!("socket:[{inode}]")))
    };
    table.lines().filter_map(socket).collect()
}

/// Kills PostgreSQL repeatedly: in turns one of its sessions, which ends all of them, and all of PostgreSQL for a
/// while.
pub(super) fn postgres_killed(scene: &mut Scene<'_>) -> Result<()> {
    for count in 0..scene.plan.postgres_kills {
        sleep(scene.random.millis(300, 1500));
        let outage = scene.random.millis(200, 2000);
        // A cut that lasts: an attempt may end without a record in between.
        scene.installation.note_cut()?;
        let postgres = scene.installation.postgres.as_mut().context("this scenario needs PostgreSQL")?;
        if count.is_multiple_of(2) {
            postgres.kill_session()?;
        } else {
            postgres.stop_at_once();
            sleep(outage);
            postgres.start_again()?;
        }
        scene.installation.note_end_of_cut()?;
        scene.load.wait_for_acknowledgement(BACK_MAX)?;
    }
    sleep(Duration::from_millis(500));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_found_by_the_port_of_the_other_end() {
        let line = |local: &str, remote: &str, inode: u32| {
            format!("   0: {local} {remote} 01 00000000:00000000 00:00000000 00000000     0        0 {inode} 1 0 20\n")
        };
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
            .to_owned()
            + &line("0100007F:1F90", "0100007F:C350", 11)
            + &line("0100007F:C350", "0100007F:1F90", 12);
        assert_eq!(sockets_to(8080, &table), HashSet::from([PathBuf::from("socket:[12]")]));
    }
}
