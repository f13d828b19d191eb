//! Runs of tasks: starting, ending and reading them.

use super::entity::{occurrence, run};
use super::rows::{self, Columns, INT, TEXT};
use super::{Result, delivery, group};
use model::id::{EventId, OccurrenceId, RunId, TaskId};
use model::run::{Cause, Status};
use model::time::Timestamp;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect,
    QueryTrait, Statement, Value,
};
use uuid::Uuid;

/// A new run of a task.
#[derive(Debug, Clone)]
pub struct NewRun {
    /// The task. `None` for a replay, which does not belong to the task any more.
    pub task_id: Option<TaskId>,
    /// The task's name, which the run retains.
    pub task_name: String,
    /// The cause of the run.
    pub cause: Cause,
    /// The events that started the task.
    pub event_ids: Vec<EventId>,
}

impl NewRun {
    /// Replaces the id of the occurrence, which is still a position from 1, by the real id at that position.
    pub(super) fn with_occurrence_at(mut self, ids: &[i64]) -> Self {
        if let Cause::Occurrence(Some(place)) = &mut self.cause {
            let index = usize::try_from(place.0 - 1).unwrap_or(usize::MAX);
            place.0 = ids.get(index).copied().unwrap_or_default();
        }
        self
    }
}

/// A run as stored.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields are those of `NewRun`")]
pub struct Row {
    pub id: RunId,
    /// The task, which may be deleted since. Ids of tasks are not used again.
    pub task_id: Option<TaskId>,
    pub task_name: String,
    /// `None` when the stored cause cannot be read.
    pub cause: Option<Cause>,
    pub event_ids: Vec<EventId>,
    /// `None` when the stored status cannot be read.
    pub status: Option<Status>,
    pub started_at: Timestamp,
    pub ended_at: Option<Timestamp>,
    /// The runs that a missed run stands for, as a sentence.
    pub note: Option<String>,
}

impl From<run::Model> for Row {
    fn from(row: run::Model) -> Self {
        Self {
            id: RunId(row.id),
            task_id: row.task_id.map(TaskId),
            task_name: row.task_name,
            cause: read_cause(&row.cause, row.caused_by, row.occurrence_id),
            event_ids: row.event_ids.split(',').filter_map(|id| id.parse().ok()).collect(),
            status: Status::find(&row.status),
            started_at: Timestamp(row.started_at),
            ended_at: row.ended_at.map(Timestamp),
            note: row.note,
        }
    }
}

/// Returns the columns of a cause: its word, the name of the person or the schedule, the occurrence.
fn cause_columns(cause: Cause) -> (&'static str, Option<String>, Option<i64>) {
    match cause {
        Cause::Occurrence(id) => ("occurrence", None, id.map(|id| id.0)),
        Cause::Schedule(name) => ("schedule", Some(name), None),
        Cause::Person(name) => ("person", Some(name), None),
        Cause::Replay(name) => ("replay", Some(name), None),
    }
}

fn read_cause(word: &str, name: Option<String>, occurrence_id: Option<i64>) -> Option<Cause> {
    match (word, name, occurrence_id) {
        ("occurrence", _, id) => Some(Cause::Occurrence(id.map(OccurrenceId))),
        ("schedule", Some(name), _) => Some(Cause::Schedule(name)),
        ("person", Some(name), _) => Some(Cause::Person(name)),
        ("replay", Some(name), _) => Some(Cause::Replay(name)),
        _ => None,
    }
}

/// The columns of a run, without its id.
pub(super) const COLUMNS: Columns<11> = [
    ("task_id", INT),
    ("task_name", TEXT),
    ("task_folded", TEXT),
    ("cause", TEXT),
    ("caused_by", TEXT),
    ("occurrence_id", INT),
    ("event_ids", TEXT),
    ("status", TEXT),
    ("started_at", INT),
    ("ended_at", INT),
    ("note", TEXT),
];

/// Stores missed runs. Each stands for all runs that its task has missed, as the note says.
pub async fn insert_missed(db: &impl ConnectionTrait, new: Vec<NewRun>, note: &str, now: Timestamp) -> Result<()> {
    let row = |new| columns(new, Status::Missed, (Some(now), Some(note)), now);
    rows::insert(db, "run", &COLUMNS, new.into_iter().map(row).collect(), "").await?;
    Ok(())
}

/// Returns the columns of a run that starts now.
pub(super) fn columns_of_new(new: NewRun, now: Timestamp) -> [Value; 11] {
    columns(new, Status::Running, (None, None), now)
}

fn columns(new: NewRun, status: Status, end: (Option<Timestamp>, Option<&str>), now: Timestamp) -> [Value; 11] {
    let (cause, caused_by, occurrence_id) = cause_columns(new.cause);
    let event_ids = new.event_ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    [
        new.task_id.map(|id| id.0).into(),
        new.task_name.as_str().into(),
        delivery::fold(&new.task_name).into(),
        cause.into(),
        caused_by.into(),
        occurrence_id.into(),
        event_ids.into(),
        status.as_str().into(),
        now.0.into(),
        end.0.map(|at| at.0).into(),
        end.1.map(str::to_owned).into(),
    ]
}

/// Returns the statement that ends the runs among these whose delivery is settled. `now` is the parameter of the
/// instant, and `which` the condition that names the runs.
pub(super) fn end_sql(now: &str, which: &str) -> String {
    format!(
        "UPDATE run SET ended_at = {now}, status = CASE WHEN EXISTS (SELECT 1 FROM delivery d WHERE d.id = run.id \
         AND d.status <> 'sent') THEN 'failed' ELSE 'succeeded' END WHERE {which} AND status = 'running' \
         AND NOT EXISTS (SELECT 1 FROM delivery d WHERE d.id = run.id AND d.settled_at IS NULL)"
    )
}

/// Ends the runs among these whose delivery is settled: as `succeeded` when it was sent, otherwise as `failed`.
/// Finishes the tasks that are deleted after running.
///
/// Takes lock 6 of 9; where it finishes a task, also lock 1 unless the caller holds it, and lock 7.
pub async fn end_settled(db: &impl ConnectionTrait, run_ids: &[RunId], now: Timestamp) -> Result<()> {
    if run_ids.is_empty() {
        return Ok(());
    }
    let is_postgres = db.get_database_backend() == DbBackend::Postgres;
    let sql = end_sql("$1", &group::id_in("id", "$2", is_postgres));
    let values = [now.0.into(), group::ids(run_ids.iter().map(|id| id.0), is_postgres)];
    db.execute_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, values)).await?;
    finish_tasks(db, run_ids, now).await
}

/// Finishes the tasks that are deleted after running, for the runs among these that have ended.
///
/// Takes lock 7 of 9; where there is such a task, lock 1 before, unless the caller holds it.
pub async fn finish_tasks(db: &impl ConnectionTrait, run_ids: &[RunId], now: Timestamp) -> Result<()> {
    #[derive(FromQueryResult)]
    struct Ended {
        task_id: i64,
        status: String,
        started_at: i64,
    }
    if run_ids.is_empty() {
        return Ok(());
    }
    let is_postgres = db.get_database_backend() == DbBackend::Postgres;
    let sql = format!(
        "SELECT t.id AS task_id, r.status, r.started_at FROM run r JOIN task t ON t.id = r.task_id \
         WHERE {} AND r.ended_at IS NOT NULL AND t.deletes_after_running AND t.claimed_at = r.started_at",
        group::id_in("r.id", "$1", is_postgres)
    );
    let values = [group::ids(run_ids.iter().map(|id| id.0), is_postgres)];
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, values);
    for row in Ended::find_by_statement(statement).all(db).await? {
        let has_succeeded = Status::find(&row.status) == Some(Status::Succeeded);
        super::task::finish_claimed(db, TaskId(row.task_id), Timestamp(row.started_at), has_succeeded, now).await?;
    }
    Ok(())
}

/// Returns the run with this id.
pub async fn find(db: &impl ConnectionTrait, id: RunId) -> Result<Option<Row>> {
    Ok(run::Entity::find_by_id(id.0).one(db).await?.map(Row::from))
}

/// Returns the runs that the occurrence with this public id started.
pub async fn list_started_by(db: &impl ConnectionTrait, occurrence: Uuid) -> Result<Vec<Row>> {
    let id = occurrence::Entity::find()
        .select_only()
        .column(occurrence::Column::Id)
        .filter(occurrence::Column::Uuid.eq(occurrence))
        .into_query();
    let query = run::Entity::find().filter(run::Column::OccurrenceId.in_subquery(id)).order_by_asc(run::Column::Id);
    Ok(query.all(db).await?.into_iter().map(Row::from).collect())
}
