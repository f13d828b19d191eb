//! Authentication: passwords, sessions of people, keys of other systems. A leaf module, which knows nothing about
//! pages.

pub mod api_key;
pub mod password;
pub mod session;
