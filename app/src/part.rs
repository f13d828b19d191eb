//! Components that pages share. The browser half contains only fields, icons and the comparison of versions.

pub(crate) mod field;
#[cfg(feature = "ssr")]
pub(crate) mod fragment;
#[cfg(feature = "ssr")]
pub(crate) mod frame;
#[cfg(feature = "ssr")]
pub(crate) mod hold;
pub(crate) mod icon;
#[cfg(feature = "ssr")]
pub(crate) mod menu;
#[cfg(feature = "ssr")]
pub(crate) mod notice;
#[cfg(feature = "ssr")]
pub(crate) mod question;
#[cfg(feature = "ssr")]
pub(crate) mod status;
#[cfg(feature = "ssr")]
pub(crate) mod table;
#[cfg(feature = "ssr")]
pub(crate) mod typed_field;
pub(crate) mod versions;
