//! Sending through an egress proxy. The proxy resolves the names, and only direct webhooks bypass it.

use crate::delivery::tls_receiver;
use crate::harness::{TestInbox, TestServer, TestStore};
use app::view::webhook::TestRequest;
use base64::Engine;
use model::egress::{Policy, Rules};
use model::webhook::WebhookDraft;
use server::outbound::proxy::EgressProxy;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// A proxy that requires `user:secret` and connects every name to one receiver.
struct TestProxy {
    address: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl TestProxy {
    async fn start(receiver: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let requests = Arc::<Mutex<Vec<String>>>::default();
        let sink = requests.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(pass(stream, receiver.clone(), sink.clone()));
            }
        });
        Self { address, requests }
    }

    fn requests(&self) -> Vec<String> {
        std::mem::take(&mut *self.requests.lock().expect("no panic"))
    }

    fn at(&self, credentials: &str) -> EgressProxy {
        EgressProxy::parse(&format!("http://{credentials}{}", self.address)).expect("a proxy")
    }
}

/// Records a request, checks its credentials, and passes it on in origin form or through a tunnel.
async fn pass(stream: TcpStream, receiver: String, requests: Arc<Mutex<Vec<String>>>) -> Option<()> {
    let mut stream = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok()?;
        if line.trim().is_empty() {
            break;
        }
        lines.push(line);
    }
    let first = lines.first()?.trim().to_owned();
    requests.lock().expect("no panic").push(first.clone());
    let expected = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode("user:secret"));
    let is_known = lines.iter().any(|line| {
        line.to_ascii_lowercase().starts_with("proxy-authorization:") && line.trim_end().ends_with(&expected)
    });
    if !is_known {
        let response = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        return stream.write_all(response).await.ok();
    }
    let mut onward = TcpStream::connect(&receiver).await.ok()?;
    if first.starts_with("CONNECT ") {
        stream.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").await.ok()?;
    } else {
        let mut parts = first.split(' ');
        let (method, target) = (parts.next()?, parts.next()?);
        let path = target.splitn(4, '/').nth(3).unwrap_or_default();
        onward.write_all(format!("{method} /{path} HTTP/1.1\r\n").as_bytes()).await.ok()?;
        for line in lines.iter().skip(1).filter(|line| !line.to_ascii_lowercase().starts_with("proxy-")) {
            onward.write_all(line.as_bytes()).await.ok()?;
        }
        onward.write_all(b"\r\n").await.ok()?;
    }
    tokio::io::copy_bidirectional(&mut stream, &mut onward).await.ok().map(drop)
}

/// Sends a test message. Returns the status and the error.
async fn send(server: &TestServer, draft: WebhookDraft) -> (Option<u16>, String) {
    let request = TestRequest { draft: WebhookDraft { name: "w".into(), ..draft }, message: "{}".into() };
    match server.services.backend().webhooks.send_test(None, request).await {
        Ok(tested) => (tested.status_code, tested.error.unwrap_or_default()),
        Err(error) => (None, format!("{} {:?}", error.message, error.fields)),
    }
}

fn to(url: &str) -> WebhookDraft {
    WebhookDraft { url: url.to_owned(), ..WebhookDraft::default() }
}

/// Returns rules under which only the proxy can call addresses of this machine.
fn strict() -> Rules {
    Rules { policy: Policy::Internet, ..Rules::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_are_resolved_by_the_proxy_and_direct_webhooks_bypass_it() {
    let inbox = TestInbox::start().await;
    let proxy = TestProxy::start(inbox.url.trim_start_matches("http://").to_owned()).await;
    let server = TestServer::start_through(TestStore::sqlite().await, strict(), proxy.at("user:secret@")).await;
    // Only the proxy knows this name.
    assert_eq!(send(&server, to("http://only-there.invalid/hook?a=1")).await, (Some(200), String::new()));
    assert_eq!(proxy.requests(), ["POST http://only-there.invalid/hook?a=1 HTTP/1.1"]);
    assert_eq!(inbox.received()[0].path, "/hook?a=1");
    assert!(!inbox.received()[0].headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("proxy-authorization")));
    // A literal address is checked before the proxy is asked.
    let (status, error) = send(&server, to("http://127.0.0.1:9/")).await;
    assert!(status.is_none() && error.contains("loopback"), "{error}");
    let direct = WebhookDraft { direct: "true".into(), ..to("http://only-there.invalid/") };
    let (status, error) = send(&server, direct).await;
    assert!(status.is_none() && error.contains("only-there.invalid"), "{error}");
    assert_eq!(proxy.requests(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn https_is_tunnelled_and_verified_at_its_end() {
    let made = rcgen::generate_simple_self_signed(["receiver.invalid".to_owned()]).expect("a certificate");
    let receiver = tls_receiver(made.cert.pem(), made.signing_key.serialize_pem()).await;
    let proxy = TestProxy::start(receiver.trim_start_matches("https://").to_owned()).await;
    let server = TestServer::start_through(TestStore::sqlite().await, strict(), proxy.at("user:secret@")).await;
    let (status, error) = send(&server, to("https://receiver.invalid/")).await;
    assert!(status.is_none() && error.contains("authority that this system does not trust"), "{error}");
    let insecure = WebhookDraft { allow_insecure: "true".into(), ..to("https://receiver.invalid/") };
    assert_eq!(send(&server, insecure).await, (Some(200), String::new()));
    assert_eq!(proxy.requests(), ["CONNECT receiver.invalid:443 HTTP/1.1"; 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn proxy_failure_is_blamed_on_the_proxy() {
    let proxy = TestProxy::start("127.0.0.1:1".to_owned()).await;
    let server = TestServer::start_through(TestStore::sqlite().await, strict(), proxy.at("user:wrong@")).await;
    let (status, error) = send(&server, to("https://receiver.invalid/")).await;
    assert!(status.is_none() && error.contains("egress proxy made no connection: it wants a user name"), "{error}");
    let (status, error) = send(&server, to("http://receiver.invalid/")).await;
    assert!(status == Some(407) && error.contains("--egress-proxy"), "{error}");
    assert!(!error.contains("wrong"), "{error}");

    let closed = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("an address");
    let nowhere = EgressProxy::parse(&format!("http://{closed}")).expect("a proxy");
    let server = TestServer::start_through(TestStore::sqlite().await, strict(), nowhere).await;
    for url in ["http://receiver.invalid/", "https://receiver.invalid/"] {
        let (status, error) = send(&server, to(url)).await;
        let expected = "Cannot connect to the egress proxy: nothing accepts connections on this port.";
        assert_eq!((status, error.as_str()), (None, expected), "{url}");
    }
    let metadata = EgressProxy::parse("http://169.254.169.254:3128").expect("a proxy");
    let server = TestServer::start_through(TestStore::sqlite().await, strict(), metadata).await;
    let (status, error) = send(&server, to("http://receiver.invalid/")).await;
    assert!(status.is_none() && error.contains("metadata address"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hang_up_of_the_receiver_is_not_blamed_on_the_proxy() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let receiver = listener.local_addr().expect("an address").to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 64]).await;
        }
    });
    let proxy = TestProxy::start(receiver).await;
    let server = TestServer::start_through(TestStore::sqlite().await, strict(), proxy.at("user:secret@")).await;
    let (status, error) = send(&server, to("https://receiver.invalid/")).await;
    assert!(status.is_none() && error.contains("the receiver hung up in the handshake"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hang_up_of_the_proxy_is_reported() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 64]).await;
        }
    });
    let proxy = EgressProxy::parse(&format!("http://{address}")).expect("a proxy");
    let server = TestServer::start_through(TestStore::sqlite().await, strict(), proxy).await;
    let (status, error) = send(&server, to("https://receiver.invalid/")).await;
    assert!(status.is_none() && error.contains("The egress proxy made no connection: it broke off"), "{error}");
}
