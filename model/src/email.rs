//! E-mails.
#![expect(missing_docs, reason = "stub")]
use crate::message::{Note, TooLarge, Variables};
use serde::{Deserialize, Serialize};
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mailbox { pub name: String, pub address: String }
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Email { pub from_address: String, pub from_name: String, pub to: Vec<Mailbox>, pub cc: Vec<Mailbox>, pub bcc: Vec<Mailbox>, pub subject: String, pub body: String }
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RecipientState { Pending, Accepted, Refused }
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipient { pub address: String, pub state: RecipientState, pub reply: String }
impl Recipient { #[must_use] pub fn again(&self) -> Self { Self { address: self.address.clone(), state: RecipientState::Pending, reply: String::new() } } }
pub struct RenderedEmail { pub from_name: String, pub subject: String, pub body: String, pub notes: Vec<Note> }
pub fn render(_: &Email, _: &Variables<'_>, _: &mut dyn FnMut() -> u32) -> Result<RenderedEmail, TooLarge> { unimplemented!() }
impl Email { pub fn recipients(&self) -> Vec<Recipient> { Vec::new() } }
pub fn list_text(_: &[Mailbox]) -> String { String::new() }
