//! Rows for tests that need rows without their usual origin.

use model::id::{DestinationId, RunId, WebhookId};
use model::run::Cause;
use model::time::Timestamp;
use model::webhook::WebhookDraft;
use sea_orm::ConnectionTrait;
use server::clock::new_uuid;
use server::store::delivery::{NewDelivery, Replay};
use server::store::occurrence;
use server::store::run::{self, NewRun};
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

/// Inserts a run of a task that was deleted.
pub(crate) async fn run(db: &impl ConnectionTrait) -> RunId {
    let occurrences = occurrence::insert_many(db, vec![occurrence()]).await.expect("an occurrence");
    let run = NewRun {
        uuid: new_uuid(THEN),
        task_id: None,
        task_name: "t".into(),
        cause: Cause::Occurrence(Some(occurrences[0])),
        event_ids: Vec::new(),
    };
    run::insert_many(db, vec![run], THEN).await.expect("a run")[0]
}

/// Returns a delivery that is due.
pub(crate) fn delivery(destination_id: impl Into<DestinationId>, run_id: RunId) -> NewDelivery {
    NewDelivery {
        uuid: new_uuid(THEN),
        run_id,
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
        recipients: Vec::new(),
    }
}
