//! Connections of strangers that send nothing or too little. They block no other client, and deliveries continue.

use crate::harness::{TestInbox, TestStore, client, eventually};
use crate::process::{prepare, serve_changed};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Raises the limit on open files of this process, which holds the other ends of the connections.
fn raise_own_limit() {
    let most = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most }).expect("raised");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_connections_of_strangers_block_no_client_and_no_delivery() {
    raise_own_limit();
    let test = TestStore::sqlite().await;
    let inbox = TestInbox::start().await;
    let key = prepare(&test, &inbox.url, "3").await;
    // The usual limit of service managers, as soft and hard limit: fewer files than connections.
    let server = serve_changed(&test, &["--listen", "http://127.0.0.1:0,https://127.0.0.1:0"], |command| {
        let mut shell = std::process::Command::new("prlimit");
        shell.arg("--nofile=1024:1024").arg(command.get_program()).args(command.get_args());
        shell.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        shell.stdout(std::process::Stdio::piped());
        *command = shell;
    });
    let address = server.url.trim_start_matches("http://").to_owned();
    let before = server.peak_mib();
    let mut held = Vec::new();
    for number in 0..1700 {
        // Well under the deadline after which silent connections are closed in any case.
        let connected = tokio::time::timeout(Duration::from_secs(5), TcpStream::connect(&address)).await;
        let mut stream =
            connected.unwrap_or_else(|_| panic!("connection {number} was not accepted")).expect("connects");
        match number {
            0..1100 => {}
            // The head of a form and one byte of its body, or the first bytes of a TLS handshake.
            1100..1500 => {
                let start = "POST /sign-in HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\nn";
                let _ = stream.write_all(start.as_bytes()).await;
            }
            _ => _ = stream.write_all(&[0x16, 0x03, 0x01]).await,
        }
        held.push(stream);
    }
    let http = client();
    let response = http.get(format!("{}/sign-in", server.url)).timeout(Duration::from_secs(5)).send().await;
    assert_eq!(response.expect("a response").status(), 200);
    for number in 0..5 {
        let body = serde_json::json!({"type": "vms", "event": "poweron", "object": {"id": number.to_string()}});
        let post = http.post(format!("{}/api/v1/events", server.url)).bearer_auth(&key);
        let post = post.header("content-type", "application/json").body(body.to_string());
        assert_eq!(post.timeout(Duration::from_secs(5)).send().await.expect("a response").status(), 202);
    }
    eventually("all are delivered", async || inbox.received().len() == 5).await;
    let grown = server.peak_mib() - before;
    assert!(grown < 100, "{grown} MiB more");
    // The oldest connections have been closed.
    let mut byte = [0];
    let first = tokio::time::timeout(Duration::from_secs(5), held[0].read(&mut byte)).await;
    assert!(matches!(first, Ok(Ok(0) | Err(_))), "{first:?}");
}
