//! Installed programs as senders and receivers.

use crate::delivery::{all_settled, tls_receiver};
use crate::harness::{TestInbox, TestServer, TestStore, client, eventually, folder};
use crate::process::{prepare, serve, serve_changed};
use model::access::Scope;
use model::delivery::Status;
use sea_orm::EntityTrait;
use serde_json::json;
use server::store::entity;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// A running program, which is killed when it is dropped.
pub(crate) struct Program(pub(crate) Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Returns the path of a program: from the variable that `cargo xtask test` sets, or else that of Debian.
pub(crate) fn program_path(variable: &str, path: &str) -> PathBuf {
    std::env::var_os(variable).map_or_else(|| path.into(), PathBuf::from)
}

/// Runs a Python receiver that prints its port first. Returns it and its URL.
fn python(script: &str) -> (Program, String) {
    let mut command = Command::new("python3");
    let mut child =
        command.args(["-u", "-c", script]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("python3");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("output")).read_line(&mut line).expect("a port");
    (Program(child), format!("http://127.0.0.1:{}/hook", line.trim()))
}

/// Receivers with Python's own server, which speaks HTTP/1.0 by default. Each responds with success in another way.
const PYTHON: [&str; 3] = [
    // With a length.
    "
from http.server import *
class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers['Content-Length']))
        self.send_response(200)
        self.send_header('Content-Length', '2')
        self.end_headers()
        self.wfile.write(b'ok')
server = ThreadingHTTPServer(('127.0.0.1', 0), Receiver)
print(server.server_port)
server.serve_forever()
",
    // Without a length: the body ends with the connection.
    "
from http.server import *
class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers['Content-Length']))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'ok')
server = HTTPServer(('127.0.0.1', 0), Receiver)
print(server.server_port)
server.serve_forever()
",
    // Without reading the body of the request.
    "
from http.server import *
class Receiver(BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def do_POST(self):
        self.send_response(204)
        self.send_header('Connection', 'close')
        self.end_headers()
server = ThreadingHTTPServer(('127.0.0.1', 0), Receiver)
print(server.server_port)
server.serve_forever()
",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn python_servers_receive_each_message_once() {
    let server = TestServer::start(TestStore::sqlite().await).await;
    let key = server.key("dc", &[Scope::Ingest]).await;
    let mut running = Vec::new();
    for (number, script) in PYTHON.iter().enumerate() {
        let (program, url) = python(script);
        running.push(program);
        let webhook = server.webhook(&format!("w{number}"), &url, |_| ()).await;
        server.event(server.task(&format!("t{number}"), webhook, "{}", false).await).await;
    }
    for count in [3, 6] {
        server.post(&key, &json!({"type": "vms", "event": "poweron"})).await;
        let rows = server.deliveries_until(|rows| rows.len() == count && all_settled(rows)).await;
        assert!(rows.iter().all(|row| (row.status, row.attempts) == (Some(Status::Sent), 1)), "{rows:?}");
    }
}

/// Starts Alertmanager with this server as its receiver. Returns it and its URL.
fn alertmanager(folder: &std::path::Path, url: &str, key: &str) -> (Program, String) {
    let config = format!(
        "route: {{receiver: hookwright, group_wait: 1s, group_interval: 1s, repeat_interval: 2s}}\n\
         receivers:\n- name: hookwright\n  webhook_configs:\n  - url: {url}/api/v1/sources/alertmanager\n    \
         send_resolved: true\n    http_config: {{authorization: {{credentials: {key}}}}}\n"
    );
    let file = folder.join("alertmanager.yml");
    std::fs::write(&file, config).expect("written");
    let mut command = Command::new(program_path("HOOKWRIGHT_TEST_ALERTMANAGER", "/usr/bin/prometheus-alertmanager"));
    command.arg(format!("--config.file={}", file.display())).arg(format!("--storage.path={}", folder.display()));
    command.args(["--web.listen-address=127.0.0.1:0", "--cluster.listen-address=", "--log.format=json"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("prometheus-alertmanager");
    let mut log = BufReader::new(child.stderr.take().expect("a log")).lines();
    let address = log.by_ref().map_while(Result::ok).find_map(|line| {
        let (_, rest) = line.split_once("127.0.0.1:")?;
        let port: String = rest.chars().take_while(char::is_ascii_digit).collect();
        (port != "0" && !port.is_empty()).then(|| format!("http://127.0.0.1:{port}"))
    });
    // Reads its log until it ends: a full pipe would stop it.
    std::thread::spawn(move || log.for_each(drop));
    (Program(child), address.expect("its address in the log"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alertmanager_alert_is_raised_once_and_lowered_once() {
    let server = TestServer::start(TestStore::sqlite().await).await;
    let inbox = TestInbox::start().await;
    let key = server.key("alerts", &[Scope::Ingest]).await;
    let webhook = server.webhook("w", &inbox.url, |_| ()).await;
    let message = r#"{"${EVENT}": "${NAME}", "level": "${data.level}", "why": "${data.annotations.summary}"}"#;
    let task = server.task("t", webhook, message, false).await;
    for event in ["alarms.raised", "alarms.lowered"] {
        server.event_of(task, |draft| draft.event = event.into()).await;
    }
    let folder = folder();
    let (_program, alertmanager) = alertmanager(folder.path(), &server.url, &key);
    let post = async |ends: serde_json::Value| {
        let mut alert = json!({"labels": {"alertname": "Disk", "instance": "web-01:9100", "severity": "critical"},
            "annotations": {"summary": "\"full\""}, "startsAt": "2025-10-16T15:38:07Z"});
        if !ends.is_null() {
            alert["endsAt"] = ends;
        }
        let request = server.http.post(format!("{alertmanager}/api/v2/alerts"));
        let request = request.header("content-type", "application/json").body(json!([alert]).to_string());
        request.send().await.is_ok_and(|response| response.status() == 200)
    };
    eventually("Alertmanager has accepted the alert", async || post(json!(null)).await).await;
    eventually("the alert was repeated", async || {
        let rows = entity::receipt::Entity::find().all(server.services.store.read()).await.expect("rows");
        rows.iter().any(|row| row.repeats > 0)
    })
    .await;
    assert!(post(json!("2025-10-16T16:00:00Z")).await);
    eventually("the alert was lowered", async || inbox.received().len() == 2).await;
    let bodies: Vec<_> = inbox.received().into_iter().map(|request| request.body).collect();
    let expected = |event: &str| format!(r#"{{"{event}": "web-01", "level": "critical", "why": "\"full\""}}"#);
    assert_eq!(bodies, [expected("raised"), expected("lowered")]);
}

/// Sends with netcat, which closes its half of the connection after sending. Returns the response.
fn netcat(url: &str, request: &str) -> String {
    let (host, port) = url.trim_start_matches("http://").split_once(':').expect("a port");
    let mut command = Command::new(program_path("HOOKWRIGHT_TEST_NETCAT", "/bin/nc.openbsd"));
    let mut child = command
        .args(["-N", "-w", "20", host, port])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("netcat-openbsd");
    child.stdin.take().expect("input").write_all(request.as_bytes()).expect("sent");
    let done = child.wait_with_output().expect("ended");
    String::from_utf8_lossy(&done.stdout).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sender_that_half_closes_its_connection_gets_the_response() {
    let test = TestStore::sqlite().await;
    let inbox = TestInbox::start().await;
    let key = prepare(&test, &inbox.url, "3").await;
    let server = serve(&test);
    let body = r#"{"type": "vms", "event": "poweron", "object": {"name": "web"}}"#;
    for version in ["1.0", "1.1"] {
        let request = format!(
            "POST /api/v1/events HTTP/{version}\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let url = server.url.clone();
        let response = tokio::task::spawn_blocking(move || netcat(&url, &request)).await.expect("asked");
        assert!(response.contains(" 202 Accepted") && response.contains("occurrences"), "{version}: {response}");
    }
    eventually("both are sent", async || inbox.received().len() == 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificate_in_the_systems_store_is_trusted() {
    // A certificate that is its own authority, as `openssl req -x509` makes it.
    let mut params = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("a name");
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let pair = rcgen::KeyPair::generate().expect("a key");
    let made = params.self_signed(&pair).expect("a certificate");
    let receiver = tls_receiver(made.pem(), pair.serialize_pem()).await;
    for is_installed in [true, false] {
        let test = TestStore::sqlite().await;
        let key = prepare(&test, &receiver, "3").await;
        let store = test.dir.path().join("store.pem");
        let other = rcgen::generate_simple_self_signed(["other.example".to_owned()]).expect("a certificate");
        std::fs::write(&store, other.cert.pem() + if is_installed { made.pem() } else { String::new() }.as_str())
            .expect("written");
        let server = serve_changed(&test, &[], |command| {
            command.env("SSL_CERT_FILE", &store).env_remove("SSL_CERT_DIR").stderr(Stdio::null());
        });
        post(&server.url, &key).await;
        let mut row = None;
        eventually("the delivery was attempted", async || {
            row = entity::delivery::Entity::find().one(test.store.read()).await.expect("rows");
            row.as_ref().is_some_and(|row| row.attempts > 0)
        })
        .await;
        let row = row.expect("one");
        if is_installed {
            assert_eq!(row.status, "sent", "{:?}", row.error);
        } else {
            let error = row.error.expect("an error");
            assert!(error.contains("certificate") && error.contains("system's store"), "{error}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unreadable_system_certificates_are_logged_and_plain_http_still_works() {
    let test = TestStore::sqlite().await;
    let inbox = TestInbox::start().await;
    let key = prepare(&test, &inbox.url, "3").await;
    let log = test.dir.path().join("log");
    let file = std::fs::File::create(&log).expect("a file");
    let server = serve_changed(&test, &[], |command| {
        command.env("SSL_CERT_FILE", test.dir.path().join("nowhere")).env_remove("SSL_CERT_DIR").stderr(file);
    });
    post(&server.url, &key).await;
    eventually("the delivery is sent", async || inbox.received().len() == 1).await;
    assert!(std::fs::read_to_string(&log).expect("a log").contains("nothing is sent by https until they can"));
}

async fn post(url: &str, key: &str) {
    let post = client().post(format!("{url}/api/v1/events")).bearer_auth(key);
    let post = post.header("content-type", "application/json");
    let response = post.body(json!({"type": "vms", "event": "poweron"}).to_string()).send().await;
    assert_eq!(response.expect("a response").status(), 202);
}
