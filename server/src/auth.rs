//! Who is calling: passwords, sessions of people, keys of other systems. A leaf: it decides nothing about pages.

pub mod api_key;
pub mod password;
pub mod session;
