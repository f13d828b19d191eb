//! Components that pages share.

pub(crate) mod data;
pub(crate) mod field;
pub(crate) mod form;
pub(crate) mod frame;
pub(crate) mod icon;
pub(crate) mod theme;
