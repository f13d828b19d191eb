//! Tags on objects, and the categories that say which types may carry them.

use crate::catalog::Catalog;
use crate::field_error::FieldErrors;
use crate::id::CategoryId;
use crate::text;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The most characters a tag's or a category's name may have.
pub const NAME_MAX: usize = 64;

/// A checked category.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Category {
    /// Unique.
    pub name: String,
    /// The purpose. May be empty.
    pub description: String,
    /// An object may carry only one of its tags.
    pub is_single: bool,
    /// The ids of the types that may carry its tags.
    pub type_ids: Vec<String>,
}

/// A category as typed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CategoryDraft {
    /// Name of the category.
    pub name: String,
    /// Description of the category.
    pub description: String,
    /// `true`: only one of its tags on an object.
    pub single: String,
    /// The revision the form was opened on; empty for a new category.
    pub revision: String,
    /// `type.vms` = `true` for each type that may carry its tags.
    #[serde(flatten)]
    pub types: BTreeMap<String, String>,
}

impl CategoryDraft {
    /// Returns the name of the form field that lets a type carry its tags.
    pub fn field_of(type_id: &str) -> String {
        format!("type.{type_id}")
    }

    /// Checks every field.
    ///
    /// # Errors
    /// Every wrong field, in the order of the form.
    pub fn parse(&self, catalog: &Catalog) -> Result<Category, FieldErrors> {
        let mut errors = FieldErrors::default();
        let name = errors.check("name", parse_name(&self.name));
        let description = text::with_line_ends(self.description.trim());
        if description.chars().count() > 1000 || text::refuse_nul(&description).is_err() {
            errors.add("description", "A description has at most 1000 characters.");
        }
        let is_chosen = |id: &str| self.types.get(&Self::field_of(id)).is_some_and(|value| value == "true");
        let taggable = catalog.0.iter().filter(|object_type| object_type.has_tags);
        let type_ids: Vec<_> = taggable.map(|object_type| object_type.id.clone()).filter(|id| is_chosen(id)).collect();
        if type_ids.is_empty() {
            errors.add("types", "Choose at least one type that may carry these tags.");
        }
        match name {
            Some(name) if errors.is_empty() => {
                Ok(Category { name, description, is_single: self.single == "true", type_ids })
            }
            _ => Err(errors),
        }
    }
}

/// A checked tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// Unique within its category.
    pub name: String,
    /// Id of the tag's category.
    pub category_id: CategoryId,
}

/// A tag as typed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TagDraft {
    /// Name of the tag.
    pub name: String,
    /// Id of the tag's category.
    pub category: String,
}

impl TagDraft {
    /// Checks both fields. The service checks that the category exists.
    ///
    /// # Errors
    /// Every wrong field, in the order of the form.
    pub fn parse(&self) -> Result<Tag, FieldErrors> {
        let mut errors = FieldErrors::default();
        let category_id = errors.check("category", self.category.parse().map_err(|_| "Choose a category.".to_owned()));
        let name = errors.check("name", parse_name(&self.name));
        match (name, category_id) {
            (Some(name), Some(category_id)) => Ok(Tag { name, category_id }),
            _ => Err(errors),
        }
    }
}

/// Checks a name. It has no slash, which separates category and tag in `Environment/production`.
fn parse_name(typed: &str) -> Result<String, String> {
    let name = text::parse_name(typed, NAME_MAX)?;
    if name.contains('/') {
        Err("This name contains a slash, which separates category and tag.".to_owned())
    } else {
        Ok(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn category_needs_a_type_that_carries_tags() {
        let mut draft = CategoryDraft { name: "Environment".into(), ..CategoryDraft::default() };
        let fields = |draft: &CategoryDraft| match draft.parse(&Catalog::default()) {
            Ok(category) => category.type_ids,
            Err(errors) => errors.0.into_iter().map(|error| error.field).collect(),
        };
        assert_eq!(fields(&draft), ["types"]);
        draft.types.insert("type.alarms".into(), "true".into());
        assert_eq!(fields(&draft), ["types"], "alarms carry no tags");
        draft.types.insert("type.vms".into(), "true".into());
        assert_eq!(fields(&draft), ["vms"]);
        draft.name = "a/b".into();
        assert_eq!(fields(&draft), ["name"]);
    }

    #[test]
    fn tag_needs_a_name_and_a_category() {
        assert!(TagDraft { name: "production".into(), category: "1".into() }.parse().is_ok());
        let errors = TagDraft { name: "a/b".into(), category: String::new() }.parse().expect_err("refused");
        assert_eq!(errors.len(), 2);
    }
}
