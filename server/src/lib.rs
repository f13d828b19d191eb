//! The server of Hookwright: the modules of the `hookwright` binary.
//!
//! ```text
//! http -> service -> outbound -> store      dispatch -> outbound, store
//!      -> intake  -> store                 auth, vault, clock: below the rest
//! ```
//!
//! Only [`store`] builds queries and knows that there are two databases. Only [`outbound::client`] builds an HTTP
//! client. Only [`vault`] sees a stored secret in clear.

pub mod auth;
pub mod background;
pub mod cli;
pub mod clock;
pub mod config;
pub mod dispatch;
pub mod engine;
pub mod fault;
pub mod file;
pub mod http;
pub mod inbox;
pub mod intake;
pub mod logging;
pub mod outbound;
pub mod retention;
pub mod schedule;
pub mod serve;
pub mod service;
pub mod store;
pub mod vault;
