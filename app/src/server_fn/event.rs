//! Server functions about events.

use crate::error::AppError;
use crate::view::{EventForm, EventRow};
use leptos::prelude::*;
use leptos::server_fn::codec::Json;
use model::event::EventDraft;
use model::id::EventId;

/// The event list.
#[server(prefix = "/api", endpoint = "events/list", input = Json)]
pub async fn list_events() -> Result<Vec<EventRow>, AppError> {
    use super::{authorised, with_status};
    with_status(async { authorised(model::access::Permission::View)?.events.list().await }.await)
}

/// The form of one event, or of a new one.
#[server(prefix = "/api", endpoint = "events/form", input = Json)]
pub async fn load_event_form(id: Option<EventId>) -> Result<EventForm, AppError> {
    use super::{authorised, with_status};
    with_status(async { authorised(model::access::Permission::View)?.events.load_form(id).await }.await)
}

/// Creates (`None`) or changes a event.
#[server(prefix = "/api", endpoint = "events/save", input = Json)]
pub async fn save_event(id: Option<EventId>, draft: EventDraft) -> Result<EventId, AppError> {
    use super::{authorised, with_status};
    with_status(async { authorised(model::access::Permission::Edit)?.events.save(id, draft).await }.await)
}
