//! A test of the message of an unsaved task, through its stored object.

use super::object_of;
use crate::service::Services;
use app::error::AppError;
use app::view::webhook::TestResult;
use model::field_error::FieldErrors;
use model::task::TaskDraft;

impl Services {
    pub(super) async fn test_message(&self, draft: TaskDraft, recipient: &str) -> Result<TestResult, AppError> {
        let _ = (object_of(self.store.pages(), &draft.parse()?).await, recipient);
        let id = draft.object.parse().map_err(|_| FieldErrors::one("object", "Choose a webhook."))?;
        self.test_as_saved(id, &draft.message).await
    }
}
