//! Real parts for each test: a database of its own on either engine, a server on a free port, receivers of webhooks, a
//! mail server.

mod mail_server;
mod receiver;
mod server;
mod store;
mod wait;

pub(crate) use self::mail_server::{Act, MailServer, Offer, Script, Step, reply};
pub(crate) use self::receiver::{Gate, Switch, TestInbox};
pub(crate) use self::server::{PASSWORD, TestServer, client};
pub(crate) use self::store::{Database, TestStore, folder};
pub(crate) use self::wait::{begin_holding, eventually, pause, until_lock_is_awaited};
