//! One HTTP exchange with a receiver: the guarded client, the request, the response, the failure in plain sentences.
//!
//! ```text
//! secrets::open    the webhook's secrets, for this attempt
//! client           a client that connects to permitted addresses only
//! request          method, URL, headers in their order, signature
//! send             the exchange: at most the webhook's timeout, the response capped
//! failure, tls     the library's errors as a code and a sentence
//! ```
//!
//! The dispatcher and *Send test* both send through here. This room knows neither of them: it takes a clock and a
//! webhook, and opens no transaction. Only [`client`] builds an HTTP client.

pub mod client;
mod failure;
pub mod request;
pub mod secrets;
pub mod send;
mod tls;
