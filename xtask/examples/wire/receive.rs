//! The receiver: one thread, connections that stay open, one small response to each request.
//!
//! | request | does |
//! | --- | --- |
//! | `POST /e/N` | takes a delivery at endpoint N. Its body has `"bench_seq": NUMBER`, the number of the message |
//! | `POST /hold/N` | lets endpoint N hang: it takes deliveries, and does not respond |
//! | `POST /release/N` | lets endpoint N respond again, also to the requests that wait |
//! | `POST /reset` | forgets all arrivals |
//! | `GET /span/A/B` | returns the number of arrivals at the endpoints A to B, the time of the last, and the time now |
//! | `GET /dump` | returns all arrivals, 16 bytes each, little-endian: message u32, endpoint u32, time u64 |
//!
//! Times are in nanoseconds of the monotonic clock.

use crate::exchange::{Extent, digits, extent};
use crate::now_ns;
use anyhow::Result;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
use std::rc::Rc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::{LocalSet, spawn_local};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const UNKNOWN: &[u8] = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n";
/// The text before the number of a message.
const MARK: &[u8] = b"bench_seq\":";

struct Arrival {
    message: u32,
    endpoint: u32,
    at: u64,
}

/// The state that all connections share. There is one thread, therefore no lock.
#[derive(Default)]
struct Book {
    arrivals: RefCell<Vec<Arrival>>,
    /// The number of arrivals at each endpoint, and the time of the last.
    spans: RefCell<BTreeMap<u32, (u32, u64)>>,
    /// The endpoints that hang.
    held: RefCell<HashSet<u32>>,
    released: Notify,
}

/// Listens until the process ends.
pub(crate) async fn run() -> Result<()> {
    LocalSet::new().run_until(listen()).await
}

async fn listen() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("receiver on {}", listener.local_addr()?);
    let book = Rc::new(Book::default());
    loop {
        let (stream, _) = listener.accept().await?;
        let book = Rc::clone(&book);
        spawn_local(async move {
            // The other end may close at any time.
            let _ = serve(stream, &book).await;
        });
    }
}

async fn serve(mut stream: TcpStream, book: &Book) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(16 * 1024);
    loop {
        let Extent { head, whole } = loop {
            match extent(&buffer) {
                Some(extent) if buffer.len() >= extent.whole => break extent,
                _ if stream.read_buf(&mut buffer).await? == 0 => return Ok(()),
                _ => {}
            }
        };
        let at = now_ns();
        let path = path(&buffer[..head]);
        if let Some(endpoint) = path.strip_prefix("/e/") {
            let endpoint = u32::try_from(digits(endpoint.as_bytes()))?;
            let message = message(&buffer[head..whole]);
            book.note(Arrival { message, endpoint, at });
            buffer.drain(..whole);
            book.wait(endpoint).await;
            stream.write_all(OK).await?;
        } else {
            let response = book.control(path);
            buffer.drain(..whole);
            stream.write_all(&response).await?;
        }
    }
}

/// Returns the path of a request.
fn path(head: &[u8]) -> &str {
    let mut words = head.split(|byte| *byte == b' ').skip(1);
    words.next().and_then(|path| str::from_utf8(path).ok()).unwrap_or_default()
}

/// Returns the number of the message, or [`u32::MAX`] if there is none.
fn message(body: &[u8]) -> u32 {
    let Some(at) = body.windows(MARK.len()).position(|window| window == MARK) else { return u32::MAX };
    u32::try_from(digits(body[at + MARK.len()..].trim_ascii_start())).unwrap_or(u32::MAX)
}

impl Book {
    fn note(&self, arrival: Arrival) {
        let mut spans = self.spans.borrow_mut();
        let span = spans.entry(arrival.endpoint).or_default();
        *span = (span.0 + 1, arrival.at);
        self.arrivals.borrow_mut().push(arrival);
    }

    /// Returns when the endpoint does not hang.
    async fn wait(&self, endpoint: u32) {
        while self.held.borrow().contains(&endpoint) {
            self.released.notified().await;
        }
    }

    /// Executes a request that is not a delivery. Returns the whole response.
    fn control(&self, path: &str) -> Vec<u8> {
        let mut words = path.trim_start_matches('/').split('/');
        let word = words.next().unwrap_or_default();
        let mut number = || u32::try_from(digits(words.next().unwrap_or_default().as_bytes())).unwrap_or(u32::MAX);
        match word {
            "hold" => {
                self.held.borrow_mut().insert(number());
                OK.to_vec()
            }
            "release" => {
                self.held.borrow_mut().remove(&number());
                self.released.notify_waiters();
                OK.to_vec()
            }
            "reset" => {
                self.arrivals.borrow_mut().clear();
                self.spans.borrow_mut().clear();
                OK.to_vec()
            }
            "span" => {
                let (low, high) = (number(), number());
                let spans = self.spans.borrow();
                let among = spans.range(low..=high.max(low)).map(|(_, span)| *span);
                let (count, last) = among.fold((0, 0), |all, span| (all.0 + span.0, all.1.max(span.1)));
                response(format!("{count} {last} {}", now_ns()).as_bytes())
            }
            "dump" => {
                let arrivals = self.arrivals.borrow();
                let mut bytes = Vec::with_capacity(arrivals.len() * 16);
                for Arrival { message, endpoint, at } in arrivals.iter() {
                    bytes.extend_from_slice(&message.to_le_bytes());
                    bytes.extend_from_slice(&endpoint.to_le_bytes());
                    bytes.extend_from_slice(&at.to_le_bytes());
                }
                response(&bytes)
            }
            _ => UNKNOWN.to_vec(),
        }
    }
}

fn response(body: &[u8]) -> Vec<u8> {
    [format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len()).as_bytes(), body].concat()
}
