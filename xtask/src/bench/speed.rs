//! `cargo xtask bench speed`: measures deliveries per second, as a ratio to a bare client in the same run.
//!
//! The bare client posts the same body to the same receiver over persistent connections. Everything stays on this
//! machine's loopback, is bounded in count, and ends by itself.

use crate::server::{Chain, Program, Running, millis_of_day, prepare, read_response, request};
use crate::shell::say;
use anyhow::{Context, Result, bail};
use std::fs;
use std::io::{BufReader, Read, Seek, SeekFrom, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// The number of rounds. The median counts, since the speed of a shared machine changes from second to second.
const ROUNDS: usize = 3;
/// The bare posts of a round.
const BARE: usize = 32_000;
/// The occurrences of a round.
const COUNT: usize = 8_000;
/// The clients that post at the same time.
const SENDERS: usize = 16;
/// The least deliveries per 1,000 bare posts. Below it the bench fails. It is well below the usual ratio of about 50,
/// so that only a real loss shows.
const FLOOR: f64 = 30.0;
/// The highest p99 in milliseconds beside a hanging webhook. Above it the bench fails.
const LATENCY_CEILING: i64 = 100;
/// The longest time of a measurement.
const PATIENCE: Duration = Duration::from_mins(3);

/// Measures a binary. Prints the results, and fails below the floor.
pub(super) fn run(binary: &Path) -> Result<()> {
    let folder = tempfile::Builder::new().prefix("hookwright-bench-").tempdir()?;
    let record = folder.path().join("inbox.jsonl");
    let program = Program::new(binary, &folder.path().join("data"));
    let inbox = program.inbox(&record)?;
    let began = Instant::now();
    let server = program.serve("http://127.0.0.1:0", |_| ())?;
    let startup = began.elapsed();
    let idle_kib = memory_kib(server.id())?;
    let url = |path: &str| format!("http://{}/{path}", inbox.address);
    let chains = [
        Chain { name: "bench".into(), event: "poweron", url: url("hello"), fields: "" },
        Chain { name: "hanging".into(), event: "poweroff", url: url("delay/600000"), fields: "&timeout=3&retries=0" },
    ];
    let key = prepare(&program, &server, "ingest", &chains)?.key;

    let body = "{\"vm\": \"web-01\", \"at\": 1760629087, \"t\": null}";
    let event = "{\"type\": \"vms\", \"event\": \"poweron\", \"object\": {\"id\": \"vm-101\", \"name\": \"web-01\"}}";
    let header = format!("Authorization: Bearer {key}\r\n");
    let mut rounds = Vec::new();
    for round in 1..=ROUNDS {
        say(&format!("round {round}: a bare client, then deliveries through one webhook with synchronous=FULL"));
        let post = || post_all(&inbox.address, "POST /hello", "", body, BARE, 200);
        let bare = rate(&record, BARE, post)?;
        let cpu = cpu_seconds(server.id())?;
        let post = || post_all(&server.address, "POST /api/v1/events", &header, event, COUNT, 202);
        let deliveries = rate(&record, COUNT, post)?;
        rounds.push((deliveries / bare * 1000.0, bare, deliveries, cpu_seconds(server.id())? - cpu));
        println!("{deliveries:>9.0}  beside {bare:.0}");
    }
    rounds.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (ratio, bare, deliveries, cpu) = rounds[ROUNDS / 2];
    println!();
    println!("{bare:>9.0}  bare posts/s, {SENDERS} senders");
    println!("{deliveries:>9.0}  deliveries/s, {SENDERS} senders, SQLite, from the first post to the last receipt");
    println!("{ratio:>9.0}  deliveries per 1,000 bare posts (floor {FLOOR})");
    println!("{:>9.2}  CPU-seconds per 1,000 deliveries", cpu / COUNT as f64 * 1000.0);
    let p99 = latency_beside_a_hanging_webhook(&server, &key, &record)?;
    println!("{p99:>9}  ms from post to receipt, p99, while another webhook hangs (ceiling {LATENCY_CEILING})");
    println!("{:>9.1}  MiB of memory, idle", idle_kib as f64 / 1024.0);
    println!("{:>9.0}  ms from start to listening, with an empty database", startup.as_secs_f64() * 1000.0);
    if ratio < FLOOR {
        bail!("the deliveries are below the floor");
    }
    if p99 > LATENCY_CEILING {
        bail!("a hanging webhook delays another");
    }
    Ok(())
}

/// Keeps a webhook hanging with a backlog, and posts one occurrence at a time for another webhook.
fn latency_beside_a_hanging_webhook(server: &Running, key: &str, record: &Path) -> Result<i64> {
    const POSTS: usize = 300;
    let mut stream = BufReader::new(TcpStream::connect(&server.address)?);
    stream.get_ref().set_nodelay(true)?;
    let header = format!("Authorization: Bearer {key}\r\n");
    let mut post = |event: &str, id: &str| -> Result<()> {
        let body = format!(
            "{{\"type\": \"vms\", \"event\": \"{event}\", \"object\": {{\"id\": \"{id}\"}}, \"data\": {{\"t\": {}}}}}",
            now_ms()
        );
        let post = request("POST /api/v1/events", &server.address, &header, &body);
        stream.get_mut().write_all(post.as_bytes())?;
        match read_response(&mut stream)? {
            (202, _) => Ok(()),
            (status, _) => bail!("the server responded {status}"),
        }
    };
    for _ in 0..100 {
        post("poweroff", "hanging")?;
    }
    for _ in 0..POSTS {
        post("poweron", "probe")?;
        std::thread::sleep(Duration::from_millis(10));
    }
    std::thread::sleep(Duration::from_secs(1));
    let text = fs::read_to_string(record)?;
    let mut waits: Vec<i64> = text.lines().filter_map(wait_of_probe).collect();
    if waits.len() < POSTS {
        bail!("only {} of {POSTS} arrived beside the hanging webhook", waits.len());
    }
    waits.sort_unstable();
    Ok(waits[waits.len() * 99 / 100])
}

/// Returns the milliseconds from the post of a probe to its receipt.
fn wait_of_probe(line: &str) -> Option<i64> {
    let received: serde_json::Value = serde_json::from_str(line).ok()?;
    let body: serde_json::Value = serde_json::from_str(received["body"].as_str()?).ok()?;
    if body["vm"] != "probe" {
        return None;
    }
    // The day does not change within a measurement.
    let arrived = millis_of_day(received["time"].as_str()?)?;
    Some(arrived - body["t"].as_i64()? % 86_400_000)
}

#[expect(clippy::disallowed_methods, reason = "both ends of the measurement read the system's clock")]
fn now_ms() -> u128 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_millis()
}

/// Returns the receipts per second, from the start of `work` until `count` more are recorded.
fn rate(record: &Path, count: usize, work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let mut record = fs::File::open(record)?;
    record.seek(SeekFrom::End(0))?;
    let mut arrived = 0;
    let mut new = Vec::new();
    let began = Instant::now();
    work()?;
    loop {
        // Only the new part is read. Reading the whole file repeatedly would take a core from the measured programs.
        new.clear();
        record.read_to_end(&mut new)?;
        arrived += new.split(|byte| *byte == b'\n').count().saturating_sub(1);
        if arrived >= count {
            return Ok(count as f64 / began.elapsed().as_secs_f64());
        }
        if began.elapsed() > PATIENCE {
            bail!("only {arrived} of {count} arrived in time");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Posts `count` requests over [`SENDERS`] persistent connections.
fn post_all(address: &str, start: &str, header: &str, body: &str, count: usize, expected: u16) -> Result<()> {
    let request = request(start, address, header, body);
    let send = || -> Result<()> {
        let mut stream = BufReader::new(TcpStream::connect(address)?);
        stream.get_ref().set_nodelay(true)?;
        for _ in 0..count / SENDERS {
            stream.get_mut().write_all(request.as_bytes())?;
            let (status, _) = read_response(&mut stream)?;
            if status != expected {
                bail!("the server responded {status}");
            }
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let senders: Vec<_> = (0..SENDERS).map(|_| scope.spawn(send)).collect();
        senders.into_iter().try_for_each(|sender| match sender.join() {
            Ok(result) => result,
            Err(_) => bail!("a sender panicked"),
        })
    })
}

/// Returns the user and system time of a process (proc(5), fields 14 and 15 of `stat`, in ticks of 10 ms).
fn cpu_seconds(pid: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks: u64 = after_name.split_whitespace().skip(11).take(2).filter_map(|word| word.parse::<u64>().ok()).sum();
    Ok(ticks as f64 / 100.0)
}

fn memory_kib(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse()?)
}
