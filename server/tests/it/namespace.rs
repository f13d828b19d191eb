//! The egress rules at real sockets, in a network namespace where this machine has each of these addresses and a
//! receiver listens on all of them: every message that the guard permits arrives. A name server of the test changes an
//! address between the save and the send.

use crate::harness::{TestInbox, TestServer, TestStore};
use model::delivery::Status;
use model::egress::{Policy, Rules};
use model::time::Timestamp;
use model::webhook::WebhookDraft;
use server::clock::new_uuid;
use server::store::webhook;
use std::net::{Ipv4Addr, UdpSocket};
use std::process::Command;

/// Variable that is set for the half of the test within the namespace.
const INSIDE: &str = "HOOKWRIGHT_TEST_NAMESPACE";

/// Refused under each policy.
const REFUSED: &[&str] = &[
    "169.254.169.254",
    "169.254.1.1",
    "100.100.100.200",
    "192.0.0.192",
    "168.63.129.16",
    "192.0.2.1",
    "198.51.100.1",
    "203.0.113.1",
    "240.0.0.1",
    "[fd00:ec2::254]",
    "[fd20:ce::254]",
    "[2001:db8::1]",
    "[3fff::1]",
    "[100::1]",
    "[fec0::1]",
    // IPv4 inside IPv6: compatible, SIIT, NAT64 twice, 6to4, Teredo, ISATAP.
    "[::a9fe:a9fe]",
    "[::ffff:0:a9fe:a9fe]",
    "[64:ff9b::a9fe:a9fe]",
    "[64:ff9b:1::a9fe:a9fe]",
    "[2002:a9fe:a9fe::1]",
    "[2001:0:1:2:3:4:5601:5601]",
    "[fd00::5efe:a9fe:a9fe]",
];

/// Refused too. Every namespace has these addresses already.
const REFUSED_ALWAYS_HERE: &[&str] =
    &["127.0.0.1", "127.9.9.9", "0.0.0.0", "[::1]", "[::]", "[::ffff:169.254.169.254]", "[::ffff:127.0.0.1]"];

const PRIVATE: &[&str] = &["10.1.2.3", "172.16.0.9", "192.168.7.7", "100.64.0.1", "198.18.0.1", "[fd12::1]"];

const PUBLIC: &[&str] = &["8.8.8.8", "[2606:4700::1111]"];

#[test]
fn egress_rules_hold_at_real_sockets_and_against_rebinding() {
    if std::env::var_os(INSIDE).is_some() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        return runtime.expect("a runtime").block_on(inside());
    }
    let dir = crate::harness::folder();
    let resolv = dir.path().join("resolv.conf");
    std::fs::write(&resolv, "nameserver 127.0.0.1\n").expect("written");
    let add = |address: &&str| {
        let bare = address.trim_matches(['[', ']']);
        let length = if bare.contains(':') { 128 } else { 32 };
        format!("ip addr add {bare}/{length} dev lo\n")
    };
    let addresses: String = [REFUSED, PRIVATE, PUBLIC].concat().iter().map(add).collect();
    let script = format!(
        "set -e\nip link set lo up\n{addresses}mount --bind {} /etc/resolv.conf\nexec \"$0\" --exact {} --nocapture\n",
        resolv.display(),
        "namespace::egress_rules_hold_at_real_sockets_and_against_rebinding"
    );
    let test = std::env::current_exe().expect("this test");
    // A user who is not root becomes root in the new namespace.
    let output = Command::new("unshare")
        .args(["--net", "--mount", "--map-root-user", "sh", "-c", &script])
        .arg(test)
        .env(INSIDE, "1")
        .output()
        .expect("unshare of util-linux");
    let printed = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && printed.contains("1 passed"), "{printed}");
}

async fn inside() {
    let inbox = TestInbox::start_on("[::]").await;
    let port: u16 = inbox.url.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
    std::thread::spawn(|| serve_names(&UdpSocket::bind("127.0.0.1:53").expect("port 53 of the namespace")));
    let internal = TestServer::start_under(TestStore::sqlite().await, Rules::default()).await;
    let internet =
        TestServer::start_under(TestStore::sqlite().await, Rules { policy: Policy::Internet, ..Rules::default() })
            .await;
    let listed = TestServer::start_under(
        TestStore::sqlite().await,
        Rules { policy: Policy::Listed, allowed: vec!["10.1.0.0/16".parse().expect("a network")], ..Rules::default() },
    )
    .await;
    for host in [REFUSED, REFUSED_ALWAYS_HERE].concat() {
        for server in [&internal, &internet, &listed] {
            assert_eq!(send(server, host, port).await, Status::Error, "{host}");
        }
    }
    assert!(inbox.received().is_empty(), "nothing was called");
    for (server, host, expected) in PRIVATE
        .iter()
        .flat_map(|host| [(&internal, host, Status::Sent), (&internet, host, Status::Error)])
        .chain(PUBLIC.iter().flat_map(|host| {
            [(&internal, host, Status::Sent), (&internet, host, Status::Sent), (&listed, host, Status::Error)]
        }))
        .chain([(&listed, &"10.1.2.3", Status::Sent), (&listed, &"172.16.0.9", Status::Error)])
    {
        assert_eq!(send(server, host, port).await, expected, "{host}");
    }
    names(&internal, &inbox, port).await;
    own_addresses(&inbox, port).await;
}

/// Checks that a listener on all addresses covers addresses that this machine gets later.
async fn own_addresses(inbox: &TestInbox, port: u16) {
    let wildcard = Rules { listeners: vec![(Ipv4Addr::UNSPECIFIED, port).into()], ..Rules::default() };
    let server = TestServer::start_under(TestStore::sqlite().await, wildcard).await;
    let before = inbox.received().len();
    let add = Command::new("ip").args(["addr", "add", "10.99.0.1/32", "dev", "lo"]).status().expect("ip of iproute2");
    assert!(add.success());
    for host in ["10.1.2.3", "10.99.0.1", "[fd12::1]"] {
        assert_eq!(send(&server, host, port).await, Status::Error, "{host}");
    }
    assert_eq!(inbox.received().len(), before);
}

/// Checks that the addresses behind a name decide, and anew for each send.
async fn names(server: &TestServer, inbox: &TestInbox, port: u16) {
    let before = inbox.received().len();
    let save = async |host: &str| {
        let url = format!("http://{host}:{port}/");
        let draft = WebhookDraft { name: host.into(), url, retries: "0".into(), ..WebhookDraft::default() };
        server.services.backend().webhooks.save(None, draft).await
    };
    let refused = save("metadata.test").await.expect_err("refused at save");
    assert!(refused.fields.0[0].message.contains("link-local or metadata"), "{refused:?}");
    assert_eq!(send(server, "metadata.test", port).await, Status::Error);
    let asked = std::time::Instant::now();
    assert!(save("silent.test").await.expect("accepted").is_unresolved, "the name server does not respond");
    assert!(asked.elapsed() < std::time::Duration::from_secs(4), "a save waits a second for the name server");
    assert!(!save("mixed.test").await.expect("accepted").is_unresolved);
    let rebinding = save("rebind.test").await.expect("a private address at the time of saving").id;
    assert_eq!(execute(server, rebinding, "rebind").await, Status::Error, "a forbidden address at the time of sending");
    assert_eq!(inbox.received().len(), before);
    // Of several addresses only permitted ones are called.
    assert_eq!(send(server, "mixed.test", port).await, Status::Sent);
    assert_eq!(inbox.received().len(), before + 1);
}

/// Sends to a webhook that was stored without the check at save.
async fn send(server: &TestServer, host: &str, port: u16) -> Status {
    let url = format!("http://{host}:{port}/");
    let draft = WebhookDraft { name: url.clone(), url, retries: "0".into(), ..WebhookDraft::default() };
    let (now, db) = (Timestamp(0), server.services.store.write());
    let checked = draft.parse(None).expect("valid");
    let id = webhook::insert(db, &checked.settings, new_uuid(now), webhook::SealedSecrets::default(), now)
        .await
        .expect("a webhook");
    execute(server, id, host).await
}

async fn execute(server: &TestServer, id: model::id::WebhookId, name: &str) -> Status {
    let task = server.task(name, id, "x", false).await;
    let uuid = server.services.backend().tasks.execute(task, "test".into()).await.expect("started");
    let is_settled = |row: &app::view::delivery::DeliveryLine| row.uuid == uuid && row.is_settled();
    let rows = server.deliveries_until(|rows| rows.iter().any(is_settled)).await;
    let row = rows.iter().find(|row| row.uuid == uuid).expect("there");
    if row.status == Some(Status::Error) {
        let error = row.error.clone().unwrap_or_default();
        assert!(error.contains("may not be called"), "{name}: {error}");
    }
    row.status.expect("readable")
}

/// Serves four names (RFC 1035) with a lifetime of zero; `silent.test` gets no response.
fn serve_names(socket: &UdpSocket) {
    let (good, bad) = (Ipv4Addr::new(10, 1, 2, 3), Ipv4Addr::new(169, 254, 169, 254));
    let mut has_asked = false;
    let mut packet = [0; 512];
    while let Ok((length, from)) = socket.recv_from(&mut packet) {
        let query = &packet[..length];
        let mut end = 12;
        let mut name = Vec::new();
        while let Some(label) = query.get(end).copied().filter(|label| *label > 0) {
            let label = usize::from(label);
            name.push(String::from_utf8_lossy(&query[end + 1..end + 1 + label]).to_lowercase());
            end += label + 1;
        }
        if name == ["silent", "test"] {
            continue;
        }
        let question = &query[12..end + 5];
        let is_address = question.ends_with(&[0, 1, 0, 1]);
        let answers = match (name.join(".").as_str(), is_address) {
            ("metadata.test", true) => vec![bad],
            ("mixed.test", true) => vec![bad, good],
            ("rebind.test", true) if std::mem::replace(&mut has_asked, true) => vec![bad],
            ("rebind.test", true) => vec![good],
            _ => Vec::new(),
        };
        let count = u8::try_from(answers.len()).expect("few");
        let mut reply = [&query[..2], &[0x81, 0x80, 0, 1, 0, count, 0, 0, 0, 0], question].concat();
        for address in answers {
            reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
            reply.extend(address.octets());
        }
        socket.send_to(&reply, from).expect("sent");
    }
}
