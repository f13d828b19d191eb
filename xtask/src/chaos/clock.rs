//! The scenario `clock`: the server's clock is set while it runs under load.
//!
//! On SQLite due times and leases go by the server's clock. On PostgreSQL they go by the database's clock, which is not
//! set here, so that the server's own clock must not matter. Each setting is read back: on SQLite by the time that a
//! delivery carries, on PostgreSQL by the date of a response.

use super::installation::{Database, EVENT, Variables};
use super::measure::LEASES_LAST;
use super::receipts::Receipts;
use super::scenario::{BACK_MAX, Scene};
use crate::shell::{command, finish, output, root};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
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
/// The seconds by which a clock may differ, since it is read a while after its use.
const TOLERANCE: i64 = 60;

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
    let file = fs::File::options().create(true).truncate(false).write(true).open(shift)?;
    file.write_all_at(&seconds.to_ne_bytes(), 0).context("cannot set the clock")
}

/// Sets the clock a day forward, and an hour back, each time while deliveries wait: the receiver is frozen meanwhile.
pub(super) fn clock(scene: &mut Scene<'_>) -> Result<()> {
    let shift = scene.installation.folder().join(SHIFT);
    let mut receipts = Receipts::open(&scene.installation.record)?;
    for (name, seconds) in [("a day forward", DAY), ("an hour back", DAY - HOUR)] {
        sleep(Duration::from_secs(2));
        // A cut that lasts: attempts are in flight until its end.
        scene.installation.note_cut()?;
        scene.installation.signal_receiver("STOP")?;
        scene.load.hurry(BURST);
        sleep(FROZEN);
        set(&shift, seconds)?;
        sleep(Duration::from_millis(200));
        scene.installation.signal_receiver("CONT")?;
        scene.installation.note_end_of_cut()?;
        let events = scene.load.acknowledged();
        let took = receipts.wait_for(&events, LEASES_LAST).with_context(|| format!("the clock was set {name}"))?;
        scene.notes.push(format!("all had arrived {} ms after the clock was set {name}", took.as_millis()));
        check_shift(scene, &format!("clock-{seconds}"), seconds)?;
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

/// Reads the clock after it was set. Fails if the shim has no effect, and on PostgreSQL also if the server goes by its
/// own clock.
fn check_shift(scene: &Scene<'_>, object: &str, seconds: i64) -> Result<()> {
    let stamped = read_stamp(scene, object)?;
    let expected = if scene.database == Database::Sqlite { seconds } else { 0 };
    if (stamped - expected).abs() > TOLERANCE {
        bail!("a delivery carries a time that is ahead by {stamped} s, and not by {expected} s");
    }
    if scene.database == Database::Postgres {
        // The date may be further ahead, since the HTTP library never sets it back.
        let dated = read_date(scene)?;
        if dated < seconds - TOLERANCE {
            bail!("the server's own clock is ahead by {dated} s, and not by {seconds} s");
        }
    }
    Ok(())
}

/// Posts an event about this object. Returns the seconds by which the time in its message is ahead of this machine's
/// clock.
fn read_stamp(scene: &Scene<'_>, object: &str) -> Result<i64> {
    scene.load.post(EVENT, object);
    let began = Instant::now();
    loop {
        let record = fs::read_to_string(&scene.installation.record)?;
        if let Some(stamp) = record.lines().rev().find_map(|line| stamp_of(line, object)) {
            return Ok(stamp - now());
        }
        if began.elapsed() > LEASES_LAST {
            bail!("an event had not arrived {} s after the clock was set", LEASES_LAST.as_secs());
        }
        sleep(Duration::from_millis(20));
    }
}

/// Returns the time in the message of a recorded delivery, if it is about this object.
fn stamp_of(line: &str, object: &str) -> Option<i64> {
    let received: Value = serde_json::from_str(line).ok()?;
    let body: Value = serde_json::from_str(received["body"].as_str()?).ok()?;
    if body["vm"].as_str()? == object { body["at"].as_i64() } else { None }
}

/// Returns the seconds by which the date of a response is ahead of this machine's clock.
fn read_date(scene: &Scene<'_>) -> Result<i64> {
    let address = scene.installation.addresses().swap_remove(0);
    let mut stream = TcpStream::connect(&address)?;
    write!(stream, "GET /health/live HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut response = String::new();
    stream.read_to_string(&mut response)?;
    let date = response.lines().find_map(|line| line.strip_prefix("date: ")).context("a response without a date")?;
    let seconds: i64 = output(command("date").args(["-u", "-d", date, "+%s"]))?.parse()?;
    Ok(seconds - now())
}

/// Returns this machine's time in seconds since 1970.
#[expect(clippy::disallowed_methods, reason = "the clock that the server's is compared with")]
fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamp_is_that_of_the_delivery_about_the_object() {
        let line = serde_json::json!({ "body": r#"{"vm": "a", "at": 1760629087, "t": null}"# }).to_string();
        assert_eq!(stamp_of(&line, "a"), Some(1_760_629_087));
        assert_eq!(stamp_of(&line, "b"), None);
        assert_eq!(stamp_of(r#"{"path": "/cut", "body": ""}"#, "a"), None);
    }
}
