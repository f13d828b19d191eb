//! `cargo xtask bench viewers`: measures how much many viewers slow deliveries down, on both databases with a million
//! deliveries.
//!
//! A viewer opens the stream of changes. It fetches its page again as soon as it has received the page.

use crate::fill;
use crate::postgres::Postgres;
use crate::server::{Chain, Prepared, Program, millis_of_day, prepare, read_response, request};
use crate::shell::{command, finish, say};
use anyhow::{Context, Result, bail};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The number of settled deliveries.
const DELIVERIES: &str = "1000000";
/// The number of open dashboards, and of open lists with filters.
const VIEWERS: usize = 20;
/// The occurrences a second, and the duration with viewers and without.
const RATE: u64 = 50;
const LASTS: Duration = Duration::from_secs(40);
const ALONE: Duration = Duration::from_secs(15);
/// The highest p95 of the 202 and of the receipt, in milliseconds. Above it the bench fails, unless the p95 is at most
/// a quarter above that without viewers in the same run. Then the disk is slow, and the viewers are not the cause.
const CEILING_MS: i64 = 20;
/// The longest time of a page.
const PAGE_CEILING: Duration = Duration::from_secs(6);

/// Base64 of 32 bytes.
const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// The open lists.
const LISTS: [&str; 5] = [
    "/deliveries?status=error",
    "/deliveries?object=no-such-object",
    "/deliveries?since=24h&task=a",
    "/deliveries?sort=-duration",
    "/runs?status=failed",
];

/// Measures a binary on both databases. Prints the results, and fails above a ceiling.
pub(super) fn run(binary: &Path) -> Result<()> {
    let folder = tempfile::Builder::new().prefix("hookwright-bench-").tempdir()?;
    let mut is_good = measure("SQLite", binary, folder.path(), None)?;
    let postgres = Postgres::start()?;
    is_good &= measure("PostgreSQL", binary, folder.path(), Some(&postgres.url()))?;
    if !is_good {
        bail!("viewers keep deliveries waiting");
    }
    Ok(())
}

fn measure(database: &str, binary: &Path, folder: &Path, url: Option<&str>) -> Result<bool> {
    let data = folder.join(database);
    let record = folder.join(format!("{database}.jsonl"));
    let mut program = Program::new(binary, &data);
    if let Some(url) = url {
        program = program.with("HOOKWRIGHT_DATABASE_URL", url).with("HOOKWRIGHT_KEY", KEY);
    }
    let inbox = program.inbox(&record)?;
    let server = program.serve("http://127.0.0.1:0", |_| ())?;
    let chain =
        Chain { name: "bench".into(), event: "poweron", url: format!("http://{}/hello", inbox.address), fields: "" };
    let Prepared { key, cookie } = prepare(&program, &server, "ingest", &[chain])?;
    drop(server);
    let mut arguments = vec![DELIVERIES.to_owned(), "--data-dir".into(), data.display().to_string()];
    arguments.extend(url.into_iter().flat_map(|url| ["--database-url".to_owned(), url.to_owned()]));
    fill::run(&arguments)?;
    // The million rows are written to the disk before the measurement.
    finish(&mut command("sync"))?;
    let server = program.serve("http://127.0.0.1:0", |_| ())?;
    say(&format!("{database}: {RATE} occurrences/s without viewers"));
    let alone = post(&server.address, &key, ALONE)?;
    let (posted_alone, received_alone, before) = report(alone, &record, 0)?;
    say(&format!("{database}: {RATE} occurrences/s beside {VIEWERS} dashboards and {VIEWERS} lists"));
    let is_over = AtomicBool::new(false);
    let (posts, pages) = std::thread::scope(|scope| {
        let (address, cookie, is_over) = (server.address.as_str(), cookie.as_str(), &is_over);
        let viewers: Vec<_> = (0..2 * VIEWERS)
            .map(|number| {
                let path = if number < VIEWERS { "/" } else { LISTS[number % LISTS.len()] };
                scope.spawn(move || view(address, path, cookie, is_over))
            })
            .collect();
        let posts = post(address, &key, LASTS);
        is_over.store(true, Ordering::SeqCst);
        let mut pages = Vec::new();
        for viewer in viewers {
            match viewer.join() {
                Ok(Ok(of_one)) => pages.extend(of_one),
                Ok(Err(error)) => return Err(error),
                Err(_) => bail!("a viewer panicked"),
            }
        }
        Ok((posts?, pages))
    })?;
    let (posted, received, _) = report(posts, &record, before)?;
    let slowest = pages.iter().map(|(_, took)| *took).max().unwrap_or_default();
    let refused = pages.iter().filter(|(status, _)| *status == 503).count();
    println!("{:>9}  pages, the slowest in {:.1} s; {refused} of them 503", pages.len(), slowest.as_secs_f64());
    let is_good = |took: i64, alone: i64| took <= CEILING_MS.max(alone * 5 / 4);
    Ok(is_good(posted, posted_alone) && is_good(received, received_alone) && slowest < PAGE_CEILING)
}

/// Prints the times of the posts and of their receipts. Leaves out the first `before` receipts. Returns both p95, and
/// the number of all receipts.
fn report(mut posts: Vec<i64>, record: &Path, before: usize) -> Result<(i64, i64, usize)> {
    std::thread::sleep(Duration::from_secs(2));
    let all: Vec<i64> = fs::read_to_string(record)?.lines().filter_map(wait_of).collect();
    let mut waits = all[before..].to_vec();
    if waits.len() < posts.len() {
        bail!("only {} of {} were delivered", waits.len(), posts.len());
    }
    posts.sort_unstable();
    waits.sort_unstable();
    let at = |sorted: &[i64], per_cent: usize| sorted[(sorted.len() * per_cent / 100).min(sorted.len() - 1)];
    println!("{:>9}  ms to the 202, p95 ({} p50, {} at most)", at(&posts, 95), at(&posts, 50), at(&posts, 100));
    println!("{:>9}  ms to the receipt, p95 ({} p50, {} at most)", at(&waits, 95), at(&waits, 50), at(&waits, 100));
    Ok((at(&posts, 95), at(&waits, 95), all.len()))
}

/// Posts at the rate until the time is up. Returns the milliseconds of each post.
fn post(address: &str, key: &str, lasts: Duration) -> Result<Vec<i64>> {
    let mut stream = BufReader::new(TcpStream::connect(address)?);
    stream.get_ref().set_nodelay(true)?;
    let header = format!("Authorization: Bearer {key}\r\n");
    let began = Instant::now();
    let mut took = Vec::new();
    while began.elapsed() < lasts {
        let due = began + Duration::from_millis(1000 / RATE) * u32::try_from(took.len())?;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let body = format!(
            "{{\"type\": \"vms\", \"event\": \"poweron\", \"object\": {{\"id\": \"probe\"}}, \"data\": {{\"t\": {}}}}}",
            now_ms()
        );
        let since = Instant::now();
        stream.get_mut().write_all(request("POST /api/v1/events", address, &header, &body).as_bytes())?;
        match read_response(&mut stream)? {
            (202, _) => took.push(i64::try_from(since.elapsed().as_millis())?),
            (status, _) => bail!("the server responded {status}"),
        }
    }
    Ok(took)
}

/// Fetches a page until the bench is over. Returns the status and the time of each fetch.
fn view(address: &str, path: &str, cookie: &str, is_over: &AtomicBool) -> Result<Vec<(u16, Duration)>> {
    let mut stream = TcpStream::connect(address)?;
    write!(stream, "GET /live HTTP/1.1\r\nHost: {address}\r\nCookie: {cookie}\r\n\r\n")?;
    let mut seen = Vec::new();
    while !is_over.load(Ordering::SeqCst) {
        let since = Instant::now();
        let mut connection = TcpStream::connect(address)?;
        write!(connection, "GET {path} HTTP/1.1\r\nHost: {address}\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n")?;
        let mut response = BufReader::new(connection);
        let mut line = String::new();
        response.read_line(&mut line)?;
        let status: u16 = line.split(' ').nth(1).and_then(|code| code.parse().ok()).context("no status line")?;
        response.read_to_end(&mut Vec::new())?;
        if status != 200 && status != 503 {
            bail!("{path} responded {status}");
        }
        seen.push((status, since.elapsed()));
    }
    Ok(seen)
}

/// Returns the milliseconds from the post of an occurrence to its receipt.
fn wait_of(line: &str) -> Option<i64> {
    let received: serde_json::Value = serde_json::from_str(line).ok()?;
    let body: serde_json::Value = serde_json::from_str(received["body"].as_str()?).ok()?;
    let arrived = millis_of_day(received["time"].as_str()?)?;
    // The day may change in between.
    Some((arrived - body["t"].as_i64()? % 86_400_000).rem_euclid(86_400_000))
}

#[expect(clippy::disallowed_methods, reason = "both ends of the measurement read the system's clock")]
fn now_ms() -> u128 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_millis()
}
