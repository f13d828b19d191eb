//! The URL of a webhook: a strict subset of the URLs that a browser accepts.
//!
//! Where two parsers read a URL differently, a check of its address can be bypassed. This parser accepts only URLs that
//! every parser reads in the same way: ASCII, `http` or `https`, a plain host name, a dotted IPv4 or a bracketed IPv6
//! address. Tests compare it with the parser of the HTTP client. This parser must stay small, since it is sent to the
//! browser.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The longest URL accepted, in bytes.
pub const MAX_BYTES: usize = 2048;

/// A checked URL, with its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetUrl {
    text: String,
    host: Host,
    port: u16,
    is_https: bool,
}

/// The host of a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// A name, in lower case.
    Name(String),
    /// An IP address.
    Address(IpAddr),
}

impl TargetUrl {
    /// Returns a URL that stands for a stored one that cannot be read. Names under `invalid` never resolve (RFC 6761
    /// §6.4).
    pub fn unreadable() -> Self {
        let host = "unreadable.invalid";
        Self { text: format!("http://{host}/"), host: Host::Name(host.to_owned()), port: 80, is_https: false }
    }

    /// Checks a URL. The text stays as typed, without the blanks around it: a missing path becomes `/` only when it is
    /// sent.
    ///
    /// # Errors
    /// A sentence for the person who typed it.
    pub fn parse(typed: &str) -> Result<Self, String> {
        let text = typed.trim();
        if text.is_empty() {
            return Err("A URL is required, like https://example.com/hook.".to_owned());
        }
        if text.len() > MAX_BYTES {
            return Err(format!("This URL is too long; {MAX_BYTES} bytes are the most."));
        }
        if let Some(c) = text.chars().find(|c| !c.is_ascii_graphic()) {
            return Err(if c.is_ascii() || c.is_whitespace() {
                "A URL has no spaces or control characters. Write a space as %20.".to_owned()
            } else {
                "A URL has only ASCII characters. Write the host in its xn-- form and the rest percent-encoded."
                    .to_owned()
            });
        }
        let (scheme, rest) =
            text.split_once("://").ok_or("Start the URL with http:// or https://, like https://example.com/hook.")?;
        let is_https = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return Err("Only http:// and https:// URLs can be called.".to_owned()),
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if path.contains('#') {
            return Err("A URL to call has no #fragment; it would never be sent.".to_owned());
        }
        if path.contains(['\\', '"', '<', '>', '`', '{', '}', '|', '^']) {
            return Err("This URL has a character that must be percent-encoded: one of \\ \" < > ` { } | ^".to_owned());
        }
        if authority.contains('@') {
            return Err(
                "Take the user name and password out of the URL and use the authorization fields instead.".to_owned()
            );
        }
        let (host, port) = split_port(authority)?;
        let host = parse_host(host)?;
        let port = match port {
            None => default_port(is_https),
            Some(port) => port
                .parse::<u16>()
                .ok()
                .filter(|number| *number > 0 && port.bytes().all(|byte| byte.is_ascii_digit()))
                .ok_or("The port in this URL is not a number from 1 to 65535.")?,
        };
        Ok(Self { text: text.to_owned(), host, port, is_https })
    }

    /// Returns the URL as typed.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the URL for viewers who cannot edit webhooks: without path and query, which may be secret. Such a URL is
    /// shown and never called.
    #[must_use]
    pub fn discreet(&self) -> Self {
        let (origin, default) = (self.origin(), format!(":{}", default_port(self.is_https)));
        let origin = origin.strip_suffix(&default).unwrap_or(&origin);
        let rest = if matches!(self.path_and_query(), "" | "/") { "/" } else { "/…" };
        Self { text: format!("{origin}{rest}"), ..self.clone() }
    }

    /// Returns the host.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Returns the port, typed or implied by the scheme.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns true if the connection is encrypted.
    pub fn is_https(&self) -> bool {
        self.is_https
    }

    /// Returns the path and the query as typed. May be empty.
    pub fn path_and_query(&self) -> &str {
        let start = self.text.find("://").map_or(0, |at| at + 3);
        let rest = &self.text[start..];
        rest.find(['/', '?']).map_or("", |end| &rest[end..])
    }

    /// Returns scheme, host and port. A stored secret is bound to them.
    pub fn origin(&self) -> String {
        let scheme = if self.is_https { "https" } else { "http" };
        match &self.host {
            Host::Name(name) => format!("{scheme}://{name}:{}", self.port),
            Host::Address(IpAddr::V4(address)) => format!("{scheme}://{address}:{}", self.port),
            Host::Address(IpAddr::V6(address)) => format!("{scheme}://[{address}]:{}", self.port),
        }
    }
}

fn default_port(is_https: bool) -> u16 {
    if is_https { 443 } else { 80 }
}

fn split_port(authority: &str) -> Result<(&str, Option<&str>), String> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (_, after) = rest.split_once(']').ok_or("The IPv6 address in this URL has no closing bracket.")?;
        let host = &authority[..authority.len() - after.len()];
        return match after.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if after.is_empty() => Ok((host, None)),
            None => Err("After the closing bracket of an IPv6 address only :port may follow.".to_owned()),
        };
    }
    Ok(match authority.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    })
}

pub(crate) fn parse_host(host: &str) -> Result<Host, String> {
    if host.is_empty() {
        return Err("This URL has no host. Write one after the //, like https://example.com/hook.".to_owned());
    }
    if let Some(address) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return address.parse::<Ipv6Addr>().map(|address| Host::Address(IpAddr::V6(address))).map_err(|_| {
            "The address in brackets is not an IPv6 address (zones like %eth0 are not allowed).".to_owned()
        });
    }
    let name = host.to_ascii_lowercase();
    // WHATWG URL: a host whose last label is a number is an IPv4 address. Only the plain dotted form is read alike by
    // every parser; 0x7f.1, 127.1 or 2130706433 are not.
    let last = name.strip_suffix('.').unwrap_or(&name).rsplit('.').next().unwrap_or_default();
    let hexadecimal = last.strip_prefix("0x").is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
    if hexadecimal || (!last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit())) {
        return name
            .parse::<Ipv4Addr>()
            .map(|address| Host::Address(IpAddr::V4(address)))
            .map_err(|_| "Write an IPv4 address as four numbers, like 192.0.2.10.".to_owned());
    }
    let labels = name.strip_suffix('.').unwrap_or(&name);
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if labels.len() > 253 || !labels.split('.').all(is_label) {
        return Err(
            "This host name is not valid: letters, digits, hyphens and dots, each part 1 to 63 long.".to_owned()
        );
    }
    if labels.split('.').any(|label| label.starts_with("xn--") && !is_punycode(label)) {
        return Err("This host name has an xn-- part that is not valid.".to_owned());
    }
    Ok(Host::Name(name))
}

/// Checks the shape of an `xn--` label only. The server's parser decodes it.
fn is_punycode(label: &str) -> bool {
    label.len() > 4 && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(url: &str) -> String {
        TargetUrl::parse(url).map(|url| url.origin()).expect_err(url)
    }

    #[test]
    fn plain_urls_are_accepted_with_their_origin() {
        for (url, origin) in [
            ("https://example.com", "https://example.com:443"),
            ("HTTP://Example.COM:8080/a?b=c%20d", "http://example.com:8080"),
            ("http://10.0.0.7/x", "http://10.0.0.7:80"),
            ("https://[2001:db8::1]:8443/", "https://[2001:db8::1]:8443"),
            ("http://my_host.internal./", "http://my_host.internal.:80"),
        ] {
            assert_eq!(TargetUrl::parse(url).map(|url| url.origin()), Ok(origin.to_owned()), "{url}");
        }
    }

    #[test]
    fn discreet_url_shows_the_target_and_neither_path_nor_query() {
        for (url, shown) in [
            ("https://chat.example", "https://chat.example/"),
            ("https://Chat.example:443/", "https://chat.example/"),
            ("https://chat.example/hook?token=x", "https://chat.example/…"),
            ("https://chat.example?token=x", "https://chat.example/…"),
            ("http://chat.example:443/x", "http://chat.example:443/…"),
            ("http://[2001:db8::80]:8080/", "http://[2001:db8::80]:8080/"),
        ] {
            assert_eq!(TargetUrl::parse(url).map(|url| url.discreet().as_str().to_owned()), Ok(shown.to_owned()));
        }
    }

    #[test]
    fn urls_that_parsers_read_differently_are_refused() {
        for url in [
            "",
            "example.com",
            "ftp://example.com/",
            "javascript:alert(1)",
            "http://",
            "http:///x",
            "http://user:pass@example.com/",
            "http://example.com:0/",
            "http://example.com:65536/",
            "http://example.com:+80/",
            "http://example.com:80:80/",
            "http://0x7f.1/",
            "http://0x7f000001/",
            "http://0x/",
            "http://127.1/",
            "http://2130706433/",
            "http://0177.0.0.1/",
            "http://127.0.0.1./",
            "http://[::1",
            "http://[::1]x/",
            "http://[fe80::1%25eth0]/",
            "http://exa mple.com/",
            "http://example.com/a\nb",
            "http://bücher.example/",
            "http://example.com\\@evil/",
            "http://exam%70le.com/",
            "http://-a.example/",
            "http://a..b/",
            "http://example.com/#part",
        ] {
            refused(url);
        }
    }

    #[test]
    fn url_with_credentials_is_refused_with_the_remedy() {
        assert!(refused("http://user:pass@example.com/").contains("authorization fields"));
    }
}
