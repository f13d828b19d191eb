//! Objects of the managed systems: typed in the console, or written as a whole inventory through the API.

use crate::field_error::FieldErrors;
use crate::id::TagId;
use crate::occurrence::{ObjectReference, TAGS_MAX, parse_object_members, refuse_unknown};
use crate::text;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeSet;

/// Occurrences make no new objects of a type that has this many. An inventory may make more.
pub const MADE_BY_OCCURRENCES_MAX: u64 = 100_000;

/// The most objects of one inventory request.
pub const INVENTORY_MAX: usize = 50_000;

/// An object as typed in the console.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ObjectDraft {
    /// Id of the object's type.
    pub type_id: String,
    /// Name of the object.
    pub name: String,
    /// Id of the object in the managed system. May be empty.
    pub external_id: String,
    /// Ids of the object's tags, separated by blanks or commas.
    pub tags: String,
    /// The revision the form was opened on ([`revision`]); empty for a new object.
    pub revision: String,
}

/// Returns a text that serves as the revision of an object, which has no number. The text differs for any other name,
/// id or tags, and for an object that is gone. The tags are in order of id.
pub fn revision(name: &str, external_id: Option<&str>, is_gone: bool, tags: &[TagId]) -> String {
    let tags: Vec<_> = tags.iter().map(|tag| tag.0).collect();
    serde_json::json!([name, external_id.unwrap_or_default(), is_gone, tags]).to_string()
}

/// A checked object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// 1 to 255 characters.
    pub name: String,
    /// Unique within the type.
    pub external_id: Option<String>,
    /// The ids of its tags.
    pub tag_ids: Vec<TagId>,
}

/// The texts of a stored object that its form shows. A sender may have written texts that nobody may type.
#[derive(Debug, Clone, Copy)]
pub struct StoredObject<'a> {
    /// The name.
    pub name: &'a str,
    /// The id in the managed system.
    pub external_id: Option<&'a str>,
}

impl ObjectDraft {
    /// Checks every field. A text that is unchanged stays as it is stored, since the sender goes by it. The service checks
    /// that the type and the tags exist.
    ///
    /// # Errors
    /// Every wrong field, in the order of the form.
    pub fn parse(&self, stored: Option<StoredObject<'_>>) -> Result<Object, FieldErrors> {
        let mut errors = FieldErrors::default();
        let name = match stored.filter(|stored| stored.name == self.name) {
            Some(stored) => Some(stored.name.to_owned()),
            None => errors.check("name", text::parse_name(&self.name, 255)),
        };
        // A blank at the end of an id cannot be seen, so that nobody removes it knowingly.
        let typed_id = self.external_id.trim();
        let unchanged_id = stored.and_then(|stored| stored.external_id).filter(|id| id.trim() == typed_id);
        let external_id = match (unchanged_id, typed_id) {
            (Some(id), _) => Some(id.to_owned()),
            (None, "") => None,
            (None, typed) => errors.check("external_id", text::parse_name(typed, 255)),
        };
        let ids = self.tags.split([' ', ',']).filter(|id| !id.is_empty());
        let tag_ids: Result<Vec<_>, _> = ids.map(str::parse).collect();
        let tag_ids = errors.check("tags", tag_ids.map_err(|_| "Choose from the listed tags.".to_owned()));
        match (name, tag_ids) {
            (Some(name), Some(tag_ids)) if errors.is_empty() => {
                if tag_ids.len() > TAGS_MAX {
                    return Err(FieldErrors::one("tags", format!("{TAGS_MAX} tags are the most.")));
                }
                Ok(Object { name, external_id, tag_ids })
            }
            _ => Err(errors),
        }
    }
}

/// Reads an inventory: an array of `{"id", "name", "tags"}`. One wrong object refuses all.
///
/// # Errors
/// Each wrong member by its path, `[2].id`.
pub fn parse_inventory(document: &Value) -> Result<Vec<ObjectReference>, FieldErrors> {
    let Value::Array(items) = document else {
        return Err(FieldErrors::one("", "An inventory is a JSON array of objects with id, name and tags."));
    };
    let mut errors = FieldErrors::default();
    let mut found = Vec::with_capacity(items.len());
    let mut seen = BTreeSet::new();
    for (index, item) in items.iter().enumerate() {
        let path = format!("[{index}].");
        let Value::Object(members) = item else {
            errors.add(path.trim_end_matches('.'), "This is not a JSON object.");
            continue;
        };
        refuse_unknown(members, &["id", "name", "tags"], &path, &mut errors);
        let Some(reference) = parse_object_members(members, &path, &mut errors) else { continue };
        if let Some(id) = &reference.external_id
            && !seen.insert(id.clone())
        {
            errors.add(format!("{path}id"), "This id occurs twice in the inventory.");
        }
        found.push(reference);
    }
    if errors.is_empty() { Ok(found) } else { Err(errors) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn inventory_is_read_whole_or_refused_by_path() {
        let found = parse_inventory(&json!([{"id": "a", "name": "web", "tags": ["E/p"]}, {"name": "db"}]));
        assert_eq!(found.map(|found| found.len()), Ok(2));
        for (document, field) in [
            (json!({}), ""),
            (json!([7]), "[0]"),
            (json!([{"id": "a"}, {"id": "a"}]), "[1].id"),
            (json!([{}]), "[0]"),
            (json!([{"id": "a", "tag": "x"}]), "[0].tag"),
            (json!([{"id": "a", "tags": "x"}]), "[0].tags"),
            (json!([{"id": "a", "tags": ["production"]}]), "[0].tags"),
        ] {
            let errors = parse_inventory(&document).expect_err("refused");
            assert_eq!(errors.0[0].field, field, "{document}");
        }
    }

    #[test]
    fn object_entered_by_hand_needs_a_name() {
        let draft = ObjectDraft { name: "web".into(), tags: "1, 2 3".into(), ..ObjectDraft::default() };
        assert_eq!(draft.parse(None).map(|object| object.tag_ids.len()), Ok(3));
        assert!(ObjectDraft::default().parse(None).is_err());
        assert!(ObjectDraft { tags: "x".into(), ..draft }.parse(None).is_err());
    }

    #[test]
    fn unchanged_texts_of_a_sender_stay_as_they_are_stored() {
        let stored = Some(StoredObject { name: "we\u{200b}b ", external_id: Some("vm-1 ") });
        let parse = |name: &str, external_id: &str| {
            let draft = ObjectDraft { name: name.into(), external_id: external_id.into(), ..ObjectDraft::default() };
            draft.parse(stored).map(|object| (object.name, object.external_id))
        };
        let kept = Ok(("we\u{200b}b ".to_owned(), Some("vm-1 ".to_owned())));
        assert_eq!(parse("we\u{200b}b ", "vm-1 "), kept);
        assert_eq!(parse("we\u{200b}b ", "vm-1"), kept);
        assert_eq!(parse("web", "vm-2 "), Ok(("web".to_owned(), Some("vm-2".to_owned()))));
        assert_eq!(parse("web", ""), Ok(("web".to_owned(), None)));
        assert!(parse("we\u{200b}b2", "vm-1").is_err());
    }
}
