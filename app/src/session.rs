//! The person who uses the console.

#[cfg(feature = "ssr")]
use crate::error::{AppError, Code};
#[cfg(feature = "ssr")]
use model::access::Permission;
use model::access::Role;
use serde::{Deserialize, Serialize};

/// The person signed in. The server puts the viewer into each request's extensions; the browser receives it with the
/// page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Viewer {
    /// The account's id.
    pub id: i64,
    /// The account's name.
    pub name: String,
    /// The account's role.
    pub role: Role,
}

/// Returns the person who makes the current request, or `None` when no person is signed in.
#[cfg(feature = "ssr")]
pub fn current_viewer() -> Option<Viewer> {
    leptos::prelude::use_context::<http::request::Parts>()?.extensions.get::<Viewer>().cloned()
}

/// Returns the person who makes the current request: the first line of every server function.
///
/// # Errors
/// `SignedOut` without a session, `Forbidden` without the permission.
#[cfg(feature = "ssr")]
pub fn require(permission: Permission) -> Result<Viewer, AppError> {
    let viewer = current_viewer()
        .ok_or_else(|| AppError::new(Code::SignedOut, "You are signed out. Sign in again; nothing was saved."))?;
    if viewer.role.may(permission) { Ok(viewer) } else { Err(AppError::forbidden()) }
}
