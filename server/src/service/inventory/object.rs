//! Single objects: their lines, and the checks before one is written by hand.

use crate::service::{Services, stale};
use crate::store::object::{self, NewObject};
use crate::store::{self, catalog, tag};
use app::error::{AppError, Code};
use app::view::inventory::{CarriedTag, ObjectLine};
use model::catalog::{ObjectType, is_internal};
use model::field_error::FieldErrors;
use model::id::{ObjectId, TagId};
use model::object::{Object, ObjectDraft, revision};
use model::time::Timestamp;
use sea_orm::{ConnectionTrait, DatabaseTransaction};

impl Services {
    /// Adds to each object its tags and the label of its type.
    pub(super) async fn object_lines(&self, rows: Vec<object::Row>) -> Result<Vec<ObjectLine>, AppError> {
        let db = self.store.pages();
        let catalog = catalog::load(db).await?;
        let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
        let mut carried = tag::of_objects(db, &ids).await?;
        let labels = tag::labels(db).await?;
        let line = |row: object::Row| ObjectLine {
            id: row.id,
            type_label: catalog.type_label(&row.type_id).to_owned(),
            type_id: row.type_id,
            name: row.name,
            external_id: row.external_id.unwrap_or_default(),
            tags: carried
                .remove(&row.id)
                .unwrap_or_default()
                .into_iter()
                .filter_map(|id| Some(CarriedTag { id, label: labels.get(&id)?.clone() }))
                .collect(),
            is_gone: row.is_gone,
        };
        Ok(rows.into_iter().map(line).collect())
    }
}

pub(super) async fn find_type(db: &impl ConnectionTrait, type_id: &str) -> Result<ObjectType, AppError> {
    let catalog = catalog::load(db).await?;
    catalog.find(type_id).cloned().ok_or_else(|| AppError::not_found("object type"))
}

/// Fails when people and inventories cannot write objects of this type.
pub(super) fn check_type(object_type: &ObjectType) -> Result<(), AppError> {
    if is_internal(&object_type.id) {
        let message = format!("{} belong to the console, which alone writes them.", object_type.plural);
        return Err(AppError::new(Code::Forbidden, message));
    }
    if !object_type.has_objects {
        return Err(FieldErrors::one("type_id", format!("{} have no objects.", object_type.plural)).into());
    }
    Ok(())
}

/// Fails when a tag does not exist, when the type cannot carry it, or when two tags are of a category that allows one.
pub(super) async fn check_tags(
    db: &impl ConnectionTrait,
    object_type: &ObjectType,
    ids: &[TagId],
) -> Result<(), AppError> {
    if ids.is_empty() {
        return Ok(());
    }
    let tags = tag::list(db).await?;
    let refused = |message: String| FieldErrors::one("tags", message);
    let mut found: Vec<&tag::TagRow> = Vec::new();
    for id in ids {
        let Some(tag) = tags.iter().find(|tag| tag.id == *id) else {
            return Err(refused("One of these tags does not exist any more. Choose again.".to_owned()).into());
        };
        if !tag.suits(&object_type.id) {
            return Err(refused(format!("{} cannot carry the tag {}.", object_type.plural, tag.path())).into());
        }
        tag.check_beside(&found).map_err(refused)?;
        found.push(tag);
    }
    Ok(())
}

/// Fails when an object has changed since its form was opened. An inventory or an occurrence may have changed it too.
pub(super) async fn check_unchanged(
    txn: &DatabaseTransaction,
    before: &object::Row,
    draft: &ObjectDraft,
    checked: &Object,
) -> Result<(), AppError> {
    let carried = tag::of_objects(txn, &[before.id]).await?.remove(&before.id).unwrap_or_default();
    let stored = revision(&before.name, before.external_id.as_deref(), before.is_gone, &carried);
    if draft.revision == stored {
        return Ok(());
    }
    let tags = tag::list(txn).await?;
    let labels = |ids: &[TagId]| {
        let labels: Vec<_> = tags.iter().filter(|tag| ids.contains(&tag.id)).map(tag::TagRow::label).collect();
        labels.join(", ")
    };
    let shown = |name: &str, external_id: Option<&str>, ids: &[TagId], revision: &str| ObjectDraft {
        type_id: before.type_id.clone(),
        name: name.to_owned(),
        external_id: external_id.unwrap_or_default().to_owned(),
        tags: labels(ids),
        revision: revision.to_owned(),
    };
    let typed = shown(&checked.name, checked.external_id.as_deref(), &checked.tag_ids, &draft.revision);
    Err(stale("object", &typed, &shown(&before.name, before.external_id.as_deref(), &carried, &stored)))
}

/// Creates an object, or changes the object `before`. Returns its id.
pub(super) async fn write_object(
    txn: &DatabaseTransaction,
    before: Option<&object::Row>,
    type_id: &str,
    checked: &Object,
    now: Timestamp,
) -> Result<ObjectId, AppError> {
    let refused = |error: store::Error| match error {
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
            let ids = object::insert_many(txn, vec![new], now).await.map_err(refused)?;
            ids.first().copied().ok_or_else(|| AppError::new(Code::Internal, "The object was not stored."))
        }
        Some(before) => {
            let row = object::Row { external_id, name, is_gone: false, ..before.clone() };
            object::update(txn, before, &row, now).await.map_err(refused)?;
            Ok(row.id)
        }
    }
}
