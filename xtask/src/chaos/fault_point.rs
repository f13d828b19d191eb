//! The scenario `fail-points`: the server is killed once at each of its named fault points (`server/src/fault.rs`).

use super::installation::{Database, Variables, WEBHOOKS};
use super::receipts::Receipts;
use super::scenario::{BACK_MAX, Scene};
use crate::server::Program;
use anyhow::{Context, Result, bail};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The longest wait for a named fault point. On PostgreSQL the leases of a killed node, 13 s, end first.
const POINT_MAX: Duration = Duration::from_secs(30);
/// The rows that a step of retention removes.
const RETENTION_STEP: usize = 500;

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
        die_at(scene, point, pass, Vec::new())?;
    }
    die_in_the_sweep(scene)?;
    scene.installation.start_node(0, &Vec::new())?;
    scene.load.wait_for_acknowledgement(BACK_MAX)?;
    die_in_retention(scene)?;
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
    die_at(scene, "sweep.before-commit", pass, Vec::new())
}

/// Kills the server between two steps of retention. So few deliveries of a webhook are retained that there are two steps.
fn die_in_retention(scene: &mut Scene<'_>) -> Result<()> {
    let (began, mut receipts) = (Instant::now(), Receipts::open(&scene.installation.record)?);
    let mut arrived = 0;
    while arrived < (RETENTION_STEP + 100) * WEBHOOKS.len() && began.elapsed() < POINT_MAX {
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
        return scene.installation.note_kill();
    }
    if !scene.installation.wait_for_end(0, POINT_MAX)? {
        bail!("{point} was not reached within {} s", POINT_MAX.as_secs());
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
