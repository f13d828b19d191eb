//! `hookwright inbox`: a receiver for demos and tests. It shows requests exactly as they arrived.
//!
//! The inbox reads the socket itself, since an HTTP library's header map regroups and lower-cases headers. It speaks
//! just enough HTTP/1.1 for the dispatcher and for curl, and is never part of the product's service. Any caller may
//! connect, so the size and duration of requests and the number of connections are limited.

use crate::clock::Clock;
use futures_util::future::BoxFuture;
use model::text::visible;
use serde::Serialize;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, Semaphore};

/// Limits of a request's head and body. The largest message is half of the body's limit.
const HEAD_MAX_BYTES: u64 = 64 * 1024;
const BODY_MAX_BYTES: u64 = 2 * 1024 * 1024;
/// Limit of connections. Further connections wait.
const CONNECTIONS_MAX: usize = 256;
/// Limit of requests that are read, or wait to be shown, at the same time.
const AT_ONCE: usize = 32;
/// Time in which a request must arrive, and the longest duration of a response that is slow by intent.
const PATIENCE: Duration = Duration::from_mins(1);
const SLOW_MAX: Duration = Duration::from_mins(10);

/// A request as it arrived.
#[derive(Debug, Clone, Serialize, serde::Deserialize)]
pub struct Received {
    /// RFC 3339.
    pub time: String,
    /// `POST`.
    pub method: String,
    /// The path with its query.
    pub path: String,
    /// Each header line, in order, as on the wire.
    pub headers: Vec<(String, String)>,
    /// The body; bytes that are not UTF-8 are replaced.
    pub body: String,
}

/// Receives each request. The sender gets its response afterwards.
pub type Sink = Arc<dyn Fn(Received) -> BoxFuture<'static, ()> + Send + Sync>;

/// Serves `listener` for ever, and passes each request to `sink`.
pub async fn serve(listener: TcpListener, clock: Clock, sink: Sink) -> io::Result<()> {
    let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let reading = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        let Ok(permit) = connections.clone().acquire_owned().await else { return Ok(()) };
        // The limit of open files is reached, or the sender has gone. The next attempt may succeed.
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let (clock, sink, reading) = (clock.clone(), sink.clone(), reading.clone());
        tokio::spawn(async move {
            // A sender that hangs up is no error of the receiver.
            let _ = converse(stream, &clock, &sink, &reading).await;
            drop(permit);
        });
    }
}

/// Returns a sink that prints requests, or appends them to a file as JSON lines.
pub async fn printer(record: Option<PathBuf>) -> io::Result<Sink> {
    let file = match record {
        None => None,
        Some(path) => Some(tokio::fs::OpenOptions::new().create(true).append(true).open(path).await?),
    };
    let (sender, mut receiver) = tokio::sync::mpsc::channel::<Received>(AT_ONCE);
    let file = file.map(Mutex::new);
    tokio::spawn(async move {
        let mut waiting = Vec::new();
        // Requests that arrive during a write are written together.
        while receiver.recv_many(&mut waiting, AT_ONCE).await > 0 {
            let shown = if file.is_some() { json_line } else { plain };
            let text: String = waiting.drain(..).map(|received| shown(&received)).collect();
            let written = match &file {
                Some(file) => {
                    let mut file = file.lock().await;
                    match file.write_all(text.as_bytes()).await {
                        Ok(()) => file.flush().await,
                        Err(error) => Err(error),
                    }
                }
                None => {
                    let mut out = tokio::io::stdout();
                    match out.write_all(text.as_bytes()).await {
                        Ok(()) => out.flush().await,
                        Err(error) => Err(error),
                    }
                }
            };
            if let Err(error) = written {
                tracing::error!(%error, "cannot record what arrived");
            }
        }
    });
    Ok(Arc::new(move |received| {
        let sender = sender.clone();
        Box::pin(async move {
            // Sending fails only when the process ends.
            let _ = sender.send(received).await;
        })
    }))
}

fn json_line(received: &Received) -> String {
    serde_json::to_string(received).map(|line| line + "\n").unwrap_or_default()
}

/// Formats a request for a terminal. Control characters are replaced, since none may move the cursor.
fn plain(received: &Received) -> String {
    let head: String =
        received.headers.iter().map(|(name, value)| format!("{}: {}\n", visible(name), visible(value))).collect();
    let (method, path, body) = (visible(&received.method), visible(&received.path), visible(&received.body));
    format!("--- {}\n{method} {path}\n{head}\n{body}\n\n", received.time)
}

async fn converse(stream: TcpStream, clock: &Clock, sink: &Sink, reading: &Semaphore) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufStream::new(stream);
    loop {
        // The next request of a connection may take a while to begin. Once it has begun, it must arrive in time.
        let begun = tokio::time::timeout(PATIENCE, stream.fill_buf()).await.map_err(late)??;
        if begun.is_empty() {
            return Ok(());
        }
        let permit = reading.acquire().await.map_err(io::Error::other)?;
        let path = match tokio::time::timeout(PATIENCE, read_request(&mut stream, clock)).await.map_err(late)? {
            Ok(received) => {
                let path = received.path.clone();
                sink(received).await;
                path
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return simple(&mut stream, "413", "Connection: close\r\n").await;
            }
            Err(error) => return Err(error),
        };
        drop(permit);
        if !respond(&mut stream, &path).await? {
            return Ok(());
        }
    }
}

fn late(_: tokio::time::error::Elapsed) -> io::Error {
    io::ErrorKind::TimedOut.into()
}

/// Reads a line, of at most `capacity` bytes, and reduces `capacity` by its length.
async fn read_line(stream: &mut BufStream<TcpStream>, capacity: &mut u64) -> io::Result<String> {
    let mut line = Vec::new();
    let read = (&mut *stream).take(*capacity).read_until(b'\n', &mut line).await? as u64;
    *capacity -= read;
    match line.last() {
        Some(b'\n') => Ok(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned()),
        _ if *capacity == 0 => Err(io::ErrorKind::InvalidData.into()),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Reads a request. Fails with `InvalidData` if it is too large.
async fn read_request(stream: &mut BufStream<TcpStream>, clock: &Clock) -> io::Result<Received> {
    let mut capacity = HEAD_MAX_BYTES;
    let start = read_line(stream, &mut capacity).await?;
    let mut parts = start.split(' ');
    let (Some(method), Some(path)) = (parts.next(), parts.next()) else {
        return Err(io::ErrorKind::UnexpectedEof.into());
    };
    let (method, path) = (method.to_owned(), path.to_owned());
    let mut headers = Vec::new();
    loop {
        let line = read_line(stream, &mut capacity).await?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.push((name.to_owned(), value.trim_start().to_owned()));
    }
    let find =
        |wanted: &str| headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value);
    let mut body = Vec::new();
    if find("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
        read_chunks(stream, &mut body).await?;
    } else if let Some(length) = find("content-length").and_then(|value| value.parse::<u64>().ok()) {
        read_more(stream, length, &mut body).await?;
    }
    let body = String::from_utf8_lossy(&body).into_owned();
    Ok(Received { time: clock.now().to_rfc3339(), method, path, headers, body })
}

async fn read_chunks(stream: &mut BufStream<TcpStream>, body: &mut Vec<u8>) -> io::Result<()> {
    // Limits the lines between the chunks, since a chunk may be as small as a byte.
    let mut capacity = BODY_MAX_BYTES;
    loop {
        let line = read_line(stream, &mut capacity).await?;
        let size = u64::from_str_radix(line.split(';').next().unwrap_or_default().trim(), 16).unwrap_or_default();
        read_more(stream, size, body).await?;
        read_line(stream, &mut capacity).await?;
        if size == 0 {
            return Ok(());
        }
    }
}

async fn read_more(stream: &mut BufStream<TcpStream>, size: u64, body: &mut Vec<u8>) -> io::Result<()> {
    if size > BODY_MAX_BYTES - (body.len() as u64).min(BODY_MAX_BYTES) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    (&mut *stream).take(size).read_to_end(body).await?;
    Ok(())
}

/// Sends the response that the path asks for. Returns true if the connection stays open.
async fn respond(stream: &mut BufStream<TcpStream>, path: &str) -> io::Result<bool> {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let mut parts = path.trim_start_matches('/').splitn(2, '/');
    let number = |text: Option<&str>| text.and_then(|text| text.parse::<u64>().ok());
    match (parts.next().unwrap_or_default(), parts.next()) {
        ("status", code) => {
            let code = number(code).filter(|code| (200..=599).contains(code)).unwrap_or(200);
            simple(stream, &code.to_string(), "").await?;
        }
        ("delay", millis) => {
            tokio::time::sleep(Duration::from_millis(number(millis).unwrap_or(1000)).min(SLOW_MAX)).await;
            simple(stream, "200", "").await?;
        }
        ("redirect", _) => {
            let to = query.strip_prefix("to=").unwrap_or("/");
            let to: String = to.chars().filter(char::is_ascii_graphic).collect();
            simple(stream, "302", &format!("Location: {to}\r\n")).await?;
        }
        ("reset", _) => {
            // Closing with a lingering time of zero sends RST instead of FIN.
            socket2::SockRef::from(stream.get_ref()).set_linger(Some(Duration::ZERO))?;
            return Ok(false);
        }
        ("slow-body", _) => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n").await?;
            let since = tokio::time::Instant::now();
            while since.elapsed() < SLOW_MAX {
                stream.write_all(b".").await?;
                stream.flush().await?;
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            return Ok(false);
        }
        _ => simple(stream, "200", "").await?,
    }
    Ok(true)
}

async fn simple(stream: &mut BufStream<TcpStream>, status: &str, more: &str) -> io::Result<()> {
    // 204 and 304 have no body and no length (RFC 9110 §8.6).
    let tail = if matches!(status, "204" | "304") { "\r\n" } else { "Content-Length: 3\r\n\r\nok\n" };
    stream.write_all(format!("HTTP/1.1 {status} Inbox\r\n{more}{tail}").as_bytes()).await?;
    stream.flush().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_replaces_control_characters() {
        let received = Received {
            time: "2025-10-16T15:38:07.000Z".into(),
            method: "POST".into(),
            path: "/\u{1b}[2J".into(),
            headers: vec![("X\u{7}".into(), "\u{1b}]0;title\u{7}".into())],
            body: "a\u{1b}[1A\nb".into(),
        };
        let shown = plain(&received);
        assert!(!shown.contains(['\u{1b}', '\u{7}']), "{shown:?}");
        assert!(shown.contains("a\u{fffd}[1A\nb"), "{shown:?}");
    }
}
