//! The message renderer: no template and no value breaks the format around a variable.

mod document;
mod reader;
mod values;

use crate::grammar::{deep_json, hostile, json_value, near_miss, text};
use crate::{Checked, cases};
use document::{Node, document};
use model::message::data::list_variables;
use model::message::{Escape, Note, RENDERED_MAX_BYTES, Rendered, TooLarge};
use model::preview::preview;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use reader::{is_json, read_form, read_xml, skeleton, writable_in_xml};
use serde_json::{Value, json};
use values::{RANDOM, TEXTS, VARIABLES, Values, values};

const ESCAPES: &[Escape] = &[Escape::Json, Escape::Xml, Escape::Form, Escape::Plain, Escape::Unknown];

/// Pieces of templates that are almost variables, or structure around them.
const NEAR: &[&str] = &[
    "$${",
    "${",
    "}",
    "${VM NAME}",
    "${name}",
    "${data}",
    "${data[}",
    "${data[0]",
    "${data.a.}",
    "${data..a}",
    "${data[\"x]}",
    "\\${NAME}",
    "\"${NAME}\"",
    "{\"a\": ",
    "[",
    "]",
    "\"",
    "\\",
    "<a b='",
    "</a>",
    "a=",
    "&b=",
];

fn template() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => select(VARIABLES).prop_map(|(name, _)| format!("${{{name}}}")),
        4 => select(NEAR).prop_map(str::to_owned),
        1 => hostile().prop_map(|name| format!("${{{name}}}")),
        1 => hostile().prop_map(|key| format!("${{data[\"{key}\"]}}")),
        3 => text(),
    ];
    near_miss(vec(piece, 0..10))
}

fn note_line() -> impl Strategy<Value = String> {
    let kind = "(absent|no-variable|as-it-is|more)( |)";
    prop_oneof![text(), (kind, text()).prop_map(|(kind, rest)| kind + &rest)]
}

fn check_document(node: &Node, values: &Values) -> Checked {
    let template = node.template();
    let body = values.render(&template, Escape::Json).expect("small").body;
    let read: Value =
        serde_json::from_str(&body).map_err(|error| TestCaseError::fail(format!("{error}: {template} {body}")))?;
    prop_assert_eq!(read, node.expected(values), "{}", template);
    Ok(())
}

/// Fails unless everything around the values stands as typed.
fn check_around_values(template: &str, escape: Escape, rendered: &Rendered) -> Checked {
    let (mut typed_start, mut sent_start) = (0, 0);
    let ends = rendered.spans.iter().map(|span| (span.template.clone(), span.body.clone()));
    let end = (template.len()..template.len(), rendered.body.len()..rendered.body.len());
    for (in_template, in_body) in ends.chain([end]) {
        let typed = template.get(typed_start..in_template.start).expect("a range of the template");
        let sent = rendered.body.get(sent_start..in_body.start).expect("a range of the body");
        let expected = typed.replace("$${", "${");
        // A backslash before a value in JSON is doubled.
        let is_doubled = escape == Escape::Json && sent.strip_suffix('\\') == Some(&expected);
        // A key in brackets cannot contain a variable, so `$${` stays in it.
        prop_assert!(sent == expected || is_doubled || typed.contains("[\""), "{:?} {:?}", typed, sent);
        (typed_start, sent_start) = (in_template.end, in_body.end);
    }
    Ok(())
}

/// Fails unless each value can be read back from its written form.
fn check_each_value(template: &str, escape: Escape, rendered: &Rendered, values: &Values) -> Checked {
    for span in &rendered.spans {
        let (typed, sent) = (&template[span.template.clone()], &rendered.body[span.body.clone()]);
        let name = typed.strip_prefix("${").and_then(|typed| typed.strip_suffix('}')).expect("a variable");
        let Some(variable) = VARIABLES.iter().find(|(known, _)| *known == name) else { continue };
        let value = values.find_text(*variable);
        match escape {
            Escape::Json => prop_assert!(is_json(sent) || is_json(&format!("\"{sent}\"")), "{}", sent),
            Escape::Xml => prop_assert_eq!(read_xml(sent), Some(writable_in_xml(&value))),
            Escape::Form => prop_assert_eq!(read_form(sent), Some(value)),
            Escape::Plain | Escape::Unknown => prop_assert_eq!(sent, value),
        }
    }
    Ok(())
}

fn check_is_raw(escape: Escape, rendered: &Rendered) -> Checked {
    let is_risky = |text: &str| text.contains(['"', '\'', '\\', '<', '>', '&', '\n', '\r', '\0']);
    let has_risky = rendered.spans.iter().any(|span| is_risky(&rendered.body[span.body.clone()]));
    prop_assert!(
        if escape == Escape::Unknown { rendered.is_raw || !has_risky } else { !rendered.is_raw },
        "{}",
        has_risky
    );
    Ok(())
}

fn check_notes(template: &str, rendered: &Rendered) -> Checked {
    for (at, name) in &rendered.unknown {
        prop_assert!(template[*at..].starts_with(&format!("${{{name}}}")), "{}", name);
    }
    for (at, path) in &rendered.absent {
        let forms = [format!("${{data.{path}}}"), format!("${{data{path}}}")];
        prop_assert!(forms.iter().any(|form| template[*at..].starts_with(form)), "{}", path);
    }
    let notes = rendered.notes();
    prop_assert!(notes.len() <= 22, "{}", notes.len());
    prop_assert_eq!(notes.contains(&Note::AsItIs), rendered.is_raw);
    let lines: Vec<_> = notes.iter().map(Note::to_line).collect();
    let read: Vec<_> = lines.join("\n").lines().filter_map(Note::from_line).collect();
    prop_assert_eq!(read, notes);
    Ok(())
}

fn check_listed(data: Value) -> Checked {
    let listed = list_variables(&data);
    prop_assert!(listed.len() <= 100);
    let values = Values::of_data(data);
    for (variable, shown) in listed {
        let rendered = values.render(&variable, Escape::Plain).expect("small");
        let is_found = rendered.absent.is_empty() && rendered.unknown.is_empty() && rendered.spans.len() == 1;
        prop_assert!(is_found, "{}", variable);
        let start = shown.strip_suffix('…').filter(|start| start.chars().count() == 40);
        let is_shown = rendered.body == shown || start.is_some_and(|start| rendered.body.starts_with(start));
        prop_assert!(is_shown, "{} {}", variable, shown);
    }
    Ok(())
}

fn check_preview(template: &str, escape: Escape, values: &Values) -> Checked {
    let found = preview(template, escape, &values.variables(), &mut || RANDOM).expect("small");
    prop_assert_eq!(&found.body, &values.render(template, escape).expect("small").body);
    prop_assert!(found.filled.iter().all(|range| found.body.get(range.clone()).is_some()));
    prop_assert!(found.filled.is_sorted_by(|one, next| one.end <= next.start));
    let lines: Vec<_> = template.split('\n').collect();
    for problem in &found.problems {
        let line = lines.get(problem.line as usize - 1).expect("a line of the template");
        prop_assert!((1..=line.chars().count() + 1).contains(&(problem.column as usize)), "{:?}", problem);
        prop_assert!(!problem.message.contains(['\n', '\r', '\0', '\u{202e}']), "{:?}", problem);
    }
    Ok(())
}

proptest! {
    #![proptest_config(cases(150))]

    #[test]
    fn a_json_template_renders_as_the_document_with_its_values(node in document(), values in values()) {
        check_document(&node, &values)?;
    }

    #[test]
    fn no_value_changes_what_stands_outside_of_json_strings(
        template in template(),
        texts in vec(text(), TEXTS),
        data in json_value(),
    ) {
        let hostile = Values { texts, ..Values::of_data(data.clone()) };
        let hostile = hostile.render(&template, Escape::Json).expect("small");
        let plain = Values::of_data(data).render(&template, Escape::Json).expect("small");
        prop_assert_eq!(skeleton(&hostile.body), skeleton(&plain.body));
    }

    #[test]
    fn each_value_is_whole_and_everything_around_it_as_typed(template in template(), values in values()) {
        for escape in ESCAPES {
            let rendered = values.render(&template, *escape).expect("small");
            check_around_values(&template, *escape, &rendered)?;
            check_each_value(&template, *escape, &rendered, &values)?;
            check_is_raw(*escape, &rendered)?;
        }
    }

    #[test]
    fn notes_name_what_stands_in_the_template_and_are_read_back(template in template(), values in values()) {
        for escape in ESCAPES {
            check_notes(&template, &values.render(&template, *escape).expect("small"))?;
        }
    }

    #[test]
    fn any_line_is_no_note_or_the_line_of_one(line in note_line()) {
        if let Some(note) = Note::from_line(&line) {
            prop_assert_eq!(note.to_line(), line);
        }
    }

    #[test]
    fn every_listed_variable_of_the_data_is_found(data in prop_oneof![8 => json_value(), 1 => deep_json()]) {
        check_listed(data)?;
    }

    #[test]
    fn a_preview_places_problems_in_the_template_and_values_in_the_body(
        template in template(),
        values in values(),
        escape in select(ESCAPES),
    ) {
        check_preview(&template, escape, &values)?;
    }
}

proptest! {
    #![proptest_config(cases(24))]

    #[test]
    fn the_limit_holds_to_the_byte(count in 1usize..12, over in -2isize..3, escape in select(ESCAPES)) {
        // Only letters, which are written the same in every format, except that JSON puts each value in quotes.
        let wanted = RENDERED_MAX_BYTES.checked_add_signed(over).expect("positive");
        let length = wanted - if escape == Escape::Json { 2 * count } else { 0 };
        let template = "${NAME}".repeat(count) + &"y".repeat(length % count);
        let mut values = Values::of_data(Value::Null);
        values.texts[1] = "x".repeat(length / count);
        let rendered = values.render(&template, escape).map(|rendered| rendered.body.len());
        prop_assert_eq!(rendered, if over > 0 { Err(TooLarge) } else { Ok(wanted) });
    }

    #[test]
    fn deep_data_is_rendered_whole(data in deep_json()) {
        let expected = data.to_string();
        let rendered = Values::of_data(json!([data])).render("${data[0]}", Escape::Json).expect("small");
        prop_assert_eq!(rendered.body, expected);
    }
}
