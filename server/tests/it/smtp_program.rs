//! E-mails through chasquid, a mail server of Debian, with encryption and authentication.

use crate::harness::{eventually, folder};
use crate::programs::{Program, program_path};
use crate::smtp::{attempt_message, dialogue, pending, recipients, settings, states};
use mail_parser::MessageParser;
use model::delivery::{ErrorCode, Outcome};
use model::email::{Email, Mailbox, RecipientState, RenderedEmail};
use model::mailer::{Encryption, Settings};
use model::time::Timestamp;
use server::outbound::mail;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;
use tokio::net::TcpStream;
use uuid::Uuid;

/// The password of the account. The helper for attempts signs in with the same.
const PASSWORD: &str = crate::smtp::PASSWORD;

/// A running mail server for `example.test`, which has `console`, `bob`, `later` and `jörg`. It delivers into files.
struct Chasquid {
    folder: TempDir,
    starttls: u16,
    tls: u16,
    _program: Program,
}

/// Returns a port that is free at the moment. The server cannot tell which port it has chosen by itself.
fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

/// Writes a configuration into the folder.
fn configure(folder: &Path, starttls: u16, tls: u16) {
    let mail = folder.join("mail");
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
    for path in ["certs/localhost", "domains/example.test", "hooks", "data", "mail"] {
        std::fs::create_dir_all(folder.join(path)).expect("a folder");
    }
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).expect("written");
    write("certs/localhost/fullchain.pem", &made.cert.pem());
    write("certs/localhost/privkey.pem", &made.signing_key.serialize_pem());
    // A file appears at once with all its bytes.
    let deliver = format!("cat > {0}/part && mv {0}/part {0}/%to_user%", mail.display());
    let config = format!(
        "hostname: \"localhost\"\nsubmission_address: \"127.0.0.1:{starttls}\"\n\
         submission_over_tls_address: \"127.0.0.1:{tls}\"\nmail_delivery_agent_bin: \"/bin/sh\"\n\
         mail_delivery_agent_args: \"-c\"\nmail_delivery_agent_args: \"{deliver}\"\n\
         data_dir: \"{0}/data\"\nmail_log_path: \"{0}/log\"\n",
        folder.display()
    );
    write("chasquid.conf", &config);
    // Defers the first message for `later`.
    let mark = folder.join("deferred");
    let hook = format!(
        "#!/bin/sh\ncase \"$RCPT_TO\" in\n*later@*) test -e {0} || {{ touch {0}; echo come again; exit 1; }};;\nesac\n",
        mark.display()
    );
    write("hooks/post-data", &hook);
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(folder.join("hooks/post-data"), executable).expect("executable");
}

impl Chasquid {
    async fn start() -> Self {
        let program = program_path("HOOKWRIGHT_TEST_CHASQUID", "/usr/bin/chasquid");
        // Another process may take a port before the server has it.
        for _ in 0..5 {
            let (folder, starttls, tls) = (folder(), free_port(), free_port());
            configure(folder.path(), starttls, tls);
            for user in ["console", "bob", "later", "jörg"] {
                let mut add = Command::new(program.with_file_name("chasquid-util"));
                add.arg(format!("-C={}", folder.path().display())).arg("user-add");
                add.arg(format!("{user}@example.test")).arg(format!("--password={PASSWORD}"));
                let added = add.output().expect("chasquid-util");
                assert!(added.status.success(), "{added:?}");
            }
            let mut command = Command::new(&program);
            command.arg(format!("-config_dir={}", folder.path().display()));
            let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("chasquid");
            let mut has_ended = false;
            eventually("the mail server listens or has ended", async || {
                has_ended = child.try_wait().expect("asked").is_some();
                let listens = async |port| TcpStream::connect(("127.0.0.1", port)).await.is_ok();
                has_ended || (listens(starttls).await && listens(tls).await)
            })
            .await;
            let program = Program(child);
            if !has_ended {
                return Self { folder, starttls, tls, _program: program };
            }
        }
        panic!("chasquid never starts");
    }

    fn settings(&self, encryption: Encryption) -> Settings {
        let port = if encryption == Encryption::Tls { self.tls } else { self.starttls };
        Settings { username: "console@example.test".into(), ..settings(port, encryption) }
    }

    fn path(&self, user: &str) -> PathBuf {
        self.folder.path().join("mail").join(user)
    }

    /// Waits for a message to this user. Returns and removes it.
    async fn delivered(&self, user: &str) -> String {
        let path = self.path(user);
        eventually("the message is delivered", async || path.exists()).await;
        let text = std::fs::read_to_string(&path).expect("read");
        std::fs::remove_file(path).expect("removed");
        text
    }
}

const SUBJECT: &str = "Änderung an „web-01“: =?utf-8?q?no?= \\ \"quotes\"";
const BODY: &str = ".\n..\nFrom here\n\n  Grüße 日本 👩‍👩‍👧 \n\ttab\nlast ";

fn message(settings: &Settings, address: &str) -> Vec<u8> {
    let to = vec![Mailbox { name: "Bob, \"the\" Ünïted".into(), address: address.into() }];
    let email = Email {
        from_address: String::new(),
        from_name: "x".into(),
        to,
        cc: Vec::new(),
        bcc: Vec::new(),
        subject: "x".into(),
        body: "x".into(),
    };
    let long = "0123456789".repeat(300);
    let rendered = RenderedEmail {
        from_name: "Console".into(),
        subject: SUBJECT.into(),
        body: format!("{BODY}\n{long}"),
        notes: Vec::new(),
    };
    mail::build(&email, &rendered, settings, Uuid::nil(), Timestamp(1_760_629_087_000)).expect("a message")
}

#[tokio::test]
async fn real_server_gets_the_message_byte_for_byte_and_refuses_one_recipient() {
    let server = Chasquid::start().await;
    for encryption in [Encryption::Starttls, Encryption::Tls] {
        let settings = server.settings(encryption);
        let message = message(&settings, "bob@example.test");
        let addressed = pending(&["bob@example.test", "nobody@example.test"]);
        let sent = attempt_message(&settings, &addressed, &message).await.expect("an attempt");
        assert_eq!(states(&sent), [RecipientState::Accepted, RecipientState::Refused], "{}", dialogue(&sent));
        let error = sent.error.as_deref().expect("a refusal");
        assert!(error.starts_with("1 of 2 recipients accepted.\nnobody@example.test was refused: 550 "), "{error}");
        assert!(!dialogue(&sent).contains(PASSWORD) && dialogue(&sent).contains("C: AUTH PLAIN ••••"));
        let delivered = server.delivered("bob").await.replace("\r\n", "\n");
        let sent = String::from_utf8(message).expect("text").replace("\r\n", "\n");
        assert!(delivered.ends_with(&sent), "{delivered}\n\n{sent}");
        let parsed = MessageParser::default().parse(&delivered).expect("a message");
        assert_eq!(parsed.subject(), Some(SUBJECT));
        assert!(parsed.body_text(0).is_some_and(|text| text.starts_with(BODY)));
    }
}

#[tokio::test]
async fn real_server_that_defers_gets_the_message_again() {
    let server = Chasquid::start().await;
    let settings = server.settings(Encryption::Starttls);
    let message = message(&settings, "later@example.test");
    let first = attempt_message(&settings, &pending(&["later@example.test"]), &message).await.expect("an attempt");
    assert_eq!(states(&first), [RecipientState::Pending], "{}", dialogue(&first));
    assert!(matches!(first.outcome, Outcome::Failed { code: ErrorCode::Deferred, status_code: Some(451), .. }));
    assert!(first.error.as_deref().is_some_and(|text| text.contains("come again")), "{first:?}");
    let second = attempt_message(&settings, recipients(&first), &message).await.expect("an attempt");
    assert_eq!(second.outcome, Outcome::Sent, "{}", dialogue(&second));
    server.delivered("later").await;
}

#[tokio::test]
async fn real_server_gets_an_address_outside_ascii() {
    let server = Chasquid::start().await;
    let settings = server.settings(Encryption::Tls);
    let message = message(&settings, "jörg@example.test");
    let sent = attempt_message(&settings, &pending(&["jörg@example.test"]), &message).await.expect("an attempt");
    assert_eq!(sent.outcome, Outcome::Sent, "{}", dialogue(&sent));
    assert!(server.delivered("jörg").await.contains("<jörg@example.test>"));
}

#[tokio::test]
async fn real_server_with_another_password_or_an_untrusted_certificate_gets_nothing() {
    let server = Chasquid::start().await;
    let message = message(&server.settings(Encryption::Starttls), "bob@example.test");
    let stranger = Settings { username: "bob@other.test".into(), ..server.settings(Encryption::Starttls) };
    let strict = Settings { allows_insecure_tls: false, ..server.settings(Encryption::Starttls) };
    for (settings, code, expected) in [
        (stranger, ErrorCode::Status, "The mail server does not accept the sign-in: 535 "),
        (strict, ErrorCode::Tls, "an authority that this system does not trust"),
    ] {
        let sent = attempt_message(&settings, &pending(&["bob@example.test"]), &message).await.expect("an attempt");
        let error = sent.error.clone().expect("a text");
        assert!(matches!(sent.outcome, Outcome::Failed { code: found, .. } if found == code), "{sent:?}");
        assert!(error.contains(expected), "{error}");
        assert_eq!(states(&sent), [RecipientState::Pending]);
    }
    assert!(!server.path("bob").exists());
}
