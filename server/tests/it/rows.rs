//! Rows for tests that need rows without their usual origin.

use model::id::{DestinationId, WebhookId};
use model::run::Cause;
use model::time::Timestamp;
use model::webhook::WebhookDraft;
use sea_orm::ConnectionTrait;
use server::clock::new_uuid;
use server::store::delivery::{self, NewDelivery, Replay, Started};
use server::store::occurrence;
use server::store::run::NewRun;
use server::store::webhook;

const THEN: Timestamp = Timestamp(1_000_000);

/// Inserts a webhook with default settings.
pub(crate) async fn webhook(db: &impl ConnectionTrait, name: &str, url: &str) -> WebhookId {
    let draft = WebhookDraft { name: name.into(), url: url.into(), ..WebhookDraft::default() };
    let checked = draft.parse(None).expect("valid");
    webhook::insert(db, &checked.settings, new_uuid(THEN), webhook::SealedSecrets::default(), THEN)
        .await
        .expect("inserted")
}

/// Returns the occurrence of a virtual machine that is powered on.
pub(crate) fn occurrence() -> occurrence::Row {
    occurrence::Row {
        uuid: new_uuid(THEN),
        type_id: "vms".into(),
        event_id: "poweron".into(),
        object_id: None,
        object_external_id: None,
        object_name: None,
        external_id: None,
        source: "test".into(),
        occurred_at: None,
        received_at: THEN,
        data: None,
        tasks_started: 1,
        object_tags: Vec::new(),
        reasons: std::collections::BTreeMap::new(),
        depth: 0,
        revision_mark: 0,
        about_destination: None,
    }
}

/// Starts these deliveries, each by a run of a task that was deleted. Returns the runs.
pub(crate) async fn start(db: &impl ConnectionTrait, new: Vec<NewDelivery>, now: Timestamp) -> Started {
    let run = NewRun { task_id: None, task_name: "t".into(), cause: Cause::Occurrence(None), event_ids: Vec::new() };
    let new = new.into_iter().map(|new| (run.clone(), new)).collect();
    delivery::start_many(db, new, now).await.expect("started")
}

/// Returns a delivery that is due.
pub(crate) fn delivery(destination_id: impl Into<DestinationId>) -> NewDelivery {
    NewDelivery {
        uuid: new_uuid(THEN),
        destination_id: destination_id.into(),
        destination_name: "w".into(),
        task_name: "t".into(),
        type_id: "vms".into(),
        event_id: "poweron".into(),
        object_id: None,
        object_name: None,
        body: b"{}".to_vec(),
        notes: Vec::new(),
        failed: None,
        hold: None,
        depth: 0,
        destination_revision: 1,
        replay: Replay::default(),
        lease: None,
        recipients: Vec::new(),
    }
}
