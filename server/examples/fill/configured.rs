//! The configuration: few rows, made by the store.

use super::{
    Action, Category, Cycle, DAY, DAYS, Event, EventFilters, EventId, EventScope, Filling, HELD_KIND, Ids, KINDS,
    KINDS_WITH_TASKS, Kind, MESSAGE, MINUTE, Made, ObjectId, Options, PER_WEBHOOK, Phase, Result, Scope, Started, Tag,
    TagId, Task, TaskId, Timestamp, Transaction, WebhookDraft, WebhookSend, access, add, anyhow, event, hold, new_uuid,
    revision, tag, task, webhook,
};

impl Filling {
    async fn make_tags(&self, category: &str, types: &[&str], names: &[&str]) -> Result<Vec<TagId>> {
        let txn = self.store.begin_change().await?;
        let category = Category {
            name: format!("{category} {}", self.suffix),
            description: String::new(),
            is_single: types.len() > 1,
            type_ids: types.iter().map(|id| (*id).to_owned()).collect(),
        };
        let category_id = tag::insert_category(&txn, &category, self.start).await?;
        let mut made = Vec::new();
        for name in names {
            made.push(tag::insert(&txn, &Tag { name: (*name).to_owned(), category_id }, self.start).await?);
        }
        self.store.commit(txn).await?;
        Ok(made)
    }

    /// Makes a webhook, a task that sends to it, and an event that starts the task.
    async fn make_task(&self, txn: &Transaction, number: u16, kind: Kind) -> Result<Ids> {
        let receiver = ["Chat", "Tickets", "Ledger", "Pager", "Workflow"][usize::from(number % 5)];
        let draft = WebhookDraft {
            name: format!("{receiver} {number:02} ({})", self.suffix),
            // The receiver of `cargo xtask run`: the requests never leave this machine.
            url: format!("http://127.0.0.1:9000/fill/{number}"),
            ..WebhookDraft::default()
        };
        let parsed = draft.parse(None).map_err(|wrong| anyhow!("the webhook is refused: {wrong:?}"))?;
        let uuid = new_uuid(self.start);
        let id = webhook::insert(txn, &parsed.settings, uuid, webhook::SealedSecrets::default(), self.start).await?;
        let task = Task {
            name: format!("Tell {receiver} {number:02} of {}.{} ({})", kind.0, kind.1, self.suffix),
            description: "Made by cargo xtask fill.".to_owned(),
            is_enabled: true,
            deletes_after_running: false,
            destination_id: id.into(),
            action: Action::Webhook(WebhookSend { message: MESSAGE.to_owned() }),
        };
        let task_id = task::insert(txn, &task, self.start).await?;
        Ok((task_id, id, self.make_event(txn, kind, EventScope::Any, task_id).await?))
    }

    /// Makes an event, enabled only where it is about any object.
    async fn make_event(&self, txn: &Transaction, kind: Kind, scope: EventScope, task: TaskId) -> Result<EventId> {
        let (type_id, event_id, is_enabled) = (kind.0.to_owned(), kind.1.to_owned(), scope == EventScope::Any);
        let new = Event { type_id, event_id, scope, filters: EventFilters::default(), task_id: task, is_enabled };
        Ok(event::insert(txn, &new, self.start).await?)
    }

    pub(super) async fn run(&self, options: &Options) -> Result<Made> {
        let environments =
            self.make_tags("Environment", &["vms", "tenants"], &["production", "staging", "test"]).await?;
        let teams = ["red", "blue", "green", "amber", "on call", "audited", "legacy", "pilot"];
        let teams = self.make_tags("Team", &["vms"], &teams).await?;
        let objects = self.make_objects(options.deliveries / 10, &environments, &teams).await?;
        let paused_at = self.now - 15 * MINUTE;
        let txn = self.store.begin_change().await?;
        let mut kinds: Started = KINDS.map(|kind| (kind, Vec::new())).into();
        for number in 0..options.webhooks {
            let (kind, tasks) = &mut kinds[usize::from(number) % KINDS_WITH_TASKS];
            tasks.push(self.make_task(&txn, number + 1, *kind).await?);
        }
        let task_id = kinds[0].1[0].0;
        self.make_event(&txn, KINDS[0], EventScope::Tag(environments[0]), task_id).await?;
        self.make_event(&txn, KINDS[1], EventScope::Object(ObjectId(objects[0].1)), task_id).await?;
        let mut paused = Vec::new();
        for number in (options.webhooks + 1..).take(usize::try_from((options.held + PER_WEBHOOK - 1) / PER_WEBHOOK)?) {
            let ids = self.make_task(&txn, number, HELD_KIND).await?;
            hold::pause(&txn, ids.1.into(), Timestamp(paused_at)).await?;
            paused.push(ids);
        }
        // Random bytes instead of the hash of a key: no key fits.
        let (hash, name) = (rand::random::<[u8; 32]>().to_vec(), format!("fill {}", self.suffix));
        let key = access::insert_key(&txn, &name, hash, &[Scope::Ingest], self.start).await?;
        let mark = revision::newest(&txn).await?;
        self.store.commit(txn).await?;
        let phase = |name, deliveries, kinds: &Started, from, waves, wave| {
            let receipts = if waves > 1 { options.receipts.unwrap_or(options.deliveries / 10) } else { 0 };
            let cycle = Cycle::new(kinds, &objects);
            Phase { name, deliveries, cycle, from, waves, wave, mark, receipts: (key.0, receipts) }
        };
        let phases = [
            phase("settled", options.deliveries, &kinds, self.start.0, DAYS, DAY),
            phase("held", options.held, &vec![(HELD_KIND, paused)], paused_at, 1, 10 * MINUTE),
            phase("queued", options.queued, &kinds, self.now - 5 * MINUTE, 1, 5 * MINUTE),
        ];
        let mut made = Made::default();
        for phase in phases.iter().filter(|phase| phase.deliveries > 0) {
            add(&mut made, self.fill(phase).await?);
        }
        Ok(made)
    }
}
