//! The rows that the selects of the task form and the event form offer.

use crate::store;
use crate::store::choice::Named;
use app::error::AppError;
use app::view::{Choice, FoundChoices};

/// The most rows that a select offers. A query asks for one more, to know whether there are others.
pub(super) const OFFERED: usize = 50;

/// Returns the choices of a select.
pub(super) fn found(mut rows: Vec<Named>) -> FoundChoices {
    let has_more = rows.len() > OFFERED;
    rows.truncate(OFFERED);
    let choice = |row: Named| Choice { value: row.id.to_string(), label: row.name };
    FoundChoices { choices: rows.into_iter().map(choice).collect(), has_more }
}

/// Returns the id of the row whose name was typed. Without WASM a long list is a text field. Returns `None` if an id
/// was typed or no row has this name; the draft's own check then refuses the name.
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
