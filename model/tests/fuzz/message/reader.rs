//! Readers that recover a value from its written form in each format.

/// Returns the parts outside of strings of a text that should be JSON. Each string is written `""`.
pub(super) fn skeleton(body: &str) -> String {
    let (mut found, mut is_inside, mut is_escaped) = (String::new(), false, false);
    for c in body.chars() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' if is_inside => is_escaped = true,
            '"' => {
                is_inside = !is_inside;
                found.push('"');
            }
            _ if is_inside => {}
            other => found.push(other),
        }
    }
    found
}

pub(super) fn is_json(text: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

/// Reads a value in XML. Returns `None` where a character ends the text or attribute around it.
pub(super) fn read_xml(written: &str) -> Option<String> {
    const REFERENCES: [(&str, char); 8] = [
        ("amp;", '&'),
        ("lt;", '<'),
        ("gt;", '>'),
        ("quot;", '"'),
        ("apos;", '\''),
        ("#9;", '\t'),
        ("#10;", '\n'),
        ("#13;", '\r'),
    ];
    let (mut found, mut rest) = (String::new(), written);
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '&' => {
                let (name, c) = REFERENCES.iter().find(|(name, _)| rest.starts_with(name))?;
                found.push(*c);
                rest = &rest[name.len()..];
            }
            '<' | '>' | '"' | '\'' | '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => return None,
            other => found.push(other),
        }
    }
    Some(found)
}

/// Returns the text with U+FFFD for each character that XML 1.0 cannot write.
pub(super) fn writable_in_xml(text: &str) -> String {
    let writable = |c| match c {
        '\t' | '\n' | '\r' => c,
        '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => char::REPLACEMENT_CHARACTER,
        other => other,
    };
    text.chars().map(writable).collect()
}

/// Reads a value in a form's text. Returns `None` where a character ends it.
pub(super) fn read_form(written: &str) -> Option<String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"*-._+%".contains(&byte);
    let field = format!("a={written}");
    let pairs: Vec<_> = url::form_urlencoded::parse(field.as_bytes()).collect();
    match pairs.as_slice() {
        [(_, value)] if written.bytes().all(is_plain) => Some(value.clone().into_owned()),
        _ => None,
    }
}
