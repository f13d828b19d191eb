//! The requests that the receiver got, read from the file that `hookwright inbox --record` appends to.

use crate::server::millis_of_day;
use anyhow::{Context, Result};
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Milliseconds of a day.
const DAY: i64 = 86_400_000;

/// The requests that were read so far.
pub(crate) struct Receipts {
    file: File,
    /// The start of a line whose end was not written yet.
    rest: Vec<u8>,
    /// The `webhook-id`s of the deliveries of each object.
    deliveries: HashMap<String, HashSet<String>>,
    count: usize,
    /// Time of the last one, in milliseconds of the day.
    last: Option<i64>,
    /// The longest time between two receipts, in milliseconds.
    pub(crate) stall: i64,
}

impl Receipts {
    pub(crate) fn open(record: &Path) -> Result<Self> {
        let file = File::open(record).with_context(|| format!("there is no {}", record.display()))?;
        Ok(Self { file, rest: Vec::new(), deliveries: HashMap::new(), count: 0, last: None, stall: 0 })
    }

    /// Reads the new requests. Returns their number.
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
        let body: Value = serde_json::from_str(received["body"].as_str().context("no body")?)?;
        let object = body["vm"].as_str().context("no object")?;
        let is_id = |header: &&Value| header[0].as_str().is_some_and(|name| name.eq_ignore_ascii_case("webhook-id"));
        let headers = received["headers"].as_array().context("no headers")?;
        let delivery = headers.iter().find(is_id).and_then(|header| header[1].as_str()).context("no webhook-id")?;
        self.deliveries.entry(object.to_owned()).or_default().insert(delivery.to_owned());
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

    pub(crate) fn has(&self, object: &str) -> bool {
        self.deliveries.contains_key(object)
    }

    /// Returns the number of receipts beyond the first of each delivery.
    pub(crate) fn repeated(&self) -> usize {
        self.count - self.deliveries.values().map(HashSet::len).sum::<usize>()
    }

    /// Returns the number of deliveries beyond the first of each object: occurrences that were stored twice.
    pub(crate) fn doubled(&self) -> usize {
        self.deliveries.values().map(|deliveries| deliveries.len() - 1).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn line(object: &str, delivery: &str, time: &str) -> String {
        let body = serde_json::json!({ "vm": object }).to_string();
        let headers = [["Content-Type", "application/json"], ["Webhook-Id", delivery]];
        serde_json::json!({ "time": time, "headers": headers, "body": body }).to_string() + "\n"
    }

    #[test]
    fn repeats_doubles_and_stalls_are_counted_across_half_written_lines_and_midnight() {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        let mut receipts = Receipts::open(file.path()).expect("opened");
        let second = line("a", "1", "2025-10-16T00:00:00.200Z");
        let (begin, end) = second.split_at(30);
        write!(file, "{}{begin}", line("a", "1", "2025-10-15T23:59:59.900Z")).expect("written");
        assert_eq!(receipts.read().expect("read"), 1);
        assert_eq!((receipts.repeated(), receipts.doubled()), (0, 0));
        write!(file, "{end}{}", line("a", "2", "2025-10-16T00:00:00.100Z")).expect("written");
        assert_eq!(receipts.read().expect("read"), 2);
        assert_eq!((receipts.repeated(), receipts.doubled(), receipts.stall), (1, 1, 300));
        assert!(receipts.has("a") && !receipts.has("b"));
    }
}
