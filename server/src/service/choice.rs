//! The rows that a select offers.

use crate::store;
use app::error::AppError;
use app::view::{Choice, FoundChoices};

/// The most rows that a select offers at once. One more is asked for, so that a select knows of others.
pub(super) const OFFERED: usize = 50;

/// The rows of a select, by id and name.
pub(super) fn found(mut rows: Vec<(i64, String)>) -> FoundChoices {
    let has_more = rows.len() > OFFERED;
    rows.truncate(OFFERED);
    let choice = |(id, name): (i64, String)| Choice { value: id.to_string(), label: name };
    FoundChoices { choices: rows.into_iter().map(choice).collect(), has_more }
}

/// The id of the row that was typed by its name: without WASM a long list is a text field. Nothing where an id was typed,
/// or a name that nothing has: the draft's own check says so.
pub(super) async fn named(
    typed: &str,
    find: impl AsyncFnOnce(&str) -> store::Result<Option<i64>>,
) -> Result<Option<String>, AppError> {
    let typed = typed.trim();
    if typed.is_empty() || typed.parse::<i64>().is_ok() {
        return Ok(None);
    }
    Ok(find(typed).await?.map(|id| id.to_string()))
}
