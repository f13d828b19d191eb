//! `hookwright inbox`: a receiver for demos and tests that shows requests exactly as they arrived.
//!
//! It reads the socket itself: an HTTP library's header map has already regrouped and lower-cased what arrived.
//! It speaks just enough HTTP/1.1 for our own dispatcher and for curl; it is never part of the product's service.

use crate::clock::Clock;
use serde::Serialize;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;

/// The longest line of a request's head, and the largest body.
const LINE_MAX: u64 = 64 * 1024;
const BODY_MAX: u64 = 16 * 1024 * 1024;

/// A request as it arrived.
#[derive(Debug, Clone, Serialize, serde::Deserialize)]
pub struct Received {
    /// RFC 3339.
    pub time: String,
    /// `POST`.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Each header line, in order, as on the wire.
    pub headers: Vec<(String, String)>,
    /// The body; bytes that are not UTF-8 are replaced.
    pub body: String,
}

/// What to do with a request.
pub type Sink = Arc<dyn Fn(&Received) + Send + Sync>;

/// Answers on `listener` for ever, giving each request to `sink`.
pub async fn serve(listener: TcpListener, clock: Clock, sink: Sink) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        let (clock, sink) = (clock.clone(), sink.clone());
        tokio::spawn(async move {
            // A receiver that shows what arrives has nothing to do about a sender that hangs up.
            let _ = converse(stream, &clock, &sink).await;
        });
    }
}

/// A sink that prints, or appends JSON lines to a file.
pub async fn printer(record: Option<PathBuf>) -> io::Result<Sink> {
    let file = match record {
        None => None,
        Some(path) => Some(tokio::fs::OpenOptions::new().create(true).append(true).open(path).await?),
    };
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel::<Received>();
    let file = file.map(Mutex::new);
    tokio::spawn(async move {
        while let Some(received) = receiver.recv().await {
            let text = if file.is_some() { json_line(&received) } else { plain(&received) };
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
        // Sending fails only when the process ends.
        let _ = sender.send(received.clone());
    }))
}

fn json_line(received: &Received) -> String {
    serde_json::to_string(received).map(|line| line + "\n").unwrap_or_default()
}

fn plain(received: &Received) -> String {
    let head: String = received.headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
    format!("--- {}\n{} {}\n{head}\n{}\n\n", received.time, received.method, received.path, received.body)
}

async fn converse(stream: TcpStream, clock: &Clock, sink: &Sink) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufStream::new(stream);
    while let Some(received) = read_request(&mut stream, clock).await? {
        sink(&received);
        if !answer(&mut stream, &received.path).await? {
            break;
        }
    }
    Ok(())
}

async fn read_line(stream: &mut BufStream<TcpStream>) -> io::Result<String> {
    let mut line = Vec::new();
    (&mut *stream).take(LINE_MAX).read_until(b'\n', &mut line).await?;
    let text = String::from_utf8_lossy(&line);
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

async fn read_request(stream: &mut BufStream<TcpStream>, clock: &Clock) -> io::Result<Option<Received>> {
    let start = read_line(stream).await?;
    let mut words = start.split(' ');
    let (Some(method), Some(path)) = (words.next(), words.next()) else { return Ok(None) };
    let (method, path) = (method.to_owned(), path.to_owned());
    let mut headers = Vec::new();
    loop {
        let line = read_line(stream).await?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.push((name.to_owned(), value.trim_start().to_owned()));
    }
    let find =
        |wanted: &str| headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value);
    let mut body = Vec::new();
    if find("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
        read_chunks(stream, &mut body).await?;
    } else if let Some(length) = find("content-length").and_then(|value| value.parse::<u64>().ok()) {
        (&mut *stream).take(length.min(BODY_MAX)).read_to_end(&mut body).await?;
    }
    let body = String::from_utf8_lossy(&body).into_owned();
    Ok(Some(Received { time: clock.now().to_rfc3339(), method, path, headers, body }))
}

async fn read_chunks(stream: &mut BufStream<TcpStream>, body: &mut Vec<u8>) -> io::Result<()> {
    loop {
        let line = read_line(stream).await?;
        let size = u64::from_str_radix(line.split(';').next().unwrap_or_default().trim(), 16).unwrap_or_default();
        (&mut *stream).take(size.min(BODY_MAX)).read_to_end(body).await?;
        read_line(stream).await?;
        if size == 0 {
            return Ok(());
        }
    }
}

/// Answers as the path asks. Answers whether the connection goes on.
async fn answer(stream: &mut BufStream<TcpStream>, path: &str) -> io::Result<bool> {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let mut parts = path.trim_start_matches('/').splitn(2, '/');
    let number = |text: Option<&str>| text.and_then(|text| text.parse::<u64>().ok());
    match (parts.next().unwrap_or_default(), parts.next()) {
        ("status", code) => {
            let code = number(code).filter(|code| (200..=599).contains(code)).unwrap_or(200);
            simple(stream, &code.to_string(), "").await?;
        }
        ("delay", millis) => {
            tokio::time::sleep(Duration::from_millis(number(millis).unwrap_or(1000).min(600_000))).await;
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
            loop {
                stream.write_all(b".").await?;
                stream.flush().await?;
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
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
