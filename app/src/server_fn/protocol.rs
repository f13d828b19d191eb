//! The protocol of server functions: a `POST` of JSON with a JSON response.
//!
//! The library's own protocol compiles its request, response and their errors into the browser half once for each
//! function. Here all functions share one request, `browser::request`. It reads JSON from strings, as the
//! properties of islands are read: the browser half contains each deserializer once.

use crate::error::AppError;
use crate::json::JsonText;
use http::Method;
use leptos::server_fn::codec::Post;
use leptos::server_fn::{self, Http, Protocol};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::future::Future;

/// JSON by the library's protocol, which runs on the server.
type Library = Http<Post<JsonText>, Post<JsonText>>;

/// A `POST` of JSON with a JSON response.
pub struct Json;

impl<I, O, Client, Server> Protocol<I, O, Client, Server, AppError> for Json
where
    I: Serialize + DeserializeOwned + Send,
    O: Serialize + DeserializeOwned + Send,
    Client: server_fn::client::Client<AppError>,
    Server: server_fn::server::Server<AppError>,
{
    const METHOD: Method = Method::POST;

    async fn run_server<F, Fut>(request: Server::Request, server_fn: F) -> Result<Server::Response, AppError>
    where
        F: Fn(I) -> Fut + Send,
        Fut: Future<Output = Result<O, AppError>> + Send,
    {
        <Library as Protocol<I, O, Client, Server, AppError>>::run_server(request, server_fn).await
    }

    #[cfg(not(feature = "hydrate"))]
    async fn run_client(path: &str, input: I) -> Result<O, AppError> {
        <Library as Protocol<I, O, Client, Server, AppError>>::run_client(path, input).await
    }

    #[cfg(feature = "hydrate")]
    async fn run_client(path: &str, input: I) -> Result<O, AppError> {
        let unreadable = |_| crate::browser::request::unreadable();
        let sent = serde_json::to_string(&input).map_err(unreadable)?;
        let received = crate::browser::request::post(path, &sent).await?;
        serde_json::from_str(&received).map_err(unreadable)
    }
}
