//! Generators that the modules share: hostile text, near-misses and JSON.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Map, Value, json};

/// Pieces that parsers stumble over.
const HOSTILE: &[&str] = &[
    // Controls and line ends.
    "\0",
    "\u{7}",
    "\u{1b}",
    "\u{7f}",
    "\u{85}",
    "\r",
    "\n",
    "\r\n",
    "\t",
    "\u{b}",
    "\u{c}",
    // Blanks, marks and letters of Unicode.
    "\u{a0}",
    "\u{200b}",
    "\u{200d}",
    "\u{202e}",
    "\u{2028}",
    "\u{2066}",
    "\u{3000}",
    "\u{feff}",
    "\u{fffe}",
    "\u{10ffff}",
    "e\u{301}",
    "ß",
    "İ",
    "Σ",
    "٣",
    "日本",
    "𝟙",
    "。",
    "👩‍👧",
    "•",
    // Characters with a meaning in a format.
    "\"",
    "'",
    "\\",
    "\\\\",
    "\\\"",
    "`",
    "<",
    ">",
    "&",
    "&amp;",
    "<!--",
    "]]>",
    ",",
    ":",
    ";",
    "#",
    "?",
    "/",
    "//",
    "@",
    "|",
    "^",
    "=",
    "[",
    "]",
    "{",
    "}",
    "(",
    ")",
    "*",
    "~",
    "$",
    "${",
    "$${",
    "$$",
    "${NAME}",
    "${}",
    "+",
    "-",
    "_",
    ".",
    "..",
    "%",
    "%%",
    "%00",
    "%0d%0a",
    "%2e",
    "%2F",
    "%u0041",
    "\\u0022",
    "\\n",
    // Numbers.
    "0",
    "00",
    "0x",
    "0x7f",
    "-1",
    "1e400",
    "65536",
    "4294967296",
    "18446744073709551616",
    "99999999999999999999999999",
];

/// Returns a short hostile text.
pub(crate) fn hostile() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => select(HOSTILE).prop_map(str::to_owned),
        2 => any::<String>(),
        1 => vec(any::<u8>(), 0..16).prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
    ]
}

/// Returns a text without a grammar.
pub(crate) fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![vec(hostile(), 0..8).prop_map(|pieces| pieces.concat()), any::<String>()]
}

/// Returns a text of words and hostile pieces.
pub(crate) fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![2 => "[a-zA-Z0-9 ._-]{1,8}", 1 => hostile()];
    vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

/// A change of a list of pieces. Indexes are taken modulo the length of the list.
#[derive(Debug, Clone)]
enum Mutation {
    Drop(Index),
    Double(Index),
    Swap(Index, Index),
    Replace(Index, String),
    Insert(Index, String),
    /// Cuts a piece in two at a character, with a text between the halves.
    Split(Index, Index, String),
    Upper(Index),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let index = any::<Index>;
    prop_oneof![
        index().prop_map(Mutation::Drop),
        index().prop_map(Mutation::Double),
        (index(), index()).prop_map(|(one, other)| Mutation::Swap(one, other)),
        (index(), hostile()).prop_map(|(at, text)| Mutation::Replace(at, text)),
        (index(), hostile()).prop_map(|(at, text)| Mutation::Insert(at, text)),
        (index(), index(), hostile()).prop_map(|(at, within, text)| Mutation::Split(at, within, text)),
        index().prop_map(Mutation::Upper),
    ]
}

fn mutate(pieces: &mut Vec<String>, mutation: Mutation) {
    if pieces.is_empty() {
        return;
    }
    let count = pieces.len();
    match mutation {
        Mutation::Drop(at) => drop(pieces.remove(at.index(count))),
        Mutation::Double(at) => pieces.insert(at.index(count), pieces[at.index(count)].clone()),
        Mutation::Swap(one, other) => pieces.swap(one.index(count), other.index(count)),
        Mutation::Replace(at, text) => pieces[at.index(count)] = text,
        Mutation::Insert(at, text) => pieces.insert(at.index(count + 1), text),
        Mutation::Split(at, within, text) => {
            let piece = &mut pieces[at.index(count)];
            let at = within.index(piece.chars().count() + 1);
            let at = piece.char_indices().nth(at).map_or(piece.len(), |(at, _)| at);
            piece.insert_str(at, &text);
        }
        Mutation::Upper(at) => pieces[at.index(count)] = pieces[at.index(count)].to_uppercase(),
    }
}

/// Returns the pieces as one text, half of the time unchanged, else with up to three mutations.
pub(crate) fn near_miss(pieces: impl Strategy<Value = Vec<String>>) -> impl Strategy<Value = String> {
    let mutations = prop_oneof![Just(Vec::new()), vec(mutation(), 1..4)];
    (pieces, mutations).prop_map(|(mut pieces, mutations)| {
        for mutation in mutations {
            mutate(&mut pieces, mutation);
        }
        pieces.concat()
    })
}

/// Returns a number that JSON writes and reads without a loss.
fn number() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-64i32..64).prop_map(|n| json!(f64::from(n) / 8.0))
    ]
}

/// Returns any JSON, a few levels deep.
pub(crate) fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::from),
        2 => number(),
        4 => text().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(Value::from),
            vec((text(), inner), 0..5).prop_map(|members| members.into_iter().collect::<Map<_, _>>().into()),
        ]
    })
}

/// Returns JSON of up to 400 levels.
pub(crate) fn deep_json() -> impl Strategy<Value = Value> {
    (0..400, any::<bool>(), text()).prop_map(|(levels, is_array, key)| {
        let wrap =
            |inner, _| if is_array { Value::Array(vec![inner]) } else { Map::from_iter([(key.clone(), inner)]).into() };
        (0..levels).fold(Value::Null, wrap)
    })
}

/// A change of an object's members.
#[derive(Debug, Clone)]
enum MemberMutation {
    Remove(Index),
    Replace(Index, Value),
    Rename(Index, String),
    Swap(Index, Index),
    Add(String, Value),
    /// Puts a text into a string member.
    Splice(Index, String),
}

fn member_mutation() -> impl Strategy<Value = MemberMutation> {
    let index = any::<Index>;
    prop_oneof![
        2 => index().prop_map(MemberMutation::Remove),
        3 => (index(), json_value()).prop_map(|(at, value)| MemberMutation::Replace(at, value)),
        1 => (index(), deep_json()).prop_map(|(at, value)| MemberMutation::Replace(at, value)),
        1 => (index(), text()).prop_map(|(at, name)| MemberMutation::Rename(at, name)),
        1 => (index(), index()).prop_map(|(one, other)| MemberMutation::Swap(one, other)),
        1 => (text(), json_value()).prop_map(|(name, value)| MemberMutation::Add(name, value)),
        3 => (index(), hostile()).prop_map(|(at, text)| MemberMutation::Splice(at, text)),
    ]
}

fn mutate_member(object: &mut Map<String, Value>, mutation: MemberMutation) {
    let names: Vec<String> = object.keys().cloned().collect();
    let name = |at: Index| names.get(at.index(names.len().max(1))).cloned().unwrap_or_default();
    match mutation {
        MemberMutation::Remove(at) => drop(object.remove(&name(at))),
        MemberMutation::Replace(at, value) => drop(object.insert(name(at), value)),
        MemberMutation::Add(name, value) => drop(object.insert(name, value)),
        MemberMutation::Rename(at, new) => {
            if let Some(value) = object.remove(&name(at)) {
                object.insert(new, value);
            }
        }
        MemberMutation::Swap(one, other) => {
            if let (Some(first), Some(second)) = (object.get(&name(one)).cloned(), object.get(&name(other)).cloned()) {
                object.insert(name(one), second);
                object.insert(name(other), first);
            }
        }
        MemberMutation::Splice(at, text) => {
            if let Some(Value::String(value)) = object.get_mut(&name(at)) {
                value.push_str(&text);
            }
        }
    }
}

/// Returns a JSON object, half of the time unchanged, else with up to three of its members mutated.
pub(crate) fn near_miss_object(object: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    let mutations = prop_oneof![Just(Vec::new()), vec(member_mutation(), 1..4)];
    (object, mutations).prop_map(|(mut object, mutations)| {
        if let Value::Object(members) = &mut object {
            for mutation in mutations {
                mutate_member(members, mutation);
            }
        }
        object
    })
}
