//! The ceiling: posts a second to the receiver by the server's HTTP client, when nothing is stored.

use crate::flags::Flags;
use anyhow::{Result, bail};
use reqwest::Client;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// The connections, each with one request at a time.
const CONNECTIONS: usize = 64;
/// The endpoint, which no webhook has.
const ENDPOINT: u32 = 1000;

/// Posts for `--ms` to an endpoint of `--receiver`.
pub(crate) async fn run(flags: &Flags) -> Result<()> {
    let url = format!("http://{}/e/{ENDPOINT}", flags.text("receiver")?);
    let lasts = Duration::from_millis(flags.number("ms", 1000)?);
    #[expect(clippy::disallowed_methods, reason = "the bare client has to reach the receiver on loopback")]
    let client = Client::builder().pool_max_idle_per_host(CONNECTIONS).tcp_nodelay(true).no_proxy().build()?;
    let next = Arc::new(AtomicU32::new(0));
    let began = Instant::now();
    let tasks: Vec<_> = (0..CONNECTIONS)
        .map(|_| tokio::spawn(post(client.clone(), url.clone(), Arc::clone(&next), began + lasts)))
        .collect();
    let mut posts = 0;
    for task in tasks {
        posts += task.await??;
    }
    let per_s = f64::from(posts) / began.elapsed().as_secs_f64();
    println!("{}", serde_json::json!({"posts_per_s": per_s}));
    Ok(())
}

/// Posts one message after the other until the end. Returns their number.
async fn post(client: Client, url: String, next: Arc<AtomicU32>, end: Instant) -> Result<u32> {
    let note = "x".repeat(120);
    let mut posts = 0;
    while Instant::now() < end {
        let message = next.fetch_add(1, Ordering::Relaxed);
        let body = format!("{{\"bench_seq\":{message},\"kind\":\"order.created\",\"note\":\"{note}\"}}");
        let response = client.post(&url).header("content-type", "application/json").body(body).send().await?;
        if !response.status().is_success() {
            bail!("the receiver responded {}", response.status());
        }
        response.bytes().await?;
        posts += 1;
    }
    Ok(posts)
}
