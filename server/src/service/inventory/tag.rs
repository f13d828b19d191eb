//! Categories and tags: their lines, the errors of writing one, and the removal of a tag from its objects.

use crate::service::Services;
use crate::store::steps::Steps;
use crate::store::{self, event, tag};
use app::error::AppError;
use app::view::inventory::{CategoryLine, TagLine};
use model::field_error::FieldErrors;
use model::id::TagId;

impl Services {
    /// Returns all categories with their tags.
    pub(super) async fn category_lines(&self) -> Result<Vec<CategoryLine>, AppError> {
        let db = self.store.pages();
        let counts = tag::counts(db).await?;
        let tags = tag::list(db).await?;
        let tag_line = |tag: &tag::TagRow| TagLine {
            id: tag.id,
            name: tag.name.clone(),
            objects: counts.get(&tag.id).copied().unwrap_or_default(),
        };
        let line = |row: tag::CategoryRow| CategoryLine {
            id: row.id,
            tags: tags.iter().filter(|tag| tag.category_id == row.id).map(tag_line).collect(),
            name: row.category.name,
            description: row.category.description,
            is_single: row.category.is_single,
            type_ids: row.category.type_ids,
            revision: row.revision,
        };
        Ok(tag::list_categories(db).await?.into_iter().map(line).collect())
    }

    /// Removes tags from all objects, in steps: half a million may carry a tag, and deliveries wait for each step. Does
    /// nothing while an event names one of the tags: they cannot be deleted together.
    pub(super) async fn remove_from_objects(&self, ids: &[TagId]) -> Result<(), AppError> {
        for id in ids {
            let mut steps = Steps::new();
            while let Some(size) = steps.next().await {
                let txn = self.store.begin_change().await?;
                steps.begin();
                if !event::naming_tags(&txn, ids).await?.is_empty() {
                    return Ok(());
                }
                steps.end(tag::remove_from_objects(&txn, *id, size).await?);
                self.commit(txn).await?;
            }
        }
        Ok(())
    }
}

/// Returns the refusal of a category or a tag that the store did not write.
pub(super) fn refused(error: store::Error) -> AppError {
    match error {
        store::Error::Conflict { .. } => FieldErrors::one("name", "There is already one with this name.").into(),
        store::Error::InUse => FieldErrors::one("category", "This category does not exist any more.").into(),
        other => other.into(),
    }
}
