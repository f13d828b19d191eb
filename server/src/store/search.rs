//! Deliveries and runs as lists: filtered, sorted and paged by the database.
//!
//! Every value is a bound parameter; the columns to sort by come from a fixed table. A list by a condition that no
//! index finds looks at a part of the table only: see `window`.

use super::delivery::{LIST_COLUMNS, ListRow, list_rows};
use super::entity::{delivery, run};
use super::window::{self, Window};
use super::{Result, group};
use app::view::COUNTED;
use model::delivery::Status;
use model::id::{DestinationId, TaskId};
use model::number::{to_i64, to_u64};
use model::text::folded;
use model::time::Timestamp;
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbBackend, EntityTrait, Order, PaginatorTrait, QueryFilter, QueryOrder,
    QuerySelect, QueryTrait, Select, Statement,
    sea_query::{Expr, SimpleExpr},
};

/// A filter of deliveries. An absent condition permits every delivery; a name matches when it contains the text in any
/// case.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "each field is a column of the list")]
pub struct Filter {
    pub status: Option<Status>,
    pub since: Option<Timestamp>,
    pub destination_id: Option<DestinationId>,
    pub destination: Option<String>,
    pub task: Option<String>,
    pub event: Option<String>,
    pub object: Option<String>,
    pub error_code: Option<String>,
    pub status_code: Option<i64>,
    /// The [`Page::further`] of an earlier search, which this one continues.
    pub beyond: Option<i64>,
}

impl Filter {
    /// Returns true when no index finds the deliveries, or when they may be too many for the index that does.
    pub fn is_search(&self) -> bool {
        self.may_be_long() || self.looks_at_rows()
    }

    /// Returns true for a status whose index may be long: of what waits.
    fn may_be_long(&self) -> bool {
        matches!(self.status, Some(Status::Queued | Status::Held))
    }

    /// Returns true when a list is found and sorted by an index, so that it needs no place in the queue of searches.
    pub async fn is_quick(&self, db: &impl ConnectionTrait, by: Sort) -> Result<bool> {
        if by != Sort::Time || self.looks_at_rows() {
            return Ok(false);
        }
        Ok(!self.may_be_long() || self.is_short(db).await?)
    }

    /// Returns true when a condition is checked row by row.
    fn looks_at_rows(&self) -> bool {
        self.destination.is_some()
            || self.task.is_some()
            || self.object.is_some()
            || self.event.is_some()
            || self.error_code.is_some()
            || self.status_code.is_some()
            || matches!(self.status, Some(Status::Sent | Status::Discarded))
            // Both the index of the destination and that of failures may be long where few rows have both.
            || (self.destination_id.is_some() && self.status == Some(Status::Error))
    }

    /// Returns true when the index of the status finds few deliveries, so that all of them are read: what is under way,
    /// and up to [`COUNTED`] that are queued or held.
    async fn is_short(&self, db: &impl ConnectionTrait) -> Result<bool> {
        let Some(status) = self.status.filter(|status| !status.is_settled()) else { return Ok(false) };
        if !self.may_be_long() {
            return Ok(true);
        }
        let sql = format!("SELECT 1 AS n FROM delivery WHERE status = '{}' LIMIT 1 OFFSET $1", status.as_str());
        let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, [to_i64(COUNTED).into()]);
        Ok(db.query_one_raw(statement).await?.is_none())
    }
}

/// A filter of runs. An absent condition permits every run.
#[derive(Debug, Clone, Default)]
pub struct RunFilter {
    /// The task's id.
    pub task_id: Option<TaskId>,
    /// A text that the task's name contains, in any case.
    pub name: Option<String>,
    /// The word of a status.
    pub status: Option<String>,
    /// The [`Page::further`] of an earlier search, which this one continues.
    pub beyond: Option<i64>,
}

impl RunFilter {
    /// Returns true when no index finds the runs.
    pub fn is_search(&self) -> bool {
        self.name.is_some() || self.status.is_some()
    }
}

/// The rows of a list that a page shows.
#[derive(Debug, Clone, Copy)]
pub struct Part {
    /// The number of rows before them.
    pub offset: u64,
    /// The most rows.
    pub limit: u64,
}

/// A page of a list.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// The rows of the page.
    pub rows: Vec<T>,
    /// The number of rows in all, counted up to one more than [`COUNTED`].
    pub total: u64,
    /// The id from which the search continues. `None` if no rows are left to look at.
    pub further: Option<i64>,
}

/// The order of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sorting {
    /// The value that the rows are sorted by.
    pub by: Sort,
    /// The largest value is first.
    pub is_descending: bool,
}

/// A value that a list can be sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// The time at which the delivery was queued.
    Time,
    /// The number of attempts.
    Attempts,
    /// The duration of the last attempt.
    Duration,
}

/// Returns the condition that the name in `destination_name`, `task_name` or `object_name` contains a text in any case.
/// Neither database folds the case of letters beyond ASCII, so a folded name is stored beside each name that differs
/// from it.
fn contains(backend: DbBackend, which: &str, text: &str) -> SimpleExpr {
    group::holds(backend, &format!("COALESCE({which}_folded, {which}_name)"), folded(text))
}

/// Returns the condition that a row belongs to one thing, such as a destination, and has an id in a range: a range of
/// the index of both columns. For an equality PostgreSQL may walk through all rows to find a few.
fn belongs<C: ColumnTrait>((column, of): (C, i64), id: C, window: Window) -> Condition {
    use sea_orm::ExprTrait;
    let row = || Expr::tuple([Expr::col(column), Expr::col(id)]);
    let limit = |id: i64| Expr::tuple([Expr::val(of), Expr::val(id)]);
    Condition::all().add(row().gte(limit(window.low))).add(row().lte(limit(window.high)))
}

/// Returns the range of ids in which the deliveries of a filter are looked for, and the id from which the search
/// continues.
async fn window_of(db: &impl ConnectionTrait, filter: &Filter, sorting: Sorting) -> Result<Window> {
    let low = match filter.since {
        Some(since) => window::first_since(db, since).await?,
        None => i64::MIN,
    };
    if !filter.is_search() && sorting.by == Sort::Time {
        return Ok(Window { low, ..Window::ALL });
    }
    let is_rising = sorting.by == Sort::Time && !sorting.is_descending;
    let order = if is_rising { Order::Asc } else { Order::Desc };
    let rows = |window: Window| {
        let window = Window { low: window.low.max(low), ..window };
        let rows = delivery::Entity::find();
        match filter.destination_id {
            Some(of) => rows
                .filter(belongs((delivery::Column::DestinationId, of.0), delivery::Column::Id, window))
                .order_by(delivery::Column::DestinationId, order.clone()),
            None => rows.filter(delivery::Column::Id.between(window.low, window.high)),
        }
    };
    let window = window::find(db, rows, delivery::Column::Id, is_rising, filter.beyond).await?;
    Ok(Window { low: window.low.max(low), ..window })
}

/// The index by which the deliveries of a filter are read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    /// That of a status which few deliveries have.
    Status,
    /// That of the times of all that waits, where many have the status.
    Waiting,
    /// That of the destination.
    Destination,
    /// That of the ids.
    Id,
}

impl By {
    /// Returns true for an index that has few of all deliveries.
    fn is_of_waiting(self) -> bool {
        matches!(self, Self::Status | Self::Waiting)
    }
}

/// Returns the condition that a delivery is in a window and, unless it is read by its status, goes to the destination of
/// the filter.
fn in_window(filter: &Filter, by: By, window: Window) -> Condition {
    use delivery::Column;
    match filter.destination_id.filter(|_| !by.is_of_waiting()) {
        Some(of) if by == By::Destination => belongs((Column::DestinationId, of.0), Column::Id, window),
        of => Condition::all()
            // The limits are one range: of two lower limits SQLite would use either.
            .add_option((window != Window::ALL).then(|| Column::Id.between(window.low, window.high)))
            .add_option(of.map(|of| Column::DestinationId.eq(of.0))),
    }
}

/// The condition of the index of the times of what waits.
const WAITS: &str = "COALESCE(settled_at, 0) = 0 AND status <> 'running'";

fn filtered(backend: DbBackend, filter: &Filter, by: By, window: Window) -> Select<delivery::Entity> {
    use delivery::Column;
    let in_window = in_window(filter, by, window);
    let text = |column: &str, wanted: &Option<String>| wanted.as_deref().map(|text| contains(backend, column, text));
    let all = Condition::all()
        // An empty condition would be written as `TRUE`.
        .add_option((!in_window.is_empty()).then_some(in_window))
        // The status is part of the SQL text, so that the index of one status is used.
        .add_option(filter.status.map(|status| Expr::cust(format!("status = '{}'", status.as_str()))))
        .add_option((by == By::Waiting).then(|| Expr::cust(WAITS)))
        // `+` keeps the query from reading all deliveries of the destination: the index of what waits is read.
        .add_option(filter.destination_id.filter(|_| by.is_of_waiting()).map(|of| {
            let parameter = group::first_parameter(backend);
            Expr::cust_with_values(format!("+destination_id = {parameter}"), [of.0])
        }))
        .add_option(filter.since.map(|since| Column::CreatedAt.gte(since.0)))
        .add_option(filter.status_code.map(|status| Column::StatusCode.eq(status)))
        .add_option(filter.error_code.as_deref().map(|code| Column::ErrorCode.eq(code)))
        .add_option(text("destination", &filter.destination))
        .add_option(text("task", &filter.task))
        .add_option(text("object", &filter.object))
        .add_option(filter.event.as_deref().map(|kind| {
            let (type_id, event_id) = kind.rsplit_once('.').unwrap_or((kind, ""));
            let of_type = Condition::all().add(Column::TypeId.eq(type_id));
            if event_id.is_empty() { of_type } else { of_type.add(Column::EventId.eq(event_id)) }
        }));
    delivery::Entity::find().filter(all)
}

/// Returns the number of rows that a query finds, counted up to one more than [`COUNTED`]. Runs no query where the page
/// shows the last row.
pub(super) async fn count<E>(
    db: &impl ConnectionTrait,
    query: Select<E>,
    id: E::Column,
    part: Part,
    shown: usize,
) -> Result<u64>
where
    E: EntityTrait,
    E::Model: Send + Sync,
{
    let shown = to_u64(shown);
    if shown < part.limit && (shown > 0 || part.offset == 0) {
        return Ok(part.offset + shown);
    }
    Ok(query.select_only().column(id).limit(COUNTED + 1).count(db).await?)
}

/// Returns a page of deliveries. A list in any order other than by time is a search. Of few waiting deliveries, only the
/// newest [`COUNTED`] are sorted in such an order. More of them are searched.
pub async fn deliveries(
    db: &impl ConnectionTrait,
    filter: &Filter,
    sorting: Sorting,
    part: Part,
) -> Result<Page<ListRow>> {
    use delivery::Column;
    let part = Part { offset: part.offset.min(COUNTED), ..part };
    let order = if sorting.is_descending { Order::Desc } else { Order::Asc };
    let by = if filter.is_short(db).await? {
        By::Status
    } else if filter.may_be_long() && !filter.looks_at_rows() && sorting.by == Sort::Time {
        By::Waiting
    } else if filter.destination_id.is_some() && !filter.is_search() && sorting.by == Sort::Time {
        By::Destination
    } else {
        By::Id
    };
    let by_time = |query: Select<delivery::Entity>, order: Order| match by {
        // `+` keeps the query from reading all deliveries by id, so that the index of a status is read and sorted.
        By::Status => query.order_by(Expr::cust("+id"), order),
        By::Waiting => query.order_by(Column::CreatedAt, order.clone()).order_by(Column::Id, order),
        // The order of the index.
        By::Destination => query.order_by(Column::DestinationId, order.clone()).order_by(Column::Id, order),
        By::Id => query.order_by(Column::Id, order),
    };
    let window = if by.is_of_waiting() { Window::ALL } else { window_of(db, filter, sorting).await? };
    let found = filtered(db.get_database_backend(), filter, by, window);
    let sorted = || {
        if by != By::Status {
            return found.clone();
        }
        let newest = by_time(found.clone(), Order::Desc).select_only().column(Column::Id).columns(LIST_COLUMNS);
        let mut query = delivery::Entity::find();
        // The subquery has the name of the table, since the columns of the list use it.
        QuerySelect::query(&mut query).from_clear().from_subquery(newest.limit(COUNTED).into_query(), delivery::Entity);
        query
    };
    let query = match sorting.by {
        Sort::Time => by_time(found.clone(), order),
        Sort::Attempts => sorted().order_by(Column::Attempts, order).order_by_desc(Column::Id),
        // Deliveries without an attempt come last in both directions.
        Sort::Duration => sorted()
            .order_by_asc(Expr::cust("CASE WHEN duration_ms IS NULL THEN 1 ELSE 0 END"))
            .order_by(Column::DurationMs, order)
            .order_by_desc(Column::Id),
    };
    let query = list_rows(query).offset(part.offset).limit(part.limit);
    let rows: Vec<ListRow> = query.into_model().all(db).await?;
    let total = if by == By::Waiting && filter.destination_id.is_none() && filter.since.is_none() {
        // More than these have the status: it is not short.
        COUNTED + 1
    } else {
        count(db, found, Column::Id, part, rows.len()).await?
    };
    Ok(Page { rows, total, further: window.further })
}

/// Returns a page of runs, newest first.
pub async fn runs(db: &impl ConnectionTrait, filter: &RunFilter, part: Part) -> Result<Page<super::run::Row>> {
    let name = filter.name.as_deref().map(|name| contains(db.get_database_backend(), "task", name));
    let is_by_task = filter.task_id.is_some() && !filter.is_search();
    let mut indexed = run::Entity::find();
    let mut further = None;
    if filter.is_search() {
        let rows = |window: Window| match filter.task_id {
            Some(task) => run::Entity::find()
                .filter(belongs((run::Column::TaskId, task.0), run::Column::Id, window))
                .order_by_desc(run::Column::TaskId),
            None => run::Entity::find().filter(run::Column::Id.between(window.low, window.high)),
        };
        let window = window::find(db, rows, run::Column::Id, false, filter.beyond).await?;
        // An equality is enough here: the window limits the runs that are read.
        let task = filter.task_id.map(|task| run::Column::TaskId.eq(task.0));
        let searched = Condition::all().add(run::Column::Id.between(window.low, window.high)).add_option(task);
        indexed = indexed.filter(searched);
        further = window.further;
    } else if let Some(id) = filter.task_id {
        indexed = indexed.filter(belongs((run::Column::TaskId, id.0), run::Column::Id, Window::ALL));
    }
    let all = Condition::all()
        .add_option(filter.status.as_deref().map(|status| run::Column::Status.eq(status)))
        .add_option(name);
    let query = indexed.filter(all);
    let part = Part { offset: part.offset.min(COUNTED), ..part };
    let mut page = query.clone();
    if is_by_task {
        page = page.order_by_desc(run::Column::TaskId);
    }
    let page = page.order_by_desc(run::Column::Id).offset(part.offset).limit(part.limit);
    let rows: Vec<_> = page.all(db).await?.into_iter().map(super::run::Row::from).collect();
    let total = count(db, query, run::Column::Id, part, rows.len()).await?;
    Ok(Page { rows, total, further })
}
