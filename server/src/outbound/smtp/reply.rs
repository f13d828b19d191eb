//! Replies of a server (RFC 5321 §4.2), read line by line.

/// The most characters of a server's words that are shown for one recipient.
const WORDS_MAX: usize = 300;

/// A complete reply.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Reply {
    /// The code: 200 to 559.
    pub(super) code: u16,
    /// The texts of the lines, without code.
    pub(super) lines: Vec<String>,
}

impl Reply {
    /// Returns true for 2xx.
    pub(super) fn is_done(&self) -> bool {
        self.code / 100 == 2
    }

    /// Returns true for 4xx: another try may help.
    pub(super) fn is_temporary(&self) -> bool {
        self.code / 100 == 4
    }

    /// Returns true for 5xx.
    pub(super) fn is_refusal(&self) -> bool {
        self.code / 100 == 5
    }

    /// Returns code and text in one line, as the operator sees them: without invisible characters, and cut at
    /// [`WORDS_MAX`].
    pub(super) fn words(&self) -> String {
        let text = format!("{} {}", self.code, self.lines.join(" "));
        let text: String = text.chars().map(|c| if model::text::is_invisible(c) { ' ' } else { c }).collect();
        text.trim_end().chars().take(WORDS_MAX).collect()
    }
}

/// A line of a reply.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    pub(super) code: u16,
    /// False for a line that another line of the same reply follows.
    pub(super) is_last: bool,
    pub(super) text: &'a str,
}

/// Reads a line without its end. `None` when the line does not begin with a code.
pub(super) fn parse_line(line: &str) -> Option<Line<'_>> {
    let (code, rest) = line.split_at_checked(3)?;
    let is_code = code.bytes().zip([b'2'..=b'5', b'0'..=b'5', b'0'..=b'9']).all(|(byte, range)| range.contains(&byte));
    let code = code.parse().ok().filter(|_| is_code)?;
    match rest.bytes().next() {
        None => Some(Line { code, is_last: true, text: "" }),
        Some(b' ') => Some(Line { code, is_last: true, text: &rest[1..] }),
        Some(b'-') => Some(Line { code, is_last: false, text: &rest[1..] }),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_is_read_with_and_without_text() {
        let line = |code, is_last, text| Some(Line { code, is_last, text });
        assert_eq!(parse_line("250"), line(250, true, ""));
        assert_eq!(parse_line("250 "), line(250, true, ""));
        assert_eq!(parse_line("250-SIZE 1"), line(250, false, "SIZE 1"));
        assert_eq!(parse_line("550 5.1.1 äh"), line(550, true, "5.1.1 äh"));
        for garbage in
            ["", "2", "25", "25x ok", "650 ok", "199 ok", "260 ok", "250ok", "HTTP/1.1 400", "äöü", "2\u{660}0 x"]
        {
            assert_eq!(parse_line(garbage), None, "{garbage:?}");
        }
    }

    #[test]
    fn words_are_one_short_line() {
        let reply = Reply { code: 550, lines: vec!["5.1.1 No\u{202e}such".into(), "user\r".into()] };
        assert_eq!(reply.words(), "550 5.1.1 No such user");
        let long = Reply { code: 550, lines: vec!["x".repeat(5000)] };
        assert_eq!(long.words().len(), WORDS_MAX);
    }
}
