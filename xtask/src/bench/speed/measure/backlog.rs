//! Deliveries beside a backlog, and how fast that drains.

use super::{Bench, Run};
use crate::bench::speed::subject::{Subject, Topic};
use crate::bench::speed::table::Figure;
use crate::bench::speed::wire::{Load, Sent};
use anyhow::{Context, Result, bail};
use std::time::Duration;

/// The backlog, and the messages of a request that make it.
const BACKLOG: u32 = 100_000;
const BATCH: u32 = 1000;

impl Bench {
    pub(super) fn backlog(&mut self, subject: &mut Subject) -> Result<Vec<Figure>> {
        if subject.ours().is_none() {
            return Ok(Vec::new());
        }
        let load = Load::closed(self.count(6000), 16);
        let ratio = |run: &Run| run.sent.deliveries_per_s / run.bare;

        subject.ours().context("ours")?.pause(Topic::Backlog)?;
        let held = self.fill(subject)?;
        let beside_held = self.beside(subject, load)?;
        let bare = self.wire.bare()?;
        let since = self.wire.span(&Topic::Backlog.endpoints())?.now_ns;
        subject.ours().context("ours")?.resume(Topic::Backlog)?;
        let drained = self.wait(subject, Topic::Backlog, held.accepted)?;
        let seconds = Duration::from_nanos(drained.last_ns.saturating_sub(since)).as_secs_f64();
        // The same rows, which have settled: the comparison shows the cost of waiting rows, and not of a larger table.
        let without = self.beside(subject, load)?;

        self.wire.tell("hold", Topic::Backlog)?;
        let queued = self.fill(subject)?;
        let beside_queued = self.beside(subject, load);
        // Also after a failure: the next measurement needs a receiver that responds, and no backlog.
        self.wire.tell("release", Topic::Backlog)?;
        self.wait(subject, Topic::Backlog, held.accepted + queued.accepted)?;

        let mut figures = vec![
            Figure::new("occurrences accepted/s, 1,000 a request", 0, held.ingest_per_s),
            Figure::new("backlog of 100,000, resumed: deliveries/s", 0, f64::from(held.accepted) / seconds)
                .beside(bare),
        ];
        for (what, run) in [("held", &beside_held), ("queued", &beside_queued?)] {
            let label = format!("1 webhook, 16 senders, beside 100,000 {what}: deliveries/s");
            figures.push(Figure::new(label, 0, run.sent.deliveries_per_s).beside(run.bare));
            let share = ratio(run) / ratio(&without) * 100.0;
            let label = format!("the same, in % of the ratio beside 100,000 settled ({what})");
            figures.push(Figure::new(label, 0, share).at_least([Some(90.0); 2]));
        }
        Ok(figures)
    }

    /// Measures beside the rows that are there. They were cleaned up first, which PostgreSQL otherwise does at a time of
    /// its own: within one run, and not within another.
    fn beside(&mut self, subject: &mut Subject, load: Load) -> Result<Run> {
        subject.ours().context("ours")?.clean_up()?;
        self.run(subject, Topic::One, load)
    }

    /// Sends the messages of the backlog, which all have to be accepted.
    fn fill(&mut self, subject: &Subject) -> Result<Sent> {
        let size = self.count(BACKLOG);
        let load = Load { batch: BATCH, waits: false, ..Load::closed(size, 4) };
        let sent = self.send(subject, Topic::Backlog, load)?;
        if sent.accepted != size {
            bail!("{} messages of a backlog of {size} were accepted", sent.accepted);
        }
        Ok(sent)
    }
}
