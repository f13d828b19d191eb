//! Pages of the mailer, the mail server that e-mails are sent through.

pub(crate) mod form;
pub(crate) mod show;
pub(crate) mod test;
