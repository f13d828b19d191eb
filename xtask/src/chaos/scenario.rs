//! The scenarios: the ways in which an installation fails under load.

use super::Plan;
use super::installation::{Database, Installation, Variables};
use super::load::Load;
use super::random::Random;
use super::receipts::Receipts;
use crate::server::Program;
use crate::shell::{command, finish, root};
use anyhow::{Context, Result, bail};
use std::collections::HashSet;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The longest time until a server acknowledges again once nothing fails any more.
const BACK_MAX: Duration = Duration::from_secs(20);
/// The longest wait for a named fault point. On PostgreSQL the leases of a killed node, 13 s, end first.
const POINT_MAX: Duration = Duration::from_secs(20);
/// The rows that a step of retention removes.
const RETENTION_STEP: usize = 500;
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
    /// The number of acknowledged occurrences that are not in the database, if it had to be counted before the end.
    pub(crate) gone: Option<usize>,
}

const BOTH: &[Database] = &[Database::Postgres, Database::Sqlite];

const PLAIN: Scenario =
    Scenario { name: "", databases: BOTH, nodes: 1, mounts: false, hangs: false, setup: None, run: kill };
const SQLITE: &[Database] = &[Database::Sqlite];
const POSTGRES: &[Database] = &[Database::Postgres];

/// The longest scenario is first, as the short form runs them at the same time.
pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario { name: "kill", run: kill, ..PLAIN },
    Scenario { name: "sigterm", hangs: true, run: sigterm, ..PLAIN },
    Scenario { name: "postgres-killed", databases: POSTGRES, run: postgres_killed, ..PLAIN },
    Scenario { name: "disk-full", databases: SQLITE, mounts: true, setup: Some(small_disk), run: disk_full, ..PLAIN },
    Scenario { name: "failing-syncs", databases: SQLITE, setup: Some(faulty_io), run: failing_syncs, ..PLAIN },
    Scenario { name: "fail-points", run: fail_points, ..PLAIN },
    Scenario { name: "freeze", databases: POSTGRES, nodes: 2, run: freeze, ..PLAIN },
    Scenario { name: "schedules", databases: POSTGRES, nodes: 3, run: schedules, ..PLAIN },
];

/// Kills the server at random moments, and starts it again on the same data and port.
fn kill(scene: &mut Scene<'_>) -> Result<()> {
    let mut receipts = Receipts::open(&scene.installation.record)?;
    for _ in 0..scene.plan.kills {
        receipts.read()?;
        let began = Instant::now();
        while scene.plan.waits_for_receipts && receipts.read()? == 0 && began.elapsed() < POINT_MAX {
            sleep(Duration::from_millis(20));
        }
        sleep(scene.random.millis(300, scene.plan.between_kills));
        scene.installation.kill(0)?;
        scene.installation.start_node(0, &Vec::new())?;
        scene.load.wait_for_acknowledgement(BACK_MAX)?;
    }
    sleep(Duration::from_millis(500));
    Ok(())
}

/// Stops the server by SIGTERM, under load and beside a webhook that hangs. Other scenarios end with an idle stop.
fn sigterm(scene: &mut Scene<'_>) -> Result<()> {
    sleep(Duration::from_secs(1));
    for number in 0..4 {
        scene.load.post("poweroff", &format!("hanging-{number}"));
    }
    sleep(Duration::from_secs(1));
    let took = scene.installation.stop(0)?;
    // The hanging attempts start again after the restart.
    scene.installation.note_cut();
    scene.notes.push(format!("stopped {} ms after SIGTERM, under load beside a hanging webhook", took.as_millis()));
    scene.installation.start_node(0, &Vec::new())?;
    scene.load.wait_for_acknowledgement(BACK_MAX)?;
    sleep(Duration::from_millis(500));
    Ok(())
}

/// Kills a session of PostgreSQL, and then stops all of PostgreSQL for two seconds.
fn postgres_killed(scene: &mut Scene<'_>) -> Result<()> {
    sleep(Duration::from_secs(1));
    let (installation, load) = (&mut *scene.installation, scene.load);
    let postgres = installation.postgres.as_mut().context("this scenario needs PostgreSQL")?;
    postgres.kill_session()?;
    load.wait_for_acknowledgement(BACK_MAX)?;
    sleep(Duration::from_secs(1));
    postgres.stop_at_once();
    sleep(Duration::from_secs(2));
    postgres.start_again()?;
    installation.note_cut();
    installation.note_cut();
    load.wait_for_acknowledgement(BACK_MAX)?;
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
    // Ever smaller pieces, until no byte fits.
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

/// Kills the server once at each fault point.
fn fail_points(scene: &mut Scene<'_>) -> Result<()> {
    /// The fault points that are passed under load, each with the most passes before the kill.
    const POINTS: &[(&str, u64)] = &[
        ("intake.before-commit", 60),
        ("intake.after-commit", 60),
        ("settle.before-commit", 30),
        ("settle.after-commit", 30),
        ("send.before", 200),
        ("send.after", 200),
        ("sweep.before-commit", 3),
    ];
    sleep(Duration::from_secs(1));
    scene.installation.kill(0)?;
    for (point, most) in POINTS {
        let pass = scene.random.between(1, most + 1);
        die_at(scene, point, pass, Vec::new())?;
    }
    scene.installation.start_node(0, &Vec::new())?;
    scene.load.wait_for_acknowledgement(BACK_MAX)?;
    die_in_retention(scene)?;
    sleep(Duration::from_millis(500));
    if scene.database == Database::Sqlite {
        die_while_writing_the_key(scene)?;
    }
    Ok(())
}

/// Kills the server between two steps of retention. So few deliveries are retained that there are two steps.
fn die_in_retention(scene: &mut Scene<'_>) -> Result<()> {
    let (began, mut receipts) = (Instant::now(), Receipts::open(&scene.installation.record)?);
    let mut arrived = 0;
    while arrived < RETENTION_STEP + 100 && began.elapsed() < POINT_MAX {
        arrived += receipts.read()?;
        sleep(Duration::from_millis(50));
    }
    // Retention removes the occurrences with their deliveries, so that they cannot be counted afterwards.
    scene.gone = Some(scene.load.count_gone()?);
    scene.installation.stop(0)?;
    die_at(scene, "retention.between-steps", 1, vec![("HOOKWRIGHT_KEEP_PER_WEBHOOK", "1".into())])?;
    scene.installation.start_node(0, &Vec::new())?;
    scene.load.wait_for_acknowledgement(BACK_MAX)
}

/// Starts the stopped server with a fault, and waits until the fault has killed it.
fn die_at(scene: &mut Scene<'_>, point: &str, pass: u64, mut variables: Variables) -> Result<()> {
    variables.push(("HOOKWRIGHT_FAULT", format!("{point}=kill@{pass}").into()));
    let began = Instant::now();
    // Retention starts with the server, maybe before the server says where it listens.
    if scene.installation.start_node(0, &variables).is_err() && began.elapsed() < POINT_MAX {
        scene.installation.note_kill();
        return Ok(());
    }
    if !scene.installation.wait_for_end(0, POINT_MAX)? {
        scene.notes.push(format!("{point} was not reached"));
        scene.installation.kill(0)?;
    }
    Ok(())
}

/// Kills a first start while it writes the master key. The next start has to work.
fn die_while_writing_the_key(scene: &Scene<'_>) -> Result<()> {
    let program = Program::new(scene.binary, &scene.installation.folder().join("new"));
    let listen = "http://127.0.0.1:0";
    if program.serve(listen, |serve| _ = serve.env("HOOKWRIGHT_FAULT", "key.before-rename=kill@1")).is_ok() {
        bail!("key.before-rename was not reached at a first start");
    }
    program.serve(listen, |_| ()).map(drop).context("after a kill while the key was written the server cannot start")
}

/// Freezes one of two nodes for longer than its leases last.
fn freeze(scene: &mut Scene<'_>) -> Result<()> {
    sleep(Duration::from_secs(1));
    scene.installation.signal(1, "STOP")?;
    scene.load.wait_for_acknowledgement(BACK_MAX)?;
    sleep(Duration::from_secs(15));
    scene.installation.signal(1, "CONT")?;
    scene.installation.note_cut();
    scene.load.wait_for_acknowledgement(BACK_MAX)?;
    sleep(Duration::from_secs(1));
    Ok(())
}

/// Starts a task by a schedule each minute for five minutes, on three nodes of which one is killed.
fn schedules(scene: &mut Scene<'_>) -> Result<()> {
    const MINUTE: Duration = Duration::from_mins(1);
    const MINUTES: usize = 5;
    let installation = &mut *scene.installation;
    let record = installation.folder().join("schedules.jsonl");
    let inbox = installation.start_inbox(&record)?;
    let url = format!("http%3A%2F%2F{}%2Frun", inbox.address.replace(':', "%3A"));
    installation.post("/webhooks/new", &format!("name=scheduled&url={url}"))?;
    installation.post("/tasks/new", "name=scheduled&object=3&enabled=true&message=%22%24%7BID%7D%22")?;
    // The database has five schedules from the beginning.
    let rule = "every=1&unit=minutes&start_date=2024-01-01&start_time=00%3A00&all_day=true&never_ends=true";
    installation.post("/schedules/new", &format!("name=chaos&enabled=true&{rule}"))?;
    installation.post("/triggers/new", "schedule=6&task=3&enabled=true")?;
    let deliveries = || -> Result<HashSet<String>> {
        let body =
            |line: &str| Some(serde_json::from_str::<serde_json::Value>(line).ok()?["body"].as_str()?.to_owned());
        Ok(fs::read_to_string(&record)?.lines().filter_map(body).collect())
    };
    let began = Instant::now();
    while deliveries()?.is_empty() {
        if began.elapsed() > MINUTE + BACK_MAX {
            bail!("the schedule started nothing");
        }
        sleep(Duration::from_millis(50));
    }
    sleep(MINUTE + Duration::from_secs(15));
    installation.kill(1)?;
    sleep(MINUTE);
    installation.start_node(1, &Vec::new())?;
    // Half a minute after the fifth run.
    sleep(MINUTE * 2 + Duration::from_secs(15));
    installation.post("/triggers/1/delete", "")?;
    let deliveries = deliveries()?;
    scene.notes.push(format!("{} runs of the schedule, {MINUTES} expected", deliveries.len()));
    if deliveries.len() != MINUTES {
        bail!("the schedule ran {} times in {MINUTES} minutes", deliveries.len());
    }
    scene.load.wait_for_acknowledgement(BACK_MAX)
}
