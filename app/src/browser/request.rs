//! The one request of all server functions.

use crate::error::AppError;
use leptos::prelude::*;
use leptos::server_fn::error::{FromServerFnError, ServerFnErrorErr};
use send_wrapper::SendWrapper;
use std::future::Future;
use std::pin::Pin;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{Headers, RequestInit, Response};

/// A request that was sent. Returns the text of the response. The browser has one thread, so that the future need not
/// be sendable.
pub(crate) type Sent = SendWrapper<Pin<Box<dyn Future<Output = Result<String, AppError>>>>>;

/// Posts JSON to a path of the console.
///
/// # Errors
/// The error that the server has sent, or one that says that it could not be reached.
pub(crate) fn post(path: &str, json: &str) -> Sent {
    let sent = send(path, json);
    SendWrapper::new(Box::pin(async move {
        let (status, text) = receive(sent).await.map_err(|_| unreached())?;
        if status < 400 {
            return Ok(text);
        }
        // A proxy's own page is no JSON: 502, for example.
        Err(serde_json::from_str(&text).unwrap_or_else(|_| if status < 500 { unreadable() } else { unreached() }))
    }))
}

/// Returns the error for JSON that one of the two halves cannot read: most often the console was updated meanwhile.
pub(crate) fn unreadable() -> AppError {
    AppError::from_server_fn_error(ServerFnErrorErr::Deserialization(String::new()))
}

fn unreached() -> AppError {
    AppError::from_server_fn_error(ServerFnErrorErr::Request(String::new()))
}

fn send(path: &str, json: &str) -> Result<JsFuture, JsValue> {
    let headers = Headers::new()?;
    headers.set("Accept", "application/json")?;
    headers.set("Content-Type", "application/json")?;
    let request = RequestInit::new();
    request.set_method("POST");
    request.set_headers(&headers);
    request.set_body(&json.into());
    Ok(window().fetch_with_str_and_init(path, &request).into())
}

/// Returns the status and the text of the response.
async fn receive(sent: Result<JsFuture, JsValue>) -> Result<(u16, String), JsValue> {
    let response: Response = sent?.await?.dyn_into()?;
    let text = JsFuture::from(response.text()?).await?;
    Ok((response.status(), text.as_string().unwrap_or_default()))
}
