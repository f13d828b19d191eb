//! A schedule that starts a task each minute, and the scenario `schedules`.

use super::installation::{CHAINS, Installation};
use super::scenario::{BACK_MAX, Scene};
use crate::server::Running;
use anyhow::{Result, bail};
use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

pub(super) const MINUTE: Duration = Duration::from_mins(1);

/// A schedule that starts a task each minute. The task has a webhook and a receiver of its own.
pub(super) struct EachMinute {
    record: PathBuf,
    /// The receiver, which ends with this value.
    _inbox: Running,
}

impl EachMinute {
    /// Makes the schedule.
    pub(super) fn make(installation: &Installation) -> Result<Self> {
        let record = installation.folder().join("schedules.jsonl");
        let inbox = installation.start_inbox(&record)?;
        let url = format!("http%3A%2F%2F{}%2Frun", inbox.address.replace(':', "%3A"));
        installation.post("/webhooks/new", &format!("name=scheduled&url={url}"))?;
        let (webhook, task) = (CHAINS + 1, CHAINS + 1);
        let message = "%22%24%7BID%7D%22";
        installation.post("/tasks/new", &format!("name=scheduled&object={webhook}&enabled=true&message={message}"))?;
        let rule = "every=1&unit=minutes&start_date=2024-01-01&start_time=00%3A00&all_day=true&never_ends=true";
        installation.post("/schedules/new", &format!("name=chaos&enabled=true&{rule}"))?;
        // The database has five schedules from the beginning.
        installation.post("/triggers/new", &format!("schedule=6&task={task}&enabled=true"))?;
        Ok(Self { record, _inbox: inbox })
    }

    /// Ends the runs. The receiver still takes what is on its way.
    pub(super) fn end(installation: &Installation) -> Result<()> {
        installation.post("/triggers/1/delete", "")
    }

    /// Returns the number of runs whose delivery has arrived. A repeat has the same id.
    pub(super) fn count_runs(&self) -> Result<usize> {
        let body =
            |line: &str| Some(serde_json::from_str::<serde_json::Value>(line).ok()?["body"].as_str()?.to_owned());
        Ok(fs::read_to_string(&self.record)?.lines().filter_map(body).collect::<HashSet<_>>().len())
    }

    /// Waits until this many runs have arrived.
    pub(super) fn wait_for_runs(&self, count: usize, bound: Duration) -> Result<()> {
        let began = Instant::now();
        while self.count_runs()? < count {
            if began.elapsed() > bound {
                bail!("the schedule had not run {count} times after {} s", bound.as_secs());
            }
            sleep(Duration::from_millis(50));
        }
        Ok(())
    }
}

/// Starts a task by a schedule each minute for five minutes, on three nodes of which one is killed.
pub(super) fn schedules(scene: &mut Scene<'_>) -> Result<()> {
    const MINUTES: usize = 5;
    let schedule = EachMinute::make(scene.installation)?;
    schedule.wait_for_runs(1, MINUTE + BACK_MAX)?;
    sleep(MINUTE + Duration::from_secs(15));
    scene.installation.kill(1)?;
    sleep(MINUTE);
    scene.installation.start_node(1, &Vec::new())?;
    // Half a minute after the fifth run.
    sleep(MINUTE * 2 + Duration::from_secs(15));
    EachMinute::end(scene.installation)?;
    let runs = schedule.count_runs()?;
    scene.notes.push(format!("{runs} runs of the schedule, {MINUTES} expected"));
    if runs != MINUTES {
        bail!("the schedule ran {runs} times in {MINUTES} minutes");
    }
    scene.load.wait_for_acknowledgement(BACK_MAX)
}
