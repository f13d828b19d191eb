//! Server functions about schedules.

use crate::error::AppError;
use crate::server_fn::protocol::Json;
use leptos::prelude::*;
use model::id::ScheduleId;
use model::schedule::ScheduleDraft;

/// Creates (`None`) or changes a schedule.
#[server(prefix = "/api", endpoint = "schedules/save", protocol = Json)]
pub async fn save_schedule(id: Option<ScheduleId>, draft: ScheduleDraft) -> Result<ScheduleId, AppError> {
    use super::{authorised, with_status};
    with_status(async { authorised(model::access::Permission::Edit)?.schedules.save(id, draft).await }.await)
}

/// Returns an unsaved schedule in words with its next runs, or the reason why there are none, as HTML.
#[server(prefix = "/api", endpoint = "schedules/preview", protocol = Json)]
pub async fn preview_schedule(draft: ScheduleDraft) -> Result<String, AppError> {
    use super::{authorised, with_status};
    let work = async {
        let backend = authorised(model::access::Permission::View)?;
        match backend.schedules.preview(draft).await {
            Ok(preview) => Ok(crate::part::fragment::runs(preview)),
            Err(error) if !error.fields.is_empty() => Ok(crate::part::fragment::no_runs(error.fields)),
            Err(error) => Err(error),
        }
    };
    with_status(work.await)
}
