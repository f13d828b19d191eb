//! Refusals of a form whose row another person has changed since the form was opened.

use app::error::{AppError, Code, Versions};
use model::text::with_line_ends;
use serde::Serialize;
use serde_json::{Map, Value};

/// Form fields that never appear in a comparison: secrets, and switches about secrets.
const HIDDEN: &[&str] = &["token", "api_key", "password", "signing_secret", "secret_headers", "retype", "keep_secrets"];

/// Returns the refusal of an outdated form, with both versions of each field that differs. `what` is "webhook".
pub(super) fn stale<D: Serialize>(what: &str, typed: &D, saved: &D) -> AppError {
    let (typed, saved) = (fields(typed), fields(saved));
    let differs = |(field, value): (&String, &Value)| {
        let (yours, saved) = (text(Some(value)), text(saved.get(field)));
        (!HIDDEN.contains(&field.as_str()) && yours != saved).then(|| Versions { field: field.clone(), yours, saved })
    };
    let mut versions: Vec<Versions> = typed.iter().filter_map(differs).collect();
    versions.sort_by_key(|versions| versions.field != "revision");
    let message = format!(
        "Somebody else changed this {what} since you opened the form. Nothing was saved. Submit again to replace their \
         version with yours, or reload the page to keep theirs."
    );
    AppError { versions, ..AppError::new(Code::Conflict, message) }
}

fn fields<D: Serialize>(draft: &D) -> Map<String, Value> {
    match serde_json::to_value(draft) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}

/// Returns the text of a field. Texts that an earlier version has stored may have other line ends.
fn text(value: Option<&Value>) -> String {
    with_line_ends(value.and_then(Value::as_str).unwrap_or_default())
}

/// Returns the revision that a form was opened on.
pub(super) fn revision(typed: &str) -> Result<i64, AppError> {
    typed.parse().map_err(|_| AppError::new(Code::Malformed, "The form has lost its revision. Reload the page."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::task::TaskDraft;

    #[test]
    fn conflict_lists_no_text_that_differs_in_line_ends_alone() {
        let draft = |description: &str, message: &str| TaskDraft {
            description: description.into(),
            message: message.into(),
            ..TaskDraft::default()
        };
        let error = stale("task", &draft("a\nb", "mine"), &draft("a\r\nb", "theirs"));
        let fields: Vec<_> = error.versions.iter().map(|versions| versions.field.as_str()).collect();
        assert_eq!(fields, ["message"]);
    }
}
