//! The console: pages made by the server, and islands that are hydrated in the browser.
//!
//! Names no database, HTTP client or runtime: what the server can do reaches it through the traits in [`backend`].
//! Exactly one of the features `ssr` and `hydrate` is on.

#![expect(unreachable_pub, reason = "the component macro emits public props")]
// Views are deeply nested types.
#![recursion_limit = "256"]

#[cfg(feature = "ssr")]
mod asked;
#[cfg(feature = "ssr")]
pub mod backend;
#[cfg(feature = "hydrate")]
pub mod browser;
pub mod error;
mod island;
mod json;
#[cfg(feature = "ssr")]
mod page;
mod part;
#[cfg(feature = "ssr")]
mod query;
#[cfg(feature = "ssr")]
mod routes;
pub mod server_fn;
pub mod session;
#[cfg(feature = "ssr")]
pub mod shell;
pub mod view;

#[cfg(feature = "ssr")]
pub use asked::Posted;
#[cfg(feature = "ssr")]
pub use routes::App;
