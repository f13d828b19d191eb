//! The variables for the data of an occurrence.

use serde_json::Value;

/// The most variables that are listed.
const LISTED: usize = 100;
/// The most characters that are shown of a value.
const SHOWN: usize = 40;

/// Returns the variables for the values of a document, like `${data.disk.free}`, each with its value, in the document's
/// order. At most 100 are listed, and longer values are cut.
pub fn list_variables(data: &Value) -> Vec<(String, String)> {
    let mut found = Vec::new();
    collect(data, "data", &mut found);
    found
}

fn collect(value: &Value, path: &str, found: &mut Vec<(String, String)>) {
    if found.len() >= LISTED {
        return;
    }
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (key, value) in members {
                // Some keys cannot be written in a variable.
                if let Some(step) = step(key) {
                    collect(value, &format!("{path}{step}"), found);
                }
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (index, item) in items.iter().enumerate() {
                collect(item, &format!("{path}[{index}]"), found);
            }
        }
        // The whole document has no path.
        _ if path == "data" => {}
        Value::String(text) => found.push((format!("${{{path}}}"), cut(text))),
        other => found.push((format!("${{{path}}}"), cut(&other.to_string()))),
    }
}

/// Returns the step of a path for a key: `.key`, or `["a key"]` if it has other characters. A key with both kinds of
/// quotes has no step.
fn step(key: &str) -> Option<String> {
    let is_plain = !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'));
    // Digits alone would be read as an index.
    if is_plain && !key.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(format!(".{key}"));
    }
    let quote = if key.contains('"') { '\'' } else { '"' };
    (!key.contains(quote) && !key.contains('\n')).then(|| format!("[{quote}{key}{quote}]"))
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn listed_variables_are_valid_and_have_their_values() {
        let data = json!({
            "disk": {"free": 7, "label": "a".repeat(60), "none": null},
            "labels": {"app.kubernetes.io/name": "web", "say \"hi\"": true, "7": "seven", "both\"'": 1, "": 2},
            "list": [{"a": 1}, [], {}],
        });
        let found = list_variables(&data);
        let names: Vec<_> = found.iter().map(|(name, _)| name.as_str()).collect();
        let message = names.join(" ");
        let unknown = crate::message::unknown_variables(&message);
        assert_eq!(unknown, [], "{names:?}");
        for (name, value) in [
            ("${data.disk.free}", "7"),
            ("${data.disk.none}", "null"),
            (r#"${data.labels["app.kubernetes.io/name"]}"#, "web"),
            (r#"${data.labels['say "hi"']}"#, "true"),
            (r#"${data.labels["7"]}"#, "seven"),
            ("${data.list[0].a}", "1"),
        ] {
            assert!(found.contains(&(name.to_owned(), value.to_owned())), "{name}: {found:?}");
        }
        assert!(!names.iter().any(|name| name.contains("both")), "no form");
        assert_eq!(found[1].1.chars().count(), SHOWN + 1);
        assert_eq!(list_variables(&json!("text")), [], "the whole document has no path");
        let many: Value = (0..500).map(|n| (format!("k{n}"), json!(n))).collect::<serde_json::Map<_, _>>().into();
        assert_eq!(list_variables(&many).len(), LISTED);
    }
}
