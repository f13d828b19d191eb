//! Mailer.
#![expect(missing_docs, reason = "stub")]
use serde::{Deserialize, Serialize};
use std::time::Duration;
pub const NAME: &str = "SMTP";
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Encryption { Starttls, Tls, None }
impl Encryption { pub fn as_str(self) -> &'static str { "" } pub fn find(_: &str) -> Option<Self> { None } }
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings { pub host: String, pub port: u16, pub encryption: Encryption, pub username: String, pub from_address: String, pub from_name: String, pub allows_insecure_tls: bool, pub timeout: Duration, pub retries: u32 }
impl Settings { pub fn is_moved_by(&self, _: &Self) -> bool { false } }
pub struct StoredMailer { pub settings: Settings, pub has_password: bool }
