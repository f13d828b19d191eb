//! `cargo xtask chaos`: checks that every acknowledged event is delivered, whatever fails.
//!
//! The real binary works under load while its disk, its database, a node or the program itself fails. An event is lost
//! if it got a 202 and never arrived at one of its webhooks, or is no longer in the database. Everything stays on this
//! machine's loopback, is bounded in count and time, and ends by itself.
//!
//! A cut is a fault by which attempts may lose their record: a kill, or another fault from its beginning to its end.
//! Each cut may repeat at most 32 attempts of a webhook and 512 in all. Nothing is repeated without a cut. The load has
//! three webhooks, so a cut repeats 96 at most, and the limit of 512 is not tested. A test would need seventeen
//! webhooks, which have too many deliveries for a small machine.
//!
//! The server's clock is set by a shim in C that is loaded into the server (`shifted_clock.c`). The clock of this
//! machine stays as it is.

mod clock;
mod fault_point;
mod installation;
mod kill;
mod load;
mod measure;
mod random;
mod receipts;
mod scenario;
mod schedule;

use crate::shell::{command, finish, say};
use crate::{dist, tool};
use anyhow::{Context, Result, bail};
use installation::Database;
use measure::{Row, UNRECORDED_ALL_MAX, UNRECORDED_MAX, failed, measure};
use scenario::{SCENARIOS, Scenario};
use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// The scenarios of the short form.
const SHORT: &[&str] = &["kill", "sigterm", "postgres-killed", "disk-full"];

/// The settings of a run.
pub(crate) struct Plan {
    binary: PathBuf,
    seed: u64,
    /// The number of random kills of the server.
    kills: u64,
    /// The number of kills of PostgreSQL.
    postgres_kills: u64,
    /// The number of scenarios that run at the same time.
    lanes: usize,
    /// The file for the row of the only scenario. Set in a process that was started in a namespace.
    row: Option<PathBuf>,
    names: Vec<String>,
}

/// Runs the scenarios that the command line names, or all scenarios.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let mut plan = Plan {
        binary: PathBuf::new(),
        seed: random::new_seed(),
        kills: 50,
        postgres_kills: 20,
        lanes: 1,
        row: None,
        names: Vec::new(),
    };
    let mut arguments = arguments.iter();
    let mut is_short = false;
    while let Some(word) = arguments.next() {
        let mut value = || arguments.next().with_context(|| format!("{word} needs a value"));
        match word.as_str() {
            "--binary" => plan.binary = Path::new(value()?).canonicalize().context("there is no such binary")?,
            "--kills" => plan.kills = value()?.parse().context("--kills needs a number")?,
            "--seed" => plan.seed = value()?.parse().context("--seed needs a number")?,
            "--row" => plan.row = Some(value()?.into()),
            "--short" => is_short = true,
            name if SCENARIOS.iter().any(|scenario| scenario.name == name) => plan.names.push(name.to_owned()),
            other => bail!(
                "there is no scenario {other}; there are {}",
                SCENARIOS.iter().map(|scenario| scenario.name).collect::<Vec<_>>().join(", ")
            ),
        }
    }
    if is_short {
        (plan.kills, plan.postgres_kills, plan.lanes) = (2, 2, 3);
        if plan.names.is_empty() {
            plan.names = SHORT.iter().map(|name| (*name).to_owned()).collect();
        }
    }
    if plan.binary.as_os_str().is_empty() {
        plan.binary = dist::make_quickly()?;
    }
    run_plan(&plan)
}

fn run_plan(plan: &Plan) -> Result<()> {
    let is_asked = |scenario: &&Scenario| plan.names.is_empty() || plan.names.iter().any(|name| name == scenario.name);
    let jobs: VecDeque<_> = SCENARIOS
        .iter()
        .filter(is_asked)
        .flat_map(|scenario| scenario.databases.iter().map(move |database| (scenario, *database)))
        .enumerate()
        .collect();
    if let Some(path) = &plan.row {
        let (_, (scenario, database)) = jobs.front().context("no scenario")?;
        return Ok(fs::write(path, serde_json::to_vec(&measure(plan, scenario, *database))?)?);
    }
    tool::network_programs()?;
    say(&format!("chaos, seed {}", plan.seed));
    let (jobs, rows) = (Mutex::new(jobs), Mutex::new(Vec::new()));
    // A closure, so that the lock is released before the job runs.
    let next = || jobs.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    let work = || {
        while let Some((number, (scenario, database))) = next() {
            let began = Instant::now();
            let row = if scenario.mounts { measure_apart(plan, scenario) } else { measure(plan, scenario, database) };
            println!("{} on {}: {:.1} s", scenario.name, database.name(), began.elapsed().as_secs_f64());
            rows.lock().unwrap_or_else(PoisonError::into_inner).push((number, row));
        }
    };
    std::thread::scope(|scope| (0..plan.lanes).for_each(|_| _ = scope.spawn(work)));
    let mut rows = rows.into_inner().unwrap_or_else(PoisonError::into_inner);
    rows.sort();
    let rows: Vec<_> = rows.into_iter().map(|(_, row)| row).collect();
    print(&rows);
    if rows.iter().any(|(_, faults, _)| !faults.is_empty()) {
        bail!("a guarantee does not hold (seed {})", plan.seed);
    }
    Ok(())
}

/// Measures in a process with its own mount namespace. The mounts end with the process, and root is not needed.
fn measure_apart(plan: &Plan, scenario: &Scenario) -> Row {
    let apart = || -> Result<Row> {
        let file = tempfile::NamedTempFile::new()?;
        let mut unshare = command("unshare");
        unshare.arg("--mount");
        if !tool::is_root() {
            unshare.arg("--map-root-user");
        }
        unshare.arg(std::env::current_exe()?).args(["chaos", "--seed", &plan.seed.to_string(), "--row"]);
        finish(unshare.arg(file.path()).arg("--binary").arg(&plan.binary).arg(scenario.name))?;
        Ok(serde_json::from_slice(&fs::read(file.path())?)?)
    };
    apart().unwrap_or_else(|error| failed(scenario, Database::Sqlite, &error))
}

fn print(rows: &[Row]) {
    const HEAD: [&str; 10] = [
        "scenario",
        "database",
        "acknowledged",
        "lost",
        "cuts",
        "repeated",
        "most of a webhook",
        "most of a cut",
        "ms without 202",
        "without receipt",
    ];
    println!();
    let head: Row = (HEAD.map(str::to_owned).to_vec(), Vec::new(), Vec::new());
    for (cells, _, _) in std::iter::once(&head).chain(rows) {
        let line: String = cells
            .iter()
            .zip(HEAD)
            .map(|(cell, head)| match head {
                "scenario" | "database" => format!("{cell:<16}"),
                _ => format!("{cell:>0$}  ", head.len()),
            })
            .collect();
        println!("{}", line.trim_end());
    }
    println!("a cut may repeat {UNRECORDED_MAX} attempts of a webhook, and {UNRECORDED_ALL_MAX} in all");
    for (cells, faults, notes) in rows {
        let lines = faults.iter().map(|fault| format!("FAULT: {fault}")).chain(notes.iter().cloned());
        for line in lines {
            println!("{} on {}: {line}", cells[0], cells[1]);
        }
    }
}
