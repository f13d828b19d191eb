//! Messages read back by another library: each value is found as it was put in, and nothing else is there.

use super::*;
use mail_parser::{Address, MessageParser};
use model::mailer::MailerDraft;
use proptest::prelude::*;

const SENDER: &str = "console@example.test";
const NAME: &str = "Hookwright";
const NOW: Timestamp = Timestamp(1_760_629_087_000);

fn mailbox(name: &str, address: &str) -> Mailbox {
    Mailbox { name: name.to_owned(), address: address.to_owned() }
}

fn email(to: Vec<Mailbox>) -> Email {
    Email {
        from_address: String::new(),
        from_name: String::new(),
        to,
        cc: vec![mailbox("", "carol@example.test")],
        bcc: vec![mailbox("Secret", "hidden@example.test")],
        subject: String::new(),
        body: String::new(),
    }
}

fn settings() -> Settings {
    let draft = MailerDraft {
        server: "mail.example.test".into(),
        from_address: SENDER.into(),
        from_name: NAME.into(),
        ..MailerDraft::default()
    };
    draft.parse(None).unwrap().settings
}

fn built_at(email: &Email, texts: [&str; 3], now: Timestamp) -> Result<Vec<u8>, String> {
    let [from_name, subject, body] = texts.map(str::to_owned);
    let rendered = RenderedEmail { from_name, subject, body, notes: Vec::new() };
    build(email, &rendered, &settings(), Uuid::nil(), now)
}

fn built(email: &Email, from_name: &str, subject: &str, body: &str) -> Vec<u8> {
    built_at(email, [from_name, subject, body], NOW).unwrap()
}

/// Returns the names and addresses of a header.
fn pairs(address: Option<&Address<'_>>) -> Vec<(String, String)> {
    let listed = address.map(|address| address.clone().into_list()).unwrap_or_default();
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    listed.iter().map(|one| (text(one.name()), text(one.address()))).collect()
}

/// Checks the rules for every message: its lines, and the names of its headers.
fn check_form(message: &[u8]) {
    assert!(message.ends_with(b"\r\n"));
    let text = String::from_utf8(message.to_vec()).unwrap();
    for line in text.strip_suffix("\r\n").unwrap().split("\r\n") {
        assert!(line.len() <= 998 && !line.contains(['\r', '\n', '\0']), "{line:?}");
    }
    let head = text.split("\r\n\r\n").next().unwrap();
    let lines = head.split("\r\n");
    let names: Vec<_> =
        lines.filter(|line| !line.starts_with(' ')).map(|line| line.split(':').next().unwrap()).collect();
    let expected = [
        "Date",
        "Message-ID",
        "From",
        "To",
        "Cc",
        "Subject",
        "Auto-Submitted",
        "MIME-Version",
        "Content-Type",
        "Content-Transfer-Encoding",
    ];
    assert_eq!(names, expected);
    let parsed = MessageParser::default().parse(message).unwrap();
    assert_eq!(parsed.headers().len(), expected.len());
    assert!(!text.contains("hidden@"), "a blind copy is in the envelope only");
}

/// Returns a text as a header carries it.
fn carried(text: &str) -> String {
    let spaced: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    spaced.trim().to_owned()
}

proptest! {
    #[test]
    fn any_text_makes_exactly_the_expected_headers(name in ".{0,60}", subject in "\\PC{0,120}|.{0,60}", to in ".{0,80}") {
        let email = email(vec![mailbox(&to, "bob@bücher.example")]);
        let message = built(&email, &name, &subject, "text");
        check_form(&message);
        let parsed = MessageParser::default().parse(&message).unwrap();
        prop_assert_eq!(parsed.subject().unwrap_or_default(), carried(&subject));
        let from = if carried(&name).is_empty() { NAME.to_owned() } else { carried(&name) };
        prop_assert_eq!(pairs(parsed.from()), [(from, SENDER.to_owned())]);
        prop_assert_eq!(pairs(parsed.to()), [(carried(&to), "bob@xn--bcher-kva.example".to_owned())]);
        prop_assert_eq!(pairs(parsed.cc()), [(String::new(), "carol@example.test".to_owned())]);
    }

    #[test]
    fn any_body_arrives_byte_for_byte_with_crlf(body in "(\\PC|[\r\n\t =.]|.){0,300}") {
        let message = built(&email(vec![mailbox("", "bob@example.test")]), "", "s", &body);
        check_form(&message);
        let parsed = MessageParser::default().parse(&message).unwrap();
        let mut expected = body.replace("\r\n", "\n").replace('\r', "\n");
        if !expected.ends_with('\n') {
            expected.push('\n');
        }
        prop_assert_eq!(parsed.body_text(0).unwrap_or_default().replace("\r\n", "\n"), expected);
    }
}

#[test]
fn texts_that_break_other_mailers_are_read_back() {
    let long = "x".repeat(4096);
    let texts = [
        "",
        "plain words",
        "=?utf-8?b?aGFjaw==?=",
        "a =?utf-8?q?b?= c",
        "\"quoted\" \\ name, with; all: <of> (it) @ .",
        "two  spaces and   three",
        "Grüße an 日本 👩‍👩‍👧 \u{202e}reversed",
        &long,
        &"ä".repeat(2048),
        &"word ".repeat(800),
        "x\r\nBcc: evil@example.test\r\n\r\nbody",
        "a\0b\u{7f}c\u{85}d",
    ];
    for text in texts {
        let message = built(&email(vec![mailbox(text, "bob@example.test")]), text, text, text);
        check_form(&message);
        let parsed = MessageParser::default().parse(&message).unwrap();
        assert_eq!(parsed.subject().unwrap_or_default(), carried(text));
        assert_eq!(pairs(parsed.to()), [(carried(text), "bob@example.test".to_owned())], "{text:?}");
    }
}

#[test]
fn thousand_recipients_are_listed_in_short_lines() {
    let to = (0..1000).map(|number| mailbox(&format!("User Nr. {number}"), &format!("u{number}@example.test")));
    let message = built(&email(to.collect()), "", "s", "b");
    check_form(&message);
    let parsed = MessageParser::default().parse(&message).unwrap();
    let pairs = pairs(parsed.to());
    assert_eq!(
        (pairs.len(), pairs[999].0.as_str(), pairs[999].1.as_str()),
        (1000, "User Nr. 999", "u999@example.test")
    );
}

#[test]
fn message_is_from_its_own_address_or_that_of_the_settings() {
    let mut email = email(vec![mailbox("", "bob@example.test")]);
    let from = |email: &Email, name: &str| {
        let message = built(email, name, "s", "b");
        let parsed = MessageParser::default().parse(&message).unwrap();
        (pairs(parsed.from()).remove(0), parsed.message_id().unwrap().to_owned())
    };
    let id = |domain: &str| format!("{}@{domain}", Uuid::nil());
    let pair = |name: &str, address: &str| (name.to_owned(), address.to_owned());
    assert_eq!(from(&email, ""), (pair("Hookwright", "console@example.test"), id("example.test")));
    assert_eq!(from(&email, "Ops"), (pair("Ops", "console@example.test"), id("example.test")));
    email.from_address = "ops@bücher.example".into();
    assert_eq!(from(&email, ""), (pair("Hookwright", "ops@xn--bcher-kva.example"), id("xn--bcher-kva.example")));
}

#[test]
fn address_that_cannot_be_written_is_refused_by_name() {
    let bad = email(vec![mailbox("", "bob@example.test"), mailbox("", "a@x.test>\r\nBcc: evil@x.test")]);
    assert!(built_at(&bad, ["", "s", "b"], NOW).unwrap_err().starts_with("The address a@x.test>"));
    let from = Email { from_address: "nobody".into(), ..email(vec![mailbox("", "bob@example.test")]) };
    let text = "The address nobody cannot be written in a message. Edit it.";
    assert_eq!(built_at(&from, ["", "s", "b"], NOW).unwrap_err(), text);
}

#[test]
fn date_is_written_for_every_clock() {
    for now in [0, i64::MIN, i64::MAX, 253_402_300_800_000] {
        let email = email(vec![mailbox("", "bob@example.test")]);
        check_form(&built_at(&email, ["", "s", "b"], Timestamp(now)).unwrap());
    }
    let message = built(&email(vec![mailbox("", "bob@example.test")]), "", "s", "b");
    assert!(message.starts_with(b"Date: Thu, 16 Oct 2025 15:38:07 +0000\r\n"));
}
