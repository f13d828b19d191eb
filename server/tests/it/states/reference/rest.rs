//! The changes without a command: leases end, deliveries are held and released, probes and attempts are made. Must not
//! copy the server, except in the three things that the head of the reference lists.

use super::super::picture::Picture;
use super::{Delivery, Hook, Open, Rate, Reply, State};
use model::hold::HoldReason;

/// The failed attempts in a row that open a breaker.
const FAILURES: u32 = 10;
/// The wait before the first probe, and the longest one, in milliseconds.
const PROBE_WAITS: (i64, i64) = (30_000, 900_000);
/// The wait before the first retry, and the longest one, in milliseconds.
const RETRY_WAITS: (i64, i64) = (5_000, 900_000);
/// The most seconds of a release at a rate that are made up for.
const CATCH_UP: i64 = 2;

/// Something that the server looks for by the clock.
#[derive(Debug, Clone, Copy)]
enum Look {
    EndedLeases,
    Release,
    Probe,
    DueDeliveries,
}

/// Returns every order in which the server may look.
fn orders() -> impl Iterator<Item = [Look; 4]> {
    let look = |number| [Look::EndedLeases, Look::Release, Look::Probe, Look::DueDeliveries][number];
    let digits = |number: usize| [0, 2, 4, 6].map(|shift| (number >> shift) % 4);
    let orders = (0..256).rev().map(digits).filter(|order| (0..4).all(|number| order.contains(&number)));
    orders.map(move |order| order.map(look))
}

impl Hook {
    /// Returns the webhook after all changes at this instant, such that it equals the picture seen. Where the clock has
    /// passed several instants, the server may look for what is due in any order.
    ///
    /// # Errors
    /// Fails where no order leads to the picture seen, with the expected picture that is closest.
    pub(in super::super) fn rest(&self, now: i64, seen: &Picture) -> Result<Self, Picture> {
        let mut expected = Vec::new();
        for order in orders() {
            let mut hook = self.clone();
            hook.rest_in(order, now, seen);
            let picture = hook.picture();
            if picture == *seen {
                return Ok(hook);
            }
            expected.push(picture);
        }
        Err(expected.into_iter().min_by_key(|picture| picture.differences(seen)).unwrap_or_default())
    }

    fn rest_in(&mut self, order: [Look; 4], now: i64, seen: &Picture) {
        loop {
            let before = self.clone();
            if self.reply != Reply::Pending {
                for index in 0..self.deliveries.len() {
                    if self.deliveries[index].state == State::Sending {
                        self.end_attempt(index, now, seen);
                    }
                }
            }
            self.arrange();
            for look in order {
                match look {
                    Look::EndedLeases => self.end_leases(now),
                    Look::Release => self.release(now),
                    Look::Probe => self.start_probe(now),
                    Look::DueDeliveries => self.send_due(now, seen),
                }
                self.arrange();
            }
            if *self == before {
                return;
            }
        }
    }

    fn end_leases(&mut self, now: i64) {
        for index in 0..self.deliveries.len() {
            let one = &mut self.deliveries[index];
            if matches!(one.state, State::Leased(until) if until <= now) {
                (one.state, one.due) = (State::Queued, now);
            }
        }
    }

    /// Holds the deliveries that have to wait, and queues the others.
    fn arrange(&mut self) {
        for index in 0..self.deliveries.len() {
            let was = match self.deliveries[index].state {
                State::Queued => None,
                State::Held(reason) => Some(reason),
                _ => continue,
            };
            let reason = self.reason(index, was);
            self.deliveries[index].state =
                if self.is_deleted { State::Discarded } else { reason.map_or(State::Queued, State::Held) };
        }
    }

    fn reason(&self, index: usize, was: Option<HoldReason>) -> Option<HoldReason> {
        let one = &self.deliveries[index];
        let by_rate = self.rate.map(|_| HoldReason::Releasing);
        if one.original.is_some() {
            // As the document says: "It waits for a pause and for nothing else."
            return self.is_paused.then_some(HoldReason::Paused);
        }
        if one.generation < self.generation {
            return Some(HoldReason::Target);
        }
        if self.is_paused {
            return Some(HoldReason::Paused);
        }
        match self.open {
            Some(open) if open.probe == Some(index) => None,
            Some(_) => by_rate.or(Some(HoldReason::Breaker)),
            None => by_rate.filter(|_| was.is_some()),
        }
    }

    /// Queues as many as the rate permits, the earliest due first. The rate ends when none is left.
    fn release(&mut self, now: i64) {
        let Some(rate) = self.rate.filter(|_| !self.is_paused && self.open.is_none()) else { return };
        let seconds = (now - rate.since) / 1000;
        if seconds < 1 {
            return;
        }
        let held = |index: &usize| self.deliveries[*index].state == State::Held(HoldReason::Releasing);
        let mut held: Vec<_> = (0..self.deliveries.len()).filter(held).collect();
        held.sort_by_key(|index| (self.deliveries[*index].due, *index));
        let since = if seconds > CATCH_UP { now } else { rate.since + seconds * 1000 };
        self.rate = (!held.is_empty()).then_some(Rate { since, ..rate });
        let most = seconds.min(CATCH_UP) * i64::from(rate.per_second);
        for index in held.into_iter().take(usize::try_from(most).unwrap_or_default()) {
            self.deliveries[index].state = State::Queued;
        }
    }

    fn start_probe(&mut self, now: i64) {
        let Some(open) = &mut self.open else { return };
        if self.is_paused || open.probe.is_some() || open.probe_at > now {
            return;
        }
        let held = |one: &Delivery| matches!(one.state, State::Held(HoldReason::Breaker | HoldReason::Releasing));
        let due = self.deliveries.iter().enumerate().filter(|(_, one)| held(one) && one.due <= now);
        open.probe = due.min_by_key(|(index, one)| (one.due, *index)).map(|(index, _)| index);
        if let Some(index) = open.probe {
            self.deliveries[index].state = State::Queued;
        }
    }

    fn send_due(&mut self, now: i64, seen: &Picture) {
        let was_open = self.open.is_some();
        let is_due = |index: &usize| {
            let one = &self.deliveries[*index];
            one.state == State::Queued && one.due <= now
        };
        let was_sent =
            |one: &Delivery| seen.lines.get(&one.name).is_some_and(|line| line.attempts > i64::from(one.attempts));
        let mut due: Vec<_> = (0..self.deliveries.len()).filter(is_due).collect();
        due.sort_by_key(|index| (!was_sent(&self.deliveries[*index]), self.deliveries[*index].due, *index));
        for index in due {
            // Attempts that are under way when the breaker opens are made, too.
            let is_stopped = !was_open && self.open.is_some() && self.counts(index);
            if !is_stopped || was_sent(&self.deliveries[index]) {
                self.send(index, now, seen);
            }
        }
    }

    fn send(&mut self, index: usize, now: i64, seen: &Picture) {
        let one = &mut self.deliveries[index];
        let target = one.original.unwrap_or(self.generation);
        one.requests[target % 2] += 1;
        one.attempted = Some(target);
        one.state = State::Sending;
        if self.reply != Reply::Pending {
            self.end_attempt(index, now, seen);
        }
    }

    /// Returns true if an attempt of this delivery says something about the current target.
    fn counts(&self, index: usize) -> bool {
        let one = &self.deliveries[index];
        one.original.is_none() && one.generation == self.generation && !self.is_deleted
    }

    fn end_attempt(&mut self, index: usize, now: i64, seen: &Picture) {
        let counts = self.counts(index);
        let reply = self.reply;
        let one = &mut self.deliveries[index];
        one.attempts += 1;
        if reply == Reply::Success {
            one.state = State::Sent;
            if counts {
                self.failures = 0;
                if self.open.take().is_some() {
                    self.rate = self.rate.map(|rate| Rate { since: now, ..rate });
                }
            }
            return;
        }
        if reply == Reply::Gone || one.attempts > self.retries {
            one.state = State::Error;
        } else {
            one.state = State::Queued;
            let wait = (RETRY_WAITS.0 << (one.attempts - 1).min(20)).min(RETRY_WAITS.1);
            let asked = reply.retry_after();
            let (first, last) = (now + wait.max(asked), now + (wait + wait / 10).max(asked));
            let due = seen.lines.get(&one.name).and_then(|line| line.due);
            one.due = due.filter(|due| (first..=last).contains(due)).unwrap_or(first);
        }
        if counts {
            self.count_failure(index, now);
        }
    }

    fn count_failure(&mut self, index: usize, now: i64) {
        self.failures += 1;
        match &mut self.open {
            None if self.failures >= FAILURES => {
                self.open = Some(Open { wait: PROBE_WAITS.0, probe_at: now + PROBE_WAITS.0, probe: None });
            }
            Some(open) if open.probe == Some(index) => {
                let wait = (open.wait * 2).min(PROBE_WAITS.1);
                *open = Open { wait, probe_at: now + wait, probe: None };
            }
            _ => {}
        }
    }
}
