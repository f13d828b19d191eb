//! The scenarios: the ways in which an installation fails under load.

use super::Plan;
use super::clock::{clock, shifted_clock};
use super::fault_point::fail_points;
use super::installation::{Database, Installation, Variables};
use super::kill::{kill, postgres_killed};
use super::load::Load;
use super::random::Random;
use super::schedule::schedules;
use crate::shell::{command, finish, root};
use anyhow::{Result, bail};
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

/// The longest time until a server acknowledges again once nothing fails any more.
pub(crate) const BACK_MAX: Duration = Duration::from_secs(20);
/// The file that makes the shim fail syncs while it exists.
const SYNC_SWITCH: &str = "syncs-fail";

type Setup = fn(&Path) -> Result<Variables>;

/// A scenario.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) databases: &'static [Database],
    pub(crate) nodes: usize,
    /// True for a scenario that mounts a file system. Such a scenario runs in its own mount namespace.
    pub(crate) mounts: bool,
    /// True for a scenario that leaves a webhook hanging.
    pub(crate) hangs: bool,
    /// Prepares the folder of the installation, which has the folder `data`. Returns variables for the server.
    pub(crate) setup: Option<Setup>,
    pub(crate) run: fn(&mut Scene<'_>) -> Result<()>,
}

/// The parts that a scenario works with.
pub(crate) struct Scene<'a> {
    pub(crate) binary: &'a Path,
    pub(crate) database: Database,
    pub(crate) installation: &'a mut Installation,
    pub(crate) load: &'a Load,
    pub(crate) random: Random,
    pub(crate) plan: &'a Plan,
    pub(crate) notes: Vec<String>,
    /// The number of acknowledged events, from the first on, that retention may have removed. The scenario has looked
    /// for them before.
    pub(crate) removed: usize,
}

const BOTH: &[Database] = &[Database::Postgres, Database::Sqlite];

const PLAIN: Scenario =
    Scenario { name: "", databases: BOTH, nodes: 1, mounts: false, hangs: false, setup: None, run: kill };
const SQLITE: &[Database] = &[Database::Sqlite];
const POSTGRES: &[Database] = &[Database::Postgres];

/// The longest scenario is first, as the short form runs them at the same time.
pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario { name: "kill", run: kill, ..PLAIN },
    Scenario { name: "kill-two", databases: POSTGRES, nodes: 2, run: kill, ..PLAIN },
    Scenario { name: "sigterm", hangs: true, run: sigterm, ..PLAIN },
    Scenario { name: "postgres-killed", databases: POSTGRES, run: postgres_killed, ..PLAIN },
    Scenario { name: "disk-full", databases: SQLITE, mounts: true, setup: Some(small_disk), run: disk_full, ..PLAIN },
    Scenario { name: "failing-syncs", databases: SQLITE, setup: Some(faulty_io), run: failing_syncs, ..PLAIN },
    Scenario { name: "fail-points", run: fail_points, ..PLAIN },
    Scenario { name: "clock", setup: Some(shifted_clock), run: clock, ..PLAIN },
    Scenario { name: "freeze", databases: POSTGRES, nodes: 2, run: freeze, ..PLAIN },
    Scenario { name: "schedules", databases: POSTGRES, nodes: 3, run: schedules, ..PLAIN },
];

/// Stops the server by SIGTERM, under load and beside a webhook that hangs. Other scenarios end with an idle stop.
fn sigterm(scene: &mut Scene<'_>) -> Result<()> {
    sleep(Duration::from_secs(1));
    for number in 0..4 {
        scene.load.post("poweroff", &format!("hanging-{number}"));
    }
    sleep(Duration::from_secs(1));
    let took = scene.installation.stop(0)?;
    // The hanging attempts start again after the restart.
    scene.installation.note_cut()?;
    scene.notes.push(format!("stopped {} ms after SIGTERM, under load beside a hanging webhook", took.as_millis()));
    scene.installation.start_node(0, &Vec::new())?;
    scene.load.wait_for_acknowledgement(BACK_MAX)?;
    sleep(Duration::from_millis(500));
    Ok(())
}

fn small_disk(folder: &Path) -> Result<Variables> {
    finish(command("mount").args(["-t", "tmpfs", "-o", "size=64m,mode=700", "chaos"]).arg(folder.join("data")))?;
    Ok(Vec::new())
}

/// Fills the disk for three seconds, and then restarts the server.
fn disk_full(scene: &mut Scene<'_>) -> Result<()> {
    sleep(Duration::from_secs(1));
    let filler = scene.installation.folder().join("data/filler");
    let mut file = File::create(&filler)?;
    // The file is filled by ever smaller pieces, until no byte fits.
    for size in [1 << 20, 4096, 1] {
        while file.write_all(&vec![0; size]).is_ok() {}
    }
    let before = scene.load.tally().acknowledged.len();
    sleep(Duration::from_secs(3));
    let during = scene.load.tally().acknowledged.len() - before;
    // An open file keeps its blocks.
    drop(file);
    fs::remove_file(&filler)?;
    scene.load.wait_for_acknowledgement(BACK_MAX)?;
    sleep(Duration::from_millis(500));
    scene.notes.push(format!("{during} acknowledged while the disk was full"));
    restart(scene, &Vec::new())
}

/// Builds the shim that makes syncs of the database fail.
fn faulty_io(folder: &Path) -> Result<Variables> {
    let (source, shim) = (root().join("server/tests/faulty_io.c"), folder.join("faulty_io.so"));
    finish(command("cc").args(["-shared", "-fPIC", "-O2", "-o"]).arg(&shim).arg(source).arg("-ldl"))?;
    Ok(vec![
        ("LD_PRELOAD", shim.into()),
        ("FAULTY_IO_MATCH", "hookwright.db".into()),
        ("FAULTY_IO_SYNC", folder.join(SYNC_SWITCH).into()),
    ])
}

/// Fails all syncs for three separate seconds, and then restarts the server without failures.
fn failing_syncs(scene: &mut Scene<'_>) -> Result<()> {
    let switch = scene.installation.folder().join(SYNC_SWITCH);
    let mut during = 0;
    for _ in 0..3 {
        sleep(Duration::from_secs(1));
        File::create(&switch)?;
        // The 202 of a commit that was synced just before may still arrive.
        sleep(Duration::from_millis(100));
        let before = scene.load.tally().acknowledged.len();
        sleep(Duration::from_secs(1));
        during += scene.load.tally().acknowledged.len() - before;
        fs::remove_file(&switch)?;
        scene.load.wait_for_acknowledgement(BACK_MAX)?;
    }
    sleep(Duration::from_millis(500));
    if during > 0 {
        bail!("{during} events were acknowledged while no sync succeeded");
    }
    restart(scene, &Vec::new())
}

fn restart(scene: &mut Scene<'_>, variables: &Variables) -> Result<()> {
    scene.installation.stop(0)?;
    scene.installation.start_node(0, variables)?;
    scene.load.wait_for_acknowledgement(BACK_MAX)
}

/// Freezes one of two nodes for longer than its leases last.
fn freeze(scene: &mut Scene<'_>) -> Result<()> {
    sleep(Duration::from_secs(1));
    scene.installation.signal(1, "STOP")?;
    scene.installation.note_cut()?;
    scene.load.wait_for_acknowledgement(BACK_MAX)?;
    sleep(Duration::from_secs(15));
    // A delivery that the other node has sent meanwhile may be sent by this one, too.
    scene.installation.note_end_of_cut()?;
    scene.installation.signal(1, "CONT")?;
    scene.load.wait_for_acknowledgement(BACK_MAX)?;
    sleep(Duration::from_secs(1));
    Ok(())
}
