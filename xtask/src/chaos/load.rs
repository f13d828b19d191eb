//! The load: senders that post events continuously, as a careful system does, and record the acknowledged ones.
//!
//! Only a 202 acknowledges. After any other response, a broken connection or a timeout a sender posts the same event
//! again with the same id, at the next node if there are several. Every eighth event has no id and is posted only once.
//! Without a 202 its outcome is unknown, and it is not counted.

use crate::server::{read_response, request};
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::io::{BufReader, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

const SENDERS: usize = 8;
/// A sender's pause between two events.
const PAUSE: Duration = Duration::from_millis(40);
/// The most events of a sender.
const EVENTS_MAX: usize = 10_000;
/// A sender's pause before it posts the same event again, and the time after which it stops doing so.
const RETRY_PAUSE: Duration = Duration::from_millis(200);
const RETRIES_LAST: Duration = Duration::from_secs(20);
/// A sender's timeout for a response.
const RESPONSE_WAIT: Duration = Duration::from_secs(3);

/// The state that the senders share.
pub(crate) struct Load {
    addresses: Vec<String>,
    header: String,
    is_over: AtomicBool,
    tally: Mutex<Tally>,
}

/// The outcomes of all posts.
pub(crate) struct Tally {
    /// The object and the occurrence of each 202.
    pub(crate) acknowledged: Vec<(String, String)>,
    /// Time of the last 202.
    last: Instant,
    /// The longest time between two 202s.
    pub(crate) stall: Duration,
    /// The number of responses with each other status.
    pub(crate) refused: BTreeMap<u16, usize>,
    /// The number of connections that broke, and of responses that did not come.
    pub(crate) broken: usize,
    /// The number of events with an id that were never acknowledged, though posted repeatedly.
    pub(crate) abandoned: usize,
    /// The number of acknowledged events that did not start their task.
    pub(crate) idle: usize,
}

impl Load {
    pub(crate) fn new(addresses: Vec<String>, key: &str) -> Self {
        let tally = Tally {
            acknowledged: Vec::new(),
            last: Instant::now(),
            stall: Duration::ZERO,
            refused: BTreeMap::new(),
            broken: 0,
            abandoned: 0,
            idle: 0,
        };
        let header = format!("Authorization: Bearer {key}\r\n");
        Self { addresses, header, is_over: AtomicBool::new(false), tally: Mutex::new(tally) }
    }

    /// Posts until `work` returns.
    pub(crate) fn during<T>(&self, work: impl FnOnce() -> T) -> T {
        std::thread::scope(|scope| {
            self.tally().last = Instant::now();
            for number in 0..SENDERS {
                scope.spawn(move || self.post_all(number));
            }
            let done = work();
            self.is_over.store(true, Ordering::SeqCst);
            done
        })
    }

    pub(crate) fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the next acknowledgement.
    pub(crate) fn wait_for_acknowledgement(&self, bound: Duration) -> Result<()> {
        let began = Instant::now();
        while self.tally().last <= began {
            if began.elapsed() > bound {
                bail!("the server did not come back: no 202 within {} s", bound.as_secs());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    fn post_all(&self, number: usize) {
        let mut sender = Sender { load: self, node: number % self.addresses.len(), stream: None };
        for count in 0..EVENTS_MAX {
            if self.is_over.load(Ordering::SeqCst) {
                return;
            }
            let has_id = !(count + number).is_multiple_of(8);
            sender.post("poweron", &format!("vm-{number}-{count}"), has_id);
            std::thread::sleep(PAUSE);
        }
    }

    /// Posts an event about this object.
    pub(crate) fn post(&self, event: &str, object: &str) {
        Sender { load: self, node: 0, stream: None }.post(event, object, true);
    }

    /// Counts the acknowledged occurrences that are not in the database.
    pub(crate) fn count_gone(&self) -> Result<usize> {
        // A copy, so that the senders go on.
        let acknowledged = self.tally().acknowledged.clone();
        let count = |occurrences: &[(String, String)]| -> Result<usize> {
            let mut sender = Sender { load: self, node: 0, stream: None };
            let mut gone = 0;
            for (_, occurrence) in occurrences {
                match sender.exchange(&format!("GET /api/v1/occurrences/{occurrence}/why"), "")? {
                    (200, _) => {}
                    (404, _) => gone += 1,
                    (status, _) => bail!("asked for an occurrence, the server responded {status}"),
                }
            }
            Ok(gone)
        };
        std::thread::scope(|scope| {
            let parts = acknowledged.chunks(acknowledged.len() / SENDERS + 1);
            let parts: Vec<_> = parts.map(|part| scope.spawn(move || count(part))).collect();
            parts.into_iter().map(|part| part.join().unwrap_or_else(|_| bail!("a thread panicked"))).sum()
        })
    }
}

/// One connection to one node at a time.
struct Sender<'a> {
    load: &'a Load,
    node: usize,
    stream: Option<BufReader<TcpStream>>,
}

impl Sender<'_> {
    /// Posts an event until it is acknowledged or the retries end.
    fn post(&mut self, event: &str, object: &str, has_id: bool) {
        let id = if has_id { format!("\"id\": \"{object}\", ") } else { String::new() };
        let body = format!("{{{id}\"type\": \"vms\", \"event\": \"{event}\", \"object\": {{\"id\": \"{object}\"}}}}");
        let began = Instant::now();
        loop {
            let response = self.exchange("POST /api/v1/events", &body);
            match response {
                Ok((202, body)) => return self.note(object, &body),
                Ok((status, _)) => *self.load.tally().refused.entry(status).or_default() += 1,
                Err(_) => {
                    self.load.tally().broken += 1;
                    self.node = (self.node + 1) % self.load.addresses.len();
                }
            }
            if !has_id {
                return;
            }
            if began.elapsed() > RETRIES_LAST {
                self.load.tally().abandoned += 1;
                return;
            }
            std::thread::sleep(RETRY_PAUSE);
        }
    }

    /// Sends a request on the open connection, or on a new one. After an error the connection is not used again.
    fn exchange(&mut self, start: &str, body: &str) -> Result<(u16, Vec<u8>)> {
        let address = &self.load.addresses[self.node];
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => {
                let stream = TcpStream::connect_timeout(&address.parse()?, RESPONSE_WAIT)?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(RESPONSE_WAIT))?;
                BufReader::new(stream)
            }
        };
        stream.get_mut().write_all(request(start, address, &self.load.header, body).as_bytes())?;
        let response = read_response(&mut stream)?;
        self.stream = Some(stream);
        Ok(response)
    }

    fn note(&self, object: &str, body: &[u8]) {
        let mut tally = self.load.tally();
        let now = Instant::now();
        let gap = now - tally.last;
        tally.stall = tally.stall.max(gap);
        tally.last = now;
        match occurrence(body) {
            Ok((id, 1)) => tally.acknowledged.push((object.to_owned(), id)),
            _ => tally.idle += 1,
        }
    }
}

/// Returns the id of the occurrence in a 202, and the number of tasks it started.
fn occurrence(body: &[u8]) -> Result<(String, u64)> {
    let body: serde_json::Value = serde_json::from_slice(body)?;
    let occurrence = &body["occurrences"][0];
    let id = occurrence["id"].as_str().context("no id")?;
    Ok((id.to_owned(), occurrence["tasks_started"].as_u64().context("no count")?))
}
