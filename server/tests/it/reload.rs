//! Reloading certificates and the log level by SIGHUP, while the server runs.

use crate::harness::{TestStore, eventually};
use crate::process::{prepare, serve_changed, spawn};
use std::fs;

#[expect(clippy::disallowed_methods, reason = "a test's client is not the product's")]
/// Returns the certificate that the server shows.
async fn shown(url: &str) -> Option<Vec<u8>> {
    // A new client each time: an existing connection would show the earlier certificate.
    let client = reqwest::Client::builder().tls_danger_accept_invalid_certs(true).tls_info(true).build().ok()?;
    let response = client.get(format!("{url}/health/live")).send().await.ok()?;
    let info = response.extensions().get::<reqwest::tls::TlsInfo>()?;
    info.peer_certificate().map(<[u8]>::to_vec)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_level_is_reloaded_and_an_invalid_one_is_ignored() {
    let test = TestStore::sqlite().await;
    prepare(&test, "http://127.0.0.1:9/", "3").await;
    let (log, file) = (test.dir.path().join("log"), test.dir.path().join("hookwright.toml"));
    let level = |level: &str| fs::write(&file, format!("log = \"{level}\"\n")).expect("written");
    level("error");
    let (out, option) = (fs::File::create(&log).expect("a file"), file.display().to_string());
    let server = serve_changed(&test, &["--config", &option], |command| {
        command.env_remove("HOOKWRIGHT_LOG").stderr(out);
    });
    let is_logged = async |text: &str| fs::read_to_string(&log).is_ok_and(|log| log.contains(text));
    level("info");
    server.signal("-HUP");
    eventually("the new level is in use", async || is_logged("the level of the log is reloaded").await).await;
    level("server=loud");
    server.signal("-HUP");
    eventually("the invalid level is refused", async || is_logged("it is unchanged").await).await;
}

/// A service manager may reload a server that is still opening its database.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hangup_while_the_server_starts_does_not_end_it() {
    let test = TestStore::sqlite().await;
    // The server waits for this transaction before it serves.
    let held = test.store.begin().await.expect("a transaction");
    let server = spawn(&test, &[], |_| ());
    let lock = test.dir.path().join("serve.lock");
    eventually("the server is starting", async || lock.exists()).await;
    server.signal("-HUP");
    held.rollback().await.expect("ended");
    let mut server = server.serving();
    assert_eq!(server.ended(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificate_is_reloaded_and_a_broken_one_is_ignored() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let test = TestStore::sqlite().await;
    prepare(&test, "http://127.0.0.1:9/", "3").await;
    let (cert, key) = (test.dir.path().join("tls.crt"), test.dir.path().join("tls.key"));
    let renew = || {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        fs::write(&key, made.signing_key.serialize_pem()).expect("written");
        fs::write(&cert, made.cert.pem()).expect("written");
        made.cert.der().to_vec()
    };
    let first = renew();
    let log = test.dir.path().join("log");
    let file = fs::File::create(&log).expect("a file");
    let (cert_option, key_option) = (cert.display().to_string(), key.display().to_string());
    let options = ["--listen", "https://127.0.0.1:0", "--tls-cert", &cert_option, "--tls-key", &key_option];
    let server = serve_changed(&test, &options, |command| _ = command.env("HOOKWRIGHT_LOG", "info").stderr(file));
    let logged = fs::read_to_string(&log).expect("a log");
    let port =
        logged.split("https://127.0.0.1:").nth(1).and_then(|rest| rest.split(|c: char| !c.is_ascii_digit()).next());
    let url = format!("https://127.0.0.1:{}", port.expect("a listener for https"));
    assert_eq!(shown(&url).await, Some(first.clone()));

    fs::write(&cert, "no certificate").expect("written");
    server.signal("-HUP");
    eventually("the broken certificate is reported", async || {
        fs::read_to_string(&log).is_ok_and(|log| log.contains("stays in use"))
    })
    .await;
    assert_eq!(shown(&url).await, Some(first));

    let second = renew();
    server.signal("-HUP");
    eventually("the new one is shown", async || shown(&url).await.as_ref() == Some(&second)).await;
}
