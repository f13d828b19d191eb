//! Loading the objects that references may mean.

use super::{Object, Objects, name_of};
use crate::intake::full::FullTypes;
use crate::store::object::{self, Found, Row, Wanted};
use crate::store::{self, tag};
use model::id::TagId;
use model::occurrence::ObjectReference;
use model::time::Timestamp;
use sea_orm::{ConnectionTrait, DatabaseTransaction};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The most references that the same queries look for: a statement has a limited number of parameters.
const PART: usize = 2000;

impl Objects {
    /// Loads the objects that these references, each with its type, may mean: a few queries for each type. `types` are
    /// those that have objects. With `limits`, also finds the types that have as many objects as occurrences may make at
    /// that instant.
    ///
    /// Takes lock 3 of 9 where a reference names a new object that may be made.
    pub async fn load<'a>(
        txn: &DatabaseTransaction,
        references: impl Iterator<Item = (&'a str, &'a ObjectReference)> + Clone,
        types: BTreeSet<String>,
        limits: Option<(&FullTypes, Timestamp)>,
    ) -> Result<Self, store::Error> {
        // Tags are loaded also for types without objects: a wrong tag is refused there too.
        let tags = tags_of(references.clone());
        let references = references.filter(|(type_id, _)| types.contains(*type_id));
        let mut objects = Self::load_now(txn, references.clone(), &tags).await?;
        // The names of new objects are locked: no constraint of the database keeps two nodes from making two objects
        // with one name, or from giving one object two ids.
        let mut made: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        for (type_id, reference) in references.clone().filter(|(type_id, one)| objects.is_new(type_id, one)) {
            made.entry(type_id).or_default().insert(name_of(reference).to_owned());
        }
        let mut full = BTreeSet::new();
        if let Some((limits, now)) = limits {
            for type_id in made.keys() {
                if limits.contains(txn, type_id, now).await? {
                    full.insert((*type_id).to_owned());
                }
            }
        }
        made.retain(|type_id, _| !full.contains(*type_id));
        let mut has_locked = false;
        for (type_id, names) in &made {
            has_locked |= object::lock_names(txn, type_id, names).await?;
        }
        // Another node may have made an object before this transaction got the lock.
        if has_locked {
            objects = Self::load_now(txn, references.clone(), &tags).await?;
        }
        Ok(Self { types: Arc::new(types), full: Arc::new(full), ..objects })
    }

    /// Loads the objects that these references may mean, without a lock. `None` where a reference names a new object.
    pub(in crate::intake) async fn load_known<'a>(
        db: &impl ConnectionTrait,
        references: impl Iterator<Item = (&'a str, &'a ObjectReference)> + Clone,
        types: BTreeSet<String>,
    ) -> Result<Option<Self>, store::Error> {
        let tags = tags_of(references.clone());
        let mut references = references.filter(|(type_id, _)| types.contains(*type_id));
        let objects = Self::load_now(db, references.clone(), &tags).await?;
        let has_new = references.any(|(type_id, one)| objects.is_new(type_id, one));
        Ok((!has_new).then(|| Self { types: Arc::new(types), ..objects }))
    }

    async fn load_now<'a>(
        db: &impl ConnectionTrait,
        references: impl Iterator<Item = (&'a str, &'a ObjectReference)>,
        tags: &BTreeSet<&str>,
    ) -> Result<Self, store::Error> {
        let mut by_type: BTreeMap<&str, Vec<&ObjectReference>> = BTreeMap::new();
        for (type_id, reference) in references {
            by_type.entry(type_id).or_default().push(reference);
        }
        let mut rows = Vec::new();
        for (type_id, references) in by_type {
            let with_id = references.iter().filter(|reference| reference.external_id.is_some()).count();
            let mut found = Found::new();
            for part in references.chunks(PART) {
                found.extend(find_part(db, type_id, part, with_id).await?);
            }
            rows.extend(found.into_values());
        }
        Self::from_rows(db, rows, tags).await
    }

    /// Loads the objects that the references of an inventory may mean, without a lock.
    pub async fn load_inventory(
        db: &impl ConnectionTrait,
        type_id: &str,
        inventory: &[ObjectReference],
    ) -> Result<Self, store::Error> {
        let references = inventory.iter().map(|reference| (type_id, reference));
        let tags = tags_of(references.clone());
        Self::load_now(db, references, &tags).await
    }

    /// Returns these objects. `types` are those that have objects.
    pub(in crate::intake) fn known(rows: Vec<(Row, Vec<TagId>)>, types: BTreeSet<String>) -> Self {
        let mut objects = Self { types: Arc::new(types), ..Self::default() };
        for (row, tags) in rows {
            objects.add_stored(row, tags);
        }
        objects
    }

    /// Returns the loaded objects that are not gone and have an external id.
    pub(in crate::intake) fn with_id(&self) -> impl Iterator<Item = (&Row, &[TagId])> {
        let stored = self.entries.iter().filter_map(|object| Some((object.stored.as_ref()?, object.tags.as_slice())));
        stored.filter(|(row, _)| row.external_id.is_some() && !row.is_gone)
    }

    fn add_stored(&mut self, row: Row, tags: Vec<TagId>) {
        let Row { type_id, external_id, name, is_gone, .. } = row.clone();
        self.add(Object { stored: Some(row), type_id, external_id, name, is_gone, tags, has_new_tags: false });
    }

    async fn from_rows(
        txn: &impl ConnectionTrait,
        rows: Vec<(Row, Vec<TagId>)>,
        tags: &BTreeSet<&str>,
    ) -> Result<Self, store::Error> {
        let mut objects = Self { tags: Arc::new(tag::find_many(txn, tags).await?), ..Self::default() };
        for (row, tags) in rows {
            objects.add_stored(row, tags);
        }
        Ok(objects)
    }
}

/// Returns the paths of the tags that references name.
fn tags_of<'a>(references: impl Iterator<Item = (&'a str, &'a ObjectReference)>) -> BTreeSet<&'a str> {
    references.filter_map(|(_, reference)| reference.tags.as_ref()).flatten().map(String::as_str).collect()
}

/// Finds the objects of a type that some references may mean. All references of the group or inventory have `with_id`
/// external ids.
async fn find_part(
    db: &impl ConnectionTrait,
    type_id: &str,
    references: &[&ObjectReference],
    with_id: usize,
) -> Result<Found, store::Error> {
    let external_ids = references.iter().filter_map(|reference| reference.external_id.clone()).collect();
    let mut found = object::find_wanted(db, type_id, Wanted { external_ids, ..Wanted::default() }).await?;
    let ids: BTreeSet<_> = found.values().filter_map(|(row, _)| row.external_id.clone()).collect();
    // By name only where the external id finds nothing: many thousands of objects may have the same name.
    let (mut wanted, mut names) = (Wanted::default(), BTreeSet::new());
    for reference in references {
        let name = name_of(reference).to_owned();
        match &reference.external_id {
            Some(id) if ids.contains(id) => false,
            Some(_) if !reference.is_subject => wanted.names_without_id.insert(name),
            _ => names.insert(name),
        };
    }
    found.extend(object::find_wanted(db, type_id, wanted).await?);
    found.extend(find_named(db, type_id, names, with_id).await?);
    Ok(found)
}

/// Finds as many objects of each name as tell whether one of them is meant: two, and `renamed` more, since a reference
/// with an external id may rename an object before its former name is looked for. Those that are gone matter only where
/// no other may be left.
async fn find_named(
    db: &impl ConnectionTrait,
    type_id: &str,
    mut names: BTreeSet<String>,
    renamed: usize,
) -> Result<Found, store::Error> {
    let mut found = object::find_named(db, type_id, &names, false, renamed + 2).await?;
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (row, _) in found.values() {
        *counts.entry(row.name.as_str()).or_default() += 1;
    }
    names.retain(|name| counts.get(name.as_str()).is_none_or(|count| *count <= renamed));
    found.extend(object::find_named(db, type_id, &names, true, renamed + 2).await?);
    Ok(found)
}
