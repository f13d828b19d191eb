//! Use cases of objects and tags: whole inventories through the API, single objects and tags by hand.
//!
//! Accounts and webhooks are objects, too. Only the console itself writes these objects.

mod import;
mod list;
mod object;
mod tag;

use super::conflict::stale;
use super::{Services, event, revision};
use crate::store;
use app::backend::Inventory;
use app::error::AppError;
use app::view::inventory::{CategoryLine, ObjectLine, ObjectList, ObjectQuery};
use async_trait::async_trait;
use model::catalog::is_internal;
use model::id::{CategoryId, ObjectId, TagId};
use model::object::{ObjectDraft, StoredObject};
use model::tag::{CategoryDraft, TagDraft};
use model::text::shown;
use object::{check_tags, check_type, check_unchanged, find_type, write_object};
use tag::refused;

#[async_trait]
impl Inventory for Services {
    async fn list_objects(&self, query: ObjectQuery) -> Result<ObjectList, AppError> {
        self.object_list(&query).await
    }

    async fn load_object(&self, id: ObjectId) -> Result<ObjectLine, AppError> {
        let row = store::object::find(self.store.pages(), id).await?;
        let row = row.ok_or_else(|| AppError::not_found("object"))?;
        let lines = self.object_lines(vec![row]).await?;
        lines.into_iter().next().ok_or_else(|| AppError::not_found("object"))
    }

    async fn list_categories(&self) -> Result<Vec<CategoryLine>, AppError> {
        self.category_lines().await
    }

    async fn save_object(&self, id: Option<ObjectId>, draft: ObjectDraft) -> Result<ObjectId, AppError> {
        let txn = self.store.begin_change().await?;
        let before = match id {
            None => None,
            Some(id) => {
                let row = store::object::find(&txn, id).await?;
                Some(row.ok_or_else(|| AppError::not_found("object"))?)
            }
        };
        let stored =
            before.as_ref().map(|row| StoredObject { name: &row.name, external_id: row.external_id.as_deref() });
        let checked = draft.parse(stored)?;
        // An object never changes its type: events that name it are about that type.
        let type_id = before.as_ref().map_or_else(|| draft.type_id.clone(), |row| row.type_id.clone());
        let object_type = find_type(&txn, &type_id).await?;
        // People change only the tags of the console's own objects.
        let own = id.filter(|_| is_internal(&type_id));
        if own.is_none() {
            check_type(&object_type)?;
        }
        if let Some(before) = &before {
            check_unchanged(&txn, before, &draft, &checked).await?;
        }
        check_tags(&txn, &object_type, &checked.tag_ids).await?;
        let id = match own {
            Some(id) => id,
            None => write_object(&txn, before.as_ref(), &type_id, &checked, self.clock.now()).await?,
        };
        store::tag::assign(&txn, &[(id, checked.tag_ids.as_slice())]).await?;
        self.commit(txn).await?;
        Ok(id)
    }

    async fn delete_objects(&self, ids: Vec<ObjectId>) -> Result<(), AppError> {
        let txn = self.store.begin_change().await?;
        for id in ids {
            let row = store::object::find(&txn, id).await?.ok_or_else(|| AppError::not_found("object"))?;
            // Any other object can be deleted, even when its type has no objects or is not in the catalogue.
            if is_internal(&row.type_id) {
                check_type(&find_type(&txn, &row.type_id).await?)?;
            }
            let links = event::links(&txn, store::event::naming_object(&txn, id).await?).await?;
            if !links.is_empty() {
                return Err(AppError::in_use(&format!("The object {}", shown(&row.name)), links));
            }
            store::object::delete(&txn, id).await?;
        }
        self.commit(txn).await
    }

    async fn save_category(&self, id: Option<CategoryId>, draft: CategoryDraft) -> Result<CategoryId, AppError> {
        let txn = self.store.begin_change().await?;
        let checked = draft.parse(&store::catalog::load(&txn).await?)?;
        let now = self.clock.now();
        let saved = match id {
            None => store::tag::insert_category(&txn, &checked, now).await.map_err(refused)?,
            Some(id) => {
                let opened_on = revision(&draft.revision)?;
                if !store::tag::update_category(&txn, id, opened_on, &checked, now).await.map_err(refused)? {
                    return Err(stale("category", &draft, &draft));
                }
                id
            }
        };
        self.commit(txn).await?;
        Ok(saved)
    }

    async fn delete_category(&self, id: CategoryId) -> Result<(), AppError> {
        self.remove_from_objects(&store::tag::ids_of(self.store.read(), id).await?).await?;
        let txn = self.store.begin_change().await?;
        let row = store::tag::find_category(&txn, id).await?.ok_or_else(|| AppError::not_found("category"))?;
        let ids = store::tag::ids_of(&txn, id).await?;
        let links = event::links(&txn, store::event::naming_tags(&txn, &ids).await?).await?;
        if !links.is_empty() {
            return Err(AppError::in_use(&format!("The category {}", row.category.name), links));
        }
        store::tag::delete_category(&txn, id).await?;
        self.commit(txn).await
    }

    async fn add_tag(&self, draft: TagDraft) -> Result<TagId, AppError> {
        let checked = draft.parse()?;
        let txn = self.store.begin_change().await?;
        let id = store::tag::insert(&txn, &checked, self.clock.now()).await.map_err(refused)?;
        self.commit(txn).await?;
        Ok(id)
    }

    async fn delete_tag(&self, id: TagId) -> Result<(), AppError> {
        self.remove_from_objects(&[id]).await?;
        let txn = self.store.begin_change().await?;
        let tags = store::tag::list(&txn).await?;
        let tag = tags.iter().find(|tag| tag.id == id).ok_or_else(|| AppError::not_found("tag"))?;
        let links = event::links(&txn, store::event::naming_tags(&txn, &[id]).await?).await?;
        if !links.is_empty() {
            return Err(AppError::in_use(&format!("The tag {}", tag.path()), links));
        }
        store::tag::delete(&txn, id).await?;
        self.commit(txn).await
    }
}
