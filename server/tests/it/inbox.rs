//! The receiver for demos and tests. Anyone may connect to it, and no request takes much memory.

use server::clock::Clock;
use server::inbox::{Received, Sink, serve};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Starts an inbox and sends it these bytes. Returns the connection and the received requests.
async fn send(request: &[u8]) -> (TcpStream, Arc<Mutex<Vec<Received>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let received = Arc::<Mutex<Vec<Received>>>::default();
    let kept = received.clone();
    let sink: Sink = Arc::new(move |one| {
        kept.lock().expect("no panic").push(one);
        Box::pin(std::future::ready(()))
    });
    tokio::spawn(serve(listener, Clock::system(), sink));
    let mut stream = TcpStream::connect(address).await.expect("connects");
    // The inbox may hang up before all is sent.
    let _ = stream.write_all(request).await;
    (stream, received)
}

/// Returns the beginning of the response to these bytes, and the number of received requests.
async fn respond_to(request: &[u8]) -> (String, usize) {
    let (mut stream, received) = send(request).await;
    let mut response = [0; 12];
    stream.read_exact(&mut response).await.expect("a response");
    let count = received.lock().expect("no panic").len();
    (String::from_utf8_lossy(&response).into_owned(), count)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endless_head_or_body_is_refused() {
    let head = [b"POST / HTTP/1.1\r\n".as_slice(), "X: y\r\n".repeat(20_000).as_bytes()].concat();
    let line = [b"POST /".as_slice(), &vec![b'x'; 100_000]].concat();
    let long = b"POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n".to_vec();
    let chunk = format!("{:x}\r\n{}\r\n", 100_000, "x".repeat(100_000));
    let chunked = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunks = [chunked.as_slice(), chunk.repeat(22).as_bytes()].concat();
    let tiny = [chunked.as_slice(), "1\r\nx\r\n".repeat(400_000).as_bytes()].concat();
    for request in [head, line, long, chunks, tiny] {
        let (mut stream, received) = send(&request).await;
        let mut response = Vec::new();
        // The response is 413, or unread bytes reset the connection before it arrives.
        let _ = stream.read_to_end(&mut response).await;
        assert!(response.is_empty() || response.starts_with(b"HTTP/1.1 413"), "{}", String::from_utf8_lossy(&response));
        assert!(received.lock().expect("no panic").is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chunked_request_arrives_whole() {
    let request = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n";
    assert_eq!(respond_to(request).await, ("HTTP/1.1 200".to_owned(), 1));
}
