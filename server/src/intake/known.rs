//! The objects that a group of occurrences names: found, made or renamed, in memory until the group is written.

use crate::store::object::{self, NewObject, Row};
use crate::store::{self};
use model::field_error::FieldErrors;
use model::id::ObjectId;
use model::occurrence::{ObjectReference, Occurrence};
use model::time::Timestamp;
use sea_orm::DatabaseTransaction;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// An object as it is known now.
#[derive(Clone)]
struct Object {
    /// None until it is written.
    id: Option<ObjectId>,
    type_id: String,
    external_id: Option<String>,
    name: String,
    is_changed: bool,
}

/// Type and external id, or type and name.
type Index = HashMap<(String, String), Vec<usize>>;

/// The objects that were named, by id and by name.
#[derive(Clone, Default)]
pub(super) struct Known {
    objects: Vec<Object>,
    by_external_id: Index,
    by_name: Index,
}

impl Known {
    /// Loads whatever these occurrences may mean, with one query for each type.
    pub(super) async fn load(
        txn: &DatabaseTransaction,
        occurrences: impl Iterator<Item = &Occurrence>,
    ) -> Result<Self, store::Error> {
        let mut wanted: BTreeMap<&str, (BTreeSet<String>, BTreeSet<String>)> = BTreeMap::new();
        for occurrence in occurrences {
            let Some(reference) = &occurrence.object else { continue };
            let (ids, names) = wanted.entry(&occurrence.type_id).or_default();
            ids.extend(reference.external_id.clone());
            names.extend(reference.name.clone().or_else(|| reference.external_id.clone()));
        }
        let mut known = Self::default();
        for (type_id, (ids, names)) in wanted {
            let rows = object::find_named(txn, type_id, ids.into_iter().collect(), names.into_iter().collect()).await?;
            for Row { id, type_id, external_id, name } in rows {
                known.add(Object { id: Some(id), type_id, external_id, name, is_changed: false });
            }
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

    /// Finds the object that is meant, by external id first, then by a unique name; makes or renames it.
    pub(super) fn resolve(
        &mut self,
        type_id: &str,
        reference: &ObjectReference,
        path: &str,
    ) -> Result<usize, FieldErrors> {
        let find =
            |index: &Index, text: &str| index.get(&(type_id.to_owned(), text.to_owned())).cloned().unwrap_or_default();
        let by_id = reference.external_id.as_deref().and_then(|id| find(&self.by_external_id, id).first().copied());
        let name = reference.name.as_deref().or(reference.external_id.as_deref()).unwrap_or_default();
        let place = match by_id {
            Some(place) => place,
            None => {
                let mut found = find(&self.by_name, name);
                if reference.external_id.is_some() {
                    // A reference with an id never takes over an object that has another one.
                    found.retain(|place| self.objects[*place].external_id.is_none());
                }
                match found.as_slice() {
                    [] => {
                        return Ok(self.add(Object {
                            id: None,
                            type_id: type_id.to_owned(),
                            external_id: reference.external_id.clone(),
                            name: name.to_owned(),
                            is_changed: false,
                        }));
                    }
                    [place] => *place,
                    _ => {
                        let message = "Several objects have this name. Name the one that is meant by its id.";
                        return Err(FieldErrors::one(format!("{path}object.name"), message));
                    }
                }
            }
        };
        self.update(place, reference);
        Ok(place)
    }

    fn update(&mut self, place: usize, reference: &ObjectReference) {
        let object = &mut self.objects[place];
        let type_id = object.type_id.clone();
        if let Some(name) = reference.name.as_ref().filter(|name| **name != object.name) {
            let before = std::mem::replace(&mut object.name, name.clone());
            object.is_changed = true;
            if let Some(places) = self.by_name.get_mut(&(type_id.clone(), before)) {
                places.retain(|other| *other != place);
            }
            self.by_name.entry((type_id.clone(), name.clone())).or_default().push(place);
        }
        if let (None, Some(id)) = (&object.external_id, &reference.external_id) {
            object.external_id = Some(id.clone());
            object.is_changed = true;
            self.by_external_id.entry((type_id, id.clone())).or_default().push(place);
        }
    }

    /// The id of an object that is stored already. A new one cannot be named by any event yet.
    pub(super) fn id(&self, place: usize) -> Option<ObjectId> {
        self.objects[place].id
    }

    /// Name and external id, as they stand after the group.
    pub(super) fn words(&self, place: usize) -> (&str, Option<&str>) {
        let object = &self.objects[place];
        (&object.name, object.external_id.as_deref())
    }

    /// Writes what is new or changed; afterwards every object has its id.
    pub(super) async fn write(&mut self, txn: &DatabaseTransaction, now: Timestamp) -> Result<(), store::Error> {
        let new: Vec<_> = self.objects.iter().filter(|object| object.id.is_none()).collect();
        let new = new.into_iter().map(|object| NewObject {
            type_id: object.type_id.clone(),
            external_id: object.external_id.clone(),
            name: object.name.clone(),
        });
        let stored = object::insert_many(txn, new.collect(), now).await?;
        let mut ids: HashMap<_, _> =
            stored.into_iter().map(|row| ((row.type_id, row.external_id, row.name), row.id)).collect();
        for object in &mut self.objects {
            match object.id {
                None => {
                    let key = (object.type_id.clone(), object.external_id.clone(), object.name.clone());
                    object.id = ids.remove(&key);
                }
                Some(id) if object.is_changed => {
                    let (external_id, name) = (object.external_id.clone(), object.name.clone());
                    object::update(txn, &Row { id, type_id: object.type_id.clone(), external_id, name }, now).await?;
                }
                Some(_) => {}
            }
        }
        Ok(())
    }
}
