//! `cargo xtask bench memory`: measures the peak memory of each large request, above that of the idle server.

use crate::server::{Chain, Prepared, Program, Running, form, prepare, read_response, request};
use crate::shell::say;
use anyhow::{Context, Result, bail};
use std::fmt::Write as _;
use std::fs;
use std::io::{BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// The most MiB of a request. Above it the bench fails.
const CEILING: u64 = 200;
/// The number of tasks that an occurrence starts.
const TASKS: usize = 40;
/// The number of tags on an object, each in its own category.
const TAGS: usize = 8;

/// Measures each request on its own server. Prints a table, and fails above the ceiling.
pub(super) fn run(binary: &Path) -> Result<()> {
    let batch = |start: &str| {
        let one = format!(
            "{{\"type\":\"vms\",\"event\":\"{start}\",\"object\":{{\"id\":\"vm-1\",\"name\":\"web-01\"}},\"data\":{{\"t\":1}}}}"
        );
        ("POST /api/v1/events", format!("[{}]", vec![one; 1000].join(",")), 202)
    };
    let inventory = |count: usize, tags: usize| {
        let tags = (0..tags).map(|number| format!("\"c{number}/t\"")).collect::<Vec<_>>().join(",");
        let mut body = String::from("[");
        for number in 0..count {
            let comma = if number == 0 { "" } else { "," };
            let _ = write!(body, "{comma}{{\"id\":\"vm-{number}\",\"name\":\"web-{number}\",\"tags\":[{tags}]}}");
        }
        ("PUT /api/v1/inventory/vms", body + "]", 200)
    };
    let rows = [
        ("1,000 occurrences that start 20 tasks each", batch("poweroff")),
        ("1,000 occurrences that start 40 tasks each", batch("poweron")),
        ("an inventory of 50,000 objects", inventory(50_000, 0)),
        ("an inventory of 10,000 objects with 8 tags", inventory(10_000, TAGS)),
        ("an inventory of 50,000 objects with 8 tags", inventory(50_000, TAGS)),
    ];
    let mut table = String::from("   MiB above idle       s   request\n");
    let mut is_above = false;
    for (label, (start, body, expected)) in rows {
        say(label);
        let (mib, seconds) = measure(binary, start, &body, expected)?;
        is_above |= mib > CEILING;
        let _ = writeln!(table, "{mib:>17} {seconds:>7.1}   {label}");
    }
    println!("\n{table}");
    if is_above {
        bail!("a request takes more than {CEILING} MiB");
    }
    Ok(())
}

fn measure(binary: &Path, start: &str, body: &str, expected: u16) -> Result<(u64, f64)> {
    let folder = tempfile::Builder::new().prefix("hookwright-bench-").tempdir()?;
    let program = Program::new(binary, &folder.path().join("data"));
    let server = program.serve("http://127.0.0.1:0", |_| ())?;
    // The webhooks are paused below: the bench measures the request, and not the deliveries that it causes.
    let chain = |number: usize| Chain {
        name: format!("task {number}"),
        event: "poweron",
        url: "http://127.0.0.1:9/".to_owned(),
        fields: "",
    };
    let chains: Vec<_> = (0..TASKS).map(chain).collect();
    let Prepared { key, cookie } = prepare(&program, &server, "ingest,inventory", &chains)?;
    for number in 1..=TASKS {
        form(&server, &format!("/webhooks/{number}/pause"), &cookie, "")?;
        if number <= TASKS / 2 {
            let fields = format!("event=vms.poweroff&object=any&task={number}&enabled=true");
            form(&server, "/events/new", &cookie, &fields)?;
        }
    }
    for number in 0..TAGS {
        form(&server, "/tags/categories/new", &cookie, &format!("category_name=c{number}&type.vms=true"))?;
        form(&server, "/tags/new", &cookie, &format!("name=t&category={}", number + 1))?;
    }
    let header = format!("Authorization: Bearer {key}\r\n");
    let mut stream = BufReader::new(TcpStream::connect(&server.address)?);
    stream.get_ref().set_read_timeout(Some(Duration::from_mins(2)))?;
    let idle = peak_mib(&server)?;
    let began = Instant::now();
    stream.get_mut().write_all(request(start, &server.address, &header, body).as_bytes())?;
    let (status, response) = read_response(&mut stream)?;
    if status != expected {
        bail!("the server responded {status}: {}", String::from_utf8_lossy(&response[..response.len().min(500)]));
    }
    Ok((peak_mib(&server)?.saturating_sub(idle), began.elapsed().as_secs_f64()))
}

/// Returns the peak memory of a process, in MiB.
fn peak_mib(server: &Running) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", server.id()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse::<u64>()? / 1024)
}
