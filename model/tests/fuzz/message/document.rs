//! JSON templates with variables, and the document that each should become.

use super::values::{VARIABLES, Values, Variable};
use crate::grammar::text;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value};

/// A piece of a text.
#[derive(Debug, Clone)]
pub(super) enum Piece {
    /// A text without `$`.
    Text(String),
    /// `$` and a blank, which is no variable.
    Dollar,
    /// `$${`, which stands for `${`.
    Escaped,
    Variable(Variable),
    /// A variable after a lone backslash, which becomes a part of the text.
    AfterBackslash(Variable),
}

/// A JSON template as a tree.
#[derive(Debug, Clone)]
pub(super) enum Node {
    Text(Vec<Piece>),
    /// A variable outside of strings.
    Bare(Variable),
    Fixed(i64),
    List(Vec<Node>),
    Members(Vec<(Vec<Piece>, Node)>),
}

impl Piece {
    fn template(&self) -> String {
        match self {
            Self::Text(text) => {
                let quoted = Value::from(text.as_str()).to_string();
                quoted[1..quoted.len() - 1].to_owned()
            }
            Self::Dollar => "$ ".to_owned(),
            Self::Escaped => "$${".to_owned(),
            Self::Variable((name, _)) => format!("${{{name}}}"),
            Self::AfterBackslash((name, _)) => format!("\\${{{name}}}"),
        }
    }

    fn expected(&self, values: &Values) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Dollar => "$ ".to_owned(),
            Self::Escaped => "${".to_owned(),
            Self::Variable(variable) => values.find_text(*variable),
            Self::AfterBackslash(variable) => format!("\\{}", values.find_text(*variable)),
        }
    }
}

fn text_template(pieces: &[Piece]) -> String {
    format!("\"{}\"", pieces.iter().map(Piece::template).collect::<String>())
}

fn expected_text(pieces: &[Piece], values: &Values) -> String {
    pieces.iter().map(|piece| piece.expected(values)).collect()
}

impl Node {
    pub(super) fn template(&self) -> String {
        match self {
            Self::Text(pieces) => text_template(pieces),
            Self::Bare((name, _)) => format!("${{{name}}}"),
            Self::Fixed(number) => number.to_string(),
            Self::List(items) => {
                let items: Vec<_> = items.iter().map(Self::template).collect();
                format!("[{}]", items.join(",\n"))
            }
            Self::Members(members) => {
                let member = |(name, node): &(Vec<Piece>, Self)| format!("{}:{}", text_template(name), node.template());
                let members: Vec<_> = members.iter().map(member).collect();
                format!("{{{}}}", members.join(", "))
            }
        }
    }

    pub(super) fn expected(&self, values: &Values) -> Value {
        match self {
            Self::Text(pieces) => expected_text(pieces, values).into(),
            Self::Bare(variable) => values.find(*variable).unwrap_or_default(),
            Self::Fixed(number) => (*number).into(),
            Self::List(items) => items.iter().map(|item| item.expected(values)).collect(),
            Self::Members(members) => {
                let member = |(name, node): &(Vec<Piece>, Self)| (expected_text(name, values), node.expected(values));
                members.iter().map(member).collect::<Map<_, _>>().into()
            }
        }
    }
}

fn pieces() -> impl Strategy<Value = Vec<Piece>> {
    let piece = prop_oneof![
        3 => text().prop_map(|text| Piece::Text(text.replace('$', ""))),
        1 => Just(Piece::Dollar),
        1 => Just(Piece::Escaped),
        4 => select(VARIABLES).prop_map(Piece::Variable),
        1 => select(VARIABLES).prop_map(Piece::AfterBackslash),
    ];
    vec(piece, 0..5)
}

pub(super) fn document() -> impl Strategy<Value = Node> {
    let leaf = prop_oneof![
        3 => pieces().prop_map(Node::Text),
        3 => select(VARIABLES).prop_map(Node::Bare),
        1 => any::<i64>().prop_map(Node::Fixed),
    ];
    leaf.prop_recursive(4, 16, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Node::List),
            vec((pieces(), inner), 0..4).prop_map(Node::Members),
        ]
    })
}
