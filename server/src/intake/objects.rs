//! The objects that a group names: resolved, made, renamed or tagged in memory, until the group is written.

mod load;

use crate::store;
use crate::store::object::{self, NewObject, Row};
use crate::store::tag::{self, TagRow};
use model::field_error::FieldErrors;
use model::id::{ObjectId, TagId};
use model::occurrence::ObjectReference;
use model::time::Timestamp;
use sea_orm::DatabaseTransaction;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// An object with the changes that are staged.
#[derive(Clone)]
struct Object {
    /// The stored row. `None` until the object is written.
    stored: Option<Row>,
    type_id: String,
    external_id: Option<String>,
    name: String,
    is_gone: bool,
    tags: Vec<TagId>,
    has_new_tags: bool,
}

impl Object {
    /// Returns the row to be stored under this id.
    fn row(&self, id: ObjectId) -> Row {
        let (external_id, name) = (self.external_id.clone(), self.name.clone());
        Row { id, type_id: self.type_id.clone(), external_id, name, is_gone: self.is_gone }
    }
}

/// The name and the external id of an object.
pub(super) struct Label {
    pub(super) name: String,
    pub(super) external_id: Option<String>,
}

/// Indexes of objects by type and external id, or by type and name.
type Index = HashMap<(String, String), Vec<usize>>;

/// The objects that references may mean, and the tags that they name.
#[derive(Clone, Default)]
pub struct Objects {
    entries: Vec<Object>,
    by_external_id: Index,
    by_name: Index,
    /// The tags by their path, `Category/tag`.
    tags: Arc<HashMap<String, TagRow>>,
    /// The referenced types that have objects.
    types: Arc<BTreeSet<String>>,
    /// The referenced types that have as many objects as occurrences may make.
    full: Arc<BTreeSet<String>>,
}

fn find<'a>(index: &'a Index, type_id: &str, text: &str) -> &'a [usize] {
    index.get(&(type_id.to_owned(), text.to_owned())).map(Vec::as_slice).unwrap_or_default()
}

/// Returns the name of a referenced object. An object without a name is named by its external id.
fn name_of(reference: &ObjectReference) -> &str {
    reference.name.as_deref().or(reference.external_id.as_deref()).unwrap_or_default()
}

impl Objects {
    /// Returns true when no loaded object has the reference's external id or, without one, its name.
    fn is_new(&self, type_id: &str, reference: &ObjectReference) -> bool {
        match &reference.external_id {
            Some(id) => find(&self.by_external_id, type_id, id).is_empty(),
            None => find(&self.by_name, type_id, name_of(reference)).is_empty(),
        }
    }

    fn add(&mut self, object: Object) -> usize {
        let index = self.entries.len();
        if let Some(id) = &object.external_id {
            self.by_external_id.entry((object.type_id.clone(), id.clone())).or_default().push(index);
        }
        self.by_name.entry((object.type_id.clone(), object.name.clone())).or_default().push(index);
        self.entries.push(object);
        index
    }

    /// Resolves a reference to the index of its object: by external id first, then by a unique name. Makes or renames
    /// the object, and gives it the referenced tags if `may_tag`. `path` leads to the object's members, for error
    /// messages.
    ///
    /// # Errors
    /// Fails when the name is ambiguous, or when a tag does not exist or does not suit the type.
    pub fn resolve(
        &mut self,
        type_id: &str,
        reference: &ObjectReference,
        may_tag: bool,
        path: &str,
    ) -> Result<usize, FieldErrors> {
        let tags = self.tags_of(type_id, reference, may_tag, path)?;
        let index = self.find_or_add(type_id, reference, path)?;
        self.update(index, reference);
        if let Some(tags) = tags.filter(|tags| *tags != self.entries[index].tags) {
            self.entries[index].tags = tags;
            self.entries[index].has_new_tags = true;
        }
        Ok(index)
    }

    /// Returns true when this type, which was among the loaded references, has objects. For a type without objects only
    /// the label is stored.
    pub(super) fn has_objects(&self, type_id: &str) -> bool {
        self.types.contains(type_id)
    }

    /// Returns true when a reference names a new object, and its type has as many as occurrences may make.
    pub(super) fn is_over_limit(&self, type_id: &str, reference: &ObjectReference) -> bool {
        self.full.contains(type_id) && self.is_new(type_id, reference)
    }

    /// Returns the tags of a reference, if `may_tag`.
    ///
    /// # Errors
    /// Fails when a tag does not exist or does not suit the type.
    pub(super) fn tags_of(
        &self,
        type_id: &str,
        reference: &ObjectReference,
        may_tag: bool,
        path: &str,
    ) -> Result<Option<Vec<TagId>>, FieldErrors> {
        let tags = reference.tags.as_ref().filter(|_| may_tag);
        tags.map(|tags| self.find_tags(type_id, tags, path)).transpose()
    }

    fn find_or_add(&mut self, type_id: &str, reference: &ObjectReference, path: &str) -> Result<usize, FieldErrors> {
        let by_id = reference.external_id.as_deref().and_then(|id| find(&self.by_external_id, type_id, id).first());
        if let Some(index) = by_id {
            return Ok(*index);
        }
        let name = name_of(reference);
        let mut found = find(&self.by_name, type_id, name).to_vec();
        if reference.external_id.is_some() && !reference.is_subject {
            // A reference with an external id never takes over an object that has another one.
            found.retain(|index| self.entries[*index].external_id.is_none());
        }
        if found.iter().any(|index| !self.entries[*index].is_gone) {
            // An existing object has precedence over a gone object that had the name before.
            found.retain(|index| !self.entries[*index].is_gone);
        }
        match found.as_slice() {
            [] => Ok(self.add(Object {
                stored: None,
                type_id: type_id.to_owned(),
                external_id: reference.external_id.clone(),
                name: name.to_owned(),
                is_gone: false,
                tags: Vec::new(),
                has_new_tags: false,
            })),
            [index] => Ok(*index),
            _ => {
                let message = "Several objects have this name. Name the one that is meant by its id.";
                Err(FieldErrors::one(format!("{path}name"), message))
            }
        }
    }

    /// Returns the ids of tags by their paths, in order of id, if an object of this type may carry them together.
    fn find_tags(&self, type_id: &str, paths: &[String], path: &str) -> Result<Vec<TagId>, FieldErrors> {
        let refused = |message: String| FieldErrors::one(format!("{path}tags"), message);
        let mut found: Vec<&TagRow> = Vec::new();
        for wanted in paths {
            let shown: String = wanted.chars().filter(|c| !model::text::is_invisible(*c)).take(80).collect();
            let Some(tag) = self.tags.get(wanted) else {
                return Err(refused(format!("There is no tag {shown}. Create it first, or leave it out.")));
            };
            if !tag.suits(type_id) {
                return Err(refused(format!("The tag {shown} is not for this type.")));
            }
            tag.check_beside(&found).map_err(refused)?;
            found.push(tag);
        }
        let ids: BTreeSet<_> = found.iter().map(|tag| tag.id).collect();
        Ok(ids.into_iter().collect())
    }

    fn update(&mut self, index: usize, reference: &ObjectReference) {
        let object = &mut self.entries[index];
        let type_id = object.type_id.clone();
        // An object that is named again is no longer gone.
        object.is_gone = false;
        if let Some(name) = reference.name.as_ref().filter(|name| **name != object.name) {
            let before = std::mem::replace(&mut object.name, name.clone());
            if let Some(indexes) = self.by_name.get_mut(&(type_id.clone(), before)) {
                indexes.retain(|other| *other != index);
            }
            self.by_name.entry((type_id.clone(), name.clone())).or_default().push(index);
        }
        if let (None, Some(id)) = (&object.external_id, &reference.external_id) {
            object.external_id = Some(id.clone());
            self.by_external_id.entry((type_id, id.clone())).or_default().push(index);
        }
    }

    /// Returns the id of a stored object. A new object has none yet, and no event can name it.
    pub fn id(&self, index: usize) -> Option<ObjectId> {
        self.entries[index].stored.as_ref().map(|row| row.id)
    }

    /// Returns the tags of an object, with the changes that are staged.
    pub(super) fn tags(&self, index: usize) -> &[TagId] {
        &self.entries[index].tags
    }

    /// Returns the label of an object, with the changes that are staged.
    pub(super) fn label(&self, index: usize) -> Label {
        let object = &self.entries[index];
        Label { name: object.name.clone(), external_id: object.external_id.clone() }
    }

    /// Returns true when an object is new or changed.
    pub(super) fn has_changes(&self) -> bool {
        self.entries.iter().any(|object| {
            object.has_new_tags || object.stored.as_ref().is_none_or(|before| object.row(before.id) != *before)
        })
    }

    /// Writes the objects that are new or changed, then the tags. Afterwards every object has its id.
    ///
    /// Takes lock 8 of 9.
    pub async fn write(&mut self, txn: &DatabaseTransaction, now: Timestamp) -> Result<(), store::Error> {
        let new = self.entries.iter().filter(|object| object.stored.is_none()).map(|object| NewObject {
            type_id: object.type_id.clone(),
            external_id: object.external_id.clone(),
            name: object.name.clone(),
        });
        let mut ids = object::insert_many(txn, new.collect(), now).await?.into_iter();
        for object in &mut self.entries {
            let row = match &object.stored {
                None => ids.next().map(|id| object.row(id)),
                Some(before) => {
                    let row = object.row(before.id);
                    if row != *before {
                        object::update(txn, before, &row, now).await?;
                    }
                    Some(row)
                }
            };
            object.stored = row;
        }
        let tagged = self.entries.iter().filter(|object| object.has_new_tags);
        let tagged: Vec<_> =
            tagged.filter_map(|object| Some((object.stored.as_ref()?.id, object.tags.as_slice()))).collect();
        tag::assign(txn, &tagged).await
    }
}
