//! Server functions about deliveries.

use crate::error::AppError;
use crate::view::DeliveryRow;
use leptos::prelude::*;
use leptos::server_fn::codec::Json;

/// The newest deliveries.
#[server(prefix = "/api", endpoint = "deliveries/list", input = Json)]
pub async fn list_deliveries() -> Result<Vec<DeliveryRow>, AppError> {
    use super::{authorised, with_status};
    with_status(async { authorised(model::access::Permission::View)?.deliveries.list_newest().await }.await)
}
