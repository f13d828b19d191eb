use super::*;
use crate::clock::new_uuid;
use crate::store::{connect, webhook};
use model::event::{Event, EventFilters, EventScope};
use model::task::{Action, Task, WebhookSend};
use model::webhook::WebhookDraft;

const NOW: Timestamp = Timestamp(1_000_000);

#[tokio::test]
async fn rules_without_their_destinations_are_not_known() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = connect::open_sqlite(folder.path()).await.expect("opened");
    connect::migrate(&store).await.expect("migrated");
    let db = store.write();
    let draft = WebhookDraft { name: "w".into(), url: "http://127.0.0.1:9/".into(), ..WebhookDraft::default() };
    let settings = draft.parse(None).expect("valid").settings;
    let secrets = webhook::SealedSecrets::default();
    let webhook = webhook::insert(db, &settings, new_uuid(NOW), secrets, NOW).await.expect("a webhook");
    let task = Task {
        name: "t".into(),
        description: String::new(),
        is_enabled: true,
        deletes_after_running: false,
        destination_id: webhook.into(),
        action: Action::Webhook(WebhookSend { message: String::new() }),
    };
    let task_id = task::insert(db, &task, NOW).await.expect("a task");
    let event = Event {
        type_id: "vms".into(),
        event_id: "poweron".into(),
        scope: EventScope::Any,
        filters: EventFilters::default(),
        task_id,
        is_enabled: true,
    };
    event::insert(db, &event, NOW).await.expect("an event");
    let occurrence = Occurrence {
        type_id: "vms".into(),
        event_id: "poweron".into(),
        object: None,
        external_id: None,
        source: None,
        time: None,
        data: None,
    };
    let mut cache = RuleCache::new(Arc::new(HeldCounts::new(store.clone())));
    let kinds = kinds_of([&occurrence].into_iter());
    // The database fails after this: the destinations are not loaded.
    cache.load_missing(db, &kinds).await.expect("loaded");
    assert!(Rules::cached(&cache, [&occurrence].into_iter()).is_none());
    cache.load(db, &kinds, &[]).await.expect("loaded");
    assert!(Rules::cached(&cache, [&occurrence].into_iter()).is_some_and(|rules| rules.task(task_id).is_some()));
}
