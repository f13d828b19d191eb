//! The part of a table that one search looks at.
//!
//! No index finds the deliveries whose object's name contains a text, and such an index would make each delivery slower
//! to write. A search that reads the table until it has found enough would read all of the history for a rare name. So
//! the first page of a search looks at the newest rows only, and says so. A person who wants more can continue from
//! there, in much larger steps.

use super::Result;
use app::view::{SEARCHED, SEARCHED_FURTHER};
use model::number::to_i64;
use model::time::Timestamp;
use sea_orm::{ConnectionTrait, EntityTrait, FromQueryResult, Order, QueryOrder, QuerySelect, Select, Statement};

/// The largest difference of the ids of two deliveries whose ids and times may be in different orders, since two nodes
/// made them.
const UNORDERED: i64 = 1000;

/// The ids that a search looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) low: i64,
    pub(super) high: i64,
    /// The first id beyond the window. `None` if it has all rows.
    pub(super) further: Option<i64>,
}

impl Window {
    /// All rows.
    pub(super) const ALL: Self = Self { low: i64::MIN, high: i64::MAX, further: None };
    /// No row.
    const NONE: Self = Self { low: i64::MAX, high: i64::MIN, further: None };
}

/// Returns the window of a search among the rows that `rows` returns for a range of ids: at most [`SEARCHED`] rows from
/// the first one in the order or, with `beyond`, at most [`SEARCHED_FURTHER`] rows from that id on. An index has to find
/// the rows in the order of their ids.
pub(super) async fn find<E: EntityTrait>(
    db: &impl ConnectionTrait,
    rows: impl Fn(Window) -> Select<E>,
    id: E::Column,
    is_rising: bool,
    beyond: Option<i64>,
) -> Result<Window> {
    let order = if is_rising { Order::Asc } else { Order::Desc };
    let first =
        |window: Window| rows(window).select_only().column(id).order_by(id, order.clone()).limit(1).into_tuple();
    let (start, size) = match beyond {
        Some(id) => (Some(id), SEARCHED_FURTHER),
        None => (first(Window::ALL).one(db).await?, SEARCHED),
    };
    let Some(start) = start else { return Ok(Window::NONE) };
    // The window is computed from the ids alone: counting the rows would take as long as the search.
    let step = to_i64(size) - 1;
    let (low, high) = if is_rising { (start, start.saturating_add(step)) } else { (start.saturating_sub(step), start) };
    let rest = if is_rising {
        Window { low: high.saturating_add(1), ..Window::ALL }
    } else {
        Window { high: low.saturating_sub(1), ..Window::ALL }
    };
    let further = first(rest).one(db).await?;
    Ok(Window { low, high, further })
}

/// Returns an id so low that every delivery since an instant has this or a higher one. This is a binary search, since a
/// later delivery has a higher id.
pub(super) async fn first_since(db: &impl ConnectionTrait, since: Timestamp) -> Result<i64> {
    #[derive(FromQueryResult)]
    struct First {
        low: i64,
    }
    let is_early =
        "(SELECT d.created_at FROM delivery d WHERE d.id >= low + (high - low) / 2 ORDER BY d.id LIMIT 1) < $1";
    let sql = format!(
        "WITH RECURSIVE span (low, high) AS (SELECT COALESCE((SELECT MIN(id) FROM delivery), 0), \
         COALESCE((SELECT MAX(id) FROM delivery), 0) + 1 UNION ALL \
         SELECT CASE WHEN {is_early} THEN low + (high - low) / 2 + 1 ELSE low END, \
         CASE WHEN {is_early} THEN high ELSE low + (high - low) / 2 END FROM span WHERE low < high) \
         SELECT low FROM span WHERE low >= high"
    );
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, [since.0.into()]);
    let first = First::find_by_statement(statement).one(db).await?.map_or(i64::MIN, |first| first.low);
    Ok(first.saturating_sub(UNORDERED))
}
