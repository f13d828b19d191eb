//! The objects that a group names: found, made, renamed or tagged, in memory until the group is written.

use crate::store::object::{self, NewObject, Row, Wanted};
use crate::store::tag::{self, TagRow};
use crate::store::{self, catalog};
use model::field_error::FieldErrors;
use model::id::{CategoryId, ObjectId, TagId};
use model::object::MADE_BY_OCCURRENCES_MAX;
use model::occurrence::ObjectReference;
use model::time::Timestamp;
use sea_orm::{ConnectionTrait, DatabaseTransaction};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// An object as it is known now.
#[derive(Clone)]
struct Object {
    /// As it is stored. None until it is written.
    stored: Option<Row>,
    type_id: String,
    external_id: Option<String>,
    name: String,
    is_gone: bool,
    tags: Vec<TagId>,
    has_new_tags: bool,
}

impl Object {
    /// What is to be stored of one that is.
    fn row(&self, id: ObjectId) -> Row {
        let (external_id, name) = (self.external_id.clone(), self.name.clone());
        Row { id, type_id: self.type_id.clone(), external_id, name, is_gone: self.is_gone }
    }
}

/// Type and external id, or type and name.
type Index = HashMap<(String, String), Vec<usize>>;

/// The objects that were named, by id and by name, and the tags there are.
#[derive(Clone, Default)]
pub struct Known {
    objects: Vec<Object>,
    by_external_id: Index,
    by_name: Index,
    /// By `Category/tag`.
    tags: std::sync::Arc<HashMap<String, TagRow>>,
    /// The types that have objects, of those that were asked for.
    types: std::sync::Arc<BTreeSet<String>>,
    /// Those of them that have as many objects as occurrences may make.
    full: std::sync::Arc<BTreeSet<String>>,
}

fn find<'a>(index: &'a Index, type_id: &str, text: &str) -> &'a [usize] {
    index.get(&(type_id.to_owned(), text.to_owned())).map(Vec::as_slice).unwrap_or_default()
}

/// What an object is called that has no other name than its id.
fn name_of(reference: &ObjectReference) -> &str {
    reference.name.as_deref().or(reference.external_id.as_deref()).unwrap_or_default()
}

impl Known {
    /// Loads whatever these references (each with its type) may mean, with two queries at most for each type. With `is_bounded`,
    /// also which types have as many objects as occurrences may make.
    pub async fn load<'a>(
        txn: &DatabaseTransaction,
        references: impl Iterator<Item = (&'a str, &'a ObjectReference)> + Clone,
        is_bounded: bool,
    ) -> Result<Self, store::Error> {
        let types = catalog::with_objects(txn, references.clone().map(|(type_id, _)| type_id)).await?;
        // Also of types without objects: a wrong tag is said to be wrong.
        let names_tags = references.clone().any(|(_, reference)| reference.tags.is_some());
        let references = references.filter(|(type_id, _)| types.contains(*type_id));
        let mut known = Self::load_now(txn, references.clone(), names_tags).await?;
        // No rule of the database keeps two nodes from making objects of one name, or from giving one two ids.
        let mut made: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        for (type_id, reference) in references.clone().filter(|(type_id, one)| known.is_news(type_id, one)) {
            made.entry(type_id).or_default().insert(name_of(reference).to_owned());
        }
        let mut full = BTreeSet::new();
        for type_id in made.keys().filter(|_| is_bounded) {
            if object::is_more(txn, type_id, MADE_BY_OCCURRENCES_MAX).await? {
                full.insert((*type_id).to_owned());
            }
        }
        let mut is_old = false;
        for (type_id, names) in &made {
            is_old |= object::lock_names(txn, type_id, Some(names)).await?;
        }
        if is_old {
            known = Self::load_now(txn, references.clone(), names_tags).await?;
        }
        Ok(Self { types: std::sync::Arc::new(types), full: std::sync::Arc::new(full), ..known })
    }

    async fn load_now<'a>(
        txn: &DatabaseTransaction,
        references: impl Iterator<Item = (&'a str, &'a ObjectReference)>,
        names_tags: bool,
    ) -> Result<Self, store::Error> {
        let mut by_type: BTreeMap<&str, Vec<&ObjectReference>> = BTreeMap::new();
        for (type_id, reference) in references {
            by_type.entry(type_id).or_default().push(reference);
        }
        let mut rows = Vec::new();
        for (type_id, references) in by_type {
            let external_ids = references.iter().filter_map(|reference| reference.external_id.clone()).collect();
            let mut found = object::find_wanted(txn, type_id, Wanted { external_ids, ..Wanted::default() }).await?;
            let with_id: BTreeSet<_> = found.values().filter_map(|(row, _)| row.external_id.clone()).collect();
            // By name only what its id does not tell: many thousands may have the same name.
            let mut wanted = Wanted::default();
            for reference in references {
                let name = name_of(reference).to_owned();
                match &reference.external_id {
                    Some(id) if with_id.contains(id) => false,
                    Some(_) if !reference.is_subject => wanted.names_without_id.insert(name),
                    _ => wanted.names.insert(name),
                };
            }
            found.extend(object::find_wanted(txn, type_id, wanted).await?);
            rows.extend(found.into_values());
        }
        Self::from_rows(txn, rows, names_tags).await
    }

    /// Whether nothing that is known has this id, or, without one, this name.
    fn is_news(&self, type_id: &str, reference: &ObjectReference) -> bool {
        match &reference.external_id {
            Some(id) => find(&self.by_external_id, type_id, id).is_empty(),
            None => find(&self.by_name, type_id, name_of(reference)).is_empty(),
        }
    }

    /// Loads every object of a type.
    pub async fn load_type(txn: &impl ConnectionTrait, type_id: &str) -> Result<Self, store::Error> {
        let rows = object::list_of(txn, type_id).await?;
        let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
        let mut tags = tag::of_objects(txn, &ids).await?;
        let rows = rows.into_iter().map(|row| {
            let tags = tags.remove(&row.id).unwrap_or_default();
            (row, tags)
        });
        Self::from_rows(txn, rows.collect(), true).await
    }

    async fn from_rows(
        txn: &impl ConnectionTrait,
        rows: Vec<(Row, Vec<TagId>)>,
        names_tags: bool,
    ) -> Result<Self, store::Error> {
        let mut known = Self::default();
        if names_tags {
            let tags = tag::list(txn).await?;
            known.tags = std::sync::Arc::new(tags.into_iter().map(|tag| (tag.path(), tag)).collect());
        }
        for (row, tags) in rows {
            let Row { type_id, external_id, name, is_gone, .. } = row.clone();
            known.add(Object { stored: Some(row), type_id, external_id, name, is_gone, tags, has_new_tags: false });
        }
        Ok(known)
    }

    fn add(&mut self, object: Object) -> usize {
        let place = self.objects.len();
        if let Some(id) = &object.external_id {
            self.by_external_id.entry((object.type_id.clone(), id.clone())).or_default().push(place);
        }
        self.by_name.entry((object.type_id.clone(), object.name.clone())).or_default().push(place);
        self.objects.push(object);
        place
    }

    /// Finds the object that is meant, by external id first, then by a unique name; makes or renames it, and has it
    /// carry the given tags if `may_tag`. `path` leads to the object's members.
    ///
    /// # Errors
    /// The member that is ambiguous, or names a tag there is not.
    pub fn resolve(
        &mut self,
        type_id: &str,
        reference: &ObjectReference,
        may_tag: bool,
        path: &str,
    ) -> Result<usize, FieldErrors> {
        let tags = self.tags_of(type_id, reference, may_tag, path)?;
        let place = self.find_or_add(type_id, reference, path)?;
        self.update(place, reference);
        if let Some(tags) = tags.filter(|tags| *tags != self.objects[place].tags) {
            self.objects[place].tags = tags;
            self.objects[place].has_new_tags = true;
        }
        Ok(place)
    }

    /// Whether this type has objects, if it was asked for. Of one that has none only the words are kept.
    pub(super) fn has_objects(&self, type_id: &str) -> bool {
        self.types.contains(type_id)
    }

    /// Whether an occurrence may make no object for this: there are too many of the type already.
    pub(super) fn may_not_be_made(&self, type_id: &str, reference: &ObjectReference) -> bool {
        self.full.contains(type_id) && self.is_news(type_id, reference)
    }

    /// The tags that a reference brings, if it may.
    ///
    /// # Errors
    /// It names a tag there is not, or one for other types.
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
        if let Some(place) = by_id {
            return Ok(*place);
        }
        let name = name_of(reference);
        let mut found = find(&self.by_name, type_id, name).to_vec();
        if reference.external_id.is_some() && !reference.is_subject {
            // A reference with an id never takes over an object that has another one.
            found.retain(|place| self.objects[*place].external_id.is_none());
        }
        if found.iter().any(|place| !self.objects[*place].is_gone) {
            // One that is there is meant, rather than one that is gone and had the name before.
            found.retain(|place| !self.objects[*place].is_gone);
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
            [place] => Ok(*place),
            _ => {
                let message = "Several objects have this name. Name the one that is meant by its id.";
                Err(FieldErrors::one(format!("{path}name"), message))
            }
        }
    }

    /// The ids of tags written as `Category/tag`, in order, if objects of this type may carry them together.
    fn find_tags(&self, type_id: &str, paths: &[String], path: &str) -> Result<Vec<TagId>, FieldErrors> {
        let refuse = |message: String| Err(FieldErrors::one(format!("{path}tags"), message));
        let mut found = BTreeSet::new();
        let mut singles: BTreeMap<CategoryId, TagId> = BTreeMap::new();
        for wanted in paths {
            let shown: String = wanted.chars().filter(|c| !model::text::is_invisible(*c)).take(80).collect();
            let Some(tag) = self.tags.get(wanted) else {
                return refuse(format!("There is no tag {shown}. Make it first, or leave it out."));
            };
            if !tag.suits(type_id) {
                return refuse(format!("The tag {shown} is not for this type."));
            }
            if tag.category.is_single && singles.insert(tag.category_id, tag.id).is_some_and(|other| other != tag.id) {
                return refuse(format!("Only one tag of {} can stand on an object.", tag.category.name));
            }
            found.insert(tag.id);
        }
        Ok(found.into_iter().collect())
    }

    fn update(&mut self, place: usize, reference: &ObjectReference) {
        let object = &mut self.objects[place];
        let type_id = object.type_id.clone();
        // Whoever names an object that was gone has seen it again.
        object.is_gone = false;
        if let Some(name) = reference.name.as_ref().filter(|name| **name != object.name) {
            let before = std::mem::replace(&mut object.name, name.clone());
            if let Some(places) = self.by_name.get_mut(&(type_id.clone(), before)) {
                places.retain(|other| *other != place);
            }
            self.by_name.entry((type_id.clone(), name.clone())).or_default().push(place);
        }
        if let (None, Some(id)) = (&object.external_id, &reference.external_id) {
            object.external_id = Some(id.clone());
            self.by_external_id.entry((type_id, id.clone())).or_default().push(place);
        }
    }

    /// The id of an object that is stored already. A new one cannot be named by any event yet.
    pub fn id(&self, place: usize) -> Option<ObjectId> {
        self.objects[place].stored.as_ref().map(|row| row.id)
    }

    /// The tags it carries, as they stand after what was staged before.
    pub(super) fn tags(&self, place: usize) -> &[TagId] {
        &self.objects[place].tags
    }

    /// Name and external id, as they stand after what was staged before.
    pub(super) fn words(&self, place: usize) -> (&str, Option<&str>) {
        let object = &self.objects[place];
        (&object.name, object.external_id.as_deref())
    }

    /// Writes what is new or changed; afterwards every object has its id.
    pub async fn write(&mut self, txn: &DatabaseTransaction, now: Timestamp) -> Result<(), store::Error> {
        let new = self.objects.iter().filter(|object| object.stored.is_none()).map(|object| NewObject {
            type_id: object.type_id.clone(),
            external_id: object.external_id.clone(),
            name: object.name.clone(),
        });
        let mut ids = object::insert_many(txn, new.collect(), now).await?.into_iter();
        for object in &mut self.objects {
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
        let tagged = self.objects.iter().filter(|object| object.has_new_tags);
        let tagged: Vec<_> =
            tagged.filter_map(|object| Some((object.stored.as_ref()?.id, object.tags.as_slice()))).collect();
        tag::assign(txn, &tagged).await
    }
}
