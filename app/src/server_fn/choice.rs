//! The server function that finds rows for a select over a long table.

use crate::error::AppError;
use crate::server_fn::protocol::Json;
use crate::view::{ChoiceOf, FoundChoices};
use leptos::prelude::*;

/// Returns the first rows whose name or id contains `text`.
#[server(prefix = "/api", endpoint = "choices/find", protocol = Json)]
pub async fn find_choices(of: ChoiceOf, text: String) -> Result<FoundChoices, AppError> {
    use super::{authorised, with_status};
    let work = async {
        let backend = authorised(model::access::Permission::View)?;
        match of {
            ChoiceOf::Webhooks => backend.tasks.find_webhooks(text).await,
            ChoiceOf::Tasks => backend.events.find_tasks(text).await,
            ChoiceOf::Objects(type_id) => backend.events.find_objects(type_id, text).await,
        }
    };
    with_status(work.await)
}
