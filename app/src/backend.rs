//! What the console asks of the server: one small trait per resource, implemented there, handed over by context.
//!
//! Callers have already checked the permission. Every method answers with words a person may read. `by` is the name of
//! the account that acts.

use crate::error::AppError;
use crate::view::dashboard::Dashboard;
use crate::view::delivery::{DeliveryDetail, DeliveryLine, DeliveryQuery, DeliveryRow};
use crate::view::event::{EventForm, EventMatches, EventRow};
use crate::view::inventory::{CategoryLine, ObjectLine, UnknownLine};
use crate::view::occurrence::Why;
use crate::view::run::RunLine;
use crate::view::task::{PreviewRequest, TaskDetail, TaskForm, TaskRow};
use crate::view::webhook::{
    ReleaseChoice, SavedWebhook, TestAnswer, TestRequest, WebhookDetail, WebhookForm, WebhookRow,
};
use crate::view::{Choice, FoundChoices, Listed};
use async_trait::async_trait;
use model::catalog::{Catalog, EventKindDraft, TypeDraft};
use model::event::EventDraft;
use model::id::{CategoryId, EventId, ObjectId, TagId, TaskId, WebhookId};
use model::object::ObjectDraft;
use model::preview::Preview;
use model::tag::{CategoryDraft, TagDraft};
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
    pub occurrences: Arc<dyn Occurrences>,
    pub inventory: Arc<dyn Inventory>,
    pub catalog: Arc<dyn Catalogue>,
}

/// Webhooks.
#[async_trait]
pub trait Webhooks: Send + Sync {
    /// All of them, by name.
    async fn list(&self) -> Result<Vec<WebhookRow>, AppError>;
    /// The form of one.
    async fn load_form(&self, id: WebhookId) -> Result<WebhookForm, AppError>;
    /// Creates or changes one.
    async fn save(&self, id: Option<WebhookId>, draft: WebhookDraft) -> Result<SavedWebhook, AppError>;
    /// Deletes them all, or none: refused with the list while tasks use one.
    async fn delete(&self, ids: Vec<WebhookId>) -> Result<(), AppError>;
    /// Holds everything that waits or comes for it.
    async fn pause(&self, id: WebhookId) -> Result<(), AppError>;
    /// One with its state, its tasks and its newest deliveries.
    async fn detail(&self, id: WebhookId) -> Result<WebhookDetail, AppError>;
    /// Seals the headers of one that are stored in clear and look like secrets, as seen at this revision.
    async fn seal_headers(&self, id: WebhookId, revision: i64) -> Result<(), AppError>;
    /// Sends a test message with the unsaved values, and answers the exact request and the whole answer. Secrets that
    /// were not typed are the stored ones, unless the target has changed.
    async fn send_test(&self, id: Option<WebhookId>, request: TestRequest) -> Result<TestAnswer, AppError>;
    /// Sends a test message through one as it is stored.
    async fn send_saved_test(&self, id: WebhookId, message: String) -> Result<TestAnswer, AppError>;
    /// Ends a pause, and lets go what was held as chosen.
    async fn resume(&self, id: WebhookId, choice: ReleaseChoice) -> Result<(), AppError>;
    /// Lets go, or gives up, what waits since the target has changed.
    async fn confirm_target(&self, id: WebhookId, revision: i64, choice: ReleaseChoice) -> Result<(), AppError>;
}

/// Tasks.
#[async_trait]
pub trait Tasks: Send + Sync {
    /// All of them, by name.
    async fn list(&self) -> Result<Vec<TaskRow>, AppError>;
    /// The form of one, or of a new one; with `webhook` chosen instead of the stored one.
    async fn load_form(&self, id: Option<TaskId>, webhook: Option<WebhookId>) -> Result<TaskForm, AppError>;
    /// The first webhooks whose name or id holds a text.
    async fn find_webhooks(&self, text: String) -> Result<FoundChoices, AppError>;
    /// The variables that the data of a past occurrence offers, each with its value.
    async fn variables(&self, occurrence: String) -> Result<Vec<Choice>, AppError>;
    /// Creates or changes one.
    async fn save(&self, id: Option<TaskId>, draft: TaskDraft) -> Result<TaskId, AppError>;
    /// Deletes them all, or none: refused with the list while events start one.
    async fn delete(&self, ids: Vec<TaskId>) -> Result<(), AppError>;
    /// Lets events start them, or not.
    async fn set_enabled(&self, ids: Vec<TaskId>, is_enabled: bool) -> Result<(), AppError>;
    /// One with its triggers and its newest runs.
    async fn detail(&self, id: TaskId) -> Result<TaskDetail, AppError>;
    /// Starts one by hand, also a disabled one. Answers its delivery's public id.
    async fn execute(&self, id: TaskId, by: String) -> Result<String, AppError>;
    /// What its message would look like, byte for byte.
    async fn preview(&self, request: PreviewRequest) -> Result<Preview, AppError>;
}

/// Events.
#[async_trait]
pub trait Events: Send + Sync {
    /// All of them, by type, event and task.
    async fn list(&self) -> Result<Vec<EventRow>, AppError>;
    /// The form of one, or of a new one; with `task` chosen instead of the stored one.
    async fn load_form(&self, id: Option<EventId>, task: Option<TaskId>) -> Result<EventForm, AppError>;
    /// The first tasks whose name or id holds a text.
    async fn find_tasks(&self, text: String) -> Result<FoundChoices, AppError>;
    /// Creates or changes one.
    async fn save(&self, id: Option<EventId>, draft: EventDraft) -> Result<EventId, AppError>;
    /// Deletes them all.
    async fn delete(&self, ids: Vec<EventId>) -> Result<(), AppError>;
    /// Lets them fire, or not.
    async fn set_enabled(&self, ids: Vec<EventId>, is_enabled: bool) -> Result<(), AppError>;
    /// The first objects of a type whose name or id holds a text.
    async fn find_objects(&self, type_id: String, text: String) -> Result<FoundChoices, AppError>;
    /// What an event as typed matches now, and would have fired for.
    async fn matches(&self, draft: EventDraft) -> Result<EventMatches, AppError>;
}

/// Deliveries.
#[async_trait]
pub trait Deliveries: Send + Sync {
    /// The newest, newest first; at most 100.
    async fn list_newest(&self) -> Result<Vec<DeliveryRow>, AppError>;
    /// A page of those that are asked for.
    async fn search(&self, query: DeliveryQuery) -> Result<Listed<DeliveryLine>, AppError>;
    /// One with its attempts.
    async fn detail(&self, uuid: String) -> Result<DeliveryDetail, AppError>;
    /// A page of the runs, newest first, by task name and status where those are given.
    async fn runs(&self, task: String, status: String, page: u64) -> Result<Listed<RunLine>, AppError>;
    /// What the Tasks Dashboard shows.
    async fn dashboard(&self) -> Result<Dashboard, AppError>;
    /// Sends one again, with the webhook of now or as it was. Answers the new delivery's public id.
    async fn replay(&self, uuid: String, as_it_was: bool, by: String) -> Result<String, AppError>;
    /// Gives one up that waits.
    async fn discard(&self, uuid: String, by: String) -> Result<(), AppError>;
}

/// Occurrences.
#[async_trait]
pub trait Occurrences: Send + Sync {
    /// What became of one, and why.
    async fn why(&self, uuid: String) -> Result<Why, AppError>;
}

/// Objects and tags.
#[async_trait]
pub trait Inventory: Send + Sync {
    /// All objects, by type and name; at most 10,000.
    async fn list_objects(&self) -> Result<Vec<ObjectLine>, AppError>;
    /// One object.
    async fn load_object(&self, id: ObjectId) -> Result<ObjectLine, AppError>;
    /// All categories with their tags, by name.
    async fn list_categories(&self) -> Result<Vec<CategoryLine>, AppError>;
    /// Creates or changes an object by hand.
    async fn save_object(&self, id: Option<ObjectId>, draft: ObjectDraft) -> Result<ObjectId, AppError>;
    /// Deletes objects, or none: refused with the list while events name one.
    async fn delete_objects(&self, ids: Vec<ObjectId>) -> Result<(), AppError>;
    /// Creates or changes a category.
    async fn save_category(&self, id: Option<CategoryId>, draft: CategoryDraft) -> Result<CategoryId, AppError>;
    /// Deletes a category with its tags: refused with the list while events name one of them.
    async fn delete_category(&self, id: CategoryId) -> Result<(), AppError>;
    /// Makes a tag.
    async fn add_tag(&self, draft: TagDraft) -> Result<TagId, AppError>;
    /// Deletes a tag: refused with the list while events name it.
    async fn delete_tag(&self, id: TagId) -> Result<(), AppError>;
}

/// Object types and what can happen to them.
#[async_trait]
pub trait Catalogue: Send + Sync {
    /// The built-in types and those of the admins.
    async fn load(&self) -> Result<Catalog, AppError>;
    /// What was reported and is not in it.
    async fn unknown(&self) -> Result<Vec<UnknownLine>, AppError>;
    /// Adds a type.
    async fn add_type(&self, draft: TypeDraft) -> Result<(), AppError>;
    /// Adds an event to a type.
    async fn add_event(&self, type_id: String, draft: EventKindDraft) -> Result<(), AppError>;
    /// Deletes a type of an admin: refused with the list while events name it.
    async fn delete_type(&self, type_id: String) -> Result<(), AppError>;
    /// Deletes an event of an admin: refused with the list while events name it.
    async fn delete_event(&self, type_id: String, event_id: String) -> Result<(), AppError>;
}
