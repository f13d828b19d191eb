//! The console: pages, components and server functions, rendered by the server and hydrated in the browser.
//!
//! Names no database, HTTP client or runtime: what the server can do reaches it through the traits in [`backend`].
//! Exactly one of the features `ssr` and `hydrate` is on.

#![expect(unreachable_pub, reason = "the component macro emits public props")]
// Views are deeply nested types.
#![recursion_limit = "256"]

#[cfg(feature = "ssr")]
pub mod backend;
pub mod error;
pub mod form;
mod page;
mod part;
#[cfg(feature = "ssr")]
pub mod report;
pub mod server_fn;
pub mod server_page;
pub mod session;
pub mod shell;
pub mod view;

pub use shell::{App, shell};
