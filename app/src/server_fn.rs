//! Server functions: the endpoints that the browser calls once WASM runs.
//!
//! Each is a public endpoint. It authorises, calls one method of the backend, and sets the status of an error; it does
//! nothing else. [`PERMISSIONS`] declares them all. A test of the server fails when one is missing.

#![expect(missing_docs, reason = "the macro makes a struct of the arguments, whose names say what they are")]

pub mod choice;
pub mod event;
mod protocol;
pub mod schedule;
pub mod task;
pub mod webhook;

use model::access::Permission;

/// The path of every server function, and the permission to call it.
pub const PERMISSIONS: &[(&str, Permission)] = &[
    ("/api/webhooks/save", Permission::Edit),
    ("/api/webhooks/test", Permission::Administer),
    ("/api/tasks/save", Permission::Edit),
    ("/api/tasks/preview", Permission::View),
    ("/api/tasks/test", Permission::Edit),
    ("/api/choices/find", Permission::View),
    ("/api/events/save", Permission::Edit),
    ("/api/events/matches", Permission::View),
    ("/api/schedules/save", Permission::Edit),
    ("/api/schedules/preview", Permission::View),
];

/// Returns the backend if the viewer has this permission.
#[cfg(feature = "ssr")]
fn authorised(permission: Permission) -> Result<crate::backend::Backend, crate::error::AppError> {
    crate::session::require(permission)?;
    leptos::prelude::use_context::<crate::backend::Backend>().ok_or_else(|| {
        crate::error::AppError::new(crate::error::Code::Internal, "The console is not fully started. Try again.")
    })
}

/// Sets the status of the response when `result` is an error.
#[cfg(feature = "ssr")]
fn with_status<T>(result: Result<T, crate::error::AppError>) -> Result<T, crate::error::AppError> {
    if let (Err(error), Some(options)) = (&result, leptos::prelude::use_context::<leptos_axum::ResponseOptions>())
        && let Ok(status) = http::StatusCode::from_u16(error.code.http_status())
    {
        options.set_status(status);
    }
    result
}
