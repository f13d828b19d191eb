//! The memory of a parsed JSON document, estimated before the document is parsed. A document of a few megabytes that
//! consists of tiny objects takes a hundred times its size.

/// The estimated memory of a value, in bytes.
const VALUE: usize = 64;
/// The estimated memory of the members of a small object: the first node of its tree.
const OBJECT: usize = 640;

/// Returns the estimated memory of a document, in bytes. The text may be any bytes.
pub(super) fn parsed_bytes(json: &[u8]) -> usize {
    let (mut is_text, mut is_escaped) = (false, false);
    let mut bytes = json.len();
    for byte in json {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = is_text,
            b'"' => is_text = !is_text,
            b'{' if !is_text => bytes += OBJECT,
            b',' | b'[' if !is_text => bytes += VALUE,
            _ => {}
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parsed_bytes_counts_values_and_objects_outside_texts() {
        for (json, values, objects) in
            [("1", 0, 0), ("[1,2]", 2, 0), (r#"{"a":{},"b":1}"#, 1, 2), (r#"["{,\"{","\\",{}]"#, 3, 1)]
        {
            assert_eq!(parsed_bytes(json.as_bytes()), json.len() + values * VALUE + objects * OBJECT, "{json}");
        }
    }
}
