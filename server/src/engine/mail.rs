//! The message of an e-mail: rendered, and built as the bytes that are sent.

use super::render::Message;
use crate::outbound::mail;
use crate::store::mailer;
use model::delivery::ErrorCode;
use model::email::{self, Email};
use model::message::Variables;
use model::time::Timestamp;
use uuid::Uuid;

/// Renders an e-mail, with real randomness for `${RANDOM}`. The whole message is built here, once, so that each attempt
/// sends the same bytes.
pub(super) fn message(
    email: &Email,
    mailer: &mailer::Row,
    variables: &Variables<'_>,
    uuid: Uuid,
    now: Timestamp,
) -> Message {
    let rendered = match email::render(email, variables, &mut rand::random::<u32>) {
        Ok(rendered) => rendered,
        Err(error) => return Message::failed(ErrorCode::TooLarge, error.to_string()),
    };
    let recipients = email.recipients();
    let notes = rendered.notes.clone();
    match mail::build(email, &rendered, &mailer.settings, uuid, now) {
        Ok(body) => Message { body, notes, recipients, failed: None },
        Err(error) => Message { notes, recipients, ..Message::failed(ErrorCode::Internal, error) },
    }
}
