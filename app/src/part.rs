//! Components that pages share.

pub(crate) mod alive;
pub(crate) mod data;
pub(crate) mod field;
pub(crate) mod form;
pub(crate) mod frame;
pub(crate) mod header_editor;
pub(crate) mod icon;
pub(crate) mod server_page;
pub(crate) mod theme;
