//! The fields of the forms that end a hold, for all kinds of destinations.

use super::posted::{Command, Edit};
use app::error::{AppError, Code};
use app::view::destination::{Held, ReleaseChoice};

/// Returns the revision of the destination that the page showed.
pub(super) fn seen_revision(command: &Command<Edit>) -> Result<i64, AppError> {
    command.value("revision").parse().map_err(|_| AppError::new(Code::Malformed, "The form has lost its revision."))
}

/// Returns the choices of the form that ends a hold.
pub(super) fn release_choice(command: &Command<Edit>) -> Result<ReleaseChoice, AppError> {
    let held = match command.value("held").as_str() {
        "all" => Held::All,
        "newest" => Held::Newest,
        "none" => Held::None,
        _ => return Err(AppError::new(Code::Malformed, "Choose which of the held deliveries go on.")),
    };
    let per_second = match command.value("per_second").as_str() {
        "" => None,
        text => Some(text.parse().map_err(|_| AppError::new(Code::Malformed, "Choose how fast they go."))?),
    };
    Ok(ReleaseChoice { held, per_second })
}
