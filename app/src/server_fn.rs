//! Server functions: what the browser calls once WASM runs.
//!
//! Each is a public endpoint. It authorises, calls one method of the backend, and reports the status of an error;
//! nothing else. [`PERMISSIONS`] declares them all, and a test of the server fails on one that is missing.

#![expect(missing_docs, reason = "the macro makes a struct of the arguments, whose names say what they are")]

pub mod choice;
pub mod event;
pub mod task;
pub mod webhook;

use model::access::Permission;

/// Every server function's path and what it takes to call it.
pub const PERMISSIONS: &[(&str, Permission)] = &[
    ("/api/webhooks/save", Permission::Edit),
    ("/api/webhooks/test", Permission::Administer),
    ("/api/tasks/save", Permission::Edit),
    ("/api/tasks/preview", Permission::View),
    ("/api/tasks/test", Permission::Edit),
    ("/api/choices/find", Permission::View),
    ("/api/events/save", Permission::Edit),
    ("/api/events/matches", Permission::View),
];

/// Hands the backend over, for whoever may do this.
#[cfg(feature = "ssr")]
fn authorised(permission: Permission) -> Result<crate::backend::Backend, crate::error::AppError> {
    crate::session::require(permission)?;
    leptos::prelude::use_context::<crate::backend::Backend>().ok_or_else(|| {
        crate::error::AppError::new(crate::error::Code::Internal, "The console is not fully started. Try again.")
    })
}

/// Gives the answer the status of its error.
#[cfg(feature = "ssr")]
fn with_status<T>(result: Result<T, crate::error::AppError>) -> Result<T, crate::error::AppError> {
    if let (Err(error), Some(options)) = (&result, leptos::prelude::use_context::<leptos_axum::ResponseOptions>())
        && let Ok(status) = http::StatusCode::from_u16(error.code.http_status())
    {
        options.set_status(status);
    }
    result
}
