//! Use cases of deliveries.

use super::Services;
use crate::store::{catalog, delivery};
use app::backend::Deliveries;
use app::error::AppError;
use app::view::Listed;
use app::view::dashboard::Dashboard;
use app::view::delivery::{DeliveryDetail, DeliveryLine, DeliveryQuery, DeliveryRow};
use app::view::run::RunLine;
use async_trait::async_trait;
use model::delivery::Status;
use model::id::WebhookId;
use model::time::Timestamp;

/// How many the list shows.
const LIST_ROWS: u64 = 100;

#[async_trait]
impl Deliveries for Services {
    async fn list_newest(&self) -> Result<Vec<DeliveryRow>, AppError> {
        let db = self.store.pages();
        let rows = delivery::list_newest(db, None, LIST_ROWS).await?;
        let catalog = catalog::load(db).await?;
        let row = |row: delivery::ListRow| DeliveryRow {
            uuid: row.uuid.to_string(),
            status: Status::find(&row.status).unwrap_or(Status::Error),
            created: self.when(Timestamp(row.created_at)),
            webhook_id: WebhookId(row.webhook_id),
            webhook: row.webhook_name,
            task: row.task_name,
            event: catalog.event_label(&row.type_id, &row.event_id).to_owned(),
            object: model::text::shown(&row.object_name.unwrap_or_default()),
            attempts: u32::try_from(row.attempts).unwrap_or(u32::MAX),
            http_status: row.http_status.and_then(|status| u16::try_from(status).ok()),
            duration_ms: row.duration_ms.map(|ms| u32::try_from(ms).unwrap_or(u32::MAX)),
            // The first attempt is due at once: nobody waits for it by the clock.
            next: row.next_attempt_at.filter(|_| row.attempts > 0).map(|at| self.when(Timestamp(at))),
            error: row.error,
        };
        Ok(rows.into_iter().map(row).collect())
    }

    async fn search(&self, query: DeliveryQuery) -> Result<Listed<DeliveryLine>, AppError> {
        self.search_deliveries(query).await
    }

    async fn detail(&self, uuid: String) -> Result<DeliveryDetail, AppError> {
        self.delivery_detail(&uuid).await
    }

    async fn runs(&self, task: String, status: String, page: u64) -> Result<Listed<RunLine>, AppError> {
        self.list_runs(&task, &status, page).await
    }

    async fn dashboard(&self) -> Result<Dashboard, AppError> {
        self.load_dashboard().await
    }

    async fn replay(&self, uuid: String, as_it_was: bool, by: String) -> Result<String, AppError> {
        self.replay_delivery(&uuid, as_it_was, by).await
    }

    async fn discard(&self, uuid: String, by: String) -> Result<(), AppError> {
        self.discard_delivery(&uuid, &by).await
    }
}
