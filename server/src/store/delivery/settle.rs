//! Settling: the record of an attempt, and the next state of its delivery.

use super::recipients_json;
use crate::store::claim::Claimed;
use crate::store::entity::{attempt, delivery};
use crate::store::{Result, group};
use model::breaker::Ending;
use model::delivery::{Next, Outcome, Status};
use model::email::Recipient;
use model::number::millis;
use model::time::Timestamp;
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect, Statement, Value,
    sea_query::Expr,
};
use std::time::Duration;
use uuid::Uuid;

/// The result of one attempt.
#[derive(Debug, Clone)]
pub struct Attempted {
    /// The outcome, as far as it decides what follows.
    pub outcome: Outcome,
    /// The response's status, if a response arrived.
    pub status_code: Option<u16>,
    /// The error, as a sentence for the operator.
    pub error: Option<String>,
    /// The instant at which the attempt began.
    pub started_at: Timestamp,
    /// The duration of the whole attempt.
    pub duration: Duration,
    /// The time that connecting took, TLS included; `None` when a connection was reused, or none was made.
    pub connect: Option<Duration>,
    /// The time from the beginning to the status line.
    pub first_byte: Option<Duration>,
    /// The response's headers as lines, `name: value`.
    pub response_headers: String,
    /// The first 64 KiB of the response's body, byte for byte.
    pub response_body: Vec<u8>,
    /// "truncated", "incomplete", …
    pub response_note: Option<String>,
    /// True when the timeout came before the response was whole.
    pub has_timed_out: bool,
    /// The recipients of an e-mail, with the server's reply to each; `None` for a webhook.
    pub recipients: Option<Vec<Recipient>>,
}

/// The number of last attempts of a delivery whose responses are retained.
const RESPONSES_RETAINED: u32 = 10;
/// The note of an attempt whose response is not retained.
const RESPONSE_FORGOTTEN: &str = "the response is no longer retained: only those of the last 10 attempts are";

/// The end of an attempt, and the next state of its delivery.
#[derive(Debug, Clone)]
pub struct Settlement {
    /// The delivery.
    pub claimed: Claimed,
    /// The result of the attempt.
    pub attempted: Attempted,
    /// The next state.
    pub next: Next,
    /// The destination's revision that the attempt was made with.
    pub destination_revision: i64,
}

impl Settlement {
    /// Returns what the attempt says about the receiver of the target of `target_revision`. `None` if the attempt went to an
    /// earlier target, or not out at all.
    pub fn ending(&self, target_revision: i64) -> Option<Ending> {
        let is_to_this = self.claimed.replay_revision.is_none() && self.destination_revision >= target_revision;
        let Attempted { outcome, status_code, has_timed_out, started_at, .. } = &self.attempted;
        is_to_this.then(|| outcome.ending(*status_code, *has_timed_out, *started_at)).flatten()
    }
}

/// Returns the settlements whose attempts are not recorded yet.
pub async fn without_recorded(db: &impl ConnectionTrait, settlements: Vec<Settlement>) -> Result<Vec<Settlement>> {
    let rows: Vec<(i64, i64, i64)> = attempt::Entity::find()
        .select_only()
        .columns([attempt::Column::DeliveryId, attempt::Column::Number, attempt::Column::StartedAt])
        .filter(attempt::Column::DeliveryId.is_in(settlements.iter().map(|one| one.claimed.id)))
        .into_tuple()
        .all(db)
        .await?;
    let is_new =
        |one: &Settlement| !rows.contains(&(one.claimed.id, one.claimed.attempt().into(), one.attempted.started_at.0));
    Ok(settlements.into_iter().filter(is_new).collect())
}

/// Records attempts, and moves their deliveries on that are still leased to `owner`. A delivery that has been settled
/// otherwise keeps its state; its attempt is recorded all the same.
///
/// Takes lock 5 of 10.
pub async fn settle_many(
    db: &impl ConnectionTrait,
    owner: Uuid,
    settlements: Vec<Settlement>,
    now: Timestamp,
) -> Result<()> {
    for group in group::split(settlements) {
        note_recipients(db, owner, &group).await?;
        move_on(db, owner, &group, now).await?;
        forget_responses(db, &group).await?;
        let attempts = group.into_iter().map(attempt_row).collect();
        group::insert::<attempt::ActiveModel>(db, attempts, None).await?;
    }
    Ok(())
}

/// Stores the replies that the recipients of e-mails got, so that a further attempt goes only to the others. Runs before
/// the deliveries move on, since that ends their leases.
async fn note_recipients(db: &impl ConnectionTrait, owner: Uuid, group: &[Settlement]) -> Result<()> {
    for one in group {
        let Some(recipients) = &one.attempted.recipients else { continue };
        delivery::Entity::update_many()
            .col_expr(delivery::Column::Recipients, Expr::value(recipients_json(recipients)?))
            .filter(delivery::Column::Id.eq(one.claimed.id))
            .filter(delivery::Column::LeaseOwner.eq(owner))
            .exec(db)
            .await?;
    }
    Ok(())
}

/// Removes the responses of all but a delivery's last attempts, so that a delivery that is tried a hundred times does not
/// retain a hundred long responses.
async fn forget_responses(db: &impl ConnectionTrait, group: &[Settlement]) -> Result<()> {
    for one in group.iter().filter(|one| one.claimed.attempt() > RESPONSES_RETAINED) {
        attempt::Entity::update_many()
            .col_expr(attempt::Column::ResponseHeaders, Expr::value(""))
            .col_expr(attempt::Column::ResponseBody, Expr::value(Vec::<u8>::new()))
            .col_expr(attempt::Column::ResponseNote, Expr::value(RESPONSE_FORGOTTEN))
            .filter(attempt::Column::DeliveryId.eq(one.claimed.id))
            .filter(attempt::Column::Number.eq(i64::from(one.claimed.attempt() - RESPONSES_RETAINED)))
            .exec(db)
            .await?;
    }
    Ok(())
}

/// Moves a group of deliveries on by one statement. Both databases name the columns of `VALUES` column1, column2 …
async fn move_on(db: &impl ConnectionTrait, owner: Uuid, group: &[Settlement], now: Timestamp) -> Result<()> {
    const COLUMNS: usize = 10;
    let rows: Vec<_> = (0..group.len())
        .map(|row| {
            let parameters: Vec<_> = (1..=COLUMNS).map(|column| format!("${}", row * COLUMNS + column + 1)).collect();
            format!("({})", parameters.join(", "))
        })
        .collect();
    let sql = format!(
        "UPDATE delivery SET status = v.column2, attempts = v.column3, next_attempt_at = v.column4, \
         settled_at = v.column5, status_code = v.column6, error_code = v.column7, error = v.column8, \
         duration_ms = v.column9, hold_reason = v.column10, lease_owner = NULL, lease_until = NULL \
         FROM (VALUES {}) AS v \
         WHERE delivery.id = v.column1 AND delivery.status = 'running' AND delivery.lease_owner = $1",
        rows.join(", ")
    );
    let mut values = vec![Value::from(owner)];
    for one in group {
        let (status, next_attempt_at, settled_at, hold) = match one.next {
            Next::Settle(status) => (status, None, Some(now.0), None),
            Next::RetryAt(due) => (Status::Queued, Some(due.0), None, None),
            Next::Hold(reason, due) => (Status::Held, Some(due.0), None, Some(reason.as_str())),
        };
        values.extend([
            Value::from(one.claimed.id),
            status.as_str().into(),
            i64::from(one.claimed.attempt()).into(),
            next_attempt_at.into(),
            settled_at.into(),
            one.attempted.status_code.map(i64::from).into(),
            error_code(&one.attempted).into(),
            one.attempted.error.clone().into(),
            duration_ms(&one.attempted).into(),
            hold.into(),
        ]);
    }
    db.execute_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, values)).await?;
    Ok(())
}

fn error_code(attempted: &Attempted) -> Option<String> {
    match &attempted.outcome {
        Outcome::Sent => None,
        Outcome::Failed { code, .. } => Some(code.as_str().to_owned()),
    }
}

fn duration_ms(attempted: &Attempted) -> i64 {
    millis(attempted.duration)
}

fn attempt_row(one: Settlement) -> attempt::ActiveModel {
    attempt::ActiveModel {
        id: NotSet,
        delivery_id: Set(one.claimed.id),
        number: Set(one.claimed.attempt().into()),
        started_at: Set(one.attempted.started_at.0),
        duration_ms: Set(duration_ms(&one.attempted)),
        status_code: Set(one.attempted.status_code.map(i64::from)),
        error_code: Set(error_code(&one.attempted)),
        error: Set(one.attempted.error),
        response_headers: Set(one.attempted.response_headers),
        response_body: Set(one.attempted.response_body),
        response_note: Set(one.attempted.response_note),
        destination_revision: Set(one.destination_revision),
        connect_ms: Set(one.attempted.connect.map(millis)),
        first_byte_ms: Set(one.attempted.first_byte.map(millis)),
    }
}
