//! Tests of addresses, of rendering, and of the outcome of an attempt.

use super::*;
use crate::delivery::{ErrorCode, Outcome};

fn addresses(typed: &str) -> Vec<String> {
    parse_list(typed).expect("a list").into_iter().map(|one| one.address).collect()
}

#[test]
fn list_takes_names_quotes_and_any_separator() {
    let typed = "a@b.example, \"Last, First\" <first@c.example>; Zoë Müller <zoë@MÜNCHEN.example>\n\
                 \"a b\"@d.example\r\n root@localhost;;, x@[192.0.2.1]";
    let list = parse_list(typed).expect("a list");
    let named: Vec<_> = list.iter().map(|one| (one.name.as_str(), one.address.as_str())).collect();
    assert_eq!(
        named,
        [
            ("", "a@b.example"),
            ("Last, First", "first@c.example"),
            ("Zoë Müller", "zoë@münchen.example"),
            ("", "\"a b\"@d.example"),
            ("", "root@localhost"),
            ("", "x@[192.0.2.1]"),
        ]
    );
    assert_eq!(parse_list(&list_text(&list)), Ok(list), "a stored list is read as it was");
}

#[test]
fn address_is_kept_once() {
    assert_eq!(addresses("a@b.example, A <a@B.EXAMPLE>, b@b.example"), ["a@b.example", "b@b.example"]);
}

#[test]
fn each_wrong_entry_is_named() {
    for (typed, part) in [
        ("bob", "has an @"),
        ("bob@", "no domain"),
        ("@example.com", "before the @"),
        ("a b@example.com", "no blanks"),
        (".a@example.com", "before the @"),
        ("a..b@example.com", "before the @"),
        ("a@-x.example", "no domain"),
        ("a@x..example", "no domain"),
        ("a@exa_mple.com", "no domain"),
        ("a@[300.1.1.1]", "no domain"),
        ("${NAME}@example.com", "no variables"),
        ("${NAME} <a@example.com>", "no variables"),
        ("\"A <a@example.com>", "quote"),
        ("A <a@example.com", "@"),
        ("a@example.com>", "without a <"),
        ("A > B <a@example.com>", "in quotes"),
        ("a\u{200b}@example.com", "invisible"),
        (&format!("{}@example.com", "x".repeat(65)), "too long"),
        (&format!("a@{}.example", ["x".repeat(60); 1].join(".").repeat(5)), "no domain"),
    ] {
        let message = parse_list(typed).expect_err(typed);
        assert!(message.contains(part), "{typed}: {message}");
        assert!(message.starts_with('“'), "{message}");
    }
}

#[test]
fn bad_address_among_five_hundred_is_named() {
    let mut all: Vec<_> = (0..500).map(|number| format!("user{number}@example.com")).collect();
    assert_eq!(addresses(&all.join(", ")).len(), 500);
    all[317] = "user317@".to_owned();
    let message = parse_list(&all.join("\n")).expect_err("one is bad");
    assert!(message.contains("“user317@”"), "{message}");
}

fn email() -> Email {
    let to = parse_list("a@example.com").expect("a list");
    let text = |text: &str| text.to_owned();
    Email {
        from_address: String::new(),
        from_name: text("${NAME}"),
        to,
        cc: Vec::new(),
        bcc: Vec::new(),
        subject: text("${NAME} is up"),
        body: text("Hello ${NAME}\n${data.x}"),
    }
}

fn variables(name: &str) -> Variables<'_> {
    Variables { date: "", timestamp: 0, name, type_id: "", event_id: "", object_id: "", task: "", id: "", data: None }
}

#[test]
fn value_with_a_line_end_stays_within_its_header() {
    let rendered = render(&email(), &variables("web\r\nBcc: evil@example.com"), &mut || 0).expect("rendered");
    assert_eq!(rendered.subject, "web  Bcc: evil@example.com is up");
    assert_eq!(rendered.from_name, "web  Bcc: evil@example.com");
    assert_eq!(rendered.body, "Hello web\r\nBcc: evil@example.com\n");
    assert_eq!(rendered.notes, [Note::Absent("x".into())]);
}

#[test]
fn subject_over_its_limit_is_too_large() {
    assert_eq!(render(&email(), &variables(&"x".repeat(5000)), &mut || 0), Err(TooLarge));
}

#[test]
fn recipients_are_each_once_in_their_order() {
    let mut email = email();
    email.cc = parse_list("b@example.com, a@example.com").expect("a list");
    email.bcc = parse_list("c@example.com").expect("a list");
    let addresses: Vec<_> = email.recipients().into_iter().map(|one| one.address).collect();
    assert_eq!(addresses, ["a@example.com", "b@example.com", "c@example.com"]);
}

fn recipient(address: &str, state: RecipientState, reply: &str) -> Recipient {
    Recipient { address: address.to_owned(), state, reply: reply.to_owned() }
}

#[test]
fn attempt_is_judged_by_its_recipients() {
    use RecipientState::{Accepted, Pending, Refused};
    let accepted = recipient("a@x", Accepted, "250 OK");
    let refused = recipient("b@x", Refused, "550 No such user");
    let deferred = recipient("c@x", Pending, "450 Greylisted");
    let failed = |code, status_code| Outcome::Failed { code, status_code, retry_after: None };
    let judged = |recipients: &[&Recipient], failure: Option<Failure>| {
        judge(&recipients.iter().map(|one| (*one).clone()).collect::<Vec<_>>(), failure, Some(250))
    };
    assert_eq!(judged(&[&accepted], None).outcome, Outcome::Sent);
    let some = judged(&[&accepted, &refused], None);
    assert_eq!(some.outcome, failed(ErrorCode::RefusedRecipient, Some(550)));
    assert_eq!(some.error.as_deref(), Some("1 of 2 recipients accepted.\nb@x was refused: 550 No such user"));
    assert_eq!(judged(&[&accepted, &deferred], None).outcome, failed(ErrorCode::Deferred, Some(450)));
    let reset = Failure { code: ErrorCode::Reset, status_code: None, sentence: "The connection broke.".into() };
    assert_eq!(judged(&[&accepted, &deferred], Some(reset.clone())).outcome, failed(ErrorCode::Reset, None));
    assert_eq!(judged(&[&accepted], Some(reset)).outcome, Outcome::Sent, "the break came after the last reply");
}
