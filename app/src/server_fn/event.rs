//! Server functions about events.

use crate::error::AppError;
use crate::server_fn::protocol::Json;
use leptos::prelude::*;
use model::event::EventDraft;
use model::id::EventId;

/// Creates (`None`) or changes an event.
#[server(prefix = "/api", endpoint = "events/save", protocol = Json)]
pub async fn save_event(id: Option<EventId>, draft: EventDraft) -> Result<EventId, AppError> {
    use super::{authorised, with_status};
    with_status(async { authorised(model::access::Permission::Edit)?.events.save(id, draft).await }.await)
}

/// Returns the matches of an unsaved event, now and in the past, as HTML.
#[server(prefix = "/api", endpoint = "events/matches", protocol = Json)]
pub async fn load_matches(draft: EventDraft) -> Result<String, AppError> {
    use super::{authorised, with_status};
    let work = async {
        let backend = authorised(model::access::Permission::View)?;
        backend.events.matches(draft).await.map(crate::part::fragment::matches)
    };
    with_status(work.await)
}
