//! Whole inventories, written through the API.

use super::object::{check_type, find_type};
use crate::intake::objects::Objects;
use crate::service::Services;
use crate::store;
use crate::store::object::{self, Removed};
use crate::store::steps::Steps;
use app::error::AppError;
use model::field_error::FieldErrors;
use model::id::ObjectId;
use model::occurrence::ObjectReference;
use model::time::Timestamp;
use sea_orm::{ConnectionTrait, DatabaseTransaction};
use std::collections::BTreeSet;

/// The most tries of a step that fails because another node has changed the objects that it was staged from.
const TRIES: usize = 5;

/// The changes that an inventory made.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct Written {
    /// The number of objects in the inventory.
    pub objects: usize,
    /// The number of objects that were deleted.
    pub deleted: usize,
    /// The number of objects that are marked gone instead, because an event names them. Events that name a gone object
    /// match nothing.
    pub gone: usize,
}

/// A step that was not written.
enum Failed {
    /// An object is wrong.
    Wrong(FieldErrors),
    Store(store::Error),
}

impl From<store::Error> for Failed {
    fn from(error: store::Error) -> Self {
        Self::Store(error)
    }
}

impl Services {
    /// Writes the objects of a type. With `replaces`, the other objects of the type are removed. Nothing is written if one
    /// object is wrong.
    ///
    /// Writes in steps, each in its own transaction: a sender that was interrupted submits the same inventory again.
    /// The steps do not take the lock of changes (`Store::begin_change`), since an inventory may take long and must not
    /// delay deliveries.
    pub async fn write_inventory(
        &self,
        type_id: &str,
        objects: &[ObjectReference],
        replaces: bool,
    ) -> Result<Written, AppError> {
        let db = self.store.read();
        check_type(&find_type(db, type_id).await?)?;
        check_all(db, type_id, objects).await?;
        let mut retained = BTreeSet::new();
        let (mut left, mut steps) = (objects, Steps::new());
        while !left.is_empty()
            && let Some(size) = steps.next().await
        {
            let (part, rest) = left.split_at(usize::try_from(size).unwrap_or(1).min(left.len()));
            let ids = self.write_part(type_id, part, &mut steps).await?;
            if replaces {
                retained.extend(ids);
            }
            left = rest;
        }
        let removed = if replaces { self.remove_others(type_id, &retained).await? } else { Removed::default() };
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
                Ok(ids) => {
                    steps.go_on();
                    self.commit(txn).await?;
                    return Ok(ids);
                }
                Err(Failed::Wrong(errors)) => return Err(errors.into()),
                Err(Failed::Store(error)) if error.is_passing() && tried < TRIES => {}
                Err(Failed::Store(error)) => return Err(error.into()),
            }
        }
    }

    /// Removes the objects of a type except these.
    async fn remove_others(&self, type_id: &str, retained: &BTreeSet<ObjectId>) -> Result<Removed, AppError> {
        let mut others = object::list_others(self.store.read(), type_id, retained).await?;
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

/// Fails when one of the objects is wrong, with the errors of all of them.
async fn check_all(db: &impl ConnectionTrait, type_id: &str, objects: &[ObjectReference]) -> Result<(), AppError> {
    // Only those that the references may mean: the type may have hundreds of thousands.
    let mut stored = Objects::load_inventory(db, type_id, objects).await?;
    let mut errors = FieldErrors::default();
    for (index, reference) in objects.iter().enumerate() {
        if let Err(wrong) = stored.resolve(type_id, reference, true, &format!("[{index}].")) {
            errors.append(wrong);
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(errors.into()) }
}

async fn write_all(
    txn: &DatabaseTransaction,
    type_id: &str,
    objects: &[ObjectReference],
    now: Timestamp,
) -> Result<Vec<ObjectId>, Failed> {
    // The caller has found that the type has objects.
    let types = BTreeSet::from([type_id.to_owned()]);
    let mut stored = Objects::load(txn, objects.iter().map(|object| (type_id, object)), types, None).await?;
    let mut indexes = Vec::with_capacity(objects.len());
    for reference in objects {
        indexes.push(stored.resolve(type_id, reference, true, "").map_err(Failed::Wrong)?);
    }
    stored.write(txn, now).await?;
    Ok(indexes.into_iter().filter_map(|index| stored.id(index)).collect())
}
