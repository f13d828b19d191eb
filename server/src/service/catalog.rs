//! Use cases of the catalogue: the types and events that administrators add.

use super::{Services, event};
use crate::store::{self, catalog};
use app::backend::Catalogue;
use app::error::{AppError, Code};
use app::view::inventory::UnknownLine;
use async_trait::async_trait;
use model::catalog::{Catalog, EventKindDraft, TypeDraft, is_built_in, is_built_in_event};
use model::field_error::FieldErrors;

fn refused(error: store::Error) -> AppError {
    match error {
        store::Error::Conflict { .. } => FieldErrors::one("id", "There is already one with this id.").into(),
        other => other.into(),
    }
}

fn built_in() -> AppError {
    AppError::new(Code::Conflict, "This is built in and stays.")
}

#[async_trait]
impl Catalogue for Services {
    async fn load(&self) -> Result<Catalog, AppError> {
        catalog::load(self.store.pages()).await.map_err(AppError::from)
    }

    async fn unknown(&self) -> Result<Vec<UnknownLine>, AppError> {
        let db = self.store.pages();
        let known = catalog::load(db).await?;
        let line = |kind: catalog::UnknownKind| UnknownLine {
            is_type_known: known.find(&kind.type_id).is_some(),
            type_id: kind.type_id,
            event_id: kind.event_id,
            seen: kind.seen,
            last: self.when(kind.last_at),
        };
        Ok(catalog::list_unknown(db).await?.into_iter().map(line).collect())
    }

    async fn add_type(&self, draft: TypeDraft) -> Result<(), AppError> {
        let checked = draft.parse()?;
        let txn = self.store.begin_change().await?;
        catalog::insert_type(&txn, &checked, self.clock.now()).await.map_err(refused)?;
        self.commit(txn).await
    }

    async fn add_event(&self, type_id: String, draft: EventKindDraft) -> Result<(), AppError> {
        let checked = draft.parse(&type_id)?;
        let txn = self.store.begin_change().await?;
        if catalog::load(&txn).await?.find(&type_id).is_none() {
            return Err(AppError::not_found("object type"));
        }
        catalog::insert_event(&txn, &type_id, &checked, self.clock.now()).await.map_err(refused)?;
        self.commit(txn).await
    }

    async fn delete_type(&self, type_id: String) -> Result<(), AppError> {
        if is_built_in(&type_id) {
            return Err(built_in());
        }
        let txn = self.store.begin_change().await?;
        let named_by = catalog::named_by(&txn, &type_id, None).await?;
        let links = event::links(&txn, named_by).await?;
        if !links.is_empty() {
            return Err(AppError::in_use(&format!("The type {type_id}"), links));
        }
        if !catalog::delete_type(&txn, &type_id, self.clock.now()).await? {
            return Err(AppError::not_found("object type"));
        }
        self.commit(txn).await
    }

    async fn delete_event(&self, type_id: String, event_id: String) -> Result<(), AppError> {
        if is_built_in_event(&type_id, &event_id) {
            return Err(built_in());
        }
        let txn = self.store.begin_change().await?;
        let named_by = catalog::named_by(&txn, &type_id, Some(&event_id)).await?;
        let links = event::links(&txn, named_by).await?;
        if !links.is_empty() {
            return Err(AppError::in_use(&format!("The event {type_id}.{event_id}"), links));
        }
        if !catalog::delete_event(&txn, &type_id, &event_id, self.clock.now()).await? {
            return Err(AppError::not_found("event"));
        }
        self.commit(txn).await
    }
}
