//! The scenario `clock`: the server's clock is set while it runs under load.
//!
//! On SQLite due times and leases go by the server's clock. On PostgreSQL they go by the database's clock, which is not
//! set here, so that the server's own clock must not matter.

use super::installation::Variables;
use super::measure::LEASES_LAST;
use super::receipts::Receipts;
use super::scenario::{BACK_MAX, Scene};
use crate::shell::{command, finish, root};
use anyhow::{Context, Result, bail};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The file with the seconds by which the server's clock is ahead, as an `i64`.
const SHIFT: &str = "clock-shift";
const DAY: i64 = 86_400;
const HOUR: i64 = 3600;
/// The events that are posted while the receiver is frozen, in seconds of the load. They fill every slot of a webhook,
/// and more.
const BURST: u64 = 3;
/// The time for which the receiver is frozen, below the webhooks' timeout.
const FROZEN: Duration = Duration::from_secs(1);

/// Builds the shim that shifts the clock, with a shift of zero.
pub(super) fn shifted_clock(folder: &Path) -> Result<Variables> {
    let (source, shim) = (root().join("xtask/src/chaos/shifted_clock.c"), folder.join("shifted_clock.so"));
    finish(command("cc").args(["-shared", "-fPIC", "-O2", "-o"]).arg(&shim).arg(source))?;
    let shift = folder.join(SHIFT);
    set(&shift, 0)?;
    Ok(vec![("LD_PRELOAD", shim.into()), ("SHIFTED_CLOCK", shift.into())])
}

/// Sets the clock by one write, so that the server sees the old or the new shift.
fn set(shift: &Path, seconds: i64) -> Result<()> {
    use std::os::unix::fs::FileExt;
    let file = std::fs::File::options().create(true).truncate(false).write(true).open(shift)?;
    file.write_all_at(&seconds.to_ne_bytes(), 0).context("cannot set the clock")
}

/// Sets the clock a day forward, and an hour back, each time while deliveries wait: the receiver is frozen meanwhile.
pub(super) fn clock(scene: &mut Scene<'_>) -> Result<()> {
    let shift = scene.installation.folder().join(SHIFT);
    let mut receipts = Receipts::open(&scene.installation.record)?;
    for (name, seconds) in [("a day forward", DAY), ("an hour back", DAY - HOUR)] {
        sleep(Duration::from_secs(2));
        // Marked before and after: attempts are in flight in between.
        scene.installation.note_cut()?;
        scene.installation.signal_receiver("STOP")?;
        scene.load.hurry(BURST);
        sleep(FROZEN);
        set(&shift, seconds)?;
        sleep(Duration::from_millis(200));
        scene.installation.signal_receiver("CONT")?;
        scene.installation.note_cut()?;
        let took = wait_for_all(scene, &mut receipts).with_context(|| format!("the clock was set {name}"))?;
        scene.notes.push(format!("all had arrived {} ms after the clock was set {name}", took.as_millis()));
        scene.load.wait_for_acknowledgement(BACK_MAX)?;
        sleep(Duration::from_secs(2));
    }
    let stall = scene.load.tally().stall;
    receipts.read()?;
    let worst = stall.max(Duration::from_millis(receipts.stall.try_into()?));
    if worst > LEASES_LAST {
        bail!("after the clock was set nothing was acknowledged, or nothing arrived, for {} ms", worst.as_millis());
    }
    Ok(())
}

/// Waits until the events that are acknowledged now have arrived. Returns the time that took, at most that of a lease.
fn wait_for_all(scene: &Scene<'_>, receipts: &mut Receipts) -> Result<Duration> {
    let events = scene.load.tally().acknowledged.clone();
    let began = Instant::now();
    loop {
        receipts.read()?;
        let missing = events.iter().filter(|event| !receipts.has(event)).count();
        let took = began.elapsed();
        if missing == 0 {
            return Ok(took);
        }
        if took > LEASES_LAST {
            bail!("{missing} events had not arrived after {} s", took.as_secs());
        }
        sleep(Duration::from_millis(20));
    }
}
