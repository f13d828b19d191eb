//! Addresses in the form in which headers and commands carry them.

use model::email::Email;
use model::field_error::FieldErrors;

/// The most bytes of a local part. RFC 5321 §4.5.3.1.1 allows 64.
const LOCAL_MAX_BYTES: usize = 256;

/// Returns an address with its domain in ASCII (RFC 5891). The local part stays as typed. Unless it is ASCII, it needs
/// a server with SMTPUTF8.
///
/// `None` for a text that would end a header or a command early. No form accepts such a text.
pub fn ascii_address(address: &str) -> Option<String> {
    let (local, domain) = address.rsplit_once('@')?;
    let is_special = |c: char| c.is_control() || "()<>[]:;@\\,\" ".contains(c);
    let is_plain = !local.is_empty() && !local.contains(is_special);
    let is_carried = local.len() <= LOCAL_MAX_BYTES && (is_plain || is_quoted(local));
    is_carried.then_some(())?;
    Some(format!("{local}@{}", ascii_domain(domain)?))
}

/// Refuses at save the addresses of an e-mail that no attempt could send to. The browser accepts any visible letter in a
/// domain, and only here is it clear which of them a domain may have.
///
/// # Errors
/// Each field with such an address.
pub fn check(email: &Email) -> Result<(), FieldErrors> {
    let mut errors = FieldErrors::default();
    if !email.from_address.is_empty() {
        errors.check("from_address", check_address(&email.from_address));
    }
    for (field, list) in [("to", &email.to), ("cc", &email.cc), ("bcc", &email.bcc)] {
        errors.check(field, list.iter().try_for_each(|one| check_address(&one.address)));
    }
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

/// Refuses an address that [`ascii_address`] cannot carry.
///
/// # Errors
/// The sentence for its field.
pub fn check_address(address: &str) -> Result<(), String> {
    let refusal =
        || format!("The address “{address}” has a domain that cannot exist. Type it again, or in its xn-- form.");
    ascii_address(address).map(drop).ok_or_else(refusal)
}

/// Returns true for a quoted string (RFC 5321 §4.1.2), which ends at its last character and not before.
fn is_quoted(local: &str) -> bool {
    let Some(inner) = local.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else { return false };
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        let carried = if c == '\\' { chars.next() } else { Some(c).filter(|c| *c != '"') };
        if carried.is_none_or(char::is_control) {
            return false;
        }
    }
    true
}

/// Returns a domain in ASCII. `None` for a text that is no domain and no IP address in brackets.
pub(super) fn ascii_domain(domain: &str) -> Option<String> {
    if let Some(literal) = domain.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let is_literal = literal.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b':' | b'-'));
        return (is_literal && !literal.is_empty()).then(|| domain.to_owned());
    }
    if domain.is_ascii() {
        let is_domain = domain.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'));
        return (is_domain && !domain.is_empty()).then(|| domain.to_owned());
    }
    match url::Host::parse(domain) {
        Ok(url::Host::Domain(name)) => Some(name),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domain_becomes_ascii_and_local_part_stays_as_typed() {
        for (typed, expected) in [
            ("Bob@example.test", "Bob@example.test"),
            ("bob@bücher.example", "bob@xn--bcher-kva.example"),
            ("jörg@example.test", "jörg@example.test"),
            ("\"a b@c>\"@example.test", "\"a b@c>\"@example.test"),
            (r#""a\"b\\"@example.test"#, r#""a\"b\\"@example.test"#),
            ("bob@[192.0.2.1]", "bob@[192.0.2.1]"),
            ("bob@[IPv6:2001:db8::1]", "bob@[IPv6:2001:db8::1]"),
        ] {
            assert_eq!(ascii_address(typed).as_deref(), Some(expected));
        }
    }

    #[test]
    fn text_that_ends_a_command_or_a_header_is_no_address() {
        let plain =
            ["bob", "@x.test", "bob@", "b>o@x.test", "b b@x.test", "b,c@x.test", "b@x y", "b@x>", "b@x\r\ny", "b@[]"];
        let quoted = ["\"a\r\nb\"@x.test", "\"a\"> X <\"b\"@x.test", "\"a\\\"@x.test", "\"@x.test", "a\"b@x.test"];
        for bad in plain.iter().chain(&quoted).chain(&["ä\u{85}@x.test", "b@ä\r\n.test"]) {
            assert_eq!(ascii_address(bad), None, "{bad:?}");
        }
    }
}
