//! Requests of senders, byte for byte, and the response to each. The API responds to HTTP. The HTTP library refuses all
//! other bytes and ambiguous requests, and closes the connection.

mod shapes;

use crate::harness::{TestServer, TestStore, pause};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::access::Scope;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;
use shapes::{BROKEN, CLOSED, SETTINGS, SHAPES};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Time limit of a shape. A missing body takes 200 ms.
const PATIENCE: Duration = Duration::from_secs(10);

/// Returns the marks and their replacements. A mark comes before those that its replacement contains.
fn marks(key: &str, other: &str) -> Vec<(&'static str, String)> {
    vec![
        ("{post}", "{line}{host}{auth}".into()),
        ("{line}", "POST /api/v1/events HTTP/1.1\r\n".into()),
        ("{host}", "Host: hooks.example\r\n".into()),
        ("{auth}", "Authorization: Bearer {key}\r\n".into()),
        ("{json}", "Content-Type: application/json\r\n".into()),
        ("{size}", "Content-Length: {len}\r\n".into()),
        ("{chunked}", "Transfer-Encoding: chunked\r\n".into()),
        ("{lines}", "X-Line: 1\r\n".repeat(101)),
        ("{digits}", "7".repeat(300)),
        ("{long}", "x".repeat(60_000)),
        ("{nested}", "[".repeat(100) + &"]".repeat(100)),
        ("{deep}", "[".repeat(200) + &"]".repeat(200)),
        ("{many}", "[".to_owned() + &"{vm},".repeat(1000) + "{vm}]"),
        ("{vm}", r#"{"type":"vms","event":"poweron"}"#.into()),
        ("{basic}", STANDARD.encode(format!("x:{key}"))),
        ("{name}", STANDARD.encode(format!("{key}:"))),
        ("{key}", key.into()),
        ("{other}", other.into()),
    ]
}

/// Returns the text of a shape with all marks replaced except `{pause}` and `{end}`.
fn fill(head: &str, body: &str, marks: &[(&str, String)]) -> String {
    let fill = |text: &str| marks.iter().fold(text.to_owned(), |text, (mark, meaning)| text.replace(mark, meaning));
    let body = fill(body);
    let length = body.replace("{pause}", "").replace("{end}", "").chars().count();
    fill(head).replace("{len}", &length.to_string()) + &body
}

/// Returns the Latin-1 bytes of a text.
fn bytes(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).expect("a byte")).collect()
}

/// Reads the response that begins at the index `at` of the received bytes. Returns its status, or the constant that
/// stands for it. Interim responses are skipped.
async fn next(from: &mut (impl AsyncRead + Unpin), came: &mut Vec<u8>, at: &mut usize, has_body: bool) -> u16 {
    loop {
        let rest = &came[*at..];
        if rest.get(3..9).is_some_and(|frame| frame == [4, 0, 0, 0, 0, 0]) {
            return SETTINGS;
        }
        if let Some(end) = rest.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&rest[..end]).into_owned();
            let status = head.get(9..12).and_then(|digits| digits.parse().ok()).unwrap_or(BROKEN);
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
            let length: usize = length.filter(|_| has_body).unwrap_or_default();
            if rest.len() >= end + 4 + length {
                *at += end + 4 + length;
                if (100..200).contains(&status) {
                    continue;
                }
                return status;
            }
        }
        // A server that closes with unread bytes may send a reset.
        if !from.read_buf(came).await.is_ok_and(|read| read > 0) {
            return if came.len() == *at { CLOSED } else { BROKEN };
        }
    }
}

/// Writes a request in its parts and reads `count` responses. Returns their statuses and all that was received.
async fn ask(server: &TestServer, text: &str, count: usize) -> (Vec<u16>, String) {
    let address = server.url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).await.expect("connects");
    stream.set_nodelay(true).expect("set");
    let (mut from, mut to) = stream.split();
    let write = async {
        let whole = text.trim_end_matches("{end}");
        for (index, part) in whole.split("{pause}").enumerate() {
            if index > 0 {
                pause().await;
            }
            // The server may have closed the connection by now.
            if to.write_all(&bytes(part)).await.is_err() {
                return;
            }
        }
        if whole.len() < text.len() {
            let _ = to.shutdown().await;
        }
    };
    let read = async {
        let (mut statuses, mut came, mut at) = (Vec::new(), Vec::new(), 0);
        while statuses.len() < count && statuses.last() != Some(&CLOSED) {
            statuses.push(next(&mut from, &mut came, &mut at, !text.starts_with("HEAD ")).await);
        }
        (statuses, String::from_utf8_lossy(&came).into_owned())
    };
    let ((), responses) = tokio::join!(write, read);
    responses
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn request_shapes_get_the_expected_responses() {
    let server = TestServer::start(TestStore::sqlite().await).await;
    let key = server.key("dc", &[Scope::Ingest]).await;
    let other = server.key("inventory", &[Scope::Inventory]).await;
    let marks = marks(&key, &other);
    let mut wrong = String::new();
    for (name, head, body, expected, part) in SHAPES.iter().copied().flatten() {
        let text = fill(head, body, &marks);
        match timeout(PATIENCE, ask(&server, &text, expected.len())).await {
            Err(_) => wrong += &format!("{name} ({head:?}): {expected:?}, and has no response in time\n"),
            Ok((statuses, came)) if statuses != *expected || !came.contains(part) => {
                wrong += &format!("{name} ({head:?}): {expected:?} {part:?}, and is {statuses:?}\n{came}\n");
            }
            Ok(_) => {}
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_requests_get_a_response_or_the_end_and_the_next_is_accepted() {
    let server = TestServer::start(TestStore::sqlite().await).await;
    let key = server.key("dc", &[Scope::Ingest]).await;
    let method =
        prop_oneof![Just("POST".to_owned()), Just("GET".to_owned()), "[A-Za-z]{1,12}", "[ -~\u{80}-\u{ff}]{0,6}"];
    let target = prop_oneof![Just("/api/v1/events".to_owned()), Just("*".to_owned()), "/[!-~]{0,30}", "[ -~]{0,12}"];
    let version = prop_oneof![Just("HTTP/1.1"), Just("HTTP/1.0"), Just("HTTP/1.9"), Just("")];
    let line = prop_oneof![
        ("[A-Za-z-]{0,12}", "[ -~\u{80}-\u{ff}]{0,24}"),
        ("Content-Length", "[0-9]{0,2}"),
        ("Transfer-Encoding", "(gzip, )?chunked|identity|[a-z]{0,8}"),
        ("(Connection|Expect|Upgrade)", "close|keep-alive|100-continue|h2c|[a-z]{0,8}"),
        ("Content-Type", "application/(json|cloudevents\\+json)|[a-z/]{0,20}"),
        ("Authorization", "(Bearer|bearer|Basic) \\{key\\}"),
    ];
    let request = (
        method,
        target,
        version,
        prop::collection::vec(line, 0..6),
        prop_oneof![Just("\r\n"), Just("\n")],
        "[\\x00-\\xff]{0,60}",
    );
    let mut runner = TestRunner::new(Config::default());
    for _ in 0..100 {
        let (method, target, version, lines, end, body) = request.new_tree(&mut runner).expect("a request").current();
        let lines: String = lines.iter().map(|(name, value)| format!("{name}: {value}{end}")).collect();
        let text = format!("{method} {target} {version}{end}{lines}{end}{body}").replace("{key}", &key);
        let responses = timeout(PATIENCE, ask(&server, &text, 1)).await;
        let (statuses, came) = responses.unwrap_or_else(|_| panic!("{text:?} has no response in time"));
        let status = statuses[0];
        assert!(status == CLOSED || (200..=505).contains(&status), "{text:?}: {status}\n{came}");
        assert_eq!(server.post(&key, &json!({"type": "vms", "event": "poweron"})).await.0, 202, "after {text:?}");
    }
}
