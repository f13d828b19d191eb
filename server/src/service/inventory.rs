//! Use cases of objects and tags: a whole inventory by the API, single ones by hand.
//!
//! Accounts and webhooks are objects too, but only the console itself writes those.

use super::{Services, revision, stale};
use crate::intake::known::Known;
use crate::store::object::{self, NewObject, Removed};
use crate::store::steps::Steps;
use crate::store::{self, catalog, event, tag};
use app::backend::Inventory;
use app::error::{AppError, Code};
use app::view::inventory::{CategoryLine, ObjectLine};
use async_trait::async_trait;
use model::catalog::{ObjectType, is_own};
use model::field_error::FieldErrors;
use model::id::{CategoryId, ObjectId, TagId};
use model::object::{Object, ObjectDraft};
use model::occurrence::ObjectReference;
use model::tag::{CategoryDraft, TagDraft};
use model::text::shown;
use model::time::Timestamp;
use sea_orm::{ConnectionTrait, DatabaseTransaction};
use std::collections::{BTreeMap, BTreeSet};

/// How many objects the list shows.
const OBJECTS_MAX: u64 = 10_000;
/// How often an inventory is staged again when another node changed what it was staged from.
const TRIES: usize = 5;

/// What an inventory changed.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct Written {
    /// How many objects it named.
    pub objects: usize,
    /// How many are no more.
    pub deleted: usize,
    /// How many are gone, but named by an event, which now matches nothing.
    pub gone: usize,
}

impl Services {
    /// Writes the objects of a type; with `replaces`, the others go. Nothing is written if one of them is wrong. Written in
    /// steps: whoever is interrupted submits the same again.
    ///
    /// No change of what people configure: it may take long, and must not keep deliveries waiting.
    pub async fn write_inventory(
        &self,
        type_id: &str,
        objects: &[ObjectReference],
        replaces: bool,
    ) -> Result<Written, AppError> {
        let db = self.store.read();
        check_type(&find_type(db, type_id).await?)?;
        check_all(db, type_id, objects).await?;
        let mut kept = BTreeSet::new();
        let (mut left, mut steps) = (objects, Steps::new());
        while !left.is_empty()
            && let Some(size) = steps.next().await
        {
            let (part, rest) = left.split_at(usize::try_from(size).unwrap_or(1).min(left.len()));
            let ids = self.write_part(type_id, part, &mut steps).await?;
            if replaces {
                kept.extend(ids);
            }
            left = rest;
        }
        let removed = if replaces { self.remove_others(type_id, &kept).await? } else { Removed::default() };
        Ok(Written { objects: objects.len(), deleted: removed.deleted, gone: removed.gone })
    }

    async fn write_part(
        &self,
        type_id: &str,
        part: &[ObjectReference],
        steps: &mut Steps,
    ) -> Result<Vec<ObjectId>, AppError> {
        let mut tried = 0;
        loop {
            tried += 1;
            let txn = self.store.begin().await?;
            steps.begin();
            match write_all(&txn, type_id, part, self.clock.now()).await {
                Ok(Ok(ids)) => {
                    steps.go_on();
                    self.commit(txn).await?;
                    return Ok(ids);
                }
                Ok(Err(wrong)) => return Err(wrong.into()),
                Err(error) if error.is_passing() && tried < TRIES => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Removes the objects of a type but for these.
    async fn remove_others(&self, type_id: &str, kept: &BTreeSet<ObjectId>) -> Result<Removed, AppError> {
        let mut others = object::list_others(self.store.read(), type_id, kept).await?;
        let (mut all, mut steps) = (Removed::default(), Steps::new());
        while !others.is_empty()
            && let Some(size) = steps.next().await
        {
            let rest = others.len().saturating_sub(usize::try_from(size).unwrap_or(1));
            let part = others.split_off(rest);
            let txn = self.store.begin().await?;
            steps.begin();
            let removed = object::remove(&txn, type_id, &part, self.clock.now()).await?;
            steps.go_on();
            self.commit(txn).await?;
            all.deleted += removed.deleted;
            all.gone += removed.gone;
        }
        Ok(all)
    }
}

/// Refuses an inventory of which one object is wrong.
async fn check_all(db: &impl ConnectionTrait, type_id: &str, objects: &[ObjectReference]) -> Result<(), AppError> {
    let mut known = Known::load_type(db, type_id).await?;
    let mut errors = FieldErrors::default();
    for (place, reference) in objects.iter().enumerate() {
        if let Err(wrong) = known.resolve(type_id, reference, true, &format!("[{place}].")) {
            errors.0.extend(wrong.0);
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(errors.into()) }
}

/// The outer result is the store's, the inner one the sender's.
async fn write_all(
    txn: &DatabaseTransaction,
    type_id: &str,
    objects: &[ObjectReference],
    now: Timestamp,
) -> Result<Result<Vec<ObjectId>, FieldErrors>, store::Error> {
    let mut known = Known::load(txn, objects.iter().map(|object| (type_id, object)), false).await?;
    let mut places = Vec::with_capacity(objects.len());
    for reference in objects {
        match known.resolve(type_id, reference, true, "") {
            Ok(place) => places.push(place),
            Err(wrong) => return Ok(Err(wrong)),
        }
    }
    known.write(txn, now).await?;
    Ok(Ok(places.into_iter().filter_map(|place| known.id(place)).collect()))
}

async fn find_type(db: &impl ConnectionTrait, type_id: &str) -> Result<ObjectType, AppError> {
    let catalog = catalog::load(db).await?;
    catalog.find(type_id).cloned().ok_or_else(|| AppError::not_found("object type"))
}

fn check_type(object_type: &ObjectType) -> Result<(), AppError> {
    if is_own(&object_type.id) {
        let words = format!("{} belong to the console, which alone writes them.", object_type.plural);
        return Err(AppError::new(Code::Forbidden, words));
    }
    if !object_type.has_objects {
        return Err(FieldErrors::one("type_id", format!("{} have no objects.", object_type.plural)).into());
    }
    Ok(())
}

/// The tags must be there, suit the type, and be one of each single category.
async fn check_tags(db: &impl ConnectionTrait, object_type: &ObjectType, ids: &[TagId]) -> Result<(), AppError> {
    if ids.is_empty() {
        return Ok(());
    }
    let tags = tag::list(db).await?;
    let mut singles: BTreeMap<CategoryId, TagId> = BTreeMap::new();
    for id in ids {
        let refuse = |message: String| Err(FieldErrors::one("tags", message).into());
        let Some(tag) = tags.iter().find(|tag| tag.id == *id) else {
            return refuse("One of these tags does not exist any more. Choose again.".to_owned());
        };
        if !tag.suits(&object_type.id) {
            return refuse(format!("{} cannot carry the tag {}.", object_type.plural, tag.path()));
        }
        if tag.category.is_single && singles.insert(tag.category_id, *id).is_some_and(|other| other != *id) {
            return refuse(format!("Only one tag of {} can stand on an object.", tag.category.name));
        }
    }
    Ok(())
}

async fn write_object(
    txn: &DatabaseTransaction,
    before: Option<&object::Row>,
    type_id: &str,
    checked: &Object,
    now: Timestamp,
) -> Result<ObjectId, AppError> {
    let taken = |error: store::Error| match error {
        store::Error::Conflict { .. } => {
            FieldErrors::one("external_id", "Another object of this type has this id. Choose another.").into()
        }
        store::Error::InUse => {
            AppError::new(Code::Conflict, "An occurrence has just changed this object. Look at it and submit again.")
        }
        other => other.into(),
    };
    let (external_id, name) = (checked.external_id.clone(), checked.name.clone());
    match before {
        None => {
            let new = NewObject { type_id: type_id.to_owned(), external_id, name };
            let ids = object::insert_many(txn, vec![new], now).await.map_err(taken)?;
            ids.first().copied().ok_or_else(|| AppError::new(Code::Internal, "The object was not stored."))
        }
        Some(before) => {
            let row = object::Row { external_id, name, is_gone: false, ..before.clone() };
            object::update(txn, before, &row, now).await.map_err(taken)?;
            Ok(row.id)
        }
    }
}

fn category_taken(error: store::Error) -> AppError {
    match error {
        store::Error::Conflict { .. } => FieldErrors::one("name", "There is already one with this name.").into(),
        store::Error::InUse => FieldErrors::one("category", "This category does not exist any more.").into(),
        other => other.into(),
    }
}

#[async_trait]
impl Inventory for Services {
    async fn list_objects(&self) -> Result<Vec<ObjectLine>, AppError> {
        let rows = object::list(self.store.pages(), OBJECTS_MAX).await?;
        self.object_lines(rows).await
    }

    async fn load_object(&self, id: ObjectId) -> Result<ObjectLine, AppError> {
        let row = object::find(self.store.pages(), id).await?;
        let row = row.ok_or_else(|| AppError::not_found("object"))?;
        let lines = self.object_lines(vec![row]).await?;
        lines.into_iter().next().ok_or_else(|| AppError::not_found("object"))
    }

    async fn list_categories(&self) -> Result<Vec<CategoryLine>, AppError> {
        self.category_lines().await
    }

    async fn save_object(&self, id: Option<ObjectId>, draft: ObjectDraft) -> Result<ObjectId, AppError> {
        let checked = draft.parse()?;
        let txn = self.store.begin_change().await?;
        let before = match id {
            None => None,
            Some(id) => {
                let row = object::find(&txn, id).await?;
                Some(row.ok_or_else(|| AppError::not_found("object"))?)
            }
        };
        // An object never changes its type: events that name it are about that type.
        let type_id = before.as_ref().map_or(draft.type_id, |row| row.type_id.clone());
        let object_type = find_type(&txn, &type_id).await?;
        // Of what is the console's own, people may only choose the tags.
        let own = id.filter(|_| is_own(&type_id));
        if own.is_none() {
            check_type(&object_type)?;
        }
        check_tags(&txn, &object_type, &checked.tag_ids).await?;
        let id = match own {
            Some(id) => id,
            None => write_object(&txn, before.as_ref(), &type_id, &checked, self.clock.now()).await?,
        };
        tag::assign(&txn, &[(id, checked.tag_ids.as_slice())]).await?;
        self.commit(txn).await?;
        Ok(id)
    }

    async fn delete_objects(&self, ids: Vec<ObjectId>) -> Result<(), AppError> {
        let txn = self.store.begin_change().await?;
        for id in ids {
            let row = object::find(&txn, id).await?.ok_or_else(|| AppError::not_found("object"))?;
            // Of any other type, also of one that has no objects or that nobody knows: what was reported can go.
            if is_own(&row.type_id) {
                check_type(&find_type(&txn, &row.type_id).await?)?;
            }
            let links = super::event::links(&txn, event::naming_object(&txn, id).await?).await?;
            if !links.is_empty() {
                return Err(AppError::in_use(&format!("The object {}", shown(&row.name)), links));
            }
            object::delete(&txn, id).await?;
        }
        self.commit(txn).await
    }

    async fn save_category(&self, id: Option<CategoryId>, draft: CategoryDraft) -> Result<CategoryId, AppError> {
        let txn = self.store.begin_change().await?;
        let checked = draft.parse(&catalog::load(&txn).await?)?;
        let now = self.clock.now();
        let saved = match id {
            None => tag::insert_category(&txn, &checked, now).await.map_err(category_taken)?,
            Some(id) => {
                let opened_on = revision(&draft.revision)?;
                if !tag::update_category(&txn, id, opened_on, &checked, now).await.map_err(category_taken)? {
                    return Err(stale("category", &draft, &draft));
                }
                id
            }
        };
        self.commit(txn).await?;
        Ok(saved)
    }

    async fn delete_category(&self, id: CategoryId) -> Result<(), AppError> {
        let txn = self.store.begin_change().await?;
        let row = tag::find_category(&txn, id).await?.ok_or_else(|| AppError::not_found("category"))?;
        let tags = tag::list(&txn).await?;
        let ids: Vec<_> = tags.iter().filter(|tag| tag.category_id == id).map(|tag| tag.id).collect();
        let links = super::event::links(&txn, event::naming_tags(&txn, &ids).await?).await?;
        if !links.is_empty() {
            return Err(AppError::in_use(&format!("The category {}", row.category.name), links));
        }
        tag::delete_category(&txn, id).await?;
        self.commit(txn).await
    }

    async fn add_tag(&self, draft: TagDraft) -> Result<TagId, AppError> {
        let checked = draft.parse()?;
        let txn = self.store.begin_change().await?;
        let id = tag::insert(&txn, &checked, self.clock.now()).await.map_err(category_taken)?;
        self.commit(txn).await?;
        Ok(id)
    }

    async fn delete_tag(&self, id: TagId) -> Result<(), AppError> {
        let txn = self.store.begin_change().await?;
        let tags = tag::list(&txn).await?;
        let tag = tags.iter().find(|tag| tag.id == id).ok_or_else(|| AppError::not_found("tag"))?;
        let links = super::event::links(&txn, event::naming_tags(&txn, &[id]).await?).await?;
        if !links.is_empty() {
            return Err(AppError::in_use(&format!("The tag {}", tag.path()), links));
        }
        tag::delete(&txn, id).await?;
        self.commit(txn).await
    }
}
