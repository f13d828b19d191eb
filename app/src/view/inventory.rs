//! Objects, categories with their tags, and reported events that are not in the catalogue.

use crate::view::When;
use model::id::{CategoryId, ObjectId, TagId};
use std::collections::BTreeSet;

/// An object as a line of a list.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields say it")]
pub struct ObjectLine {
    pub id: ObjectId,
    pub type_id: String,
    pub type_label: String,
    pub name: String,
    pub external_id: String,
    /// The tags that the object carries.
    pub tags: Vec<CarriedTag>,
    pub is_gone: bool,
}

/// A tag that an object carries.
#[derive(Debug, Clone)]
pub struct CarriedTag {
    /// The tag's id, for the form.
    pub id: TagId,
    /// `Environment - production`.
    pub label: String,
}

/// A category with its tags.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields say it")]
pub struct CategoryLine {
    pub id: CategoryId,
    pub name: String,
    pub description: String,
    pub is_single: bool,
    pub type_ids: Vec<String>,
    pub revision: i64,
    pub tags: Vec<TagLine>,
}

/// A tag of a category.
#[derive(Debug, Clone)]
pub struct TagLine {
    /// The tag's id.
    pub id: TagId,
    /// The tag's name, without its category's.
    pub name: String,
    /// The number of objects that carry the tag, counted up to one more than [`TAGGED`].
    pub objects: u64,
}

/// The most objects of a tag that are counted.
pub const TAGGED: u64 = 1000;

/// The filters of the list of objects, as typed.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "each field is the filter of that name")]
pub struct ObjectQuery {
    pub name: String,
    /// The label of a type.
    pub type_label: String,
    pub external_id: String,
    pub tags: String,
    /// `name`, `type`, `id` or `tags`, with `-` in front for descending.
    pub sort: String,
    /// The number of the page, from 1.
    pub page: u64,
}

/// A page of the list of objects.
#[derive(Debug, Clone)]
pub struct ObjectList {
    /// The rows of the page.
    pub rows: Vec<ObjectLine>,
    /// The number of rows in all, counted up to one more than [`COUNTED`](super::COUNTED).
    pub total: u64,
    /// The labels of the types of all objects.
    pub types: BTreeSet<String>,
}

/// A reported event that is not in the catalogue.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields say it")]
pub struct UnknownLine {
    pub type_id: String,
    pub event_id: String,
    pub seen: u64,
    pub last: When,
    pub is_type_known: bool,
}
