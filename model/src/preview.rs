//! The preview of a message in its form: the message as it would be sent, with the problems in it.
//!
//! Problems are warnings. They never stop a save, since the author decides what to send.

use crate::email::{RenderError, sent_line};
use crate::message::{Escape, Rendered, TooLarge, Variables, render};
use crate::number::to_u32;
use crate::task::TaskDraft;
use crate::text::shown;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// A doubtful point, by its position in the message as typed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The line, from 1.
    pub line: u32,
    /// The column in characters, from 1.
    pub column: u32,
    /// A sentence for the author.
    pub message: String,
}

/// A rendered message and its problems.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preview {
    /// The body that would be sent, byte for byte.
    pub body: String,
    /// The ranges of the values in the body.
    pub filled: Vec<Range<usize>>,
    /// The problems, in the order of the message.
    pub problems: Vec<Problem>,
    /// The body was checked as JSON.
    pub is_json: bool,
}

/// Renders `template` and looks for problems.
///
/// # Errors
/// [`TooLarge`].
pub fn preview(
    template: &str,
    escape: Escape,
    variables: &Variables<'_>,
    random: &mut dyn FnMut() -> u32,
) -> Result<Preview, TooLarge> {
    let rendered = render(template, escape, variables, random)?;
    let mut found: Vec<(usize, String)> = Vec::new();
    if escape == Escape::Json && !rendered.body.trim().is_empty() {
        found.extend(json_problem(template, &rendered));
    }
    for (offset, name) in &rendered.unknown {
        found.push((*offset, format!("${{{}}} is not a variable and stays as text.", shown(name))));
    }
    if escape == Escape::Unknown
        && let Some(first) = rendered.spans.first()
    {
        let message = "No rule is known for the webhook's content type: values are filled in as they are, also where \
                       they have quotes or line ends.";
        found.push((first.template.start, message.to_owned()));
    }
    for (offset, path) in &rendered.absent {
        found.push((*offset, format!("The occurrence has no {}: nothing is filled in.", shown(path))));
    }
    found.sort_by_key(|(offset, _)| *offset);
    let problem = |(offset, message)| {
        let (line, column) = line_and_column(template, offset);
        Problem { line, column, message }
    };
    Ok(Preview {
        filled: rendered.spans.iter().map(|span| span.body.clone()).collect(),
        problems: found.into_iter().map(problem).collect(),
        is_json: escape == Escape::Json,
        body: rendered.body,
    })
}

/// The rendered texts of an e-mail, each with its problems.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EmailPreview {
    /// The sender's name. It is sent as one line.
    pub from_name: Preview,
    /// The subject. It is sent as one line.
    pub subject: Preview,
    /// The body.
    pub body: Preview,
}

/// Renders the texts of an e-mail as typed, and looks for problems.
///
/// # Errors
/// [`RenderError`], under the same limits as the e-mail that is sent.
pub fn preview_email(
    draft: &TaskDraft,
    variables: &Variables<'_>,
    random: &mut dyn FnMut() -> u32,
) -> Result<EmailPreview, RenderError> {
    let mut text = |typed: &str| preview(typed, Escape::Plain, variables, random);
    let (from_name, subject, body) = (text(&draft.from_name)?, text(&draft.subject)?, text(&draft.body)?);
    sent_line("From Name", &from_name.body)?;
    sent_line("Subject", &subject.body)?;
    Ok(EmailPreview { from_name, subject, body })
}

/// Finds the first mistake of a body that should be JSON, by its offset in the template.
fn json_problem(template: &str, rendered: &Rendered) -> Option<(usize, String)> {
    let error = serde_json::from_str::<serde::de::IgnoredAny>(&rendered.body).err()?;
    let line_start =
        rendered.body.split('\n').take(error.line().saturating_sub(1)).map(|line| line.len() + 1).sum::<usize>();
    let offset = (line_start + error.column().saturating_sub(1)).min(rendered.body.len());
    let reason = error.to_string();
    let reason = reason.split(" at line ").next().unwrap_or_default();
    let message = format!("This is not valid JSON: {reason}. It would be sent as it stands.");
    Some((template_offset(template, rendered, offset), message))
}

/// Returns the offset in the template that an offset in the body comes from. An offset within a value is where the
/// value's variable starts.
fn template_offset(template: &str, rendered: &Rendered, offset: usize) -> usize {
    let (mut template_end, mut body_end) = (0, 0);
    for span in &rendered.spans {
        if offset < span.body.start {
            break;
        }
        if offset < span.body.end {
            return span.template.start;
        }
        (template_end, body_end) = (span.template.end, span.body.end);
    }
    (template_end + offset - body_end).min(template.len())
}

fn line_and_column(text: &str, offset: usize) -> (u32, u32) {
    let mut end = offset.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let before = &text[..end];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (to_u32(line), to_u32(column))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables() -> Variables<'static> {
        Variables {
            date: "Thu, 16 Oct 2025 11:38:07 EDT",
            timestamp: 1_760_629_087,
            name: "web \"01\"\nlong",
            type_id: "vms",
            event_id: "poweron",
            object_id: "vm-101",
            task: "Tell",
            id: "01890a5d-ac96-774b-bcce-b302099a8057",
            data: None,
        }
    }

    fn look(template: &str, escape: Escape) -> Preview {
        preview(template, escape, &variables(), &mut || 7).expect("small")
    }

    fn positions(preview: &Preview) -> Vec<(u32, u32)> {
        preview.problems.iter().map(|problem| (problem.line, problem.column)).collect()
    }

    #[test]
    fn mistake_has_its_position_in_the_message_as_typed() {
        let preview = look("{\n  \"a\": \"${NAME}\", \"n\": ${TIMESTAMP}\n  \"b\": 1\n}", Escape::Json);
        assert_eq!(positions(&preview), [(3, 3)], "{preview:?}");
        assert!(preview.problems[0].message.contains("expected `,` or `}`"), "{preview:?}");
        assert_eq!(
            preview.filled.iter().map(|range| &preview.body[range.clone()]).collect::<Vec<_>>(),
            ["web \\\"01\\\"\\nlong", "1760629087"]
        );
    }

    #[test]
    fn unknown_and_absent_variables_have_their_position() {
        let preview = look("{\"ä\": \"${HOST}\",\n \"b\": \"${data.x}\"}", Escape::Json);
        assert_eq!(positions(&preview), [(1, 8), (2, 8)]);
        assert!(look("${HOST} ${name}", Escape::Plain).problems.len() == 2);
    }

    #[test]
    fn each_text_of_an_email_has_its_own_problems() {
        let draft = TaskDraft {
            from_name: "${NAME}".into(),
            subject: "Up: ${HOST}".into(),
            body: "a\n ${data.x}".into(),
            ..TaskDraft::default()
        };
        let preview = preview_email(&draft, &variables(), &mut || 7).expect("small");
        assert_eq!((positions(&preview.from_name), preview.from_name.body.as_str()), (vec![], "web \"01\"\nlong"));
        assert_eq!(positions(&preview.subject), [(1, 5)]);
        assert_eq!(positions(&preview.body), [(2, 2)]);
        let long = TaskDraft { subject: "${NAME}".repeat(400), ..draft };
        assert_eq!(preview_email(&long, &variables(), &mut || 7), Err(RenderError::Line("Subject")));
    }

    #[test]
    fn problem_names_a_path_without_characters_that_reorder_text() {
        let preview = look("${data[\"\u{202e}\r\"]}", Escape::Plain);
        assert_eq!(preview.problems[0].message, "The occurrence has no [\"\u{fffd}\u{fffd}\"]: nothing is filled in.");
    }

    #[test]
    fn only_json_that_is_not_empty_is_checked_as_json() {
        assert!(look("hello ${NAME}", Escape::Plain).problems.is_empty());
        assert_eq!(look("hello", Escape::Json).problems.len(), 1);
        assert!(look("", Escape::Json).problems.is_empty());
    }
}
