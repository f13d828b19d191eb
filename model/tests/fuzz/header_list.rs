//! The header list: one text form, no way to smuggle another header, and masks that reveal nothing.

use crate::grammar::{any_text, hostile, near_miss, text};
use crate::{Checked, cases};
use model::header::{HeaderList, HeaderRow, MASK, MAX_ROWS, MAX_VALUE_BYTES, MissingSecret, is_harmless, looks_secret};
use model::header_editor::HeaderEditor;
use model::webhook::WebhookDraft;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// Stands in each secret value. Nothing that is shown may have it.
const CANARY: &str = "canary7f3a";

/// Names that may be configured.
const ALLOWED: &[&str] = &[
    "X-Env",
    "x-env",
    "Content-Type",
    "Accept",
    "X-API-Key",
    "x-api-key",
    "Authorization",
    "Cookie",
    "X-Token",
    "X-Author",
    "User-Agent",
    "X-Auth",
    "Idempotency-Key",
];
/// Names that the dispatcher sets itself.
const REFUSED: &[&str] = &["Host", "Content-Length", "Transfer-Encoding", "Connection", "Webhook-Id"];

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        24 => select(ALLOWED).prop_map(str::to_owned),
        6 => "[a-zA-Z0-9!#$%&'*+.^_`|~-]{1,12}",
        1 => select(REFUSED).prop_map(str::to_owned),
        1 => "[!-~]{1,12}",
        1 => hostile(),
        1 => "[a-z]{126,130}",
    ]
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        24 => "[!-~]([ -~]{0,12}[!-~])?",
        6 => "[!-~\\t \u{a1}-\u{17f}]{1,12}",
        4 => Just(MASK.to_owned()),
        3 => text(),
        1 => "•{1,9}[a-z ]{0,2}",
        1 => " ?",
    ]
}

/// Returns lines of headers, almost right.
fn typed() -> impl Strategy<Value = String> {
    let colon = prop_oneof![24 => Just(": "), 3 => Just(":"), 3 => Just(" : "), 3 => Just(":\t "), 1 => Just(" ")];
    let end = prop_oneof![24 => Just("\n"), 6 => Just("\r\n"), 3 => Just("\n\n \n"), 1 => Just("\r")];
    let line =
        (name(), colon, value(), end).prop_map(|(name, colon, value, end)| [name, colon.into(), value, end.into()]);
    let pieces = vec(line, 0..8).prop_map(|lines| lines.concat());
    prop_oneof![8 => near_miss(pieces), 1 => any_text()]
}

/// Returns headers that may be configured, each value beginning with `start`.
fn rows(start: &'static str) -> impl Strategy<Value = HeaderList> {
    let name = prop_oneof![3 => select(ALLOWED).prop_map(str::to_owned), 1 => "X-[A-Za-z]{1,8}"];
    let row = (name, "[!-~]{0,8}").prop_map(move |(name, value)| HeaderRow { name, value: format!("{start}{value}") });
    vec(row, 0..8).prop_map(HeaderList)
}

fn parse(text: &str) -> Option<HeaderList> {
    HeaderList::parse(text, "headers").ok()
}

fn check_accepted(list: &HeaderList) -> Checked {
    prop_assert!(list.0.len() <= MAX_ROWS);
    for HeaderRow { name, value } in &list.0 {
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        prop_assert!((1..=128).contains(&name.len()) && name.bytes().all(is_token), "{}", name);
        prop_assert!(!REFUSED.iter().any(|refused| name.eq_ignore_ascii_case(refused)), "{}", name);
        prop_assert!((1..=MAX_VALUE_BYTES).contains(&value.len()));
        prop_assert!(!value.chars().any(|c| c.is_control() && c != '\t'), "{:?}", value);
        prop_assert_eq!(value.trim_matches([' ', '\t']), value);
        prop_assert!(value == MASK || !value.contains("••"), "{}", value);
    }
    prop_assert_eq!(list.to_text().lines().count(), list.0.len());
    prop_assert_eq!(&parse(&list.to_text()).expect("read back"), list);
    Ok(())
}

fn check_refusal(typed: &str) -> Checked {
    let Err(errors) = HeaderList::parse(typed, "headers") else { return Ok(()) };
    prop_assert!(!errors.is_empty());
    for error in &errors.0 {
        prop_assert_eq!(&error.field, "headers");
        let number = error.message.strip_prefix("Line ").and_then(|rest| rest.split_once(':'));
        let number = number.and_then(|(number, _)| number.parse::<usize>().ok());
        let is_line = number.is_some_and(|number| (1..=typed.split('\n').count()).contains(&number));
        prop_assert!(is_line || error.message.starts_with("There are "), "{}", error.message);
    }
    Ok(())
}

fn check_masks(list: &HeaderList) -> Checked {
    let (masked, discreet) = (list.clone().masked(), list.clone().discreet());
    prop_assert_eq!((masked.0.len(), discreet.0.len()), (list.0.len(), list.0.len()));
    for ((row, masked), discreet) in list.0.iter().zip(&masked.0).zip(&discreet.0) {
        prop_assert_eq!((&masked.name, &discreet.name), (&row.name, &row.name));
        prop_assert_eq!(&masked.value, if looks_secret(&row.name) { MASK } else { &row.value });
        prop_assert_eq!(&discreet.value, if is_harmless(&row.name) { &row.value } else { MASK });
    }
    prop_assert_eq!(parse(&masked.to_text()), Some(masked));
    Ok(())
}

fn check_with_secrets(list: &HeaderList, secrets: &HeaderList) -> Checked {
    let count = |names: &[&str], name: &str| names.iter().filter(|other| other.eq_ignore_ascii_case(name)).count();
    let (wanted, stored) = (list.secret_names(), secrets.0.iter().map(|row| row.name.as_str()).collect::<Vec<_>>());
    let is_missing = |name: &str| count(&wanted, name) > count(&stored, name);
    match list.with_secrets(secrets) {
        Err(MissingSecret(name)) => prop_assert!(is_missing(&name), "{}", name),
        Ok(filled) => {
            prop_assert!(!wanted.iter().any(|name| is_missing(name)));
            for (row, filled) in list.0.iter().zip(&filled.0) {
                let is_its =
                    |secret: &HeaderRow| secret.value == filled.value && secret.name.eq_ignore_ascii_case(&filled.name);
                let is_right = if row.is_secret() { secrets.0.iter().any(is_its) } else { row == filled };
                prop_assert!(row.name == filled.name && is_right, "{:?} {:?}", row, filled);
            }
        }
    }
    Ok(())
}

/// Returns lines with the canary, each after the first colon of its line or in a line without one.
fn secret_lines() -> impl Strategy<Value = String> {
    let line = (name(), prop_oneof![Just(":"), Just(" : "), Just("")], text(), text());
    let without_breaks = |text: &str| text.replace(['\n', ':'], "");
    vec(line, 0..5).prop_map(move |lines| {
        let line = |(name, colon, before, after): &(String, &str, String, String)| {
            let [name, before, after] = [name, before, after].map(|text| without_breaks(text));
            format!("{name}{colon}{before}{CANARY}{after}\n")
        };
        lines.iter().map(line).collect()
    })
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn an_accepted_list_has_no_control_characters_and_is_written_and_read_back(typed in typed()) {
        if let Some(list) = parse(&typed) {
            check_accepted(&list)?;
        }
    }

    #[test]
    fn a_refusal_names_a_line_of_the_text(typed in typed()) {
        check_refusal(&typed)?;
    }

    #[test]
    fn a_refusal_never_repeats_a_value(typed in secret_lines()) {
        if let Err(errors) = HeaderList::parse(&typed, "headers") {
            prop_assert!(!errors.to_string().contains(CANARY), "{}", errors);
        }
    }

    #[test]
    fn the_line_ends_of_a_form_post_change_nothing(typed in typed()) {
        let unix = typed.replace('\r', "");
        let form = unix.replace('\n', "\r\n");
        prop_assert_eq!(HeaderList::parse(&form, "headers"), HeaderList::parse(&unix, "headers"));
    }

    #[test]
    fn masked_and_discreet_lists_keep_names_and_hide_values(list in rows(CANARY)) {
        check_masks(&list)?;
    }

    #[test]
    fn each_mask_takes_a_value_of_its_name_or_the_list_is_refused(
        mut list in rows("v"),
        masks in vec(any::<bool>(), 8),
        secrets in rows(CANARY),
    ) {
        for (row, _) in list.0.iter_mut().zip(masks).filter(|(_, is_secret)| *is_secret) {
            MASK.clone_into(&mut row.value);
        }
        check_with_secrets(&list, &secrets)?;
    }

    #[test]
    fn no_secret_value_travels_back_after_a_refusal(secret_headers in secret_lines()) {
        let has_lines = !secret_headers.is_empty();
        let back = WebhookDraft { secret_headers, ..WebhookDraft::default() }.without_secrets();
        prop_assert!(!back.secret_headers.contains(CANARY), "{}", back.secret_headers);
        prop_assert_eq!(back.retype.contains("secret_headers"), has_lines);
    }

    #[test]
    fn the_editor_posts_secret_values_apart_from_the_headers(headers in rows("v"), secrets in rows(CANARY)) {
        let editor = HeaderEditor::from_texts(&headers.to_text(), &secrets.to_text());
        let (posted, posted_secrets) = editor.posted();
        prop_assert!(!editor.to_text().contains(CANARY) && !posted.contains(CANARY));
        prop_assert_eq!(posted_secrets.matches(CANARY).count(), secrets.0.len(), "{}", posted_secrets);
    }
}

proptest! {
    #![proptest_config(cases(32))]

    #[test]
    fn the_limits_of_count_and_size_hold(
        count in MAX_ROWS - 2..MAX_ROWS + 3,
        length in MAX_VALUE_BYTES - 2..MAX_VALUE_BYTES + 3,
    ) {
        prop_assert_eq!(parse(&"X-A: 1\n".repeat(count)).is_some(), count <= MAX_ROWS);
        prop_assert_eq!(parse(&format!("X-B: {}", "x".repeat(length))).is_some(), length <= MAX_VALUE_BYTES);
    }
}
