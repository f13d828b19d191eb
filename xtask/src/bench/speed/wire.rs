//! Builds the example `wire`, and runs its receiver, its sender and its bare client.

use super::subject::{LANES, Message, Topic};
use crate::server::{Running, read_response, start};
use crate::shell::{cargo, command, finish, output, root, say};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::io::{BufReader, Write};
use std::net::TcpStream;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The duration of a bare measurement, in milliseconds.
const BARE_MS: u64 = 1000;

/// How to send messages.
#[derive(Clone, Copy)]
pub(super) struct Load {
    pub(super) messages: u32,
    pub(super) connections: u32,
    /// Messages a second; `None` sends each as soon as the one before it on its connection is accepted.
    pub(super) rate: Option<u32>,
    /// The messages of a request.
    pub(super) batch: u32,
    /// Whether to wait for the deliveries.
    pub(super) waits: bool,
}

impl Load {
    /// Returns a closed loop.
    pub(super) fn closed(messages: u32, connections: u32) -> Self {
        Self { messages, connections, rate: None, batch: 1, waits: true }
    }

    /// Returns an open loop.
    pub(super) fn open(messages: u32, rate: u32) -> Self {
        Self { rate: Some(rate), ..Self::closed(messages, 16) }
    }
}

/// The findings of the sender. Times are in milliseconds, from the post to the receipt.
pub(super) struct Sent {
    pub(super) accepted: u32,
    pub(super) refused: u32,
    pub(super) doubles: u32,
    pub(super) delivered: f64,
    pub(super) ingest_per_s: f64,
    pub(super) deliveries_per_s: f64,
    pub(super) p50: f64,
    pub(super) p95: f64,
    pub(super) p99: f64,
}

/// The arrivals at some endpoints, in nanoseconds of the receiver's clock.
pub(super) struct Span {
    pub(super) count: u32,
    pub(super) last_ns: u64,
    pub(super) now_ns: u64,
}

/// The running receiver.
pub(super) struct Wire {
    program: PathBuf,
    pub(super) receiver: Running,
    /// The number of the next message. No number is used twice.
    next: u32,
}

impl Wire {
    /// Builds the example and starts the receiver.
    pub(super) fn start() -> Result<Self> {
        say("building the receiver, the sender and the bare client");
        // The build uses the folder of xtask, so that the build of the server stays valid.
        let folder = root().join("target/xtask");
        let mut build = cargo(&["build", "--quiet", "--release", "--package", "xtask", "--example", "wire"]);
        // Cargo's own release profile, by which the limits were set. With the LTO of this workspace, the bare client makes
        // almost a tenth more posts.
        build.env("CARGO_PROFILE_RELEASE_LTO", "false").env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16");
        finish(build.arg("--target-dir").arg(&folder))?;
        let program = folder.join("release/examples/wire");
        let receiver = start(command(&program).arg("receive"), "receiver on ")?;
        Ok(Self { program, receiver, next: 0 })
    }

    /// Returns the address of the receiver.
    pub(super) fn address(&self) -> &str {
        &self.receiver.address
    }

    /// Returns the posts a second of the bare client.
    pub(super) fn bare(&self) -> Result<f64> {
        let mut bare = command(&self.program);
        bare.args(["bare", "--receiver", self.address(), "--ms", &BARE_MS.to_string()]);
        let found: Value = serde_json::from_str(&output(&mut bare)?)?;
        found["posts_per_s"].as_f64().context("the bare client has no figure")
    }

    /// Sends messages, and waits for their deliveries if the load says so.
    pub(super) fn send(&mut self, message: &Message, topic: Topic, load: Load) -> Result<Sent> {
        let endpoints = topic.endpoints();
        let mut send = command(&self.program);
        send.env("WIRE_TOKEN", &message.token).args(["send", "--url", &message.url, "--body", &message.body]);
        send.args(["--receiver", self.address()]);
        let each = if load.waits { topic.each() } else { 0 };
        for (name, value) in [
            ("--messages", load.messages),
            ("--connections", load.connections),
            ("--rate", load.rate.unwrap_or_default()),
            ("--batch", load.batch),
            ("--lanes", LANES),
            ("--first", self.next),
            ("--each", each),
            ("--from", *endpoints.start()),
            ("--to", *endpoints.end()),
        ] {
            send.args([name, &value.to_string()]);
        }
        self.next += load.messages;
        let found: Value = serde_json::from_str(&output(&mut send)?)?;
        let number = |name: &str| found[name].as_f64().with_context(|| format!("the sender has no {name}"));
        let count = |name: &str| -> Result<u32> { Ok(u32::try_from(found[name].as_u64().unwrap_or_default())?) };
        let after = |name: &str| found["receipt_ms"][name].as_f64().unwrap_or_default();
        Ok(Sent {
            accepted: count("accepted")?,
            refused: count("refused")?,
            doubles: count("doubles")?,
            delivered: number("delivered")?,
            ingest_per_s: number("ingest_per_s")?,
            deliveries_per_s: number("deliveries_per_s")?,
            p50: after("p50"),
            p95: after("p95"),
            p99: after("p99"),
        })
    }

    fn ask(&self, start: &str) -> Result<String> {
        let mut stream = BufReader::new(TcpStream::connect(self.address())?);
        write!(stream.get_mut(), "{start} HTTP/1.1\r\nHost: receiver\r\n\r\n")?;
        let (status, body) = read_response(&mut stream)?;
        if status != 200 {
            bail!("the receiver responded {status} to {start}");
        }
        Ok(String::from_utf8(body)?)
    }

    /// Lets the receiver hang for a topic (`hold`), or respond again (`release`).
    pub(super) fn tell(&self, verb: &str, topic: Topic) -> Result<()> {
        self.ask(&format!("POST /{verb}/{}", topic.endpoints().start())).map(drop)
    }

    /// Forgets all arrivals.
    pub(super) fn reset(&self) -> Result<()> {
        self.ask("POST /reset").map(drop)
    }

    pub(super) fn span(&self, endpoints: &RangeInclusive<u32>) -> Result<Span> {
        let text = self.ask(&format!("GET /span/{}/{}", endpoints.start(), endpoints.end()))?;
        let words: Vec<u64> = text.split(' ').filter_map(|word| word.parse().ok()).collect();
        let [count, last_ns, now_ns] = *words.as_slice() else { bail!("the receiver reported {text}") };
        Ok(Span { count: u32::try_from(count)?, last_ns, now_ns })
    }

    /// Waits until this many deliveries of a topic have arrived since the reset.
    pub(super) fn wait(&self, topic: Topic, count: u32, patience: Duration) -> Result<Span> {
        let began = Instant::now();
        loop {
            let span = self.span(&topic.endpoints())?;
            if span.count >= count {
                return Ok(span);
            }
            if began.elapsed() > patience {
                bail!("only {} of {count} deliveries arrived within {} s", span.count, patience.as_secs());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}
