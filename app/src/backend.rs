//! What the console asks of the server: one small trait per resource, implemented there, handed over by context.
//!
//! Callers have already checked the permission. Every method answers with words a person may read.

use crate::error::AppError;
use crate::view::{DeliveryRow, EventForm, EventRow, TaskForm, TaskRow, WebhookForm, WebhookRow};
use async_trait::async_trait;
use model::event::EventDraft;
use model::id::{EventId, TaskId, WebhookId};
use model::task::TaskDraft;
use model::webhook::WebhookDraft;
use std::sync::Arc;

/// Everything the console can ask for.
#[derive(Clone)]
#[expect(missing_docs, reason = "each field is the trait of that name")]
pub struct Backend {
    pub webhooks: Arc<dyn Webhooks>,
    pub tasks: Arc<dyn Tasks>,
    pub events: Arc<dyn Events>,
    pub deliveries: Arc<dyn Deliveries>,
}

/// Webhooks.
#[async_trait]
pub trait Webhooks: Send + Sync {
    /// All of them, by name.
    async fn list(&self) -> Result<Vec<WebhookRow>, AppError>;
    /// The form of one.
    async fn load_form(&self, id: WebhookId) -> Result<WebhookForm, AppError>;
    /// Creates or changes one.
    async fn save(&self, id: Option<WebhookId>, draft: WebhookDraft) -> Result<WebhookId, AppError>;
}

/// Tasks.
#[async_trait]
pub trait Tasks: Send + Sync {
    /// All of them, by name.
    async fn list(&self) -> Result<Vec<TaskRow>, AppError>;
    /// The form of one, or of a new one.
    async fn load_form(&self, id: Option<TaskId>) -> Result<TaskForm, AppError>;
    /// Creates or changes one.
    async fn save(&self, id: Option<TaskId>, draft: TaskDraft) -> Result<TaskId, AppError>;
}

/// Events.
#[async_trait]
pub trait Events: Send + Sync {
    /// All of them, by type, event and task.
    async fn list(&self) -> Result<Vec<EventRow>, AppError>;
    /// The form of one, or of a new one.
    async fn load_form(&self, id: Option<EventId>) -> Result<EventForm, AppError>;
    /// Creates or changes one.
    async fn save(&self, id: Option<EventId>, draft: EventDraft) -> Result<EventId, AppError>;
}

/// Deliveries.
#[async_trait]
pub trait Deliveries: Send + Sync {
    /// The newest, newest first; at most 100.
    async fn list_newest(&self) -> Result<Vec<DeliveryRow>, AppError>;
}
