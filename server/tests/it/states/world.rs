//! A server with some webhooks, each beside its reference: commands go to both, and then both are compared. Must not
//! know a rule: the reference alone says the effect of a command.

use super::command::{Command, Life, Move};
use super::picture::{compare, look, text};
use super::receiver::Receivers;
use super::reference::{Hook, Reply, State};
use crate::harness::{Database, TestServer, TestStore, pause};
use crate::hold::{ALL, edit};
use app::error::AppError;
use model::access::Scope;
use model::catalog::EventKindDraft;
use model::hold::HoldReason;
use model::id::{EventId, TaskId, WebhookId};
use model::number::millis;
use model::time::Timestamp;
use sea_orm::EntityTrait;
use serde_json::json;
use server::store::{claim, entity, sweep};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// The timeout of every webhook: the longest one that may be chosen.
const TIMEOUT: Duration = Duration::from_mins(2);
/// The longest time without a response: much shorter than the timeout, so that only the test ends an attempt.
const PENDING_MAX: Duration = Duration::from_secs(45);
/// The time by which a lease outlasts the timeout of its webhook.
const LEASE_MARGIN: Duration = Duration::from_secs(10);
/// The owner of the leases of nodes that have vanished.
const VANISHED: Uuid = Uuid::from_u128(0xdead);

/// The number of retries of a webhook, the first reply of its receiver, and its life.
pub(super) type Setting = (u32, Reply, Life);

/// One step of a sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// A command about the webhook in this slot.
    Do(usize, Command),
    /// Both sides come to rest and are compared.
    Rest,
    /// A move of the clock, and the milliseconds that it came to. Then both sides are compared.
    Clock(Move, i64),
}

/// A difference between the server and the reference.
#[derive(Debug, Clone)]
pub(super) struct Difference {
    /// The webhook.
    pub(super) slot: usize,
    pub(super) text: String,
}

pub(super) struct World {
    server: TestServer,
    key: String,
    receivers: Receivers,
    slots: Vec<Slot>,
    begun_at: i64,
    /// The longest time in which the server has to come to rest.
    patience: Duration,
    /// The steps so far.
    pub(super) steps: Vec<Step>,
}

struct Slot {
    id: WebhookId,
    task: TaskId,
    event: EventId,
    hook: Hook,
    posted: usize,
}

impl World {
    pub(super) async fn start(database: Database, settings: &[Setting], patience: Duration) -> Self {
        let server = TestServer::start(TestStore::new(database).await).await;
        let receivers = Receivers::start(settings.iter().map(|(_, reply, _)| *reply)).await;
        let key = server.key("sender", &[Scope::Ingest]).await;
        let mut slots = Vec::new();
        for (slot, (retries, reply, _)) in settings.iter().enumerate() {
            let draft = EventKindDraft { id: format!("go{slot}"), label: format!("Go {slot}") };
            server.services.backend().catalog.add_event("vms".into(), draft).await.expect("an event type");
            let change = |draft: &mut model::webhook::WebhookDraft| {
                (draft.retries, draft.timeout) = (retries.to_string(), TIMEOUT.as_secs().to_string());
            };
            let id = server.webhook(&format!("w{slot}"), &receivers.url(0, slot), change).await;
            let task = server.task(&format!("t{slot}"), id, "${data.name}", false).await;
            let event = server.event_of(task, |draft| draft.event = format!("vms.go{slot}")).await;
            slots.push(Slot { id, task, event, hook: Hook::new(*retries, *reply), posted: 0 });
        }
        let begun_at = server.now().0;
        Self { server, key, receivers, slots, begun_at, patience, steps: Vec::new() }
    }

    pub(super) fn hooks(&self) -> Vec<&Hook> {
        self.slots.iter().map(|slot| &slot.hook).collect()
    }

    /// Returns the webhooks that need another reply, since attempts time out by the real clock. On a quick machine
    /// there are none.
    pub(super) fn pending_too_long(&self) -> Vec<usize> {
        self.receivers.pending_for(PENDING_MAX)
    }

    /// Takes a step.
    ///
    /// # Errors
    /// Fails with the first difference.
    pub(super) async fn step(&mut self, step: Step) -> Result<(), Difference> {
        self.steps.push(step.clone());
        match step {
            Step::Do(slot, command) => self.execute(slot, command).await,
            Step::Rest => self.rest().await,
            Step::Clock(by, _) => {
                let by = by.resolve(&self.hooks(), self.server.now().0).max(1);
                if let Some(Step::Clock(_, moved)) = self.steps.last_mut() {
                    *moved = by;
                }
                self.server.advance(Duration::from_millis(by.unsigned_abs()));
                self.rest().await
            }
        }
    }

    /// Lets the receivers succeed, ends every hold, and moves the clock until everything is settled.
    ///
    /// # Errors
    /// Fails with a difference, or a delivery that is never settled.
    pub(super) async fn finish(&mut self) -> Result<(), Difference> {
        for slot in 0..self.slots.len() {
            self.step(Step::Do(slot, Command::Reply(Reply::Success))).await?;
        }
        self.step(Step::Rest).await?;
        for _ in 0..40 {
            self.end_holds().await?;
            let Some(slot) = self.slots.iter().position(|slot| slot.hook.unsettled() > 0) else { return Ok(()) };
            let now = self.server.now().0;
            let Some(last) = self.slots.iter().filter_map(|slot| slot.hook.instants(now).last().copied()).max() else {
                return Err(Difference { slot, text: "A delivery waits for nothing.".to_owned() });
            };
            self.step(Step::Clock(Move::By(last - now), 0)).await?;
        }
        let slot = self.slots.iter().position(|slot| slot.hook.unsettled() > 0).unwrap_or_default();
        Err(Difference { slot, text: "A delivery is never settled.".to_owned() })
    }

    /// Resumes paused webhooks, and confirms changed targets.
    async fn end_holds(&mut self) -> Result<(), Difference> {
        for slot in 0..self.slots.len() {
            if self.slots[slot].hook.is_paused {
                self.step(Step::Do(slot, Command::Resume(ALL))).await?;
                self.step(Step::Rest).await?;
            }
            if self.slots[slot].hook.is_held(HoldReason::Target) {
                self.step(Step::Do(slot, Command::Confirm(ALL))).await?;
                self.step(Step::Rest).await?;
            }
        }
        Ok(())
    }

    /// Executes a command at the server and in the reference. A shortened sequence may name a delivery that is not
    /// there; then nothing is done.
    async fn execute(&mut self, number: usize, command: Command) -> Result<(), Difference> {
        let now = self.server.now().0;
        let backend = self.server.services.backend();
        let Slot { id, task, event, hook, posted } = &mut self.slots[number];
        let id = *id;
        let (is_done, may) = match command.clone() {
            Command::Post(objects) if !hook.is_deleted => {
                let mut batch = Vec::new();
                for object in objects {
                    let name = format!("{number}-{posted}");
                    let mut one = json!({"type": "vms", "event": format!("go{number}"), "data": {"name": name}});
                    if let Some(object) = object {
                        one["object"] = json!({"id": object.to_string()});
                    }
                    batch.push(one);
                    hook.post(name, object, now);
                    *posted += 1;
                }
                (self.server.post(&self.key, &json!(batch)).await.0 == 202, true)
            }
            Command::Reply(reply) => {
                hook.reply = reply;
                self.receivers.reply(number, reply);
                (true, true)
            }
            Command::Pause => (is_done(&backend.webhooks.pause(id).await), !hook.is_deleted && hook.pause()),
            Command::Resume(choice) => {
                (is_done(&backend.webhooks.resume(id, choice).await), !hook.is_deleted && hook.resume(choice, now))
            }
            Command::Move if !hook.is_deleted => {
                hook.move_target();
                let url = self.receivers.url(hook.generation, number);
                edit(&self.server, id, |draft| draft.url = url).await;
                (true, true)
            }
            Command::Confirm(choice) if !hook.is_deleted => {
                let seen = backend.webhooks.detail(id).await.expect("a webhook").revision;
                hook.confirm(choice, now);
                (is_done(&backend.webhooks.confirm_target(id, seen, choice).await), true)
            }
            Command::Discard(index) if index < hook.deliveries.len() => {
                let uuid = self.uuid(number, index).await;
                let hook = &mut self.slots[number].hook;
                (is_done(&backend.deliveries.discard(uuid, "maria".into()).await), hook.discard(index))
            }
            Command::Replay { index, is_original } if index < hook.deliveries.len() => {
                let uuid = self.uuid(number, index).await;
                let replayed = backend.deliveries.replay(uuid, is_original, "maria".into()).await;
                let hook = &mut self.slots[number].hook;
                let may = hook.may_replay(index);
                if let (true, Ok(uuid)) = (may, &replayed) {
                    hook.replay(index, is_original, uuid.clone(), now);
                }
                (is_done(&replayed), may)
            }
            Command::Vanish(lease) => {
                let Some(index) = hook.next_to_claim() else { return Ok(()) };
                let one = &mut hook.deliveries[index];
                // The clock of that node is ahead, so the node claims a delivery that is not due here yet. No lease is
                // longer than an attempt of this webhook may take.
                let longest = Timestamp(now).after(TIMEOUT + LEASE_MARGIN);
                let until = Timestamp(one.due).after(Duration::from_secs(lease.into())).min(longest);
                one.state = State::Leased(until.0);
                let lease_from = Timestamp(until.0 - millis(TIMEOUT));
                let store = &self.server.services.store;
                let txn = store.begin().await.expect("a transaction");
                let plan = [(id.into(), 1)];
                let claimed = claim::claim(&txn, VANISHED, Timestamp(one.due), lease_from, &plan).await;
                txn.commit().await.expect("committed");
                (claimed.expect("a claim").len() == 1, true)
            }
            Command::Delete if !hook.is_deleted => {
                hook.delete();
                backend.events.delete(vec![*event]).await.expect("the event is deleted");
                backend.tasks.delete(vec![*task]).await.expect("the task is deleted");
                (is_done(&backend.webhooks.delete(vec![id]).await), true)
            }
            _ => (true, true),
        };
        if is_done == may {
            return Ok(());
        }
        let text = format!("The server {} {command:?}.", if is_done { "permitted" } else { "refused" });
        Err(Difference { slot: number, text })
    }

    /// Returns the public id of a delivery.
    async fn uuid(&self, slot: usize, index: usize) -> String {
        let name = &self.slots[slot].hook.deliveries[index].name;
        if Uuid::parse_str(name).is_ok() {
            return name.clone();
        }
        let rows = entity::delivery::Entity::find().all(self.server.services.store.read()).await.expect("rows");
        let row = rows.into_iter().find(|row| row.replay_of.is_none() && text(&row.body) == *name);
        row.expect("a delivery").uuid.to_string()
    }

    /// Waits until the server shows what the reference expects.
    async fn rest(&mut self) -> Result<(), Difference> {
        let since = Instant::now();
        let ids: Vec<_> = self.slots.iter().map(|slot| slot.id).collect();
        loop {
            let is_last = since.elapsed() > self.patience;
            let (now, seen) = (self.server.now().0, look(&self.server, &self.receivers, &ids).await);
            let mut difference = None;
            let mut rested = Vec::new();
            for (number, (slot, seen)) in self.slots.iter().zip(seen).enumerate() {
                match slot.hook.rest(now, &seen) {
                    Ok(hook) => rested.push(hook),
                    Err(expected) if difference.is_none() => {
                        difference = Some(Difference { slot: number, text: compare(&expected, &seen, self.begun_at) });
                    }
                    Err(_) => {}
                }
            }
            match difference {
                None => {
                    for (slot, hook) in self.slots.iter_mut().zip(rested) {
                        slot.hook = hook;
                    }
                    return Ok(());
                }
                Some(difference) if is_last => return Err(difference),
                // This sweep is like one of another node at this moment. The server's own sweep comes within a second.
                Some(_) => {
                    let services = &self.server.services;
                    sweep::sweep(&services.store, Timestamp(now), LEASE_MARGIN).await.expect("swept");
                    services.wake.notify_one();
                    pause().await;
                }
            }
        }
    }
}

fn is_done<T>(result: &Result<T, AppError>) -> bool {
    result.is_ok()
}
