//! Refusals of a form whose row another person has changed since the form was opened.

use app::error::{AppError, Code, Versions};
use app::view::label::label;
use model::mailer::Encryption;
use model::schedule::{MONTH_DAYS, UNITS};
use model::text::{capitalised, with_line_ends};
use model::webhook::AUTH_TYPES;
use serde::Serialize;
use serde_json::{Map, Value};

/// Form fields that never appear in a comparison: secrets, and switches about secrets.
const HIDDEN: &[&str] = &["token", "api_key", "password", "signing_secret", "secret_headers", "retype", "keep_secrets"];

/// The field that no table shows.
const REVISION: &str = "revision";

/// The switches whose names are not those of weekdays.
const SWITCHES: &[&str] =
    &["enabled", "delete_after_running", "use_tag", "sign", "allow_insecure", "direct", "all_day", "never_ends"];

/// Returns the refusal of an outdated form, with both versions of each field that differs. `what` is "webhook".
pub(super) fn stale<D: Serialize>(what: &str, typed: &D, saved: &D) -> AppError {
    let (typed, saved) = (fields(typed), fields(saved));
    let differs = |(field, value): (&String, &Value)| {
        let (yours, saved) = (text(Some(value)), text(saved.get(field)));
        let is_shown = !HIDDEN.contains(&field.as_str()) && yours != saved;
        is_shown.then(|| Versions { field: label(field), yours: shown(field, yours), saved: shown(field, saved) })
    };
    let mut versions: Vec<Versions> = typed.iter().filter_map(differs).collect();
    versions.sort_by_key(|versions| versions.field != REVISION);
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

/// Returns the text of a field as its form shows it: the words of a switch and of a choice instead of their values.
fn shown(field: &str, text: String) -> String {
    let of = |choices: &[(&str, &str)]| {
        choices.iter().find(|(value, _)| *value == text).map_or_else(|| text.clone(), |(_, label)| (*label).to_owned())
    };
    match field {
        _ if SWITCHES.contains(&field) || field.ends_with("day") && field != "month_day" => {
            if text == "true" { "On" } else { "Off" }.to_owned()
        }
        "unit" => of(&UNITS),
        "month_day" => of(&MONTH_DAYS),
        "auth_type" => of(&AUTH_TYPES),
        "encryption" => Encryption::find(&text).map_or(text, |encryption| encryption.label().to_owned()),
        "kind" | "object_type" | "action" => capitalised(&text),
        "object" if text == model::event::ANY => "Any".to_owned(),
        _ => text,
    }
}

/// Returns the revision that a form was opened on.
pub(super) fn revision(typed: &str) -> Result<i64, AppError> {
    typed.parse().map_err(|_| AppError::new(Code::Malformed, "The form has lost its revision. Reload the page."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::schedule::ScheduleDraft;
    use model::task::TaskDraft;
    use model::webhook::WebhookDraft;

    #[test]
    fn conflict_lists_no_text_that_differs_in_line_ends_alone() {
        let draft = |description: &str, message: &str| TaskDraft {
            description: description.into(),
            message: message.into(),
            ..TaskDraft::default()
        };
        let error = stale("task", &draft("a\nb", "mine"), &draft("a\r\nb", "theirs"));
        let fields: Vec<_> = error.versions.iter().map(|versions| versions.field.as_str()).collect();
        assert_eq!(fields, ["Message"]);
    }

    #[test]
    fn conflict_names_fields_and_choices_as_the_form_does() {
        let mine = WebhookDraft { allow_insecure: "true".into(), revision: "3".into(), ..WebhookDraft::default() };
        let theirs = WebhookDraft { auth_type: "api_key".into(), revision: "4".into(), ..WebhookDraft::default() };
        let error = stale("webhook", &mine, &theirs);
        let rows: Vec<_> = error.versions.iter().map(|row| [row.field.as_str(), &row.yours, &row.saved]).collect();
        let expected = [
            ["revision", "3", "4"],
            ["Allow Insecure Certificates", "On", "Off"],
            ["Authorization Type", "None", "API Key"],
        ];
        assert_eq!(rows, expected);
        let mine = ScheduleDraft { monday: "true".into(), month_day: "fifteenth".into(), ..ScheduleDraft::default() };
        let theirs = ScheduleDraft { unit: "never".into(), all_day: "true".into(), ..ScheduleDraft::default() };
        let error = stale("schedule", &mine, &theirs);
        let rows: Vec<_> = error.versions.iter().map(|row| [row.field.as_str(), &row.yours, &row.saved]).collect();
        let expected = [
            ["All Day", "Off", "On"],
            ["Monday", "On", "Off"],
            ["Day of the Month", "15th", "The Start Date's Day"],
            ["Unit", "Day(s)", "Does Not Repeat"],
        ];
        assert_eq!(rows, expected);
    }
}
