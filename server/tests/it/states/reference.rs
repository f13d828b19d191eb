//! The reference: how one webhook and its deliveries behave, written from `docs/operating.md`, not from the code. Must not
//! know a database, a transaction or a step.
//!
//! A command changes the [`Hook`]. [`Hook::rest`] then makes all changes that need no move of the clock. The rules
//! leave three things open, which are taken from the server within their bounds: the jitter of a retry; which
//! deliveries were already under way when a breaker opened; and the order in which the server looks for what is due,
//! where the clock has passed several instants at once. Nothing is left open while a breaker is open: of the deliveries
//! that the breaker concerns, only the probe is sent.

mod rest;

use super::picture::{Line, Picture, Shown};
use app::view::destination::{Held, ReleaseChoice};
use model::hold::HoldReason;
use std::collections::HashMap;

/// The receiver's response to requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reply {
    /// 200.
    Success,
    /// 500.
    Failure,
    /// 302.
    Redirect,
    /// 410: no further attempt.
    Gone,
    /// 503 with a `Retry-After` of a minute.
    Busy,
    /// 429 with a `Retry-After` of seven seconds, between the first wait and the second.
    Limited,
    /// No response until there is another reply.
    Pending,
}

impl Reply {
    /// Returns the wait that `Retry-After` asks for, in milliseconds.
    pub(super) fn retry_after(self) -> i64 {
        match self {
            Self::Busy => 60_000,
            Self::Limited => 7_000,
            _ => 0,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Queued,
    /// The request has arrived and has no response.
    Sending,
    /// Claimed by a node that has vanished, until this instant.
    Leased(i64),
    Held(HoldReason),
    Sent,
    Error,
    Discarded,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Delivery {
    /// The text by which the delivery is found among those of the server.
    pub(super) name: String,
    pub(super) state: State,
    pub(super) due: i64,
    attempts: u32,
    /// The requests at each of the two targets.
    requests: [u32; 2],
    object: Option<char>,
    is_replay: bool,
    /// The target that the delivery is meant for: the number of changes before it.
    generation: usize,
    /// Set for a replay with the original webhook: the target that it goes to.
    original: Option<usize>,
    /// The target of the last attempt.
    attempted: Option<usize>,
}

impl Delivery {
    pub(super) fn is_settled(&self) -> bool {
        matches!(self.state, State::Sent | State::Error | State::Discarded)
    }

    fn is_waiting(&self) -> bool {
        matches!(self.state, State::Queued | State::Held(_))
    }

    fn line(&self) -> Line {
        let (status, hold, run) = match self.state {
            State::Queued => ("queued", None, "running"),
            State::Sending | State::Leased(_) => ("running", None, "running"),
            State::Held(reason) => ("held", Some(reason), "running"),
            State::Sent => ("sent", None, "succeeded"),
            State::Error => ("error", None, "failed"),
            State::Discarded => ("discarded", None, "failed"),
        };
        Line {
            status: status.to_owned(),
            hold,
            attempts: self.attempts.into(),
            requests: self.requests,
            due: self.is_waiting().then_some(self.due),
            run: run.to_owned(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rate {
    per_second: u32,
    since: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Open {
    wait: i64,
    probe_at: i64,
    /// The delivery that is the probe, while one is under way.
    probe: Option<usize>,
}

/// A webhook with its receiver and its deliveries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hook {
    pub(super) retries: u32,
    pub(super) reply: Reply,
    pub(super) deliveries: Vec<Delivery>,
    /// The number of changes of the target. Even ones go to the first receiver, odd ones to the second.
    pub(super) generation: usize,
    pub(super) is_paused: bool,
    pub(super) is_deleted: bool,
    rate: Option<Rate>,
    failures: u32,
    open: Option<Open>,
}

impl Hook {
    pub(super) fn new(retries: u32, reply: Reply) -> Self {
        Self {
            retries,
            reply,
            deliveries: Vec::new(),
            generation: 0,
            is_paused: false,
            is_deleted: false,
            rate: None,
            failures: 0,
            open: None,
        }
    }

    pub(super) fn picture(&self) -> Picture {
        let shown = Shown {
            is_paused: self.is_paused,
            rate: self.rate.map(|rate| (rate.per_second.into(), rate.since)),
            failures: self.open.is_none().then_some(self.failures.into()),
            open: self.open.map(|open| (open.wait, open.probe.is_none().then_some(open.probe_at))),
            is_arranging: false,
        };
        Picture {
            webhook: (!self.is_deleted).then_some(shown),
            lines: self.deliveries.iter().map(|one| (one.name.clone(), one.line())).collect(),
        }
    }

    /// Returns the instants after `now` at which something may happen, in order.
    pub(super) fn instants(&self, now: i64) -> Vec<i64> {
        let of_delivery = |one: &Delivery| match one.state {
            State::Queued | State::Held(HoldReason::Breaker | HoldReason::Releasing) => Some(one.due),
            State::Leased(until) => Some(until),
            _ => None,
        };
        let probe = self.open.filter(|open| open.probe.is_none() && !self.is_paused).map(|open| open.probe_at);
        let rates = self.rate.filter(|_| self.open.is_none()).map(|rate| [rate.since + 1000, rate.since + 2000]);
        let all = self.deliveries.iter().filter_map(of_delivery).chain(probe).chain(rates.into_iter().flatten());
        let mut all: Vec<_> = all.filter(|at| *at > now).collect();
        all.sort_unstable();
        all
    }

    /// Returns the number of deliveries that are not settled.
    pub(super) fn unsettled(&self) -> usize {
        self.deliveries.iter().filter(|one| !one.is_settled()).count()
    }

    pub(super) fn is_held(&self, reason: HoldReason) -> bool {
        self.deliveries.iter().any(|one| one.state == State::Held(reason))
    }

    /// Returns the queued delivery that is due first, which is the next to be claimed.
    pub(super) fn next_to_claim(&self) -> Option<usize> {
        let queued = (0..self.deliveries.len()).filter(|index| self.deliveries[*index].state == State::Queued);
        queued.min_by_key(|index| (self.deliveries[*index].due, *index))
    }

    pub(super) fn post(&mut self, name: String, object: Option<char>, now: i64) {
        self.deliveries.push(Delivery {
            name,
            state: State::Queued,
            due: now,
            attempts: 0,
            requests: [0; 2],
            object,
            is_replay: false,
            generation: self.generation,
            original: None,
            attempted: None,
        });
    }

    pub(super) fn may_replay(&self, index: usize) -> bool {
        !self.is_deleted && self.deliveries[index].is_settled()
    }

    pub(super) fn replay(&mut self, index: usize, is_original: bool, name: String, now: i64) {
        let old = &self.deliveries[index];
        let target = old.original.or(old.attempted).unwrap_or(old.generation);
        self.post(name, self.deliveries[index].object, now);
        if let Some(new) = self.deliveries.last_mut() {
            new.is_replay = true;
            new.original = is_original.then_some(target);
        }
    }

    /// Returns false where the delivery does not wait any more.
    pub(super) fn discard(&mut self, index: usize) -> bool {
        let one = &mut self.deliveries[index];
        let may = one.is_waiting();
        if may {
            one.state = State::Discarded;
        }
        may
    }

    pub(super) fn pause(&mut self) -> bool {
        let may = !self.is_paused;
        (self.is_paused, self.rate) = (true, self.rate.filter(|_| !may));
        may
    }

    pub(super) fn resume(&mut self, choice: ReleaseChoice, now: i64) -> bool {
        if !self.is_paused {
            return false;
        }
        self.keep(HoldReason::Paused, choice.held);
        self.is_paused = false;
        self.rate = choice.per_second.map(|per_second| Rate { per_second, since: now });
        true
    }

    /// Changes the target. The new one has not failed yet.
    pub(super) fn move_target(&mut self) {
        self.generation += 1;
        (self.failures, self.open) = (0, None);
    }

    /// Confirms the target for the deliveries that wait for it, if there are any.
    pub(super) fn confirm(&mut self, choice: ReleaseChoice, now: i64) {
        if !self.is_held(HoldReason::Target) {
            return;
        }
        self.keep(HoldReason::Target, choice.held);
        let rate = choice.per_second.filter(|_| !self.is_paused);
        if let Some(per_second) = rate {
            self.rate = Some(Rate { per_second, since: now });
        }
        for one in self.deliveries.iter_mut().filter(|one| one.state == State::Held(HoldReason::Target)) {
            one.generation = self.generation;
            one.state = if rate.is_some() { State::Held(HoldReason::Releasing) } else { State::Queued };
        }
    }

    pub(super) fn delete(&mut self) {
        self.is_deleted = true;
        (self.is_paused, self.rate, self.failures, self.open) = (false, None, 0, None);
    }

    /// Discards the deliveries that are held for this reason and do not go on.
    fn keep(&mut self, reason: HoldReason, which: Held) {
        let mut newest = HashMap::new();
        for (index, one) in self.deliveries.iter().enumerate() {
            if one.state == State::Held(reason) && !one.is_replay && one.object.is_some() {
                newest.insert(one.object, index);
            }
        }
        for (index, one) in self.deliveries.iter_mut().enumerate() {
            let has_newer = !one.is_replay && newest.get(&one.object).is_some_and(|newest| *newest != index);
            let goes_on = match which {
                Held::All => true,
                Held::Newest => !has_newer,
                Held::None => false,
            };
            if one.state == State::Held(reason) && !goes_on {
                one.state = State::Discarded;
            }
        }
    }
}
