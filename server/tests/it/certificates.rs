//! Certificates and handshakes of receivers, and the error message of each.

use crate::delivery::tls_receiver;
use crate::harness::{TestInbox, TestServer, TestStore};
use app::view::webhook::TestRequest;
use model::webhook::WebhookDraft;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Sends a test message. Returns the status and the error.
async fn send(server: &TestServer, url: &str, insecure: &str) -> (Option<u16>, String) {
    let draft = WebhookDraft {
        name: "w".into(),
        url: url.to_owned(),
        allow_insecure: insecure.into(),
        ..WebhookDraft::default()
    };
    let request = TestRequest { draft, message: "{}".into() };
    let tested = server.services.backend().webhooks.send_test(None, request).await.expect("tested");
    (tested.status_code, tested.error.unwrap_or_default())
}

/// Starts a receiver that responds to any bytes with these. Returns its address.
async fn speaker(response: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = [0; 4096];
            let _ = stream.read(&mut head).await;
            let _ = stream.write_all(response).await;
            let _ = stream.shutdown().await;
            while stream.read(&mut head).await.is_ok_and(|read| read > 0) {}
        }
    });
    address.to_string()
}

/// Starts a receiver with a self-signed certificate, whose parameters `change` has edited. Returns its URL.
async fn with(change: impl FnOnce(&mut CertificateParams)) -> String {
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("a name");
    change(&mut params);
    let pair = KeyPair::generate().expect("a key");
    let made = params.self_signed(&pair).expect("a certificate");
    tls_receiver(made.pem(), pair.serialize_pem()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_handshakes_are_explained_and_only_untrusted_certificates_can_be_allowed() {
    let server = TestServer::start(TestStore::sqlite().await).await;
    let day = |days: i64| time::OffsetDateTime::now_utc() + time::Duration::days(days);
    let authority = CertificateParams::new(Vec::new()).map(|mut params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority")
    });
    let authority = authority.expect("an authority");
    let leaf = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("a name");
    let pair = KeyPair::generate().expect("a key");
    let signed = leaf.signed_by(&pair, &authority).expect("signed").pem();
    let unknown = "an authority that this system does not trust";
    // A name, the URL, the error, and whether a webhook that allows insecure certificates may send.
    let shapes = [
        ("signed by itself", with(|_| ()).await, unknown, true),
        (
            "its own authority",
            with(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)).await,
            "CA:TRUE",
            true,
        ),
        ("of an unknown authority", tls_receiver(signed.clone(), pair.serialize_pem()).await, unknown, true),
        (
            "of an unknown authority, which the receiver sends along",
            tls_receiver(signed + &authority.pem(), pair.serialize_pem()).await,
            unknown,
            true,
        ),
        (
            "expired",
            with(|params| (params.not_before, params.not_after) = (day(-9), day(-2))).await,
            "No encrypted connection: the receiver's certificate",
            true,
        ),
        (
            "for clients",
            with(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]).await,
            "No encrypted connection: the receiver's certificate",
            true,
        ),
        (
            "plain HTTP",
            format!("https://{}", speaker(b"HTTP/1.1 400 Bad Request\r\n\r\n").await),
            "https on this port",
            false,
        ),
        ("SSH", format!("https://{}", speaker(b"SSH-2.0-OpenSSH_9.6\r\n").await), "https on this port", false),
        ("silence, then the end", format!("https://{}", speaker(b"").await), "hung up in the handshake", false),
        (
            "an alert: no such name",
            format!("https://{}", speaker(b"\x15\x03\x03\x00\x02\x02\x70").await),
            "knows no host of this name",
            false,
        ),
        (
            "an alert: nothing in common",
            format!("https://{}", speaker(b"\x15\x03\x03\x00\x02\x02\x28").await),
            "no kind of encryption in common",
            false,
        ),
        (
            "an alert: a certificate is wanted",
            format!("https://{}", speaker(b"\x15\x03\x03\x00\x02\x02\x74").await),
            "wants a certificate of the client",
            false,
        ),
    ];
    let mut wrong = String::new();
    for (name, url, expected, passes) in &shapes {
        let (status, error) = send(&server, url, "").await;
        if status.is_some() || !error.contains(expected) {
            wrong += &format!("{name}: {expected:?}, and is {status:?} {error}\n");
        }
        let (status, error) = send(&server, url, "true").await;
        if (status == Some(200)) != *passes {
            wrong += &format!("{name}, insecure: {status:?} {error}\n");
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mismatched_http_and_https_are_explained() {
    let server = TestServer::start(TestStore::sqlite().await).await;
    let inbox = TestInbox::start().await;
    let (status, error) = send(&server, &inbox.url.replace("http://", "https://"), "").await;
    assert!(status.is_none() && error.contains("Does it speak https on this port?"), "{error}");
    let receiver = with(|_| ()).await;
    let (status, error) = send(&server, &receiver.replace("https://", "http://"), "").await;
    assert!(status.is_none() && error.contains("Does the receiver speak http on this port?"), "{error}");
}
