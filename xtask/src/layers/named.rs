//! Documents that name tests and functions: each name must exist in the file that stands before it.

use crate::shell::root;
use anyhow::{Context, Result};
use std::fs;

/// The documents with such names. `it/` stands for `server/tests/it/`. A name without a path belongs to the path before.
const DOCUMENTS: &[&str] = &["docs/compatibility.md", "docs/security.md"];

/// Returns the names that do not exist.
pub(super) fn missing() -> Result<Vec<String>> {
    let mut missing = Vec::new();
    for document in DOCUMENTS {
        let text = fs::read_to_string(root().join(document)).with_context(|| format!("there is no {document}"))?;
        for (number, line) in text.lines().enumerate() {
            missing.extend(missing_in(line).into_iter().map(|name| format!("{document}:{}: {name}", number + 1)));
        }
    }
    Ok(missing)
}

/// Returns the names of a line that do not exist.
fn missing_in(line: &str) -> Vec<String> {
    let mut missing = Vec::new();
    let mut source: Option<String> = None;
    for code in line.split('`').skip(1).step_by(2) {
        let (path, name) = code.split_once("::").unwrap_or((code, ""));
        if is_source(path) {
            let path =
                path.strip_prefix("it/").map_or_else(|| path.to_owned(), |path| format!("server/tests/it/{path}"));
            source = fs::read_to_string(root().join(&path)).ok();
            if source.is_none() {
                missing.push(format!("there is no {path}"));
            }
        } else if !path.is_empty() {
            continue;
        }
        if !name.is_empty() && source.as_ref().is_some_and(|source| !defines(source, name)) {
            missing.push(format!("there is no {code}"));
        }
    }
    missing
}

fn is_source(path: &str) -> bool {
    path.contains('/') && [".rs", ".ts"].iter().any(|ending| path.ends_with(ending))
}

/// Returns true when a source has a function or a test of this name.
fn defines(source: &str, name: &str) -> bool {
    source.contains(&format!("fn {name}("))
        || source.contains(&format!("fn {name}<"))
        || source.contains(&format!("'{name}'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_looked_up_in_the_file_before_them() {
        let path = "xtask/src/layers/named.rs";
        assert_eq!(missing_in(&format!("| a | `x::y` | `{path}::missing_in`, `::defines` |")), [""; 0]);
        assert_eq!(
            missing_in(&format!("`{path}::absent`, `::lost`")),
            [format!("there is no {path}::absent"), "there is no ::lost".into()]
        );
        assert_eq!(missing_in("`it/nowhere.rs::a`"), ["there is no server/tests/it/nowhere.rs"]);
    }
}
