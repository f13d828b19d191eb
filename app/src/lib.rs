//! The console: pages rendered by the server, and islands hydrated in the browser.
//!
//! The crate names no database, HTTP client or runtime. Pages reach the server's use cases through the traits in
//! [`backend`]. Exactly one of the features `ssr` and `hydrate` is on.

#![expect(unreachable_pub, reason = "the component macro emits public props")]
// The type of a deeply nested view exceeds the default limit.
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
pub mod query;
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
