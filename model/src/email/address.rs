//! Addresses and lists of addresses as people type them: a part of RFC 5322 §3.4, with Unicode as in RFC 6531.
//!
//! Each text is read once, from left to right. The reader must stay small, as it ships to the browser. It accepts any
//! visible letter in a domain: the server turns such a domain into ASCII.

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

/// The reason why an entry is refused, as the end of a sentence about the address, perhaps with a remedy.
type Reason = &'static str;

const VARIABLE: Reason = "has a variable. Addresses and their names are taken as they are typed.";
const HIDDEN: Reason = "has an invisible or control character. Type it again without.";
const QUOTE: Reason = "has a quotation mark without its other half.";

/// Reads a list of addresses, separated by commas, semicolons or line ends. An address may have a name: `"Last, First"
/// <first@example.com>`. Each address is returned only once.
///
/// # Errors
/// A sentence that names the first wrong entry.
pub fn parse_list(typed: &str) -> Result<Vec<Mailbox>, String> {
    let mut seen = HashSet::new();
    let mut list = Vec::new();
    for entry in entries(typed) {
        let mailbox = read_mailbox(entry).map_err(|reason| refusal(entry, reason))?;
        if seen.insert(mailbox.address.clone()) {
            list.push(mailbox);
        }
    }
    Ok(list)
}

/// Reads one address without a name: `local@domain`. The domain becomes lower case.
///
/// # Errors
/// A sentence that says what is wrong.
pub fn parse_address(typed: &str) -> Result<String, String> {
    let address = typed.trim();
    if address.is_empty() {
        return Err("An address is required, like ops@example.com.".to_owned());
    }
    read_address(address).map_err(|reason| refusal(address, reason))
}

fn refusal(entry: &str, reason: Reason) -> String {
    let shown: String = text::visible(entry).chars().take(SHOWN_MAX).collect();
    format!("The address “{shown}” {reason}")
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

/// Tracks whether the position of a reader is within quotes. Within quotes a backslash takes away the meaning of the
/// next character.
#[derive(Default)]
struct Quotes {
    are_open: bool,
    is_escaped: bool,
}

impl Quotes {
    /// Moves past a character. Returns true if the character is outside of quotes.
    fn are_behind(&mut self, c: char) -> bool {
        if std::mem::take(&mut self.is_escaped) {
            return false;
        }
        match c {
            '\\' => self.is_escaped = self.are_open,
            '"' => self.are_open = !self.are_open,
            _ => {}
        }
        !self.are_open
    }
}

/// Splits a list at the separators outside of quotes. A line end always separates, so that a missing quote spoils only
/// its own line.
fn entries(typed: &str) -> impl Iterator<Item = &str> {
    let mut quotes = Quotes::default();
    let parts = typed.split(move |c: char| {
        if matches!(c, '\n' | '\r') {
            quotes = Quotes::default();
            return true;
        }
        quotes.are_behind(c) && matches!(c, ',' | ';')
    });
    parts.map(str::trim).filter(|entry| !entry.is_empty())
}

/// Reads `address` or `Name <address>`.
fn read_mailbox(entry: &str) -> Result<Mailbox, Reason> {
    let mut quotes = Quotes::default();
    let start = entry.find(|c| quotes.are_behind(c) && c == '<');
    match (start, entry.strip_suffix('>')) {
        (None, _) if quotes.are_open => Err(QUOTE),
        (None, None) => Ok(Mailbox { name: String::new(), address: read_address(entry)? }),
        (Some(start), Some(inner)) => {
            let (name, address) = (read_name(entry[..start].trim())?, read_address(inner[start + 1..].trim())?);
            Ok(Mailbox { name, address })
        }
        _ => Err("has a < or > without its other half. Write it like Ada Smith <ada@example.com>."),
    }
}

/// Reads a name, in quotes or without.
fn read_name(typed: &str) -> Result<String, Reason> {
    let quoted = typed.strip_prefix('"');
    let text = match quoted {
        Some(rest) => rest.strip_suffix('"').ok_or(QUOTE)?,
        None => typed,
    };
    let (mut name, mut is_escaped) = (String::new(), false);
    for c in text.chars() {
        if c == '\\' && quoted.is_some() && !is_escaped {
            is_escaped = true;
            continue;
        }
        if c == '"' && !is_escaped {
            return Err(QUOTE);
        }
        is_escaped = false;
        name.push(c);
    }
    if is_escaped {
        return Err(QUOTE);
    }
    if quoted.is_none() && name.contains('>') {
        return Err("has a > in its name. Put the name in quotes.");
    }
    if name.contains("${") {
        return Err(VARIABLE);
    }
    if text::has_hidden(&name) {
        return Err(HIDDEN);
    }
    if name.chars().count() > NAME_MAX {
        return Err("has a name of more than 128 characters.");
    }
    Ok(name.trim().to_owned())
}

fn read_address(address: &str) -> Result<String, Reason> {
    if address.contains("${") {
        return Err(VARIABLE);
    }
    if text::has_hidden(address) {
        return Err(HIDDEN);
    }
    if !address.starts_with('"') && address.contains(char::is_whitespace) {
        return Err("has a blank. Put a comma between addresses, and angle brackets around an address with a name.");
    }
    let (local, domain) = address.rsplit_once('@').ok_or("has no @. Write it like ops@example.com.")?;
    if domain.is_empty() {
        return Err("has no domain. Write it like ops@example.com.");
    }
    if local.is_empty() {
        return Err("has nothing before the @. Write it like ops@example.com.");
    }
    if !is_local(local) {
        return Err("has characters or dots before the @ that are possible in quotes only, like \"a b\"@example.com.");
    }
    let domain = domain.to_lowercase();
    if local.len() > LOCAL_MAX_BYTES || domain.len() > DOMAIN_MAX_BYTES {
        return Err("is too long: 64 bytes before the @ and 255 behind it are the most.");
    }
    if !is_domain(&domain) {
        return Err("has no valid domain: letters, digits and hyphens, with dots between, or [192.0.2.1].");
    }
    Ok(format!("{local}@{domain}"))
}

/// Returns true for visible characters outside of ASCII.
fn is_wide(c: char) -> bool {
    !c.is_ascii() && !c.is_whitespace()
}

/// Returns true for a dot-atom or a quoted string (RFC 5321 §4.1.2, RFC 6531 §3.3) without hidden characters.
fn is_local(local: &str) -> bool {
    if let Some(quoted) = local.strip_prefix('"') {
        // The closing quote is the last character and no earlier one.
        let mut quotes = Quotes { are_open: true, is_escaped: false };
        return quoted.len() > 1 && quoted.find(|c| quotes.are_behind(c)) == Some(quoted.len() - 1);
    }
    let is_atom = |atom: &str| {
        let is_atext = |c: char| c.is_ascii_alphanumeric() || is_wide(c) || "!#$%&'*+-/=?^_`{|}~".contains(c);
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
        (1..=63).contains(&label.len())
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || is_wide(c))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // A last label of digits would be an IP address without its brackets.
    let last = domain.rsplit('.').next().unwrap_or_default();
    domain.split('.').all(is_label) && !last.bytes().all(|byte| byte.is_ascii_digit())
}
