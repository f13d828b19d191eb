//! Rules that several fields share: names, and numbers in a range.

/// A name: trimmed, `1..=limit` characters, nothing invisible that could disguise it.
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
    if name.chars().any(is_invisible) {
        return Err("This name contains an invisible control character. Type it again without.".to_owned());
    }
    Ok(name.to_owned())
}

/// A whole number in `range`; `unit` is put into the sentence (`seconds`).
///
/// # Errors
/// A sentence that names the range.
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

/// Control characters, and the marks that reorder or hide text (Unicode bidi controls, zero-width, line separators).
pub fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// A name from outside as a page may show it: what would reorder the text around it or break its line is seen as
/// U+FFFD. The joiners and marks that scripts need stay.
pub fn shown(name: &str) -> String {
    let reorders = |c: char| matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    name.chars().map(|c| if c.is_control() || reorders(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// A text from outside, a body or an answer, as a page may show it: nothing invisible in it but line ends and tabs.
pub fn visible(text: &str) -> String {
    let is_hidden = |c: char| is_invisible(c) && !matches!(c, '\n' | '\t');
    text.replace("\r\n", "\n").chars().map(|c| if is_hidden(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// What PostgreSQL cannot store in a text column, whatever the field.
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
    fn a_shown_name_keeps_its_letters_and_reorders_nothing() {
        assert_eq!(shown("web\u{202e}gpj.exe\n\u{2066}x\u{2069}"), "web\u{fffd}gpj.exe\u{fffd}\u{fffd}x\u{fffd}");
        let persian = "\u{645}\u{6cc}\u{200c}\u{62e}\u{648}\u{627}\u{647}\u{645}";
        assert_eq!(shown(persian), persian);
        assert_eq!(visible("a\r\n\tb\u{200c}\u{1b}"), "a\n\tb\u{fffd}\u{fffd}");
    }
}
