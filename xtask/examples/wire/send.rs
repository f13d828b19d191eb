//! The sender: posts messages over connections that stay open, and waits for their deliveries.
//!
//! Without a rate, each connection posts its next message when the last was accepted (closed loop). With `--rate R`,
//! messages leave at fixed times, even if earlier ones have no response yet (open loop).

use crate::exchange::Connection;
use crate::flags::Flags;
use crate::now_ns;
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::fmt::Write as _;
use std::rc::Rc;
use std::time::Duration;
use tokio::task::LocalSet;

/// A message of an open loop that leaves later than this counts from the time at which it was due. The server has kept
/// all connections busy, so the delay is the server's.
const LATE_NS: u64 = 2_000_000;
/// The time between two looks at the receiver.
const LOOK: Duration = Duration::from_millis(50);

/// The load to send. Each flag of the command line is a field.
struct Plan {
    address: String,
    /// The request up to the value of its content length.
    head: String,
    /// The body of a message: `{seq}` is its number, `{lane}` its number modulo `lanes`.
    body: String,
    lanes: u32,
    /// The number of the first message.
    first: u32,
    /// The number of requests, and the messages of each. More than one are sent as an array.
    requests: u32,
    batch: u32,
    connections: u32,
    /// Requests a second; 0 for a closed loop.
    rate: f64,
}

/// The times of a request in nanoseconds.
#[derive(Clone, Copy, Default)]
struct Times {
    /// The time at which it left, or was due.
    sent: u64,
    /// 0 if it was refused.
    accepted: u64,
}

/// Posts the messages and waits for their deliveries. Prints the figures.
pub(crate) async fn run(flags: &Flags) -> Result<()> {
    let plan = Rc::new(Plan::read(flags)?);
    println!("{}", LocalSet::new().run_until(measure(&plan, flags)).await?);
    Ok(())
}

impl Plan {
    fn read(flags: &Flags) -> Result<Self> {
        let url = flags.text("url")?;
        let rest = url.strip_prefix("http://").with_context(|| format!("{url} does not begin with http://"))?;
        let (address, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let batch = flags.number("batch", 1)?;
        // The token is not a flag, since other processes can read the flags.
        let token = std::env::var("WIRE_TOKEN").context("WIRE_TOKEN is not set")?;
        Ok(Self {
            address: address.to_owned(),
            head: format!(
                "POST {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\
                 Content-Type: application/json\r\nContent-Length: "
            ),
            body: flags.text("body")?.to_owned(),
            lanes: flags.number("lanes", 1)?,
            first: flags.number("first", 0)?,
            requests: flags.number("messages", 0_u32)?.div_ceil(batch),
            batch,
            connections: flags.number("connections", 16)?,
            rate: flags.number("rate", 0.0)?,
        })
    }

    /// Returns a request as sent.
    fn request(&self, number: u32) -> String {
        let mut body = String::with_capacity((self.body.len() + 16) * self.batch as usize);
        for message in (0..self.batch).map(|at| self.first + number * self.batch + at) {
            if !body.is_empty() {
                body.push(',');
            }
            let one = self.body.replace("{seq}", &message.to_string());
            body.push_str(&one.replace("{lane}", &(message % self.lanes).to_string()));
        }
        if self.batch > 1 {
            body = format!("[{body}]");
        }
        let mut request = String::with_capacity(self.head.len() + body.len() + 16);
        // Writing to a string cannot fail.
        let _ = write!(request, "{}{}\r\n\r\n{body}", self.head, body.len());
        request
    }

    fn messages(&self) -> u32 {
        self.requests * self.batch
    }
}

async fn measure(plan: &Rc<Plan>, flags: &Flags) -> Result<Value> {
    // The deliveries that each message causes, and the endpoints at which they arrive. With 0, the sender waits for
    // none.
    let each: u32 = flags.number("each", 1)?;
    let endpoints = flags.number("from", 0_u32)?..=flags.number("to", u32::MAX)?;
    // The longest time of the posts, and of the wait for their deliveries.
    let patience = Duration::from_secs(flags.number("patience", 120)?);
    let mut receiver = Connection::open(flags.text("receiver")?).await?;
    let ask = format!("GET /span/{}/{}", endpoints.start(), endpoints.end());
    let before = count(&mut receiver, &ask).await?;
    let posts = tokio::time::timeout(patience, post_all(plan)).await;
    let (times, start) = posts.context("the server did not accept all messages in time")??;
    let end = now_ns();
    let accepted = u32::try_from(times.iter().filter(|times| times.accepted > 0).count())? * plan.batch;
    let expected = accepted * each;
    let arrived = Cell::new(0);
    let wait = async {
        while arrived.get() < expected {
            arrived.set(count(&mut receiver, &ask).await? - before);
            tokio::time::sleep(LOOK).await;
        }
        anyhow::Ok(())
    };
    let wait = tokio::time::timeout(patience, wait).await;
    wait.with_context(|| format!("only {} of {expected} deliveries arrived in time", arrived.get()))??;
    let dump = receiver.ask("GET /dump").await?;
    let (mut seen, mut receipts, mut last, mut doubles) = (HashSet::new(), Vec::new(), start, 0);
    for arrival in dump.chunks_exact(16) {
        let message = u32::from_le_bytes(arrival[..4].try_into()?);
        let endpoint = u32::from_le_bytes(arrival[4..8].try_into()?);
        let at = u64::from_le_bytes(arrival[8..].try_into()?);
        let number = message.checked_sub(plan.first).map(|index| (index / plan.batch) as usize);
        let Some(times) = number.and_then(|number| times.get(number)) else { continue };
        if !endpoints.contains(&endpoint) {
            continue;
        }
        if !seen.insert((message, endpoint)) {
            doubles += 1;
            continue;
        }
        last = last.max(at);
        receipts.push(at.saturating_sub(times.sent));
    }
    let answers = times.iter().filter(|times| times.accepted > 0);
    let answers = answers.map(|times| times.accepted.saturating_sub(times.sent)).collect();
    Ok(json!({
        "accepted": accepted, "refused": plan.messages() - accepted, "doubles": doubles, "delivered": seen.len(),
        "ingest_per_s": per_second(f64::from(accepted), end - start),
        "deliveries_per_s": per_second(f64::from(u32::try_from(seen.len())?), last - start),
        "accept_ms": spread(answers), "receipt_ms": spread(receipts),
    }))
}

/// Posts all requests. Returns the times of each, and the time of the first.
async fn post_all(plan: &Rc<Plan>) -> Result<(Vec<Times>, u64)> {
    let times = Rc::new(RefCell::new(vec![Times::default(); plan.requests as usize]));
    let next = Rc::new(Cell::new(0));
    let mut connections = Vec::new();
    for _ in 0..plan.connections {
        connections.push(Connection::open(&plan.address).await?);
    }
    let start = now_ns();
    let post = |connection| post(Rc::clone(plan), connection, Rc::clone(&times), Rc::clone(&next), start);
    let tasks: Vec<_> = connections.into_iter().map(|connection| tokio::task::spawn_local(post(connection))).collect();
    for task in tasks {
        task.await??;
    }
    Ok((times.take(), start))
}

/// Posts over one connection until no request is left.
async fn post(
    plan: Rc<Plan>,
    mut connection: Connection,
    times: Rc<RefCell<Vec<Times>>>,
    next: Rc<Cell<u32>>,
    start: u64,
) -> Result<()> {
    loop {
        let number = next.get();
        if number >= plan.requests {
            return Ok(());
        }
        next.set(number + 1);
        let mut due = u64::MAX;
        if plan.rate > 0.0 {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "nanoseconds of some minutes")]
            let after = (f64::from(number) / plan.rate * 1e9) as u64;
            due = start + after;
            tokio::time::sleep(Duration::from_nanos(due.saturating_sub(now_ns()))).await;
        }
        let request = plan.request(number);
        let sent = now_ns();
        let sent = if sent > due.saturating_add(LATE_NS) { due } else { sent };
        let (status, body) = connection.exchange(request.as_bytes()).await?;
        let is_accepted = (200..300).contains(&status);
        if !is_accepted && status != 503 && status != 429 {
            bail!("the server responded {status}: {}", String::from_utf8_lossy(&body));
        }
        times.borrow_mut()[number as usize] = Times { sent, accepted: if is_accepted { now_ns() } else { 0 } };
    }
}

/// Returns the number of arrivals.
async fn count(receiver: &mut Connection, ask: &str) -> Result<u32> {
    let span = String::from_utf8(receiver.ask(ask).await?)?;
    Ok(span.split(' ').next().unwrap_or_default().parse()?)
}

#[expect(clippy::cast_precision_loss, reason = "nanoseconds of some minutes")]
fn per_second(count: f64, ns: u64) -> f64 {
    count / (ns.max(1) as f64 / 1e9)
}

/// Returns percentiles in milliseconds.
fn spread(mut ns: Vec<u64>) -> Value {
    ns.sort_unstable();
    #[expect(clippy::cast_precision_loss, reason = "nanoseconds of some minutes")]
    let at = |per_cent: usize| {
        let index = (ns.len() * per_cent).div_ceil(100).saturating_sub(1);
        ns.get(index).map_or(0.0, |ns| *ns as f64 / 1e6)
    };
    json!({"p50": at(50), "p95": at(95), "p99": at(99)})
}
