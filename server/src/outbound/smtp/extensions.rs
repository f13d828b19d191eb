//! The extensions that a server offers in its reply to EHLO (RFC 5321 §4.1.1.1).

use super::reply::Reply;

/// A way to authenticate that Hookwright knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mechanism {
    /// RFC 4616.
    Plain,
    /// Never standardised, but the only mechanism of some servers.
    Login,
}

/// The offered extensions that Hookwright uses.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Extensions {
    /// RFC 3207.
    pub(super) has_starttls: bool,
    /// RFC 6152.
    pub(super) has_8bitmime: bool,
    /// RFC 6531.
    pub(super) has_smtputf8: bool,
    /// RFC 1870: the most bytes of a message, which is `usize::MAX` where the server names no limit.
    pub(super) size: Option<usize>,
    /// The best offered mechanism.
    pub(super) mechanism: Option<Mechanism>,
}

impl Extensions {
    /// Reads the reply to EHLO. Its first line is a greeting. Keywords have no case.
    pub(super) fn read(reply: &Reply) -> Self {
        let mut extensions = Self::default();
        for line in reply.lines.iter().skip(1) {
            let line = line.to_ascii_uppercase();
            // Old servers write `AUTH=LOGIN`.
            let mut words = line.split([' ', '\t', '=']).filter(|word| !word.is_empty());
            match words.next() {
                Some("STARTTLS") => extensions.has_starttls = true,
                Some("8BITMIME") => extensions.has_8bitmime = true,
                Some("SMTPUTF8") => extensions.has_smtputf8 = true,
                Some("SIZE") => {
                    // Zero stands for no limit.
                    let limit = words.next().and_then(|size| size.parse().ok()).filter(|size| *size > 0);
                    extensions.size = Some(limit.unwrap_or(usize::MAX));
                }
                Some("AUTH") => {
                    let offered: Vec<_> = words.collect();
                    let known = [("PLAIN", Mechanism::Plain), ("LOGIN", Mechanism::Login)];
                    let best = known.into_iter().find(|(name, _)| offered.contains(name));
                    extensions.mechanism = match (extensions.mechanism, best) {
                        (Some(Mechanism::Plain), _) => Some(Mechanism::Plain),
                        (earlier, best) => best.map(|(_, mechanism)| mechanism).or(earlier),
                    };
                }
                _ => {}
            }
        }
        extensions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> Extensions {
        let lines = ["mail.example greets you"].iter().chain(lines).map(|line| (*line).to_owned()).collect();
        Extensions::read(&Reply { code: 250, lines })
    }

    #[test]
    fn extensions_are_read_in_any_case_and_order() {
        let read_all = read(&["size 1000", "auth login cram-md5", "AUTH=PLAIN", "SmtpUtf8", "8BITMIME", "STARTTLS"]);
        let expected = Extensions {
            has_starttls: true,
            has_8bitmime: true,
            has_smtputf8: true,
            size: Some(1000),
            mechanism: Some(Mechanism::Plain),
        };
        assert_eq!(read_all, expected);
        assert_eq!(read(&["AUTH CRAM-MD5 GSSAPI", "", "X"]), Extensions::default());
        for unlimited in ["SIZE", "SIZE 0", "SIZE lots", "SIZE 99999999999999999999999"] {
            assert_eq!(read(&[unlimited]).size, Some(usize::MAX), "{unlimited}");
        }
        assert_eq!(Extensions::read(&Reply::default()), Extensions::default());
    }
}
