//! The parts of a `Content-Type` value by which a body is read or written (RFC 9110 §8.3).

/// Returns the media type in lower case, without its parameters: `application/json`.
pub fn essence(value: &str) -> String {
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Returns the parameter `charset`, without quotes.
pub fn charset(value: &str) -> Option<&str> {
    value.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches(['"', '\'']))
    })
}

/// Returns true for JSON: `*/json` and `*/*+json` (CloudEvents JSON format §3.1.1).
pub fn is_json(value: &str) -> bool {
    essence(value).split_once('/').is_some_and(|(_, subtype)| subtype == "json" || subtype.ends_with("+json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_type_is_read_without_parameters_in_lower_case() {
        let value = "Text/Plain ; q=1;CHARSET = \"UTF-8\"";
        assert_eq!((essence(value).as_str(), charset(value)), ("text/plain", Some("UTF-8")));
        assert_eq!((essence("").as_str(), charset("text/plain"), charset("charset=a")), ("", None, None));
        for (value, expected) in
            [("application/json;x=y", true), ("a/B+JSON", true), ("a/x-ndjson", false), ("json", false), ("", false)]
        {
            assert_eq!(is_json(value), expected, "{value}");
        }
    }
}
