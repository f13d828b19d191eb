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

/// What PostgreSQL cannot store in a text column, whatever the field.
///
/// # Errors
/// A sentence for the person who typed it.
pub fn refuse_nul(text: &str) -> Result<(), String> {
    if text.contains('\0') { Err("This contains a NUL character, which cannot be stored.".to_owned()) } else { Ok(()) }
}
