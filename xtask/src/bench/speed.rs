//! `cargo xtask bench speed`: starts the server on SQLite and on PostgreSQL, measures both in turn, and prints one table.
//! `docs/performance.md` says how to read the table.
//!
//! 1. The sender, the receiver and the bare client are processes of their own (`examples/wire`); `wire` runs them.
//! 2. `subject` is a server under test: ours on a database (`ours`), or a peer that already runs (`peer`).
//! 3. `work` lists the measurements, and `measure` makes them. Each yields figures of one subject in one round; a run
//!    takes the ceiling first.
//! 4. `table` collects the figures of all rounds. It prints medians, and knows which of them break a limit.
//!
//! Every measurement is bounded in count and time. Everything stays on this machine's loopback.

mod form;
mod measure;
mod ours;
mod peer;
mod processes;
mod subject;
mod table;
mod wire;
mod work;

use crate::dist;
use crate::shell::{output, say};
use anyhow::{Context, Result, bail};
use measure::Bench;
use ours::{Database, Ours};
use peer::Peer;
use std::path::{Path, PathBuf};
use subject::Subject;
use table::{Table, grouped};
use wire::Wire;
use work::{Scale, Work};

/// The rounds, unless `--rounds` says another number. The medians count, since the speed of a machine drifts.
const ROUNDS: usize = 3;
/// The settled deliveries of a filled database, unless `--filled` says another number.
const FILLING: u32 = 1_000_000;
/// A run during which other programs take more than this many cores is disturbed.
const DISTURBED: f64 = 0.2;

const HELP: &str = "\
cargo xtask bench speed [OPTIONS] [BINARY]
  --rounds N        how often each measurement is repeated (3)
  --only NAME       the measurements of this name or group; may be repeated. --list prints the names
  --filled [N]      after N settled deliveries (1,000,000), and with the times of pages
  --database NAME   sqlite or postgresql alone
  --against URL     also measures a peer that speaks Svix's API at this URL, with
  --token T           its token, or with the variable BENCH_TOKEN, and
  --processes P,P     the ids of its processes, for CPU and memory; children are counted
  --short           a tenth of the messages, the pages, and no limits: does the bench work?
";

/// The options.
struct Options {
    binary: Option<PathBuf>,
    rounds: usize,
    only: Vec<String>,
    databases: Vec<Database>,
    /// The settled deliveries that each database begins with.
    filled: Option<u32>,
    is_short: bool,
    against: Option<String>,
    token: String,
    processes: Vec<u32>,
}

impl Options {
    fn read(arguments: &[String]) -> Result<Option<Self>> {
        let mut options = Self {
            binary: None,
            rounds: ROUNDS,
            only: Vec::new(),
            databases: vec![Database::Sqlite, Database::Postgres],
            filled: None,
            is_short: false,
            against: None,
            token: std::env::var("BENCH_TOKEN").unwrap_or_default(),
            processes: Vec::new(),
        };
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().with_context(|| format!("{word} needs a value\n{HELP}"));
            match word.as_str() {
                "--rounds" => options.rounds = value()?.parse().context("--rounds needs a number")?,
                "--only" => options.only.push(value()?.clone()),
                "--database" => options.databases = vec![Database::named(value()?)?],
                "--filled" => {
                    let number = words.as_slice().first().and_then(|word| word.parse::<u32>().ok());
                    if number.is_some() {
                        words.next();
                    }
                    options.filled = Some(number.unwrap_or(FILLING));
                }
                "--short" => options.is_short = true,
                "--against" => options.against = Some(value()?.clone()),
                "--token" => options.token.clone_from(value()?),
                "--processes" => {
                    let ids: Result<_, _> = value()?.split(',').map(str::parse).collect();
                    options.processes = ids.context("--processes needs numbers with commas between")?;
                }
                "--list" => {
                    for work in Work::all() {
                        println!("{}", work.name());
                    }
                    return Ok(None);
                }
                "--help" => {
                    print!("{HELP}");
                    return Ok(None);
                }
                path if !path.starts_with('-') && options.binary.is_none() => {
                    options.binary =
                        Some(Path::new(path).canonicalize().with_context(|| format!("there is no {path}"))?);
                }
                other => bail!("there is no option {other}\n{HELP}"),
            }
        }
        Ok(Some(options))
    }

    /// Returns the measurements to make, in their order.
    fn work(&self) -> Result<Vec<Work>> {
        let is_wanted = |work: &Work| {
            let name = work.name();
            // `deliveries-1` is all of `deliveries-1-…`, but not `deliveries-10-…`.
            let is_named = |only: &String| name.strip_prefix(only).is_some_and(|r| r.is_empty() || r.starts_with('-'));
            if self.only.is_empty() {
                self.filled.is_some() || self.is_short || !work.needs_filling()
            } else {
                self.only.iter().any(is_named)
            }
        };
        let found: Vec<_> = Work::all().into_iter().filter(is_wanted).collect();
        if found.is_empty() {
            bail!("there is no such measurement; --list prints their names");
        }
        let needs_filling = found.iter().find(|work| work.needs_filling());
        if let Some(work) = needs_filling.filter(|_| self.filled.is_none() && !self.is_short) {
            bail!("{} says nothing about an empty database: add --filled", work.name());
        }
        Ok(found)
    }
}

/// Measures, prints the table, and fails when a figure breaks a limit.
pub(super) fn run(arguments: &[String]) -> Result<()> {
    let Some(options) = Options::read(arguments)? else { return Ok(()) };
    let work = options.work()?;
    let binary = options.binary.clone().map_or_else(dist::make, Ok)?;
    let folder = tempfile::Builder::new().prefix("hookwright-bench-").tempdir()?;
    let mut bench =
        Bench::new(Wire::start()?, folder.path(), if options.is_short { Scale::Short } else { Scale::Full });
    let mut subjects = Vec::new();
    for database in &options.databases {
        say(&format!("preparing {}", database.name()));
        let mut ours = Ours::start(&binary, *database, folder.path(), bench.wire.address())?;
        if let Some(deliveries) = options.filled {
            ours.fill(deliveries)?;
        }
        subjects.push(Subject::Ours(Box::new(ours)));
    }
    if let Some(url) = &options.against {
        say(&format!("preparing the peer at {url}"));
        subjects.push(Subject::Peer(Peer::prepare(url, &options.token, &options.processes, bench.wire.address())?));
    }
    let mut table = Table::new(subjects.iter().map(Subject::name).collect());
    for work in &work {
        for round in 1..=options.rounds {
            for (column, subject) in subjects.iter_mut().enumerate() {
                say(&format!("{}, {}, round {round} of {}", work.name(), subject.name(), options.rounds));
                match (bench.measure(work, subject), subject) {
                    (Ok(figures), _) => table.add(column, figures),
                    // A peer may lack a feature that a measurement needs.
                    (Err(error), Subject::Peer(_)) => println!("    the peer fails: {error:#}"),
                    (Err(error), Subject::Ours(_)) => return Err(error.context(format!("{} failed", work.name()))),
                }
            }
        }
    }
    // Servers and databases end before the table is printed, so that nothing disturbs its reader.
    for ours in subjects.iter_mut().filter_map(Subject::ours) {
        ours.stop()?;
    }
    drop(subjects);
    let version = output(crate::shell::command(&binary).arg("--version"))?;
    let after = |count: u32| format!(", after {} settled deliveries", grouped(count.into(), 0));
    let after = options.filled.map(after).unwrap_or_default();
    println!("\n{version} on {}{after}; medians of {} rounds\n", processes::machine()?, options.rounds);
    println!("{table}");
    println!("{}", bench.ceilings());
    let disturbed = bench.disturbed(DISTURBED);
    if disturbed > 0 {
        println!("Other programs took over {DISTURBED} cores during {disturbed} runs: do not compare these figures.");
    }
    let mut faults = bench.faults;
    if !options.is_short {
        faults.extend(table.broken());
    }
    if !faults.is_empty() {
        bail!("{}", faults.join("\n"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(words: &[&str]) -> Options {
        let words: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
        Options::read(&words).ok().flatten().expect("options")
    }

    #[test]
    fn filled_takes_a_number_or_not() {
        let filled = |words: &[&str]| options(words).filled;
        assert_eq!(filled(&[]), None);
        assert_eq!(filled(&["--filled"]), Some(FILLING));
        assert_eq!(filled(&["--filled", "--short"]), Some(FILLING));
        assert_eq!(filled(&["--filled", "8400000", "--rounds", "1"]), Some(8_400_000));
    }

    #[test]
    fn pages_of_an_empty_database_are_refused() {
        let refused = options(&["--only", "pages"]).work().err().map(|error| format!("{error:#}"));
        assert_eq!(refused.as_deref(), Some("pages says nothing about an empty database: add --filled"));
        assert!(options(&["--only", "pages", "--filled"]).work().is_ok());
        assert!(options(&["--only", "pages", "--short"]).work().is_ok());
        assert!(options(&[]).work().is_ok_and(|work| work.iter().all(|work| !work.needs_filling())));
    }
}
