//! Who is looking at the console.

#[cfg(feature = "ssr")]
use crate::error::{AppError, Code};
#[cfg(feature = "ssr")]
use model::access::Permission;
use model::access::Role;
use serde::{Deserialize, Serialize};

/// The person signed in. The server puts it into each request's extensions; the browser gets it with the page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Viewer {
    /// The account's id.
    pub id: i64,
    /// The account's name.
    pub name: String,
    /// What they may do.
    pub role: Role,
}

/// The person behind the current request, if anybody is signed in.
#[cfg(feature = "ssr")]
pub fn current_viewer() -> Option<Viewer> {
    leptos::prelude::use_context::<http::request::Parts>()?.extensions.get::<Viewer>().cloned()
}

/// The person behind the current request, if they may do this: the first line of every server function.
///
/// # Errors
/// `SignedOut` or `Forbidden`.
#[cfg(feature = "ssr")]
pub fn require(permission: Permission) -> Result<Viewer, AppError> {
    let viewer = current_viewer()
        .ok_or_else(|| AppError::new(Code::SignedOut, "You are signed out. Sign in again; nothing was saved."))?;
    if viewer.role.may(permission) { Ok(viewer) } else { Err(AppError::forbidden()) }
}
