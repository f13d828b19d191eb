//! Addresses and lists of addresses as people type them: a part of RFC 5322 §3.4, with Unicode as in RFC 6531.

use super::Mailbox;
use crate::text;
use std::collections::HashSet;

/// The most bytes of the part before the `@`, and of the part behind it (RFC 5321 §4.5.3.1).
const LOCAL_MAX_BYTES: usize = 64;
const DOMAIN_MAX_BYTES: usize = 255;
/// The most characters of a name.
const NAME_MAX: usize = 128;
/// The most characters of an entry that an error repeats.
const SHOWN_MAX: usize = 60;

/// Reads a list of addresses, separated by commas, semicolons or line ends. An address may have a name:
/// `"Last, First" <first@example.com>`. Each address is kept once.
///
/// # Errors
/// A sentence that names the wrong entry.
pub fn parse_list(typed: &str) -> Result<Vec<Mailbox>, String> {
    let mut seen = HashSet::new();
    let mut list = Vec::new();
    for entry in entries(typed) {
        let mailbox = parse_mailbox(entry).map_err(|reason| {
            let shown: String = text::shown(entry).chars().take(SHOWN_MAX).collect();
            format!("“{shown}”: {reason}")
        })?;
        if seen.insert(mailbox.address.clone()) {
            list.push(mailbox);
        }
    }
    Ok(list)
}

/// Returns a list as its field shows it: one address on each line.
pub fn list_text(list: &[Mailbox]) -> String {
    let line = |one: &Mailbox| {
        if one.name.is_empty() {
            return one.address.clone();
        }
        let is_plain = |c: char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_' | '\'');
        if one.name.chars().all(is_plain) {
            return format!("{} <{}>", one.name, one.address);
        }
        let escaped = one.name.replace('\\', "\\\\").replace('"', "\\\"");
        format!("\"{escaped}\" <{}>", one.address)
    };
    list.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Splits a list at the separators that are in no quotes and no angle brackets. A line end always separates.
fn entries(typed: &str) -> impl Iterator<Item = &str> {
    let (mut in_quotes, mut in_angle, mut is_escaped) = (false, false, false);
    let parts = typed.split(move |c: char| {
        if matches!(c, '\n' | '\r') {
            (in_quotes, in_angle, is_escaped) = (false, false, false);
            return true;
        }
        if is_escaped {
            is_escaped = false;
            return false;
        }
        match c {
            '\\' if in_quotes => is_escaped = true,
            '"' => in_quotes = !in_quotes,
            '<' if !in_quotes => in_angle = true,
            '>' if !in_quotes => in_angle = false,
            _ => {}
        }
        !in_quotes && !in_angle && matches!(c, ',' | ';')
    });
    parts.map(str::trim).filter(|entry| !entry.is_empty())
}

fn parse_mailbox(entry: &str) -> Result<Mailbox, String> {
    let Some(inner) = entry.strip_suffix('>') else {
        return Ok(Mailbox { name: String::new(), address: parse_address(entry)? });
    };
    let (name, address) = inner.rsplit_once('<').ok_or("there is a > without a <.")?;
    Ok(Mailbox { name: parse_name(name.trim())?, address: parse_address(address)? })
}

/// Reads a name, in quotes or without.
fn parse_name(typed: &str) -> Result<String, String> {
    let mut name = String::new();
    let quoted = typed.strip_prefix('"');
    let text = match quoted {
        Some(rest) => rest.strip_suffix('"').ok_or("a quote is missing around the name.")?,
        None => typed,
    };
    let mut is_escaped = false;
    for c in text.chars() {
        match c {
            '\\' if quoted.is_some() && !is_escaped => {
                is_escaped = true;
                continue;
            }
            '"' if !is_escaped => return Err("a quote is missing around the name.".to_owned()),
            '<' | '>' if quoted.is_none() => return Err("a name with < or > stands in quotes.".to_owned()),
            _ => name.push(c),
        }
        is_escaped = false;
    }
    if name.contains("${") {
        return Err("addresses and their names are literal: no variables here.".to_owned());
    }
    if name.chars().any(text::is_invisible) {
        return Err("the name has an invisible character.".to_owned());
    }
    if name.chars().count() > NAME_MAX {
        return Err(format!("the name is longer than {NAME_MAX} characters."));
    }
    Ok(name.trim().to_owned())
}

/// Reads one address without a name: `local@domain`. The domain becomes lower case.
///
/// # Errors
/// A clause that says what is wrong.
pub fn parse_address(typed: &str) -> Result<String, String> {
    let address = typed.trim();
    if address.contains("${") {
        return Err("addresses are literal: no variables here.".to_owned());
    }
    if address.chars().any(|c| text::is_invisible(c) || (c.is_whitespace() && !address.starts_with('"'))) {
        return Err("an address has no blanks, line ends or invisible characters.".to_owned());
    }
    let (local, domain) = address.rsplit_once('@').ok_or("an address has an @, like ops@example.com.")?;
    if !is_local(local) {
        return Err(
            "the part before the @ cannot be read. Quotes permit other characters: \"a b\"@example.com.".to_owned()
        );
    }
    let domain = domain.to_lowercase();
    if !is_domain(&domain) {
        return Err("the part behind the @ is no domain, like example.com.".to_owned());
    }
    if local.len() > LOCAL_MAX_BYTES || domain.len() > DOMAIN_MAX_BYTES {
        return Err("the address is too long.".to_owned());
    }
    Ok(format!("{local}@{domain}"))
}

/// Returns true for a dot-atom or a quoted string (RFC 5321 §4.1.2, RFC 6531 §3.3).
fn is_local(local: &str) -> bool {
    if let Some(quoted) = local.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        let mut is_escaped = false;
        let is_text = quoted.chars().all(|c| {
            let is_plain = is_escaped || c != '"';
            is_escaped = c == '\\' && !is_escaped;
            is_plain && !c.is_control()
        });
        return is_text && !is_escaped && !quoted.is_empty();
    }
    let is_atom = |atom: &str| {
        let is_atext = |c: char| c.is_alphanumeric() || !c.is_ascii() || "!#$%&'*+-/=?^_`{|}~".contains(c);
        !atom.is_empty() && atom.chars().all(is_atext)
    };
    local.split('.').all(is_atom)
}

/// Returns true for a name of labels, or an address in brackets.
fn is_domain(domain: &str) -> bool {
    if let Some(literal) = domain.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let v6 = literal.strip_prefix("ipv6:").map(|v6| v6.parse::<std::net::Ipv6Addr>().is_ok());
        return v6.unwrap_or_else(|| literal.parse::<std::net::Ipv4Addr>().is_ok());
    }
    let is_label = |label: &str| {
        let is_inner = |c: char| c.is_ascii_alphanumeric() || c == '-' || (!c.is_ascii() && c.is_alphanumeric());
        (1..=63).contains(&label.len())
            && label.chars().all(is_inner)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    domain.split('.').all(is_label)
}
