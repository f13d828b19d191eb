//! The pages that the server renders alone, for a browser that is already here.

use crate::error::AppError;
use crate::server_page::Page;
use leptos::prelude::*;
use leptos::server_fn::codec::Json;

/// The page at this address, `/webhooks?sort=-name`.
#[server(prefix = "/api", endpoint = "pages/load", input = Json)]
pub async fn load_page(address: String) -> Result<Page, AppError> {
    use super::{authorised, with_status};
    let work = async {
        let backend = authorised(model::access::Permission::View)?;
        let viewer = crate::session::require(model::access::Permission::View)?;
        let (path, query) = address.split_once('?').unwrap_or((&address, ""));
        let (path, query) = (path.to_owned(), query.to_owned());
        let typed = std::collections::BTreeMap::default();
        let request = crate::server_page::Request { path, query, viewer, backend, problem: None, typed, tested: None };
        Ok(crate::server_page::render(request).await)
    };
    with_status(work.await)
}
