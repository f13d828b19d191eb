//! One attempt to deliver a message: an HTTP exchange with a receiver, or a session with the mail server.
//!
//! ```text
//! secrets::open    opens the webhook's secrets for one attempt
//! request          builds URL, headers in their order, and signature
//! guard            resolves names, and passes on the addresses that the egress rules permit
//! proxy            the egress proxy, where one is configured
//! client           builds HTTP clients that connect through the guard
//! send             makes one attempt, by the kind of the destination, within its timeout
//! http             one HTTP exchange
//! smtp             one SMTP session
//! mail             builds the message of an e-mail
//! response         judges the status, reads headers and body up to their limits
//! failure, tls     turn errors of the libraries into a code and a sentence
//! ```
//!
//! The dispatcher and *Send test* both send through this module. The module imports neither: it takes a clock and a
//! destination, and opens no transaction. Only [`client`] builds an HTTP client.

pub mod client;
mod failure;
pub mod guard;
mod http;
pub mod mail;
pub mod proxy;
pub mod request;
mod response;
pub mod secrets;
pub mod send;
pub mod smtp;
mod tls;
