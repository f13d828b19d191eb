//! Server functions about events.

use crate::error::AppError;
use crate::view::FoundChoices;
use leptos::prelude::*;
use leptos::server_fn::codec::Json;
use model::event::EventDraft;
use model::id::EventId;

/// Creates (`None`) or changes a event.
#[server(prefix = "/api", endpoint = "events/save", input = Json)]
pub async fn save_event(id: Option<EventId>, draft: EventDraft) -> Result<EventId, AppError> {
    use super::{authorised, with_status};
    with_status(async { authorised(model::access::Permission::Edit)?.events.save(id, draft).await }.await)
}

/// The first objects of a type whose name or id holds a text.
#[server(prefix = "/api", endpoint = "events/objects", input = Json)]
pub async fn find_objects(type_id: String, text: String) -> Result<FoundChoices, AppError> {
    use super::{authorised, with_status};
    with_status(async { authorised(model::access::Permission::View)?.events.find_objects(type_id, text).await }.await)
}

/// The first tasks whose name or id holds a text.
#[server(prefix = "/api", endpoint = "events/tasks", input = Json)]
pub async fn find_tasks(text: String) -> Result<FoundChoices, AppError> {
    use super::{authorised, with_status};
    with_status(async { authorised(model::access::Permission::View)?.events.find_tasks(text).await }.await)
}

/// What an event as typed matches now, and would have fired for, as HTML.
#[server(prefix = "/api", endpoint = "events/matches", input = Json)]
pub async fn load_matches(draft: EventDraft) -> Result<String, AppError> {
    use super::{authorised, with_status};
    let work = async {
        let backend = authorised(model::access::Permission::View)?;
        backend.events.matches(draft).await.map(crate::part::fragment::matches)
    };
    with_status(work.await)
}
