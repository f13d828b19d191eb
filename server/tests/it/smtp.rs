//! SMTP sessions with servers that keep to the protocol, and with servers that do not.

use crate::harness::{Act, MailServer, Offer, Script, Step, reply};
use model::delivery::{ErrorCode, Outcome};
use model::egress::Rules;
use model::email::{Recipient, RecipientState};
use model::mailer::{Encryption, Settings};
use model::time::Timestamp;
use secrecy::SecretString;
use server::clock::Clock;
use server::outbound::guard::Guard;
use server::outbound::send::NotSent;
use server::outbound::smtp::{Letter, Session, send};
use server::store::delivery::Attempted;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

const SENDER: &str = "console@example.test";
const MESSAGE: &[u8] = b"Subject: s\r\n\r\n.dot\r\n..\r\nlast\r\n";
pub(crate) const PASSWORD: &str = "canary-password";

/// Returns settings for a server on this port of the loopback address.
pub(crate) fn settings(port: u16, encryption: Encryption) -> Settings {
    Settings {
        host: "127.0.0.1".into(),
        port,
        encryption,
        username: String::new(),
        from_address: SENDER.into(),
        from_name: String::new(),
        allows_insecure_tls: true,
        timeout: Duration::from_secs(20),
        retries: 0,
    }
}

pub(crate) fn pending(addresses: &[&str]) -> Vec<Recipient> {
    addresses.iter().map(|address| Recipient::new(address)).collect()
}

/// Returns a guard that permits loopback addresses.
fn guard() -> Guard {
    Guard::new(Rules { allowed: vec!["127.0.0.0/8".parse().expect("a network")], ..Rules::default() }, None)
}

/// Makes an attempt with this message.
pub(crate) async fn attempt_message(
    settings: &Settings,
    recipients: &[Recipient],
    message: &[u8],
) -> Result<Attempted, NotSent> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let password = SecretString::from(PASSWORD);
    let session = Session { settings, password: Some(&password) };
    let letter = Letter { recipients, message };
    send(&Clock::from_fn(|| Timestamp(0)), &guard(), session, letter, &CancellationToken::new()).await
}

/// Makes an attempt that reaches the server.
pub(crate) async fn attempt(settings: &Settings, recipients: &[Recipient]) -> Attempted {
    let sent = attempt_message(settings, recipients, MESSAGE).await.expect("an attempt");
    assert!(sent.response_body.len() <= 64 * 1024, "{} bytes", sent.response_body.len());
    let seen = format!("{} {:?}", dialogue(&sent), sent.error);
    assert!(!seen.contains(PASSWORD) && !seen.contains("Y2FuYXJ5"), "{seen}");
    sent
}

async fn attempt_at(server: &MailServer, encryption: Encryption, addresses: &[&str]) -> Attempted {
    attempt(&settings(server.address.port(), encryption), &pending(addresses)).await
}

pub(crate) fn dialogue(sent: &Attempted) -> String {
    String::from_utf8(sent.response_body.clone()).expect("text")
}

/// Returns the recipients after an attempt.
pub(crate) fn recipients(sent: &Attempted) -> &[Recipient] {
    sent.recipients.as_deref().expect("recipients")
}

pub(crate) fn states(sent: &Attempted) -> Vec<RecipientState> {
    recipients(sent).iter().map(|recipient| recipient.state).collect()
}

/// Returns the code and the text of a failure.
fn failure(sent: &Attempted) -> (ErrorCode, Option<u16>, &str) {
    let Outcome::Failed { code, .. } = sent.outcome else { panic!("{sent:?}") };
    (code, sent.status_code, sent.error.as_deref().expect("a text"))
}

use RecipientState::{Accepted, Pending, Refused};

type IsStep = fn(Step<'_>) -> bool;

#[tokio::test]
async fn message_arrives_byte_for_byte_in_every_encryption() {
    for (offer, encryption) in
        [(Offer::Plain, Encryption::None), (Offer::Starttls, Encryption::Starttls), (Offer::Tls, Encryption::Tls)]
    {
        let server = MailServer::start(Script::new(offer).login("user", PASSWORD)).await;
        let mut settings = settings(server.address.port(), encryption);
        settings.username = "user".into();
        let sent = attempt(&settings, &pending(&["bob@example.test", "carol@bücher.example"])).await;
        assert_eq!((sent.outcome.clone(), sent.status_code, sent.error.clone()), (Outcome::Sent, Some(250), None));
        assert_eq!(states(&sent), [Accepted, Accepted]);
        assert!(sent.connect.is_some() && sent.first_byte.is_some());
        let [mail] = &server.mails()[..] else { panic!("{:?}", server.mails()) };
        assert_eq!(mail.sender, SENDER);
        assert_eq!(mail.recipients, ["bob@example.test", "carol@xn--bcher-kva.example"]);
        assert_eq!(String::from_utf8_lossy(&mail.message), String::from_utf8_lossy(MESSAGE));
        assert_eq!(mail.is_encrypted, encryption != Encryption::None);
        let text = dialogue(&sent);
        assert!(text.starts_with("S: 220 mail.example.test ESMTP\nC: EHLO [127.0.0.1]\nS: 250-mail.example.test\n"));
        assert!(text.contains("C: AUTH PLAIN ••••\nS: 235 2.7.0 welcome\n"), "{text}");
        assert!(text.contains("C: MAIL FROM:<console@example.test> SIZE=30\nS: 250 "), "{text}");
        assert!(text.ends_with("C: [message, 30 bytes]\nS: 250 2.0.0 queued\nC: QUIT\nS: 221 2.0.0 bye\n"), "{text}");
    }
}

#[tokio::test]
async fn one_refused_recipient_stops_no_other_and_is_named() {
    let server = MailServer::start(Script::new(Offer::Plain).on(|_, step| match step {
        Step::Command("RCPT TO:<bob@example.test>") => Some(reply("550-5.1.1 No such\r\n550 5.1.1 user here")),
        _ => None,
    }))
    .await;
    let sent =
        attempt_at(&server, Encryption::None, &["amy@example.test", "bob@example.test", "cy@example.test"]).await;
    assert_eq!(states(&sent), [Accepted, Refused, Accepted]);
    let text = "2 of 3 recipients accepted.\nbob@example.test was refused: 550 5.1.1 No such 5.1.1 user here";
    assert_eq!(failure(&sent), (ErrorCode::RefusedRecipient, Some(550), text));
    assert_eq!(server.mails()[0].recipients, ["amy@example.test", "cy@example.test"]);
}

#[tokio::test]
async fn retry_addresses_only_recipients_that_are_still_pending() {
    let server = MailServer::start(Script::new(Offer::Plain).on(|session, step| match step {
        Step::Command("RCPT TO:<bob@example.test>") if session.number == 1 => Some(reply("450 4.2.1 try later")),
        Step::Command("RCPT TO:<cy@example.test>") => Some(reply("550 5.1.1 no such user")),
        _ => None,
    }))
    .await;
    let addresses = ["amy@example.test", "bob@example.test", "cy@example.test"];
    let first = attempt_at(&server, Encryption::None, &addresses).await;
    assert_eq!(states(&first), [Accepted, Pending, Refused]);
    let text = "1 of 3 recipients accepted.\nbob@example.test was deferred: 450 4.2.1 try later\n\
                cy@example.test was refused: 550 5.1.1 no such user";
    assert_eq!(failure(&first), (ErrorCode::Deferred, Some(450), text));
    let settings = settings(server.address.port(), Encryption::None);
    let second = attempt(&settings, recipients(&first)).await;
    assert_eq!(states(&second), [Accepted, Accepted, Refused]);
    let text = "2 of 3 recipients accepted.\ncy@example.test was refused: 550 5.1.1 no such user";
    assert_eq!(failure(&second), (ErrorCode::RefusedRecipient, Some(550), text));
    let recipients: Vec<_> = server.mails().into_iter().map(|mail| mail.recipients).collect();
    assert_eq!(recipients, [["amy@example.test"], ["bob@example.test"]]);
}

#[tokio::test]
async fn each_transaction_has_a_hundred_recipients_at_most() {
    let server = MailServer::open().await;
    let addresses: Vec<_> = (0..250).map(|number| format!("u{number}@example.test")).collect();
    let addresses: Vec<_> = addresses.iter().map(String::as_str).collect();
    let sent = attempt_at(&server, Encryption::None, &addresses).await;
    assert_eq!(sent.outcome, Outcome::Sent);
    let counts: Vec<_> = server.mails().iter().map(|mail| mail.recipients.len()).collect();
    assert_eq!((server.sessions(), counts), (1, vec![100, 100, 50]));
}

#[tokio::test]
async fn server_with_a_lower_limit_gets_the_rest_in_further_transactions() {
    let server = MailServer::start(Script::new(Offer::Plain).on(|session, step| match step {
        Step::Command("RCPT TO:<full@example.test>") => Some(reply("452 4.2.2 mailbox full")),
        Step::Command(line) if line.starts_with("RCPT") && session.recipients.len() >= 3 => {
            Some(reply("452 4.5.3 too many recipients"))
        }
        _ => None,
    }))
    .await;
    let addresses: Vec<_> = (0..10).map(|number| format!("u{number}@example.test")).collect();
    let mut addresses: Vec<_> = addresses.iter().map(String::as_str).collect();
    addresses.insert(5, "full@example.test");
    let sent = attempt_at(&server, Encryption::None, &addresses).await;
    let counts: Vec<_> = server.mails().iter().map(|mail| mail.recipients.len()).collect();
    assert_eq!(counts, [3, 2, 3, 2], "the full mailbox ends one transaction early");
    let text = "10 of 11 recipients accepted.\nfull@example.test was deferred: 452 4.2.2 mailbox full";
    assert_eq!(failure(&sent), (ErrorCode::Deferred, Some(452), text));
}

#[tokio::test]
async fn replies_to_mail_data_and_message_settle_or_keep_their_recipients() {
    let at_mail = |step: Step<'_>| matches!(step, Step::Command(line) if line.starts_with("MAIL"));
    let at_data = |step: Step<'_>| step == Step::Command("DATA");
    let at_message = |step: Step<'_>| step == Step::Message;
    let steps: [(&str, IsStep); 3] = [("MAIL", at_mail), ("DATA", at_data), ("message", at_message)];
    for (name, is_step) in steps {
        for (line, state, code) in [
            ("552 5.3.4 too big", Refused, ErrorCode::RefusedRecipient),
            ("451 4.3.0 later", Pending, ErrorCode::Deferred),
        ] {
            let script = Script::new(Offer::Plain).on(move |_, step| is_step(step).then(|| reply(line)));
            let server = MailServer::start(script).await;
            let sent = attempt_at(&server, Encryption::None, &["amy@example.test", "bob@example.test"]).await;
            assert_eq!(states(&sent), [state, state], "{name} {line}");
            let (found, status_code, text) = failure(&sent);
            assert_eq!((found, status_code), (code, line[..3].parse().ok()), "{name}");
            assert!(text.contains("amy@example.test was ") && text.ends_with(line), "{name}: {text}");
            assert!(server.mails().is_empty());
        }
    }
}

#[tokio::test]
async fn refused_session_and_sign_in_settle_no_recipient() {
    let command = |verb: &'static str, act: Act| {
        Script::new(Offer::Plain).login("user", "another").on(move |_, step| match step {
            Step::Command(line) if line.starts_with(verb) => Some(act.clone()),
            _ => None,
        })
    };
    let greeting = |line: &'static str| {
        Script::new(Offer::Plain).on(move |_, step| (step == Step::Connected).then(|| reply(line)))
    };
    let echo = Act::Reply(format!("535 5.7.8 {PASSWORD} AHVzZXIAY2FuYXJ5LXBhc3N3b3Jk no\r\n"));
    for (script, code, text) in [
        (greeting("554 5.3.2 no service"), 554, "The mail server refuses the session: 554 5.3.2 no service"),
        (greeting("421 4.3.2 closing"), 421, "The mail server ended the session: 421 4.3.2 closing"),
        (
            command("EHLO", Act::Reply("502 5.5.1 no\r\n".into())),
            502,
            "The mail server refuses the session: 502 5.5.1 no",
        ),
        (command("AUTH", echo), 535, "The mail server does not accept the sign-in: 535 5.7.8 •••• •••• no"),
        (
            command("AUTH", Act::Reply("454 4.7.0 later\r\n".into())),
            454,
            "The mail server does not accept the sign-in: 454 4.7.0 later",
        ),
    ] {
        let server = MailServer::start(script).await;
        let mut settings = settings(server.address.port(), Encryption::None);
        settings.username = "user".into();
        let sent = attempt(&settings, &pending(&["bob@example.test"])).await;
        assert_eq!(failure(&sent), (ErrorCode::Status, Some(code), text));
        assert_eq!(states(&sent), [Pending], "{text}");
    }
    let server = MailServer::start(Script::new(Offer::Plain).login("user", PASSWORD)).await;
    let sent = attempt_at(&server, Encryption::None, &["bob@example.test"]).await;
    let text = "The mail server wants a sign-in or encryption: 530 5.7.0 authentication required";
    assert_eq!((failure(&sent), states(&sent)), ((ErrorCode::Status, Some(530), text), vec![Pending]));
}

#[tokio::test]
async fn login_is_used_where_plain_is_not_offered() {
    let script = Script::new(Offer::Plain).login("user", PASSWORD).on(|_, step| match step {
        Step::Command(line) if line.starts_with("EHLO") => Some(reply("250-mail\r\n250 AUTH CRAM-MD5 LOGIN")),
        _ => None,
    });
    let server = MailServer::start(script).await;
    let mut settings = settings(server.address.port(), Encryption::None);
    settings.username = "user".into();
    let sent = attempt(&settings, &pending(&["bob@example.test"])).await;
    assert_eq!(sent.outcome, Outcome::Sent);
    let masked = "C: AUTH LOGIN\nS: 334 VXNlcm5hbWU6\nC: ••••\nS: 334 UGFzc3dvcmQ6\nC: ••••\nS: 235 2.7.0 welcome\n";
    assert!(dialogue(&sent).contains(masked), "{}", dialogue(&sent));
}

#[tokio::test]
async fn authentication_that_is_offered_after_encryption_only_is_used() {
    let server = MailServer::start(Script::new(Offer::Starttls).login("user", PASSWORD)).await;
    let mut settings = settings(server.address.port(), Encryption::Starttls);
    settings.username = "user".into();
    assert_eq!(attempt(&settings, &pending(&["bob@example.test"])).await.outcome, Outcome::Sent);
    settings.encryption = Encryption::None;
    let sent = attempt(&settings, &pending(&["bob@example.test"])).await;
    assert!(failure(&sent).2.contains("offers no authentication by user name and password"), "{sent:?}");
    assert!(!server.commands().iter().any(|line| line.starts_with("AUTH") && server.sessions() == 1));
}

#[tokio::test]
async fn nothing_is_sent_without_the_encryption_that_was_chosen() {
    let refused = Script::new(Offer::Starttls)
        .on(|_, step| (step == Step::Command("STARTTLS")).then(|| reply("454 4.7.0 no certificate")));
    let injected = Script::new(Offer::Starttls).on(|_, step| {
        let forged = "220 go ahead\r\n250-mail\r\n250 AUTH PLAIN\r\n235 welcome\r\n".to_owned();
        (step == Step::Command("STARTTLS")).then_some(Act::Reply(forged))
    });
    for (script, encryption, expected) in [
        (Script::new(Offer::Plain), Encryption::Starttls, "The mail server offers no STARTTLS on this port"),
        (refused, Encryption::Starttls, "The mail server refuses STARTTLS: 454 4.7.0 no certificate"),
        (injected, Encryption::Starttls, "sent text between STARTTLS and the encryption"),
        (Script::new(Offer::Plain), Encryption::Tls, "needs STARTTLS instead of TLS"),
    ] {
        let server = MailServer::start(script.login("user", PASSWORD)).await;
        let mut settings = settings(server.address.port(), encryption);
        settings.username = "user".into();
        let sent = attempt(&settings, &pending(&["bob@example.test"])).await;
        let (code, _, text) = failure(&sent);
        assert!(code == ErrorCode::Tls && text.contains(expected), "{code:?} {text}");
        assert_eq!(states(&sent), [Pending]);
        let commands = server.commands();
        assert!(!commands.iter().any(|line| line.starts_with("AUTH") || line.starts_with("MAIL")), "{commands:?}");
    }
}

#[tokio::test]
async fn untrusted_certificate_is_refused_unless_it_is_allowed() {
    for (offer, encryption) in [(Offer::Starttls, Encryption::Starttls), (Offer::Tls, Encryption::Tls)] {
        let server = MailServer::start(Script::new(offer)).await;
        let mut settings = settings(server.address.port(), encryption);
        settings.allows_insecure_tls = false;
        let sent = attempt(&settings, &pending(&["bob@example.test"])).await;
        let (code, _, text) = failure(&sent);
        assert!(code == ErrorCode::Tls && text.contains("an authority that this system does not trust"), "{text}");
        settings.allows_insecure_tls = true;
        assert_eq!(attempt(&settings, &pending(&["bob@example.test"])).await.outcome, Outcome::Sent);
    }
}

#[tokio::test]
async fn lost_connection_keeps_recipients_pending_and_those_before_accepted() {
    let hang_up = Act::HangUp;
    for (act, code, expected) in [
        (
            hang_up,
            ErrorCode::Reset,
            "closed the connection before its reply to the message. The message may have arrived.",
        ),
        (
            Act::Last("421 4.3.2 shutting down\r\n".into()),
            ErrorCode::Status,
            "ended the session: 421 4.3.2 shutting down",
        ),
    ] {
        let script = Script::new(Offer::Plain).on(move |session, step| {
            let is_second = session.sender.is_none() && step == Step::Message && session.number == 2;
            is_second.then(|| act.clone())
        });
        let server = MailServer::start(script).await;
        let first = attempt_at(&server, Encryption::None, &["amy@example.test"]).await;
        let both = [recipients(&first), &pending(&["bob@example.test"])].concat();
        let second = attempt(&settings(server.address.port(), Encryption::None), &both).await;
        assert_eq!(states(&second), [Accepted, Pending]);
        let (found, _, text) = failure(&second);
        assert!(found == code && text.ends_with("\n1 of 2 recipients accepted.") && text.contains(expected), "{text}");
        let third = attempt(&settings(server.address.port(), Encryption::None), recipients(&second)).await;
        assert_eq!(third.outcome, Outcome::Sent);
    }
}

#[tokio::test]
async fn garbage_endless_and_contradictory_replies_fail_with_a_reason() {
    let at =
        |is_step: IsStep, act: Act| Script::new(Offer::Plain).on(move |_, step| is_step(step).then(|| act.clone()));
    let greeting = |step: Step<'_>| step == Step::Connected;
    let rcpt = |step: Step<'_>| matches!(step, Step::Command(line) if line.starts_with("RCPT"));
    let message = |step: Step<'_>| step == Step::Message;
    let text = |text: &str| Act::Reply(text.to_owned());
    for (script, code, expected) in [
        (at(greeting, text("HTTP/1.1 400 Bad Request\r\n")), ErrorCode::Reset, "Does this port speak SMTP"),
        (at(greeting, Act::Flood(&[b'2'; 4096])), ErrorCode::Reset, "one of its lines has no end"),
        (at(greeting, Act::Flood(b"220-hello\r\n")), ErrorCode::Reset, "one of its replies has no end"),
        (at(rcpt, text("250-yes\r\n550 no\r\n")), ErrorCode::Reset, "the lines of one reply have different codes"),
        (at(rcpt, text("\u{0}\u{1}\u{2}\r\n")), ErrorCode::Reset, "it does not begin with a code"),
        (at(rcpt, text(&format!("{PASSWORD}\r\n"))), ErrorCode::Reset, "it does not begin with a code"),
        (at(rcpt, text("\r\n")), ErrorCode::Reset, "it does not begin with a code"),
        (at(rcpt, text("354 go on\r\n")), ErrorCode::Status, "reply to RCPT makes no sense: 354 go on"),
        (
            at(|step| step == Step::Command("DATA"), text("250 yes\r\n")),
            ErrorCode::Status,
            "reply to DATA makes no sense",
        ),
        (at(message, Act::Flood(&[0xff; 4096])), ErrorCode::Unreadable, "in place of its reply to the message"),
        (
            at(rcpt, text("421 4.4.2 too slow\r\n")),
            ErrorCode::Status,
            "The mail server ended the session: 421 4.4.2 too slow",
        ),
        (at(message, text("354 more\r\n")), ErrorCode::Status, "reply to the message makes no sense"),
    ] {
        let server = MailServer::start(script).await;
        let sent = attempt_at(&server, Encryption::None, &["bob@example.test"]).await;
        let (found, _, text) = failure(&sent);
        assert!(found == code && text.contains(expected), "{expected}: {found:?} {text}");
        assert_eq!(states(&sent), [Pending], "{expected}");
    }
}

#[tokio::test]
async fn strange_but_legal_replies_are_understood() {
    let long = format!("250 {}\r\n", "x".repeat(5000));
    for act in [
        Act::Drip("250 2.1.5 ok\r\n".into()),
        Act::Reply("250\r\n".into()),
        Act::Reply("250 ok\n".into()),
        Act::Reply("250-one\r\n250-two\r\n250 three\r\n".into()),
        Act::Reply("250-\r\n250 \r\n".into()),
        Act::Reply(long),
    ] {
        let each = act.clone();
        let script = Script::new(Offer::Plain).on(move |_, step| match step {
            Step::Command(line) if line.starts_with("RCPT") || line.starts_with("MAIL") => Some(each.clone()),
            Step::Message => Some(each.clone()),
            _ => None,
        });
        let server = MailServer::start(script).await;
        let sent = attempt_at(&server, Encryption::None, &["bob@example.test"]).await;
        assert_eq!(sent.outcome, Outcome::Sent, "{act:?}: {:?}", sent.error);
    }
}

#[tokio::test]
async fn silent_server_ends_at_the_deadline_and_is_named_by_its_step() {
    for (at, expected) in [
        (
            "",
            "its greeting had not come after 1 s. A port that is encrypted from the beginning, such as 465, needs TLS.",
        ),
        ("EHLO", "its reply to EHLO had not come after 1 s."),
        ("RCPT", "its reply to RCPT had not come after 1 s."),
    ] {
        let script = Script::new(Offer::Plain).on(move |_, step| {
            let is_here = match step {
                Step::Connected => at.is_empty(),
                Step::Command(line) => !at.is_empty() && line.starts_with(at),
                Step::Message => false,
            };
            is_here.then_some(Act::Silence)
        });
        let server = MailServer::start(script).await;
        let mut settings = settings(server.address.port(), Encryption::None);
        settings.timeout = Duration::from_secs(1);
        let sent = attempt(&settings, &pending(&["bob@example.test"])).await;
        let (code, _, text) = failure(&sent);
        assert!(code == ErrorCode::Timeout && text.ends_with(expected), "{text}");
        assert!(sent.has_timed_out && sent.duration < Duration::from_secs(10));
    }
    // A server that never completes the handshake.
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let mut settings = settings(listener.local_addr().expect("an address").port(), Encryption::Tls);
    settings.timeout = Duration::from_secs(1);
    let sent = attempt(&settings, &pending(&["bob@example.test"])).await;
    assert!(failure(&sent).2.ends_with("its part of the TLS handshake had not come after 1 s."), "{sent:?}");
}

#[tokio::test]
async fn farewell_without_reply_changes_nothing() {
    let script = Script::new(Offer::Plain).on(|_, step| (step == Step::Command("QUIT")).then_some(Act::Silence));
    let server = MailServer::start(script).await;
    let sent = attempt_at(&server, Encryption::None, &["bob@example.test"]).await;
    assert_eq!((sent.outcome.clone(), sent.has_timed_out), (Outcome::Sent, false));
}

#[tokio::test]
async fn server_that_hangs_up_during_a_long_message_is_quoted() {
    // Larger than the buffers between client and server.
    let message = format!("Subject: s\r\n\r\n{}", "0123456789012345678901234567890123456789012345\r\n".repeat(400_000));
    let script = Script::new(Offer::Plain)
        .extensions(&[])
        .on(|_, step| (step == Step::Command("DATA")).then(|| Act::Last("354 go\r\n552 5.3.4 too much\r\n".into())));
    let server = MailServer::start(script).await;
    let settings = settings(server.address.port(), Encryption::None);
    let sent =
        attempt_message(&settings, &pending(&["bob@example.test"]), message.as_bytes()).await.expect("an attempt");
    // The reset of the connection may overtake the reply.
    let expected = [(ErrorCode::RefusedRecipient, vec![Refused]), (ErrorCode::Reset, vec![Pending])];
    assert!(expected.contains(&(failure(&sent).0, states(&sent))), "{:?}", sent.error);
}

#[tokio::test]
async fn message_and_addresses_beyond_the_servers_abilities_are_refused_by_name() {
    let server = MailServer::start(Script::new(Offer::Plain).extensions(&["SIZE 20"])).await;
    let sent = attempt_at(&server, Encryption::None, &["bob@example.test"]).await;
    let text = "The message has 30 bytes, and the mail server accepts 20.";
    assert_eq!((failure(&sent), states(&sent)), ((ErrorCode::TooLarge, None, text), vec![Refused]));
    assert!(!server.commands().iter().any(|line| line.starts_with("MAIL")));

    let server = MailServer::start(Script::new(Offer::Plain).extensions(&["8BITMIME"])).await;
    let sent = attempt_at(&server, Encryption::None, &["amy@example.test", "jörg@example.test"]).await;
    assert_eq!(states(&sent), [Accepted, Refused]);
    assert!(failure(&sent).2.contains("jörg@example.test was refused: The mail server offers no SMTPUTF8"), "{sent:?}");
    assert_eq!(server.mails()[0].recipients, ["amy@example.test"]);

    let server = MailServer::open().await;
    let sent = attempt_at(&server, Encryption::None, &["amy@example.test", "jörg@example.test"]).await;
    assert_eq!(sent.outcome, Outcome::Sent);
    assert!(server.commands().iter().any(|line| line == "MAIL FROM:<console@example.test> SIZE=30 SMTPUTF8"));
    assert_eq!(server.mails()[0].recipients, ["amy@example.test", "jörg@example.test"]);
    let sent = attempt_at(&server, Encryption::None, &["amy@example.test"]).await;
    assert_eq!(sent.outcome, Outcome::Sent);
    assert!(
        server.commands().iter().any(|line| line == "MAIL FROM:<console@example.test> SIZE=30"),
        "only where needed"
    );
}

#[tokio::test]
async fn message_with_a_bare_line_end_is_never_sent() {
    let server = MailServer::open().await;
    let settings = settings(server.address.port(), Encryption::None);
    for message in [&b"s\r\n\r\nx\n.\nMAIL FROM:<evil@x.test>\r\n"[..], b"s\r\n\r\nx\r.\r\r\n", b"x\r"] {
        let sent = attempt_message(&settings, &pending(&["bob@example.test"]), message).await.expect("an attempt");
        assert_eq!(failure(&sent).0, ErrorCode::Header);
    }
    assert!(server.mails().is_empty());
}

#[tokio::test]
async fn unreachable_and_refused_servers_are_explained() {
    let recipients = pending(&["bob@example.test"]);
    let mut server = MailServer::open().await;
    server.die().await;
    let mut settings = settings(server.address.port(), Encryption::None);
    let text = "Cannot connect: nothing accepts connections on this port.";
    assert_eq!(failure(&attempt(&settings, &recipients).await), (ErrorCode::Connect, None, text));
    server.revive().await;
    assert_eq!(attempt(&settings, &recipients).await.outcome, Outcome::Sent);
    server.die().await;
    server.revive_as(Script::new(Offer::Plain).on(|_, step| (step == Step::Connected).then_some(Act::HangUp))).await;
    let text = "The mail server closed the connection before its greeting.";
    assert_eq!(failure(&attempt(&settings, &recipients).await), (ErrorCode::Reset, None, text));
    for (host, code) in [
        ("169.254.169.254", ErrorCode::RefusedAddress),
        ("[fe80::1]", ErrorCode::RefusedAddress),
        ("::", ErrorCode::RefusedAddress),
        ("mail.example.invalid", ErrorCode::Dns),
        ("not a host", ErrorCode::Dns),
    ] {
        settings.host = host.into();
        let sent = attempt(&settings, &recipients).await;
        assert_eq!(failure(&sent).0, code, "{host}: {:?}", sent.error);
        assert!(sent.response_body.is_empty() && sent.connect.is_none());
    }
}

#[tokio::test]
async fn stopping_server_cuts_a_session_and_keeps_what_it_settled() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let script = Script::new(Offer::Plain).on(|session, step| {
        let is_second = matches!(step, Step::Command(line) if line.starts_with("RCPT TO:<u100@"));
        (session.number == 1 && is_second || step == Step::Command("RCPT TO:<slow@example.test>"))
            .then_some(Act::Silence)
    });
    let server = MailServer::start(script).await;
    let settings = settings(server.address.port(), Encryption::None);
    let guard = guard();
    let clock = Clock::from_fn(|| Timestamp(0));
    for (addresses, last) in [
        ((0..101).map(|number| format!("u{number}@example.test")).collect::<Vec<_>>(), "u100@"),
        (vec!["slow@example.test".into()], "slow@"),
    ] {
        let recipients = pending(&addresses.iter().map(String::as_str).collect::<Vec<_>>());
        let letter = Letter { recipients: &recipients, message: MESSAGE };
        let cut = CancellationToken::new();
        let session = Session { settings: &settings, password: None };
        let sending = send(&clock, &guard, session, letter, &cut);
        let waiting = async {
            crate::harness::eventually("the last recipient is addressed", async || {
                server.commands().last().is_some_and(|line| line.contains(last))
            })
            .await;
            cut.cancel();
        };
        match tokio::join!(sending, waiting).0 {
            Err(stopped) => assert_eq!((stopped, last), (NotSent::Stopped, "slow@")),
            Ok(sent) => {
                let (code, _, text) = failure(&sent);
                assert_eq!((code, last), (ErrorCode::Internal, "u100@"));
                assert_eq!(text, "Hookwright was stopped during the session.\n100 of 101 recipients accepted.");
                assert_eq!(states(&sent).iter().filter(|state| **state == Pending).count(), 1);
            }
        }
    }
}
