//! The values of a message, and the value that each variable should have.

use crate::grammar::{json_value, text};
use model::message::{Escape, Rendered, TooLarge, Variables, render};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

/// A variable: its name, and for one of the data the JSON pointer to its value.
pub(super) type Variable = (&'static str, &'static str);

pub(super) const VARIABLES: &[Variable] = &[
    ("DATE", ""),
    ("NAME", ""),
    ("TYPE", ""),
    ("EVENT", ""),
    ("OBJECT_ID", ""),
    ("TASK", ""),
    ("ID", ""),
    ("TIMESTAMP", ""),
    ("RANDOM", ""),
    ("data.a", "/a"),
    ("data[\"a key\"]", "/a key"),
    ("data['say \"hi\"'].x", "/say \"hi\"/x"),
    ("data.list.0", "/list/0"),
    ("data.list[1].x", "/list/1/x"),
    ("data.missing", "/missing"),
];
/// The number of variables that have a text: the first ones.
pub(super) const TEXTS: usize = 7;
/// The number that stands for `${RANDOM}`.
pub(super) const RANDOM: u32 = 7;

#[derive(Debug, Clone)]
pub(super) struct Values {
    /// One for each of the first variables.
    pub(super) texts: Vec<String>,
    pub(super) timestamp: i64,
    pub(super) data: Option<Value>,
}

impl Values {
    pub(super) fn of_data(data: Value) -> Self {
        Self { texts: vec![String::new(); TEXTS], timestamp: 0, data: Some(data) }
    }

    pub(super) fn variables(&self) -> Variables<'_> {
        Variables {
            date: &self.texts[0],
            name: &self.texts[1],
            type_id: &self.texts[2],
            event_id: &self.texts[3],
            object_id: &self.texts[4],
            task: &self.texts[5],
            id: &self.texts[6],
            timestamp: self.timestamp,
            data: self.data.as_ref(),
        }
    }

    pub(super) fn render(&self, template: &str, escape: Escape) -> Result<Rendered, TooLarge> {
        render(template, escape, &self.variables(), &mut || RANDOM)
    }

    /// Returns the value of a variable as JSON, or `None` where the data has none.
    pub(super) fn find(&self, variable: Variable) -> Option<Value> {
        let place = VARIABLES.iter().position(|other| *other == variable)?;
        match variable.0 {
            "TIMESTAMP" => Some(self.timestamp.into()),
            "RANDOM" => Some(RANDOM.into()),
            _ if place < TEXTS => Some(self.texts[place].as_str().into()),
            _ => self.data.as_ref()?.pointer(variable.1).cloned(),
        }
    }

    /// Returns the value of a variable as it stands within a text.
    pub(super) fn find_text(&self, variable: Variable) -> String {
        match self.find(variable) {
            None => String::new(),
            Some(Value::String(text)) => text,
            Some(other) => other.to_string(),
        }
    }
}

pub(super) fn values() -> impl Strategy<Value = Values> {
    let members = (json_value(), json_value(), json_value(), vec(json_value(), 0..3));
    let data = prop_oneof![
        1 => Just(None),
        2 => json_value().prop_map(Some),
        4 => members.prop_map(|(a, b, c, mut list)| {
            list.push(json!({ "x": b.clone() }));
            Some(json!({ "a": a, "a key": b, "say \"hi\"": { "x": c }, "list": list }))
        }),
    ];
    (vec(text(), TEXTS), any::<i64>(), data).prop_map(|(texts, timestamp, data)| Values { texts, timestamp, data })
}
