//! Tests of addresses and of rendering.

use super::*;
use crate::text;

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
fn each_wrong_entry_is_named_with_the_reason() {
    let long_local = format!("{}@example.com", "x".repeat(65));
    let long_domain = format!("a@{}example", "x.".repeat(125));
    let long_name = format!("{} <a@example.com>", "x".repeat(129));
    for (typed, reason) in [
        ("bob", "has no @"),
        ("bob@", "has no domain"),
        ("@example.com", "has nothing before the @"),
        ("Bob bob@example.com", "has a blank"),
        ("a@example.com b@example.com", "has a blank"),
        ("a@exa mple.com", "has a blank"),
        (".a@example.com", "has characters or dots"),
        ("a..b@example.com", "has characters or dots"),
        ("a.@example.com", "has characters or dots"),
        ("a@b@example.com", "has characters or dots"),
        ("a(b)@example.com", "has characters or dots"),
        ("\"a\"b@example.com", "has characters or dots"),
        ("\"a\"\"b\"@example.com", "has characters or dots"),
        ("\"\"@example.com", "has characters or dots"),
        ("a@-x.example", "has no valid domain"),
        ("a@x-.example", "has no valid domain"),
        ("a@x..example", "has no valid domain"),
        ("a@example.com.", "has no valid domain"),
        ("a@exa_mple.com", "has no valid domain"),
        ("a@192.0.2.1", "has no valid domain"),
        ("a@[300.1.1.1]", "has no valid domain"),
        ("a@[2001:db8::1]", "has no valid domain"),
        ("\"a b\"@exa mple.com", "has no valid domain"),
        ("${NAME}@example.com", "has a variable"),
        ("${NAME} <a@example.com>", "has a variable"),
        ("\"$\\{NAME}\" <a@example.com>", "has a variable"),
        ("\"A <a@example.com>", "has a quotation mark"),
        ("\"A\\\" <a@example.com>", "has a quotation mark"),
        ("5\" disk <a@example.com>", "has a quotation mark"),
        ("A \"B\" <a@example.com>", "has a quotation mark"),
        ("\"a@example.com", "has a quotation mark"),
        ("A <a@example.com", "has a < or >"),
        ("A <a@example.com> B", "has a < or >"),
        ("a@example.com>", "has a < or >"),
        ("<", "has a < or >"),
        ("A <>", "has no @"),
        ("A <B <a@example.com>", "has a blank"),
        ("A > B <a@example.com>", "has a > in its name"),
        ("a\u{200b}@example.com", "has an invisible"),
        ("a@example\u{202e}.com", "has an invisible"),
        ("\"a\u{7}\"@example.com", "has an invisible"),
        ("A\tB <a@example.com>", "has an invisible"),
        (&long_local, "is too long"),
        (&long_domain, "is too long"),
        (&long_name, "has a name of more than"),
    ] {
        for list in [typed.to_owned(), format!("a@example.com, {typed}\nb@example.com")] {
            let message = parse_list(&list).expect_err(typed);
            let shown: String = text::visible(typed).chars().take(60).collect();
            assert!(message.starts_with(&format!("The address “{shown}” {reason}")), "{typed}: {message}");
        }
    }
}

#[test]
fn address_alone_has_no_name_and_is_required() {
    assert_eq!(parse_address(" Ops@EXAMPLE.com "), Ok("Ops@example.com".to_owned()));
    assert_eq!(parse_address(" "), Err("An address is required, like ops@example.com.".to_owned()));
    for several in ["A <a@example.com>", "a@example.com, b@example.com", "a@example.com\nb@example.com"] {
        assert!(parse_address(several).is_err(), "{several}");
    }
}

#[test]
fn letters_of_every_script_are_taken() {
    for typed in [
        "\u{1f469}\u{200d}\u{1f467} Family <a@example.com>",
        "म\u{941}ख\u{94d}य <डाक@पर\u{940}क\u{94d}षा.example>",
        "\u{645}\u{6cc}\u{200c}\u{62e}\u{648}\u{627}\u{647}\u{645} <a@example.com>",
        "日本 <用户@例え.example>",
        "e\u{301} <e\u{301}@e\u{301}.example>",
        "a@xn--bcher-kva.example",
    ] {
        let list = parse_list(typed).expect(typed);
        assert_eq!(parse_list(&list_text(&list)), Ok(list), "{typed}");
    }
}

#[test]
fn quoted_parts_keep_separators_and_brackets() {
    let typed = r#""<Ops>, \"night\"; \\" <"a<b>;\"c\", d"@example.com>, "a@b"@example.com;"#;
    let list = parse_list(typed).expect("a list");
    let named: Vec<_> = list.iter().map(|one| (one.name.as_str(), one.address.as_str())).collect();
    let first = (r#"<Ops>, "night"; \"#, r#""a<b>;\"c\", d"@example.com"#);
    assert_eq!(named, [first, ("", "\"a@b\"@example.com")]);
    assert_eq!(parse_list(&list_text(&list)), Ok(list));
}

#[test]
fn missing_quote_spoils_its_own_line_only() {
    let message =
        parse_list("a@example.com\n\"Bob <bob@example.com>, c@example.com\nd@example.com").expect_err("wrong");
    assert!(message.starts_with("The address “\"Bob <bob@example.com>, c@example.com” has a quotation"), "{message}");
}

#[test]
fn long_list_of_anything_is_read_once() {
    for piece in ["<", ">", "\"", "\\", "\"\\", "@", "a@b <", "\"a\"@", "${", ".", ",", "\u{200d}", "é.", "[", "\"<"] {
        let typed = piece.repeat(256 * 1024 / piece.len());
        // Only the time matters: a reader that goes back would take hours.
        let _ = (parse_list(&typed), parse_address(&typed), parse_list(&format!("x <{typed}>")));
    }
}

#[test]
fn bad_address_among_five_hundred_is_named() {
    let mut all: Vec<_> = (0..500).map(|number| format!("user{number}@example.com")).collect();
    assert_eq!(addresses(&all.join(", ")).len(), 500);
    all[317] = "user317@".to_owned();
    let message = parse_list(&all.join("\n")).expect_err("one is bad");
    assert_eq!(message, "The address “user317@” has no domain. Write it like ops@example.com.");
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
fn control_character_of_a_line_becomes_one_space() {
    let rendered = render(&email(), &variables("a\0b\u{85}c\u{2028}d\te"), &mut || 0).expect("rendered");
    assert_eq!(rendered.subject, "a b c d e is up");
}

#[test]
fn rendered_text_over_its_limit_is_refused_with_its_field() {
    let email = email();
    let refused = |email: &Email, length: usize| {
        render(email, &variables(&"x".repeat(length)), &mut || 0).map_err(|error| error.to_string())
    };
    let line = "is larger than 4 KiB once its values are filled in.";
    assert!(refused(&email, 4096 - " is up".len()).is_ok());
    assert_eq!(refused(&email, 4096), Err(format!("Subject {line}")));
    assert_eq!(refused(&email, 4097), Err(format!("From Name {line}")));
    let body = Email { body: "${NAME}".repeat(300), ..email };
    assert_eq!(refused(&body, 4000), Err(TooLarge.to_string()));
}

#[test]
fn doubtful_points_of_all_three_texts_are_noted_once() {
    let email = Email { subject: "${data.x} ${HOST}".into(), ..email() };
    let rendered = render(&email, &variables("web"), &mut || 0).expect("rendered");
    assert_eq!(rendered.notes, [Note::Absent("x".into()), Note::NoVariable("HOST".into())]);
    assert_eq!(rendered.subject, " ${HOST}");
}

#[test]
fn recipients_are_each_once_in_their_order() {
    let mut email = email();
    email.cc = parse_list("b@example.com, a@example.com").expect("a list");
    email.bcc = parse_list("c@example.com").expect("a list");
    let addresses: Vec<_> = email.recipients().into_iter().map(|one| one.address).collect();
    assert_eq!(addresses, ["a@example.com", "b@example.com", "c@example.com"]);
}
