//! Lists of addresses: each is read whole, as the same mailboxes from its stored form too, or refused with its entry.

use crate::grammar::{any_text, hostile, near_miss, text};
use crate::{Checked, cases};
use model::email::{Mailbox, list_text, parse_address, parse_list};
use model::text::visible;
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::HashSet;

fn local() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-zA-Z0-9!#$%&'*+/=?^_`{|}~-]{1,8}(\\.[a-z0-9]{1,8}){0,2}",
        1 => "[a-zé用डय]{1,8}",
        2 => r#""([ !#-\[\]-~é]|\\[ -~]){1,12}""#,
        1 => "\"[a-z,;<>@ ]{1,8}\"",
    ]
    .prop_filter("a variable is refused", |local| !local.contains("${"))
}

fn domain() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => "[a-zA-Z0-9]([a-z0-9-]{0,6}[a-z0-9])?(\\.[a-z][a-z0-9]{0,6}){0,3}\\.[a-zA-Z]{1,6}",
        1 => Just("localhost".to_owned()),
        1 => "(bücher|例え|परीक्षा)\\.[a-z]{2,6}",
        1 => "\\[[12]?[0-9]\\.0\\.2\\.[12]?[0-9]\\]",
        1 => "\\[(IPv6|ipv6):2001:db8::[1-9a-f]{1,4}\\]",
    ]
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => Just(String::new()),
        3 => "[a-zA-Zéß日]{1,8}( [a-zA-Z'.-]{1,8}){0,2}",
        3 => r#"[a-z<>,;"\\@()\[\]:é]{1,12}"#,
        1 => text().prop_map(|text| visible(&text).replace(['\u{fffd}', '\n', '\t'], "")),
    ]
    .prop_map(|name| name.trim().chars().take(128).collect::<String>().trim().to_owned())
    .prop_filter("a variable is refused", |name| !name.contains("${"))
}

fn mailbox() -> impl Strategy<Value = Mailbox> {
    (name(), local(), domain())
        .prop_map(|(name, local, domain)| Mailbox { name, address: format!("{local}@{}", domain.to_lowercase()) })
}

fn separator() -> impl Strategy<Value = String> {
    "( ?[,;\r\n]{1,3} ?){1,2}"
}

/// Returns a list as typed, in pieces: names, brackets, addresses and separators.
fn pieces() -> impl Strategy<Value = Vec<String>> {
    let entry = (mailbox(), separator()).prop_map(|(mailbox, separator)| {
        let typed = list_text(std::slice::from_ref(&mailbox));
        let at = typed.rfind('@').unwrap_or_default();
        let (local, domain) = typed.split_at(at);
        let (name, local) = local.split_once(" <").unwrap_or(("", local));
        let bracket = if name.is_empty() { "" } else { " <" };
        [name, bracket, local, domain, &separator].map(str::to_owned).to_vec()
    });
    vec(entry, 0..6).prop_map(|entries| entries.concat())
}

/// Fails unless the mailbox can be written into a header and a command as it is.
fn check_mailbox(mailbox: &Mailbox) -> Checked {
    let (name, address) = (&mailbox.name, &mailbox.address);
    prop_assert!(!address.contains(char::is_control) && !name.contains(char::is_control), "{:?}", mailbox);
    prop_assert!(!address.contains("${") && !name.contains("${"), "{:?}", mailbox);
    prop_assert!(name.chars().count() <= 128 && name.trim() == name, "{:?}", name);
    let (local, domain) = address.rsplit_once('@').expect("accepted");
    prop_assert!((1..=64).contains(&local.len()) && (1..=255).contains(&domain.len()), "{}", address);
    prop_assert!(domain == domain.to_lowercase(), "{}", domain);
    prop_assert!(!domain.contains([' ', '<', '>', ',', ';', '"', '@', '(', ')', '\\']), "{}", domain);
    let is_quoted = local.len() > 2 && local.starts_with('"') && local.ends_with('"');
    let is_special = |c: char| c.is_whitespace() || "()<>[]:;@\\,\"".contains(c);
    prop_assert!(is_quoted || !local.contains(is_special), "{}", local);
    prop_assert_eq!(parse_address(address), Ok(address.clone()));
    Ok(())
}

fn check(typed: &str) -> Checked {
    match parse_list(typed) {
        Ok(list) => {
            list.iter().try_for_each(check_mailbox)?;
            let unique: HashSet<_> = list.iter().map(|mailbox| &mailbox.address).collect();
            prop_assert_eq!(unique.len(), list.len());
            prop_assert_eq!(parse_list(&list_text(&list)), Ok(list));
        }
        Err(message) => {
            let (entry, reason) = message
                .strip_prefix("The address “")
                .and_then(|rest| rest.rsplit_once("” "))
                .ok_or_else(|| TestCaseError::fail(message.clone()))?;
            prop_assert!(visible(typed).contains(entry), "{}", message);
            prop_assert!(reason.starts_with("has ") || reason.starts_with("is too long"), "{}", message);
            prop_assert!(!message.contains(|c: char| c.is_control() && c != '\t'), "{:?}", message);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(cases(600))]

    #[test]
    fn any_list_is_read_the_same_from_its_stored_form_or_refused_with_its_entry(
        typed in prop_oneof![4 => near_miss(pieces()), 1 => any_text()],
    ) {
        check(&typed)?;
    }

    #[test]
    fn right_addresses_are_read_whichever_way_they_are_separated(
        list in vec((mailbox(), separator()), 0..8),
    ) {
        let typed: String = list.iter().map(|(one, end)| list_text(std::slice::from_ref(one)) + end).collect();
        let mut seen = HashSet::new();
        let once: Vec<_> = list.into_iter().map(|(one, _)| one).filter(|one| seen.insert(one.address.clone())).collect();
        prop_assert_eq!(parse_list(&typed), Ok(once), "{:?}", typed);
    }

    #[test]
    fn wrong_entry_is_named_wherever_it_stands(
        list in vec(mailbox(), 0..8),
        wrong in "[a-z]{1,8}@?",
        at in any::<proptest::sample::Index>(),
    ) {
        let mut entries: Vec<_> = list.iter().map(|one| list_text(std::slice::from_ref(one))).collect();
        entries.insert(at.index(entries.len() + 1), wrong.clone());
        let message = parse_list(&entries.join(", ")).expect_err("one is wrong");
        let expected = format!("The address “{wrong}” ");
        prop_assert!(message.starts_with(&expected), "{}", message);
    }

    #[test]
    fn ascii_domain_of_an_address_is_one_for_the_parser_of_the_server(domain in near_miss(domain().prop_map(|one| {
        one.split_inclusive(['.', '-', ':', '[']).map(str::to_owned).collect()
    })), other in hostile()) {
        for domain in [domain.clone(), domain + &other] {
            let Ok(address) = parse_address(&format!("a@{domain}")) else { continue };
            let domain = address.strip_prefix("a@").expect("accepted");
            // That parser also reads IP addresses that no mail has, and decodes labels.
            let is_other = domain.starts_with('[') || domain.contains("xn--") || domain.contains("0x");
            if domain.is_ascii() && !is_other {
                prop_assert_eq!(url::Host::parse(domain), Ok(url::Host::Domain(domain.to_owned())));
            }
        }
    }
}
