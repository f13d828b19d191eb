//! The visible state of a webhook and its deliveries: at the server and its receivers, and in the reference. Must not change
//! the server, or know a rule.

use super::receiver::Receivers;
use crate::harness::TestServer;
use model::hold::HoldReason;
use model::id::WebhookId;
use sea_orm::{EntityTrait, QueryOrder, QuerySelect};
use server::store::entity;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use uuid::Uuid;

/// A delivery as both sides see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) status: String,
    pub(super) hold: Option<HoldReason>,
    pub(super) attempts: i64,
    pub(super) requests: [u32; 2],
    /// The due time of a delivery that waits.
    pub(super) due: Option<i64>,
    pub(super) run: String,
}

/// A webhook as both sides see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) is_paused: bool,
    /// The number that is released each second, and the instant up to which that is done.
    pub(super) rate: Option<(i64, i64)>,
    /// The failures in a row, while the breaker is closed.
    pub(super) failures: Option<i64>,
    /// The wait before the next probe and its instant while the breaker is open; no instant while a probe is under way.
    pub(super) open: Option<(i64, Option<i64>)>,
    /// True while deliveries still follow a change of the webhook; never at rest.
    pub(super) is_arranging: bool,
}

/// A webhook with its deliveries by name. No webhook after its deletion.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Picture {
    pub(super) webhook: Option<Shown>,
    pub(super) lines: BTreeMap<String, Line>,
}

impl Picture {
    /// Returns how much differs from another picture: the number of deliveries, and one for the webhook.
    pub(super) fn differences(&self, other: &Self) -> usize {
        let lines = self.lines.iter().filter(|(name, line)| other.lines.get(*name) != Some(line)).count();
        lines + usize::from(self.webhook != other.webhook)
    }
}

/// Returns what the server and the receivers show of each of these webhooks, which are all there are.
pub(super) async fn look(server: &TestServer, receivers: &Receivers, ids: &[WebhookId]) -> Vec<Picture> {
    use entity::delivery::Column;
    /// The columns of a delivery that are read.
    type Row = (Uuid, i64, i64, String, Option<String>, i64, Option<i64>, Option<i64>, Option<i64>, Vec<u8>);
    let db = server.services.store.read();
    let select = entity::delivery::Entity::find().select_only().columns([
        Column::Uuid,
        Column::Id,
        Column::DestinationId,
        Column::Status,
        Column::HoldReason,
        Column::Attempts,
        Column::LeaseUntil,
        Column::NextAttemptAt,
        Column::ReplayOf,
        Column::Body,
    ]);
    let rows: Vec<Row> = select.order_by_asc(Column::Id).into_tuple().all(db).await.expect("deliveries");
    let select =
        entity::run::Entity::find().select_only().columns([entity::run::Column::Id, entity::run::Column::Status]);
    let runs: Vec<(i64, String)> = select.into_tuple().all(db).await.expect("runs");
    let runs: HashMap<_, _> = runs.into_iter().collect();
    let webhooks = entity::destination::Entity::find().all(db).await.expect("webhooks");
    // Read last: a request that was seen in a row has been counted.
    let requests = receivers.requests();
    let picture = |id: &WebhookId| {
        let row = webhooks.iter().find(|row| row.id == id.0 && row.deleted_at.is_none());
        Picture { webhook: row.map(shown), lines: BTreeMap::new() }
    };
    let mut pictures: Vec<_> = ids.iter().map(picture).collect();
    for (uuid, run, destination, status, hold, attempts, lease_until, due, replay_of, body) in rows {
        let number = ids.iter().position(|id| id.0 == destination).expect("a webhook of the test");
        let uuid = uuid.to_string();
        let line = Line {
            status,
            hold: hold.as_deref().and_then(HoldReason::find),
            attempts,
            requests: requests.get(&uuid).copied().unwrap_or_default(),
            due: due.filter(|_| lease_until.is_none()),
            run: runs.get(&run).cloned().unwrap_or_default(),
        };
        let mut name = if replay_of.is_some() { uuid } else { text(&body) };
        if pictures[number].lines.contains_key(&name) {
            name += " once more";
        }
        pictures[number].lines.insert(name, line);
    }
    pictures
}

/// Returns the name in the message of a delivery.
pub(super) fn text(body: &[u8]) -> String {
    String::from_utf8_lossy(body).trim_matches('"').to_owned()
}

fn shown(row: &entity::destination::Model) -> Shown {
    let is_open = row.breaker_opened_at.is_some();
    let probe_at = row.breaker_probe_at.filter(|_| !row.breaker_is_probing);
    Shown {
        is_paused: row.paused_at.is_some(),
        rate: row.release_per_second.zip(row.released_at),
        failures: (!is_open).then_some(row.breaker_failures),
        open: row.breaker_wait_ms.filter(|_| is_open).map(|wait| (wait, probe_at)),
        is_arranging: row.arranging != 0,
    }
}

/// Returns the differences in words, with instants in milliseconds since the beginning.
pub(super) fn compare(expected: &Picture, seen: &Picture, begun_at: i64) -> String {
    let line = |line: Option<&Line>| line.map(|line| Line { due: line.due.map(|due| due - begun_at), ..line.clone() });
    let webhook = |picture: &Picture| {
        picture.webhook.clone().map(|shown| Shown {
            open: shown.open.map(|(wait, at)| (wait, at.map(|at| at - begun_at))),
            rate: shown.rate.map(|(rate, at)| (rate, at - begun_at)),
            ..shown
        })
    };
    let mut text = String::new();
    if expected.webhook != seen.webhook {
        text += &format!("webhook\n  expected {:?}\n  seen     {:?}\n", webhook(expected), webhook(seen));
    }
    let names: BTreeSet<_> = expected.lines.keys().chain(seen.lines.keys()).collect();
    for name in names {
        let (expected, seen) = (expected.lines.get(name), seen.lines.get(name));
        if expected != seen {
            text += &format!("{name}\n  expected {:?}\n  seen     {:?}\n", line(expected), line(seen));
        }
    }
    text
}
