//! The types and rules of Hookwright.
//!
//! Everything here is pure: no I/O, no clock, no randomness, no web framework, no database. Time and entropy are
//! arguments. The same code runs in the browser, behind the forms and behind the APIs, so that each rule is written
//! once.
//!
//! A form or a request is a *draft*: strings as typed. `parse` is the only way from a draft to a checked value. It
//! fails with [`field_error::FieldErrors`], which name each wrong field and say what would be right.

pub mod access;
pub mod account;
pub mod breaker;
pub mod catalog;
pub mod cloud_event;
pub mod content_type;
pub mod delivery;
pub mod destination;
pub mod draft;
pub mod egress;
pub mod email;
pub mod event;
pub mod field_error;
pub mod header;
pub mod header_editor;
pub mod hold;
pub mod id;
pub mod mailer;
pub mod matching;
pub mod message;
pub mod number;
pub mod object;
pub mod occurrence;
pub mod preview;
pub mod retry;
pub mod run;
pub mod schedule;
pub mod signature;
pub mod source;
pub mod tag;
pub mod task;
pub mod text;
pub mod time;
pub mod url;
pub mod webhook;
