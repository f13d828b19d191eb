//! Tests of the server with its real parts: real databases, real sockets, and an injected clock.

#![expect(clippy::expect_used, clippy::panic, reason = "a failing test panics")]
#![expect(clippy::disallowed_methods, reason = "a test commits its own transactions")]

mod access;
mod answers;
mod away;
mod blocks;
mod breaker;
mod certificates;
mod cloud_events;
mod console;
mod crash;
mod delivery;
mod egress;
mod egress_proxy;
mod faulty_io;
mod form;
mod harness;
mod hold;
mod hostile;
mod inbox;
mod ingest;
mod inventory;
mod live;
mod mailer;
mod matching;
mod memory;
mod namespace;
mod node;
mod permission;
mod plan;
mod private;
mod process;
mod programs;
mod proxy;
mod race;
mod record;
mod refused;
mod reload;
mod replay;
mod requests;
mod retention;
mod rows;
mod schedule;
mod secret_headers;
mod small_disk;
mod smtp;
mod smtp_program;
mod states;
mod statistics;
mod stop;
mod store;
mod stranger;
mod task_form;
mod viewer;
mod wire;
