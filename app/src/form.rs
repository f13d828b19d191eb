//! A form that was refused: how a plain post's draft and errors get back into the page.
//!
//! The POST handler of a form page puts [`Refused`] into the context and renders the page again with status 422. The
//! component reads it once; it travels in the page, so that hydration finds the same state.

use crate::error::AppError;
use leptos::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The draft as typed (without secrets), and why it was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct Refused<D> {
    /// What was typed.
    pub draft: D,
    /// What is wrong.
    pub error: AppError,
}

/// The refused draft this page is rendered for, if any. Call it once, at the top of the form's component.
pub fn use_refused<D>() -> Option<Refused<D>>
where
    D: Clone + Send + Sync + Serialize + DeserializeOwned + 'static,
{
    SharedValue::new(use_context::<Refused<D>>).into_inner()
}
