//! Categories and tags: their lines, and the errors of writing one.

use crate::service::Services;
use crate::store::{self, tag};
use app::error::AppError;
use app::view::inventory::{CategoryLine, TagLine};
use model::field_error::FieldErrors;

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
}

/// Returns the refusal of a category or a tag that the store did not write.
pub(super) fn refused(error: store::Error) -> AppError {
    match error {
        store::Error::Conflict { .. } => FieldErrors::one("name", "There is already one with this name.").into(),
        store::Error::InUse => FieldErrors::one("category", "This category does not exist any more.").into(),
        other => other.into(),
    }
}
