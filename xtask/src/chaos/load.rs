//! The load: senders that post events continuously, as a careful system does, and record the acknowledged ones.
//!
//! Only a 202 acknowledges. After any other response, a broken connection or a timeout a sender posts the same event
//! again with the same id, at the next node if there are several. Every eighth event has no id and is posted only once.
//! Without a 202 its outcome is unknown, and it is not counted.
//!
//! The events have a rate, so that a long run has a bounded number of them. Events that could not be posted in time,
//! since no server was there, follow at once when a server is back.

use super::installation::{EVENT, WEBHOOKS};
use crate::server::{read_response, request};
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::io::{BufReader, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

const SENDERS: usize = 8;
/// The events of all senders in a second. A thousand kills of one of two nodes take about half an hour. With their
/// bursts they leave some 500,000 deliveries.
const RATE: u32 = 60;
/// The most events of all senders.
const EVENTS_MAX: u32 = 300_000;
/// A sender's pause before it posts the same event again, and the time after which it stops doing so.
const RETRY_PAUSE: Duration = Duration::from_millis(200);
const RETRIES_LAST: Duration = Duration::from_secs(20);
/// A sender's timeout for a response.
pub(crate) const RESPONSE_WAIT: Duration = Duration::from_secs(3);

/// The state that the senders share.
pub(crate) struct Load {
    addresses: Vec<String>,
    header: String,
    is_over: AtomicBool,
    tally: Mutex<Tally>,
}

/// An event with a 202.
#[derive(Clone)]
pub(crate) struct Acknowledged {
    pub(crate) object: String,
    /// The id of the occurrence.
    pub(crate) occurrence: String,
    /// The number of webhooks that are sent the event.
    pub(crate) webhooks: usize,
}

/// The outcomes of all posts.
pub(crate) struct Tally {
    pub(crate) acknowledged: Vec<Acknowledged>,
    /// The number of events that a sender has taken on, and the time from which the rate counts.
    taken: u32,
    began: Instant,
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
    /// The number of acknowledged events that did not start their tasks.
    pub(crate) idle: usize,
}

impl Load {
    pub(crate) fn new(addresses: Vec<String>, key: &str) -> Self {
        let now = Instant::now();
        let tally = Tally {
            acknowledged: Vec::new(),
            taken: 0,
            began: now,
            last: now,
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
            let now = Instant::now();
            (self.tally().began, self.tally().last) = (now, now);
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
        let mut sender = Sender::new(self, number % self.addresses.len());
        loop {
            let event = self.wait_for_event();
            if event >= EVENTS_MAX || self.is_over.load(Ordering::SeqCst) {
                return;
            }
            sender.post(EVENT, &format!("vm-{event}"), !event.is_multiple_of(8));
        }
    }

    /// Takes on the next event, and waits for its time. Returns its number.
    fn wait_for_event(&self) -> u32 {
        let mut tally = self.tally();
        let event = tally.taken;
        tally.taken += 1;
        let due = tally.began + Duration::from_secs(event.into()) / RATE;
        drop(tally);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        event
    }

    /// Lets the senders post the events of the coming seconds at once.
    pub(crate) fn hurry(&self, seconds: u64) {
        self.tally().began -= Duration::from_secs(seconds);
    }

    /// Posts an event about this object.
    pub(crate) fn post(&self, event: &str, object: &str) {
        Sender::new(self, 0).post(event, object, true);
    }

    /// Returns a copy of the acknowledged events, so that the senders go on.
    pub(crate) fn acknowledged(&self) -> Vec<Acknowledged> {
        self.tally().acknowledged.clone()
    }

    /// Returns for each of these events how many of its deliveries are in the database; `None` without its occurrence.
    pub(crate) fn count_stored(&self, events: &[Acknowledged]) -> Result<Vec<Option<usize>>> {
        let count = |events: &[Acknowledged]| -> Result<Vec<Option<usize>>> {
            let mut sender = Sender::new(self, 0);
            let mut stored = Vec::new();
            for event in events {
                match sender.ask(&format!("GET /api/v1/occurrences/{}/why", event.occurrence))? {
                    (200, body) => stored.push(Some(deliveries(&body)?)),
                    (404, _) => stored.push(None),
                    (status, _) => bail!("asked for an occurrence, the server responded {status}"),
                }
            }
            Ok(stored)
        };
        std::thread::scope(|scope| {
            let parts = events.chunks(events.len() / SENDERS + 1);
            let parts: Vec<_> = parts.map(|part| scope.spawn(move || count(part))).collect();
            let mut stored = Vec::new();
            for part in parts {
                stored.extend(part.join().unwrap_or_else(|_| bail!("a thread panicked"))?);
            }
            Ok(stored)
        })
    }

    /// Counts the acknowledged occurrences that are not in the database, without the first `removed` ones.
    pub(crate) fn count_gone(&self, removed: usize) -> Result<usize> {
        let events = self.acknowledged();
        let stored = self.count_stored(events.get(removed..).unwrap_or_default())?;
        Ok(stored.iter().filter(|stored| stored.is_none()).count())
    }
}

/// One connection to one node at a time.
struct Sender<'a> {
    load: &'a Load,
    /// The node at which each event is posted first.
    home: usize,
    node: usize,
    stream: Option<BufReader<TcpStream>>,
}

impl<'a> Sender<'a> {
    fn new(load: &'a Load, home: usize) -> Self {
        Self { load, home, node: home, stream: None }
    }

    /// Posts an event until it is acknowledged or the retries end.
    fn post(&mut self, event: &str, object: &str, has_id: bool) {
        let id = if has_id { format!("\"id\": \"{object}\", ") } else { String::new() };
        let body = format!("{{{id}\"type\": \"vms\", \"event\": \"{event}\", \"object\": {{\"id\": \"{object}\"}}}}");
        let began = Instant::now();
        if self.node != self.home {
            (self.node, self.stream) = (self.home, None);
        }
        loop {
            let response = self.exchange("POST /api/v1/events", &body);
            match response {
                Ok((202, body)) => return self.note(event, object, &body),
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

    /// Asks again where a node is too busy to respond in time.
    fn ask(&mut self, start: &str) -> Result<(u16, Vec<u8>)> {
        let began = Instant::now();
        loop {
            match self.exchange(start, "") {
                Ok((503, _)) | Err(_) if began.elapsed() < RETRIES_LAST => std::thread::sleep(RETRY_PAUSE),
                response => return response,
            }
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

    fn note(&self, event: &str, object: &str, body: &[u8]) {
        let webhooks = if event == EVENT { WEBHOOKS.len() } else { 1 };
        let mut tally = self.load.tally();
        let now = Instant::now();
        let gap = now - tally.last;
        tally.stall = tally.stall.max(gap);
        tally.last = now;
        match occurrence(body) {
            Ok((occurrence, started)) if started == webhooks => {
                tally.acknowledged.push(Acknowledged { object: object.to_owned(), occurrence, webhooks });
            }
            _ => tally.idle += 1,
        }
    }
}

/// Returns the id of the occurrence in a 202, and the number of tasks it started.
fn occurrence(body: &[u8]) -> Result<(String, usize)> {
    let body: serde_json::Value = serde_json::from_slice(body)?;
    let occurrence = &body["occurrences"][0];
    let id = occurrence["id"].as_str().context("no id")?;
    let started = occurrence["tasks_started"].as_u64().context("no count")?;
    Ok((id.to_owned(), started.try_into()?))
}

/// Returns the number of deliveries in the explanation of an occurrence.
fn deliveries(body: &[u8]) -> Result<usize> {
    let why: serde_json::Value = serde_json::from_slice(body)?;
    let considered = why["considered"].as_array().context("no list of events")?;
    Ok(considered.iter().filter_map(|event| event["deliveries"].as_array()).map(Vec::len).sum())
}
