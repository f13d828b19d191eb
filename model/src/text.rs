//! Rules for texts that several fields and pages share.

/// Checks a name: trimmed, 1 to `limit` characters, without invisible characters that could disguise it.
///
/// # Errors
/// A sentence for the person who typed it.
pub fn parse_name(typed: &str, limit: usize) -> Result<String, String> {
    let name = typed.trim();
    if name.is_empty() {
        return Err(format!("A name is required: 1 to {limit} characters."));
    }
    let count = name.chars().count();
    if count > limit {
        return Err(format!("This name has {count} characters; {limit} are the most."));
    }
    if has_hidden(name) {
        return Err("This name contains an invisible control character. Type it again without.".to_owned());
    }
    Ok(name.to_owned())
}

/// Checks a free text of several lines, such as a description: trimmed, at most `limit` characters, with LF as its line
/// ends. May be empty. `what` stands in the message ("description").
///
/// # Errors
/// A sentence for the person who typed it.
pub fn parse_text(typed: &str, what: &str, limit: usize) -> Result<String, String> {
    refuse_nul(typed)?;
    let text = with_line_ends(typed);
    let count = text.chars().count();
    if count > limit {
        return Err(format!("This {what} has {count} characters; {limit} are the most."));
    }
    Ok(text.trim().to_owned())
}

/// Returns the text with LF as its line ends, as texts are counted, compared and stored. A browser posts CR LF for a line
/// end that scripts read as LF.
pub fn with_line_ends(typed: &str) -> String {
    let mut text = typed.to_owned();
    for end in ["\r\n", "\r"] {
        text = text.replace(end, "\n");
    }
    text
}

/// Checks a whole number in `range`. `unit` stands in the message (`seconds`).
///
/// # Errors
/// A sentence with the range.
pub fn parse_number(typed: &str, range: std::ops::RangeInclusive<u32>, unit: &str) -> Result<u32, String> {
    let (low, high) = (range.start(), range.end());
    let unit = if unit.is_empty() { String::new() } else { format!(" {unit}") };
    typed
        .trim()
        .parse::<u32>()
        .ok()
        .filter(|number| range.contains(number))
        .ok_or_else(|| format!("Enter a whole number from {low} to {high}{unit}."))
}

/// Returns true for control characters, and for marks that reorder or hide text (Unicode bidi controls, zero-width
/// characters, line separators).
pub fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// Returns the characters of a text, each with true if it reorders or hides text. A joiner between two characters that
/// it joins is allowed: Persian and emoji of families need joiners.
fn with_hidden(text: &str) -> impl Iterator<Item = (char, bool)> {
    let is_joined = |c: Option<char>| c.is_some_and(|c| !c.is_ascii() && !is_invisible(c) && !c.is_whitespace());
    let mut before = None;
    let mut rest = text.chars();
    std::iter::from_fn(move || {
        let c = rest.next()?;
        let joins = matches!(c, '\u{200c}' | '\u{200d}') && is_joined(before) && is_joined(rest.clone().next());
        before = Some(c);
        Some((c, is_invisible(c) && !joins))
    })
}

/// Returns true if the text has a character that reorders or hides text. Joiners between characters that they join do
/// not count.
pub fn has_hidden(text: &str) -> bool {
    with_hidden(text).any(|(_, is_hidden)| is_hidden)
}

/// Returns a name from outside as a page may show it. Characters that would reorder the text around it or break its
/// line become U+FFFD. Joiners and marks that scripts need stay.
pub fn shown(name: &str) -> String {
    let reorders = |c: char| matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    name.chars().map(|c| if c.is_control() || reorders(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// Returns a text from outside, like the body of a response, as a page may show it. Invisible characters become U+FFFD,
/// except line ends and tabs.
pub fn visible(text: &str) -> String {
    let shown = |(c, is_hidden)| if is_hidden && !matches!(c, '\n' | '\t') { char::REPLACEMENT_CHARACTER } else { c };
    with_hidden(&text.replace("\r\n", "\n")).map(shown).collect()
}

/// Returns a text with its case folded, for searches. Works for every alphabet, also where a letter has several capital
/// letters (`ß` as `SS`) or a capital letter has several small ones (both sigmas).
pub fn folded(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    text.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect()
}

/// Returns the text with a capital as its first letter: a clause as the start of a sentence.
pub fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// Returns the word for a number of things: `one` for 1, else `many`.
pub fn plural<'a>(count: u64, one: &'a str, many: &'a str) -> &'a str {
    if count == 1 { one } else { many }
}

/// Refuses NUL, which PostgreSQL cannot store in a text column.
///
/// # Errors
/// A sentence for the person who typed it.
pub fn refuse_nul(text: &str) -> Result<(), String> {
    if text.contains('\0') { Err("This contains a NUL character, which cannot be stored.".to_owned()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capitalised_changes_the_first_letter_only() {
        for (text, expected) in [("", ""), ("a clause", "A clause"), ("éà", "Éà"), ("ßa", "SSa"), ("7 b", "7 b")] {
            assert_eq!(capitalised(text), expected);
        }
    }

    #[test]
    fn folded_texts_have_no_case_in_any_alphabet() {
        for (one, other) in
            [("WEB-01", "web-01"), ("ΟΔΟΣ", "οδος"), ("Straße", "STRASSE"), ("ЖУК", "жук"), ("ÉÀ", "éà")]
        {
            assert_eq!(folded(one), folded(other), "{one} {other}");
        }
        assert_eq!(folded("日本 a"), "日本 a");
    }

    #[test]
    fn text_at_its_limit_is_taken_with_wasm_and_without() {
        for end in ["\n", "\r\n", "\r"] {
            let typed = format!("a{end}b{end}c");
            assert_eq!(parse_text(&typed, "note", 5), Ok("a\nb\nc".to_owned()), "{end:?}");
            let refused = Err("This note has 5 characters; 4 are the most.".to_owned());
            assert_eq!(parse_text(&typed, "note", 4), refused, "{end:?}");
        }
        assert_eq!(parse_text(" \r\n", "note", 5), Ok(String::new()));
        assert!(parse_text("a\0", "note", 5).is_err());
    }

    #[test]
    fn shown_name_keeps_its_letters_and_reorders_nothing() {
        assert_eq!(shown("web\u{202e}gpj.exe\n\u{2066}x\u{2069}"), "web\u{fffd}gpj.exe\u{fffd}\u{fffd}x\u{fffd}");
        let persian = "\u{645}\u{6cc}\u{200c}\u{62e}\u{648}\u{627}\u{647}\u{645}";
        assert_eq!(shown(persian), persian);
        assert_eq!(visible("a\r\n\tb\u{200c}\u{1b}"), "a\n\tb\u{fffd}\u{fffd}");
    }

    #[test]
    fn joiners_are_accepted_and_shown_between_joined_characters_only() {
        let family = "\u{1f469}\u{200d}\u{1f469}\u{200d}\u{1f467}";
        let persian = "\u{645}\u{6cc}\u{200c}\u{62e}\u{648}\u{627}\u{647}\u{645}";
        for name in [family, persian, "\u{1f3f3}\u{fe0f}\u{200d}\u{1f308} web"] {
            assert_eq!(parse_name(name, 64), Ok(name.to_owned()));
            assert_eq!(visible(name), name);
        }
        for hidden in [
            "we\u{200d}b",
            "\u{200d}x",
            "\u{645}\u{200c}",
            "\u{645}\u{200c}\u{200c}\u{62e}",
            "a\u{202e}b",
            "a\u{200b}b",
        ] {
            assert!(parse_name(hidden, 64).is_err(), "{hidden:?}");
        }
    }
}
