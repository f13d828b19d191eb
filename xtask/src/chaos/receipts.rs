//! The requests that the receiver got, read from the file that `hookwright inbox --record` appends to.
//!
//! A repeat is a receipt of a delivery that was received before. It belongs to the cut of the first mark after that
//! earlier receipt: the process that had made the attempt could no longer record it. A cut that lasts has a second
//! mark, at its end. With several nodes, another node may have been cut off in between, and the repeat counts for that
//! cut. That is rare, since an attempt is recorded within milliseconds.

use super::installation::{CUT, CUT_END};
use super::load::Acknowledged;
use crate::server::millis_of_day;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Milliseconds of a day.
const DAY: i64 = 86_400_000;

/// The requests that were read so far.
pub(crate) struct Receipts {
    file: File,
    /// The start of a line whose end was not written yet.
    rest: Vec<u8>,
    /// By object and webhook, the `webhook-id`s of the deliveries.
    deliveries: HashMap<String, HashMap<String, HashSet<String>>>,
    /// For each mark, the number of its cut, from 1.
    marks: Vec<usize>,
    /// By `webhook-id`, the number of marks before the last receipt.
    last_seen: HashMap<String, usize>,
    /// By cut and webhook, the number of repeats.
    repeats: HashMap<(usize, String), usize>,
    /// The number of repeats without a cut since the receipt before.
    pub(crate) without_cut: usize,
    /// The number of cuts.
    pub(crate) cuts: usize,
    count: usize,
    /// Time of the last one, in milliseconds of the day.
    last: Option<i64>,
    /// The longest time between two receipts, in milliseconds.
    pub(crate) stall: i64,
}

impl Receipts {
    pub(crate) fn open(record: &Path) -> Result<Self> {
        Ok(Self {
            file: File::open(record).with_context(|| format!("there is no {}", record.display()))?,
            rest: Vec::new(),
            deliveries: HashMap::new(),
            marks: Vec::new(),
            last_seen: HashMap::new(),
            repeats: HashMap::new(),
            without_cut: 0,
            cuts: 0,
            count: 0,
            last: None,
            stall: 0,
        })
    }

    /// Reads the new requests. Returns the number of receipts among them.
    pub(crate) fn read(&mut self) -> Result<usize> {
        let before = self.count;
        let mut new = std::mem::take(&mut self.rest);
        self.file.read_to_end(&mut new)?;
        let whole = new.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        for line in new[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            self.add(line).context("the receiver has recorded something else than a delivery")?;
        }
        new.drain(..whole);
        self.rest = new;
        Ok(self.count - before)
    }

    fn add(&mut self, line: &[u8]) -> Result<()> {
        let received: Value = serde_json::from_slice(line)?;
        let webhook = received["path"].as_str().context("no path")?;
        if webhook == CUT || webhook == CUT_END {
            self.cuts += usize::from(webhook == CUT);
            self.marks.push(self.cuts);
            return Ok(());
        }
        let body: Value = serde_json::from_str(received["body"].as_str().context("no body")?)?;
        let object = body["vm"].as_str().context("no object")?;
        let is_id = |header: &&Value| header[0].as_str().is_some_and(|name| name.eq_ignore_ascii_case("webhook-id"));
        let headers = received["headers"].as_array().context("no headers")?;
        let delivery = headers.iter().find(is_id).and_then(|header| header[1].as_str()).context("no webhook-id")?;
        let of_object = self.deliveries.entry(object.to_owned()).or_default();
        of_object.entry(webhook.to_owned()).or_default().insert(delivery.to_owned());
        if let Some(before) = self.last_seen.insert(delivery.to_owned(), self.marks.len()) {
            match self.marks.get(before) {
                Some(cut) => *self.repeats.entry((*cut, webhook.to_owned())).or_default() += 1,
                None => self.without_cut += 1,
            }
        }
        self.count += 1;
        let now = received["time"].as_str().and_then(millis_of_day).context("no time")?;
        if let Some(last) = self.last {
            let gap = (now - last).rem_euclid(DAY);
            // The receiver takes the time before it queues the line, so that two lines may be in the wrong order.
            if gap < DAY / 2 {
                self.stall = self.stall.max(gap);
            }
        }
        self.last = Some(now);
        Ok(())
    }

    /// Waits until these events have arrived. Returns the time that took.
    pub(crate) fn wait_for(&mut self, events: &[Acknowledged], bound: Duration) -> Result<Duration> {
        let began = Instant::now();
        loop {
            self.read()?;
            let missing = events.iter().filter(|event| !self.has(event)).count();
            let took = began.elapsed();
            if missing == 0 {
                return Ok(took);
            }
            if took > bound {
                bail!("{missing} events had not arrived after {} s", took.as_secs());
            }
            sleep(Duration::from_millis(20));
        }
    }

    /// Returns true if all webhooks of this event have received it.
    pub(crate) fn has(&self, event: &Acknowledged) -> bool {
        self.deliveries.get(&event.object).is_some_and(|webhooks| webhooks.len() >= event.webhooks)
    }

    /// Returns the number of receipts beyond the first of each delivery.
    pub(crate) fn repeated(&self) -> usize {
        self.count - self.last_seen.len()
    }

    /// Returns the most repeats of one webhook that one cut caused.
    pub(crate) fn most_of_a_webhook(&self) -> usize {
        self.repeats.values().copied().max().unwrap_or_default()
    }

    /// Returns the most repeats that one cut caused, of all webhooks together.
    pub(crate) fn most_of_a_cut(&self) -> usize {
        let mut sums = HashMap::<usize, usize>::new();
        for ((cut, _), count) in &self.repeats {
            *sums.entry(*cut).or_default() += count;
        }
        sums.into_values().max().unwrap_or_default()
    }

    /// Returns the number of deliveries beyond the first of each event and webhook: occurrences that were stored twice.
    pub(crate) fn doubled(&self) -> usize {
        self.deliveries.values().flat_map(HashMap::values).map(|deliveries| deliveries.len() - 1).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn line(webhook: &str, object: &str, delivery: &str, time: &str) -> String {
        let body = serde_json::json!({ "vm": object }).to_string();
        let headers = [["Content-Type", "application/json"], ["Webhook-Id", delivery]];
        serde_json::json!({ "time": time, "path": webhook, "headers": headers, "body": body }).to_string() + "\n"
    }

    fn receipts() -> (tempfile::NamedTempFile, Receipts) {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let receipts = Receipts::open(file.path()).expect("opened");
        (file, receipts)
    }

    #[test]
    fn repeats_doubles_and_stalls_are_counted_across_half_written_lines_and_midnight() {
        let (mut file, mut receipts) = receipts();
        let second = line("/1", "a", "1", "2025-10-16T00:00:00.200Z");
        let (begin, end) = second.split_at(30);
        write!(file, "{}{begin}", line("/1", "a", "1", "2025-10-15T23:59:59.900Z")).expect("written");
        assert_eq!(receipts.read().expect("read"), 1);
        assert_eq!((receipts.repeated(), receipts.doubled()), (0, 0));
        write!(file, "{end}{}", line("/1", "a", "2", "2025-10-16T00:00:00.100Z")).expect("written");
        assert_eq!(receipts.read().expect("read"), 2);
        assert_eq!((receipts.repeated(), receipts.doubled(), receipts.stall), (1, 1, 300));
        assert_eq!((receipts.without_cut, receipts.most_of_a_webhook()), (1, 0));
    }

    #[test]
    fn cut_that_lasts_is_one_cut() {
        let (mut file, mut receipts) = receipts();
        let of = |delivery: &str| line("/1", "a", delivery, "2025-10-15T12:00:00.000Z");
        let [begin, end] = [CUT, CUT_END].map(|path| line(path, "", "", ""));
        let lines = [of("1"), begin, of("2"), end, of("1"), of("2"), of("2")];
        write!(file, "{}", lines.concat()).expect("written");
        receipts.read().expect("read");
        assert_eq!((receipts.cuts, receipts.most_of_a_webhook(), receipts.most_of_a_cut()), (1, 2, 2));
        assert_eq!((receipts.repeated(), receipts.without_cut), (3, 1));
    }

    #[test]
    fn repeats_belong_to_the_first_cut_after_the_earlier_receipt() {
        let (mut file, mut receipts) = receipts();
        let of = |webhook: &str, delivery: &str| line(webhook, "a", delivery, "2025-10-15T12:00:00.000Z");
        let cut = line(CUT, "", "", "");
        let lines = [of("/1", "1"), of("/2", "2"), cut.clone(), of("/1", "3"), cut, of("/1", "1"), of("/1", "3")];
        write!(file, "{}{}", lines.concat(), of("/2", "2")).expect("written");
        receipts.read().expect("read");
        assert_eq!((receipts.cuts, receipts.repeated(), receipts.without_cut), (2, 3, 0));
        assert_eq!((receipts.most_of_a_webhook(), receipts.most_of_a_cut()), (1, 2));
        let event = |webhooks| Acknowledged { object: "a".into(), occurrence: String::new(), webhooks };
        assert!(receipts.has(&event(2)) && !receipts.has(&event(3)));
    }
}
