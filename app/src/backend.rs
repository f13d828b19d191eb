//! The use cases that the console calls: one small trait per resource. The server implements them and provides them by
//! context.
//!
//! Callers have already checked the permission. Every error message can be shown to a person. `by` is the name of the
//! account that acts.

use crate::error::AppError;
use crate::view::dashboard::Dashboard;
use crate::view::delivery::{DeliveryDetail, DeliveryLine, DeliveryQuery};
use crate::view::destination::{ReleaseChoice, Tested};
use crate::view::event::{EventForm, EventMatches, EventRow};
use crate::view::inventory::{CategoryLine, ObjectLine, ObjectList, ObjectQuery, UnknownLine};
use crate::view::mailer::{MailTest, MailerDetail, MailerForm, SavedMailer};
use crate::view::occurrence::Why;
use crate::view::run::{RunLine, RunQuery};
use crate::view::schedule::{ScheduleDetail, ScheduleForm, SchedulePreview, ScheduleRow, TriggerForm, ZoneForm};
use crate::view::task::{Previewed, TaskDetail, TaskForm, TaskRow};
use crate::view::webhook::{SavedWebhook, TestRequest, TestResult, WebhookDetail, WebhookForm, WebhookRow};
use crate::view::{Choice, FoundChoices, Listed};
use async_trait::async_trait;
use model::catalog::{Catalog, EventKindDraft, TypeDraft};
use model::event::EventDraft;
use model::id::{CategoryId, DestinationId, EventId, ObjectId, ScheduleId, TagId, TaskId, TriggerId, WebhookId};
use model::mailer::MailerDraft;
use model::object::ObjectDraft;
use model::schedule::{ScheduleDraft, TriggerDraft, ZoneDraft};
use model::tag::{CategoryDraft, TagDraft};
use model::task::TaskDraft;
use model::webhook::WebhookDraft;
use std::sync::Arc;

/// All use cases of the console.
#[derive(Clone)]
#[expect(missing_docs, reason = "each field is the trait of that name")]
pub struct Backend {
    pub webhooks: Arc<dyn Webhooks>,
    pub mailers: Arc<dyn Mailers>,
    pub tasks: Arc<dyn Tasks>,
    pub events: Arc<dyn Events>,
    pub schedules: Arc<dyn Schedules>,
    pub deliveries: Arc<dyn Deliveries>,
    pub occurrences: Arc<dyn Occurrences>,
    pub inventory: Arc<dyn Inventory>,
    pub catalog: Arc<dyn Catalogue>,
}

/// Webhooks.
#[async_trait]
pub trait Webhooks: Send + Sync {
    /// Returns all webhooks, by name.
    async fn list(&self) -> Result<Vec<WebhookRow>, AppError>;
    /// Returns the form of a webhook.
    async fn load_form(&self, id: WebhookId) -> Result<WebhookForm, AppError>;
    /// Creates (`None`) or changes a webhook.
    async fn save(&self, id: Option<WebhookId>, draft: WebhookDraft) -> Result<SavedWebhook, AppError>;
    /// Deletes all of these webhooks, or none: while tasks use one of them, fails with the list of those tasks.
    async fn delete(&self, ids: Vec<WebhookId>) -> Result<(), AppError>;
    /// Pauses a webhook: waiting and new deliveries are held.
    async fn pause(&self, id: WebhookId) -> Result<(), AppError>;
    /// Returns a webhook with its state, its tasks and its newest deliveries.
    async fn detail(&self, id: WebhookId) -> Result<WebhookDetail, AppError>;
    /// Seals the headers of a webhook that are stored in clear and look like secrets, as of this revision.
    async fn seal_headers(&self, id: WebhookId, revision: i64) -> Result<(), AppError>;
    /// Sends a test message with the unsaved values. Returns the exact request and the whole response. A secret that
    /// was not typed is the stored one, unless the target has changed.
    async fn send_test(&self, id: Option<WebhookId>, request: TestRequest) -> Result<TestResult, AppError>;
    /// Sends a test message through a stored webhook.
    async fn send_saved_test(&self, id: WebhookId, message: String) -> Result<TestResult, AppError>;
    /// Ends a pause, and releases or discards the held deliveries as chosen.
    async fn resume(&self, id: WebhookId, choice: ReleaseChoice) -> Result<(), AppError>;
    /// Confirms a changed target, and releases or discards the deliveries that were held for it as chosen.
    async fn confirm_target(&self, id: WebhookId, revision: i64, choice: ReleaseChoice) -> Result<(), AppError>;
}

/// The mailer, of which there is at most one. While there is none, everything except the form and saving fails.
#[async_trait]
pub trait Mailers: Send + Sync {
    /// Returns the form, with the stored settings if there are any.
    async fn load_form(&self) -> Result<MailerForm, AppError>;
    /// Creates or changes the mailer.
    async fn save(&self, draft: MailerDraft) -> Result<SavedMailer, AppError>;
    /// Returns the mailer with its state, its tasks and its newest deliveries; `None` if there is none.
    async fn detail(&self) -> Result<Option<MailerDetail>, AppError>;
    /// Sends a test message to an address, through the stored settings. Returns the dialogue.
    async fn send_test(&self, to: String) -> Result<MailTest, AppError>;
    /// Pauses the mailer: waiting and new deliveries are held.
    async fn pause(&self) -> Result<(), AppError>;
    /// Ends a pause, and releases or discards the held deliveries as chosen.
    async fn resume(&self, choice: ReleaseChoice) -> Result<(), AppError>;
    /// Confirms a changed server, and releases or discards the deliveries that were held for it as chosen.
    async fn confirm_target(&self, revision: i64, choice: ReleaseChoice) -> Result<(), AppError>;
}

/// Tasks.
#[async_trait]
pub trait Tasks: Send + Sync {
    /// Returns all tasks, by name.
    async fn list(&self) -> Result<Vec<TaskRow>, AppError>;
    /// Returns the form of a task, or of a new one. `object` is chosen instead of the stored object.
    async fn load_form(&self, id: Option<TaskId>, object: Option<DestinationId>) -> Result<TaskForm, AppError>;
    /// Returns the first webhooks whose name or id contains `text`.
    async fn find_webhooks(&self, text: String) -> Result<FoundChoices, AppError>;
    /// Returns the variables that the data of a past occurrence offers, each with its value.
    async fn variables(&self, occurrence: String) -> Result<Vec<Choice>, AppError>;
    /// Creates (`None`) or changes a task.
    async fn save(&self, id: Option<TaskId>, draft: TaskDraft) -> Result<TaskId, AppError>;
    /// Deletes all of these tasks, or none: while events start one of them, fails with the list of those events.
    async fn delete(&self, ids: Vec<TaskId>) -> Result<(), AppError>;
    /// Enables or disables tasks. Events do not start a disabled task.
    async fn set_enabled(&self, ids: Vec<TaskId>, is_enabled: bool) -> Result<(), AppError>;
    /// Returns a task with its triggers and its newest runs.
    async fn detail(&self, id: TaskId) -> Result<TaskDetail, AppError>;
    /// Starts a task by hand, even a disabled one. Returns the public id of its delivery.
    async fn execute(&self, id: TaskId, by: String) -> Result<String, AppError>;
    /// Returns the message of an unsaved task as it would be sent. `occurrence` is the public id of a past occurrence, or
    /// empty for a sample.
    async fn preview(&self, draft: TaskDraft, occurrence: String) -> Result<Previewed, AppError>;
    /// Sends the message of an unsaved task at once through its object, about a sample. An e-mail goes only to
    /// `recipient`.
    async fn test(&self, draft: TaskDraft, recipient: String) -> Result<Tested, AppError>;
}

/// Events.
#[async_trait]
pub trait Events: Send + Sync {
    /// Returns all events, by type, event and task.
    async fn list(&self) -> Result<Vec<EventRow>, AppError>;
    /// Returns the form of an event, or of a new one. `task` is chosen instead of the stored task.
    async fn load_form(&self, id: Option<EventId>, task: Option<TaskId>) -> Result<EventForm, AppError>;
    /// Returns the first tasks whose name or id contains `text`.
    async fn find_tasks(&self, text: String) -> Result<FoundChoices, AppError>;
    /// Creates (`None`) or changes an event.
    async fn save(&self, id: Option<EventId>, draft: EventDraft) -> Result<EventId, AppError>;
    /// Deletes all of these events.
    async fn delete(&self, ids: Vec<EventId>) -> Result<(), AppError>;
    /// Enables or disables events. A disabled event does not fire.
    async fn set_enabled(&self, ids: Vec<EventId>, is_enabled: bool) -> Result<(), AppError>;
    /// Returns the first objects of a type whose name or id contains `text`.
    async fn find_objects(&self, type_id: String, text: String) -> Result<FoundChoices, AppError>;
    /// Returns the objects that an unsaved event matches now, and the past occurrences that would have fired it.
    async fn matches(&self, draft: EventDraft) -> Result<EventMatches, AppError>;
}

/// Schedules, their triggers, and the time zone in which they run.
#[async_trait]
pub trait Schedules: Send + Sync {
    /// Returns all schedules, by name.
    async fn list(&self) -> Result<Vec<ScheduleRow>, AppError>;
    /// Returns the form of a schedule, or of a new one.
    async fn load_form(&self, id: Option<ScheduleId>) -> Result<ScheduleForm, AppError>;
    /// Creates (`None`) or changes a schedule. Fails, with the reason, when the schedule would never run.
    async fn save(&self, id: Option<ScheduleId>, draft: ScheduleDraft) -> Result<ScheduleId, AppError>;
    /// Returns the next five runs of an unsaved schedule. Fails when there are none: the error names the field to change.
    async fn preview(&self, draft: ScheduleDraft) -> Result<SchedulePreview, AppError>;
    /// Returns a schedule with its next runs and its triggers.
    async fn detail(&self, id: ScheduleId) -> Result<ScheduleDetail, AppError>;
    /// Deletes all of these schedules, or none: while one of them has triggers, fails with the list of their tasks.
    async fn delete(&self, ids: Vec<ScheduleId>) -> Result<(), AppError>;
    /// Enables or disables schedules. A disabled schedule starts nothing.
    async fn set_enabled(&self, ids: Vec<ScheduleId>, is_enabled: bool) -> Result<(), AppError>;
    /// Starts the enabled tasks of all enabled triggers once, even of a disabled schedule. Returns the number of these
    /// tasks. Fails when there are none.
    async fn trigger(&self, id: ScheduleId, by: String) -> Result<usize, AppError>;
    /// Returns the form of a new trigger. The schedule and the task are chosen in it, if they exist.
    async fn trigger_form(&self, schedule: Option<ScheduleId>, task: Option<TaskId>) -> Result<TriggerForm, AppError>;
    /// Adds a trigger. Fails when the schedule starts the task already.
    async fn add_trigger(&self, draft: TriggerDraft) -> Result<TriggerId, AppError>;
    /// Enables or disables a trigger. A disabled trigger starts nothing.
    async fn set_trigger_enabled(&self, id: TriggerId, is_enabled: bool) -> Result<(), AppError>;
    /// Deletes a trigger.
    async fn delete_trigger(&self, id: TriggerId) -> Result<(), AppError>;
    /// Returns the form of the time zone.
    async fn zone_form(&self) -> Result<ZoneForm, AppError>;
    /// Changes the time zone. Fails when there is none of this name.
    async fn set_zone(&self, draft: ZoneDraft) -> Result<(), AppError>;
}

/// Deliveries.
#[async_trait]
pub trait Deliveries: Send + Sync {
    /// Returns the newest deliveries, newest first; at most 100.
    async fn list_newest(&self) -> Result<Vec<DeliveryLine>, AppError>;
    /// Returns the deliveries that match the query, a page of them.
    async fn search(&self, query: DeliveryQuery) -> Result<Listed<DeliveryLine>, AppError>;
    /// Returns a delivery with its attempts.
    async fn detail(&self, uuid: String) -> Result<DeliveryDetail, AppError>;
    /// Returns the runs that match the query, a page of them, newest first.
    async fn runs(&self, query: RunQuery) -> Result<Listed<RunLine>, AppError>;
    /// Returns the content of the Tasks Dashboard.
    async fn dashboard(&self) -> Result<Dashboard, AppError>;
    /// Sends a delivery again, with the webhook's current settings or (`is_original`) as of its revision. Returns the
    /// public id of the new delivery.
    async fn replay(&self, uuid: String, is_original: bool, by: String) -> Result<String, AppError>;
    /// Discards a waiting delivery.
    async fn discard(&self, uuid: String, by: String) -> Result<(), AppError>;
}

/// Occurrences.
#[async_trait]
pub trait Occurrences: Send + Sync {
    /// Returns the effects of an occurrence, and the reason for each event that did not fire.
    async fn why(&self, uuid: String) -> Result<Why, AppError>;
}

/// Objects and tags.
#[async_trait]
pub trait Inventory: Send + Sync {
    /// Returns a page of the objects that match the query. Of more than 10,000 objects, only the first by type and name
    /// are sorted and counted.
    async fn list_objects(&self, query: ObjectQuery) -> Result<ObjectList, AppError>;
    /// Returns an object.
    async fn load_object(&self, id: ObjectId) -> Result<ObjectLine, AppError>;
    /// Returns all categories with their tags, by name.
    async fn list_categories(&self) -> Result<Vec<CategoryLine>, AppError>;
    /// Creates (`None`) or changes an object by hand.
    async fn save_object(&self, id: Option<ObjectId>, draft: ObjectDraft) -> Result<ObjectId, AppError>;
    /// Deletes all of these objects, or none: while events name one of them, fails with the list of those events.
    async fn delete_objects(&self, ids: Vec<ObjectId>) -> Result<(), AppError>;
    /// Creates (`None`) or changes a category.
    async fn save_category(&self, id: Option<CategoryId>, draft: CategoryDraft) -> Result<CategoryId, AppError>;
    /// Deletes a category with its tags. Fails with the list of events while they name one of its tags.
    async fn delete_category(&self, id: CategoryId) -> Result<(), AppError>;
    /// Creates a tag.
    async fn add_tag(&self, draft: TagDraft) -> Result<TagId, AppError>;
    /// Deletes a tag. Fails with the list of events while they name it.
    async fn delete_tag(&self, id: TagId) -> Result<(), AppError>;
}

/// Object types and their events.
#[async_trait]
pub trait Catalogue: Send + Sync {
    /// Returns the built-in types and those that administrators have added.
    async fn load(&self) -> Result<Catalog, AppError>;
    /// Returns the reported types and events that are not in the catalogue.
    async fn unknown(&self) -> Result<Vec<UnknownLine>, AppError>;
    /// Adds a type.
    async fn add_type(&self, draft: TypeDraft) -> Result<(), AppError>;
    /// Adds an event to a type.
    async fn add_event(&self, type_id: String, draft: EventKindDraft) -> Result<(), AppError>;
    /// Deletes a type that an administrator has added. Fails with the list of events while they name it.
    async fn delete_type(&self, type_id: String) -> Result<(), AppError>;
    /// Deletes an event that an administrator has added. Fails with the list of events while they name it.
    async fn delete_event(&self, type_id: String, event_id: String) -> Result<(), AppError>;
}
