//! The measurements, each of one subject in one round.

mod backlog;
mod pages;

use super::processes::{Snapshot, durable_appends, exact_seconds, memory_mib};
use super::subject::{Subject, Topic};
use super::table::{Figure, median};
use super::wire::{Load, Sent, Span, Wire};
use super::work::{Scale, Work};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The messages before a run, which fill caches and open connections.
const WARM_UP: u32 = 200;
/// The time after a run in which the server stores what it has delivered. The CPU of this time counts too.
const SETTLING: Duration = Duration::from_millis(500);
/// The time after a start until a server is idle.
const IDLE: Duration = Duration::from_secs(2);
/// The time in which the CPU of an idle server is measured. It has two of the looks that such a server makes every ten
/// seconds.
const IDLE_LASTS: Duration = Duration::from_secs(20);
/// The bytes of a durable commit on SQLite: of the smallest, a page, and of a group of fourteen occurrences, twenty
/// pages.
const COMMITS: [usize; 2] = [4096, 20 * 4096];
/// The longest time until a backlog has drained.
const DRAIN_MAX: Duration = Duration::from_mins(5);
/// The messages for the webhook that hangs, and the rate of those for the others.
const HANGING: u32 = 200;
const LANES_PER_S: u32 = 100;

/// A run and its ceiling.
struct Run {
    /// The posts a second of the bare client right before.
    bare: f64,
    sent: Sent,
    /// The CPU seconds of the subject per 1,000 deliveries, if its processes are known.
    cpu: Option<f64>,
}

/// The state that all measurements share.
pub(super) struct Bench {
    pub(super) wire: Wire,
    /// The faults of all loads: refused messages, and deliveries that were repeated. None is permitted.
    pub(super) faults: Vec<String>,
    scale: Scale,
    /// A folder on the disk of the databases.
    folder: PathBuf,
    bare: Vec<f64>,
    /// The durable appends a second, of each size of a commit.
    appends: [Vec<f64>; 2],
    /// The cores that other programs took in each run.
    others: Vec<f64>,
}

impl Bench {
    pub(super) fn new(wire: Wire, folder: &Path, scale: Scale) -> Self {
        let (faults, bare, appends, others) = Default::default();
        Self { wire, faults, scale, folder: folder.to_owned(), bare, appends, others }
    }

    /// Returns a sentence about the ceilings of all runs.
    pub(super) fn ceilings(&self) -> String {
        let of = |values: &[f64]| {
            let (low, high) = values.iter().fold((f64::MAX, 0.0_f64), |(l, h), value| (l.min(*value), h.max(*value)));
            format!("{:.0} ({low:.0} to {high:.0})", median(values.to_vec()).unwrap_or_default())
        };
        if self.bare.is_empty() {
            return String::new();
        }
        let [small, large] = self.appends.each_ref().map(|appends| of(appends));
        format!(
            "The bare client made {} posts/s. The disk made {small} appends/s of 4 KiB durable, and {large} of 80 KiB.",
            of(&self.bare)
        )
    }

    /// Returns the number of runs during which other programs took more than this many cores.
    pub(super) fn disturbed(&self, cores: f64) -> usize {
        self.others.iter().filter(|other| **other > cores).count()
    }

    /// Measures one subject once. Returns no figures if the subject cannot be measured in this way.
    pub(super) fn measure(&mut self, work: &Work, subject: &mut Subject) -> Result<Vec<Figure>> {
        self.wire.reset()?;
        match work {
            Work::Process => self.process(subject),
            Work::Deliveries { webhooks, senders } => self.deliveries(subject, *webhooks, *senders),
            Work::Latency { rate } => self.latency(subject, *rate),
            Work::Hanging => self.hanging(subject),
            Work::Disk => self.disk(subject),
            Work::Backlog => self.backlog(subject),
            Work::Pages => self.pages(subject),
        }
    }

    fn count(&self, messages: u32) -> u32 {
        if self.scale == Scale::Short { messages / 10 } else { messages }
    }

    /// Notes a fault. A peer's is only printed.
    fn note(&mut self, subject: &Subject, fault: &str) {
        let fault = format!("{}: {fault}", subject.name());
        println!("    {fault}");
        if matches!(subject, Subject::Ours(_)) {
            self.faults.push(fault);
        }
    }

    /// Sends a load. Notes a fault if something was refused, or delivered twice.
    fn send(&mut self, subject: &Subject, topic: Topic, load: Load) -> Result<Sent> {
        let sent = self.wire.send(&subject.message(topic), topic, load)?;
        if sent.refused > 0 || sent.doubles > 0 {
            self.note(subject, &format!("{} refused, {} repeated", sent.refused, sent.doubles));
        }
        Ok(sent)
    }

    /// Waits until this many deliveries have arrived since the reset, after a load that has not waited for all of them.
    /// Notes a fault if there are more.
    fn wait(&mut self, subject: &Subject, topic: Topic, count: u32) -> Result<Span> {
        let span = self.wire.wait(topic, count, DRAIN_MAX)?;
        if span.count > count {
            self.note(subject, &format!("{} repeated", span.count - count));
        }
        Ok(span)
    }

    /// Sends a load after its ceiling was measured. Notes the CPU of the subject and of other programs.
    fn run(&mut self, subject: &Subject, topic: Topic, load: Load) -> Result<Run> {
        self.send(subject, topic, Load::closed(WARM_UP, load.connections.min(16)))?;
        std::thread::sleep(SETTLING);
        for (appends, bytes) in self.appends.iter_mut().zip(COMMITS) {
            appends.push(durable_appends(&self.folder, bytes)?);
        }
        let bare = self.wire.bare()?;
        let before = Snapshot::take()?;
        let sent = self.send(subject, topic, load)?;
        std::thread::sleep(SETTLING);
        let after = Snapshot::take()?;
        self.bare.push(bare);
        let processes = subject.processes();
        let of_subject = |snapshot: &Snapshot| processes.iter().map(|id| snapshot.seconds_below(*id)).sum::<f64>();
        let own = |snapshot: &Snapshot| {
            snapshot.seconds_of(std::process::id()) + snapshot.seconds_of(self.wire.receiver.id())
        };
        let cpu = of_subject(&after) - of_subject(&before);
        if !processes.is_empty() {
            let others = after.machine - before.machine - cpu - (own(&after) - own(&before));
            self.others.push(others / after.at.duration_since(before.at).as_secs_f64());
        }
        let cpu = (!processes.is_empty()).then_some(cpu / sent.delivered.max(1.0) * 1000.0);
        Ok(Run { bare, sent, cpu })
    }

    fn process(&mut self, subject: &mut Subject) -> Result<Vec<Figure>> {
        let mut figures = Vec::new();
        if let Some(ours) = subject.ours() {
            let (stopped, started) = (ours.stop()?, ours.serve()?);
            figures.push(Figure::new("start, ms until it listens", 0, started.as_secs_f64() * 1000.0));
            figures.push(Figure::new("SIGTERM, s until it has ended", 2, stopped.as_secs_f64()));
            std::thread::sleep(IDLE);
        }
        // The first process is the server. The memory of the database does not count.
        let Some(server) = subject.processes().first().copied() else { return Ok(figures) };
        let idle = memory_mib(server, "VmRSS")?;
        figures.push(Figure::new("memory of the server, idle, MiB", 0, idle).at_most([Some(40.0); 2]));
        if self.scale != Scale::Short {
            let before = exact_seconds(server)?;
            std::thread::sleep(IDLE_LASTS);
            let per_cent = (exact_seconds(server)? - before) / IDLE_LASTS.as_secs_f64() * 100.0;
            figures.push(Figure::new("CPU of the server, idle, % of a core", 2, per_cent).at_most([Some(0.1); 2]));
        }
        self.run(subject, Topic::Ten, Load::closed(self.count(1500), 64))?;
        figures.push(Figure::new("memory of the server, peak, MiB", 0, memory_mib(server, "VmHWM")?));
        Ok(figures)
    }

    fn deliveries(&mut self, subject: &Subject, webhooks: u32, senders: u32) -> Result<Vec<Figure>> {
        let topic = if webhooks == 1 { Topic::One } else { Topic::Ten };
        let messages = match (webhooks, senders) {
            (1, 1) => 2000,
            (1, _) => 6000,
            (_, 1) => 500,
            _ => 1500,
        };
        let Run { bare, sent, cpu } = self.run(subject, topic, Load::closed(self.count(messages), senders))?;
        let what = format!("{webhooks} webhook{}, {senders} sender{}", plural(webhooks), plural(senders));
        let limits = match (webhooks, senders) {
            (1, 16) => [Some(135.0), Some(54.0)],
            (1, 64) => [None, Some(54.0)],
            (10, 16) => [Some(210.0), Some(140.0)],
            (10, 64) => [None, Some(140.0)],
            _ => [None; 2],
        };
        let rate = Figure::new(format!("{what}: deliveries/s"), 0, sent.deliveries_per_s);
        let mut figures = vec![rate.beside(bare).at_least(limits)];
        if webhooks == 1 {
            figures.push(Figure::new(format!("{what}: occurrences accepted/s"), 0, sent.ingest_per_s).beside(bare));
        }
        if senders == 16 {
            let limits = if webhooks == 1 { [Some(0.09), Some(0.30)] } else { [None; 2] };
            figures.extend(cpu.map(|cpu| Figure::new(format!("{what}: CPU s per 1,000"), 3, cpu).at_most(limits)));
            figures.extend(receipts(&what, &sent, [None; 2], [None; 2]));
        }
        Ok(figures)
    }

    fn latency(&mut self, subject: &Subject, rate: u32) -> Result<Vec<Figure>> {
        let messages = self.count(if rate == 50 { 500 } else { 5 * rate });
        let Run { sent, cpu, .. } = self.run(subject, Topic::One, Load::open(messages, rate))?;
        let what = format!("{rate}/s");
        let mut figures = if rate == 50 {
            receipts(&what, &sent, [Some(1.5), Some(2.5)], [Some(5.0), Some(6.0)])
        } else {
            receipts(&what, &sent, [None; 2], [None; 2])
        };
        let limits = if rate == 50 { [Some(1.0), Some(2.0)] } else { [None; 2] };
        figures.extend(cpu.map(|cpu| Figure::new(format!("{what}: CPU s per 1,000"), 2, cpu).at_most(limits)));
        Ok(figures)
    }

    fn hanging(&mut self, subject: &Subject) -> Result<Vec<Figure>> {
        let load = Load::open(self.count(1500), LANES_PER_S);
        let alone = self.run(subject, Topic::Lanes, load)?.sent.p99;
        self.wire.tell("hold", Topic::Hanging)?;
        let before = self.wire.span(&Topic::Hanging.endpoints())?.count;
        let backlog = Load { waits: false, ..Load::closed(HANGING, 16) };
        let hung = self.send(subject, Topic::Hanging, backlog)?;
        let beside = self.run(subject, Topic::Lanes, load);
        // This happens also after a failure, since the next measurement needs a receiver that responds.
        self.wire.tell("release", Topic::Hanging)?;
        self.wait(subject, Topic::Hanging, before + hung.accepted)?;
        Ok(vec![
            Figure::new("49 webhooks, 100/s: receipt p99, ms", 2, alone),
            Figure::new("49 webhooks, 100/s, beside one that hangs: receipt p99, ms", 2, beside?.sent.p99)
                .at_most([Some(10.0); 2]),
        ])
    }

    fn disk(&mut self, subject: &mut Subject) -> Result<Vec<Figure>> {
        let Some(ours) = subject.ours() else { return Ok(Vec::new()) };
        ours.stop()?;
        let before = ours.bytes()?;
        ours.serve()?;
        let load = Load::closed(self.count(20_000), 64);
        let delivered = self.send(subject, Topic::One, load)?.delivered;
        let ours = subject.ours().context("ours")?;
        ours.stop()?;
        let grown = ours.bytes()?.saturating_sub(before);
        ours.serve()?;
        Ok(vec![Figure::new("bytes of the database per delivery", 0, grown as f64 / delivered.max(1.0))])
    }
}

/// Returns the percentiles from post to receipt, with limits of p50 and p99.
fn receipts(what: &str, sent: &Sent, p50: [Option<f64>; 2], p99: [Option<f64>; 2]) -> Vec<Figure> {
    vec![
        Figure::new(format!("{what}: receipt p50, ms"), 2, sent.p50).at_most(p50),
        Figure::new(format!("{what}: receipt p95, ms"), 2, sent.p95),
        Figure::new(format!("{what}: receipt p99, ms"), 2, sent.p99).at_most(p99),
    ]
}

fn plural(count: u32) -> &'static str {
    if count == 1 { "" } else { "s" }
}
