//! The breaker of a destination. It opens after ten failed attempts in a row. While it is open, single deliveries are
//! sent as probes, until one succeeds.
//!
//! This module decides and the dispatcher stores the decision, so that a restart neither closes a breaker nor shortens
//! its wait.

use crate::time::Timestamp;
use std::time::Duration;

/// The failed attempts in a row that open a breaker.
pub const FAILURES: u32 = 10;
/// The wait before the first probe; each failed probe doubles it.
pub const FIRST_WAIT: Duration = Duration::from_secs(30);
/// The longest wait between probes.
pub const LONGEST_WAIT: Duration = Duration::from_mins(15);

/// The state of a breaker.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Breaker {
    /// Failed attempts since the last success.
    pub failures: u32,
    /// Set while the breaker is open.
    pub open: Option<Open>,
    /// The last attempt timed out. One delivery is sent at a time until a response comes in time.
    pub is_hanging: bool,
}

/// An open breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Open {
    /// Time of the opening.
    pub since: Timestamp,
    /// The wait before the next probe.
    pub wait: Duration,
    /// Time of the next probe. It is also due if the current probe never ends.
    pub probe_at: Timestamp,
    /// A probe is under way.
    pub is_probing: bool,
}

/// The change of a breaker by an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Neither opened nor closed.
    None,
    /// The breaker opened.
    Opened,
    /// The breaker closed.
    Closed,
}

/// The end of an attempt, as far as it says something about the receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending {
    /// The attempt ended without a 2xx response.
    pub has_failed: bool,
    /// `Some(true)` if the attempt timed out before the response was complete, `Some(false)` if a response came in
    /// time, `None` if the attempt says nothing about it.
    pub is_hanging: Option<bool>,
    /// Time of the attempt's start.
    pub started_at: Timestamp,
}

impl Breaker {
    /// Returns true if the breaker is closed and has counted no failures, so that a success changes nothing.
    pub fn is_at_rest(&self) -> bool {
        *self == Self::default()
    }

    /// Returns true while a probe is under way.
    pub fn is_probing(&self) -> bool {
        self.open.is_some_and(|open| open.is_probing)
    }

    /// Records an attempt that ended now.
    pub fn after_attempt(&mut self, ending: Ending, now: Timestamp) -> Change {
        if !ending.has_failed {
            let was_open = self.open.is_some();
            *self = Self { is_hanging: ending.is_hanging.unwrap_or_default(), ..Self::default() };
            return if was_open { Change::Closed } else { Change::None };
        }
        self.is_hanging = ending.is_hanging.unwrap_or(self.is_hanging);
        self.failures = self.failures.saturating_add(1);
        match &mut self.open {
            None if self.failures >= FAILURES => {
                let probe_at = now.after(FIRST_WAIT);
                self.open = Some(Open { since: now, wait: FIRST_WAIT, probe_at, is_probing: false });
                Change::Opened
            }
            // Only a failed probe doubles the wait. Attempts that were in flight when the breaker opened change
            // nothing.
            Some(open) if open.is_probing && ending.started_at >= open.since => {
                open.wait = (open.wait * 2).min(LONGEST_WAIT);
                open.probe_at = now.after(open.wait);
                open.is_probing = false;
                Change::None
            }
            _ => Change::None,
        }
    }

    /// Starts a probe if one is due. `lost_after` is the wait before the next probe if this one never ends.
    pub fn start_probe(&mut self, now: Timestamp, lost_after: Duration) -> bool {
        match &mut self.open {
            Some(open) if open.probe_at <= now => {
                open.is_probing = true;
                open.probe_at = now.after(lost_after);
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);
    const SENT: Ending = Ending { has_failed: false, is_hanging: Some(false), started_at: NOW };
    const FAILED: Ending = Ending { has_failed: true, ..SENT };

    fn opened() -> Breaker {
        let mut breaker = Breaker::default();
        let changes: Vec<_> = (0..FAILURES).map(|_| breaker.after_attempt(FAILED, NOW)).collect();
        assert_eq!(changes.iter().filter(|change| **change == Change::Opened).count(), 1);
        assert_eq!(changes.last(), Some(&Change::Opened), "at exactly the tenth");
        breaker
    }

    #[test]
    fn success_resets_the_count_of_failures() {
        let mut breaker = Breaker::default();
        for _ in 0..3 {
            for _ in 0..FAILURES - 1 {
                assert_eq!(breaker.after_attempt(FAILED, NOW), Change::None);
            }
            assert_eq!(breaker.after_attempt(SENT, NOW), Change::None);
        }
        assert!(breaker.is_at_rest());
    }

    #[test]
    fn receiver_hangs_from_a_timeout_until_a_response_in_time() {
        let mut breaker = Breaker::default();
        for (has_failed, says, expected) in [
            (true, Some(true), true),
            (true, None, true),
            (true, Some(false), false),
            (true, None, false),
            (true, Some(true), true),
            (false, Some(true), true),
            (false, Some(false), false),
        ] {
            breaker.after_attempt(Ending { has_failed, is_hanging: says, ..SENT }, NOW);
            assert_eq!(breaker.is_hanging, expected, "{has_failed} {says:?}");
            assert_eq!(breaker.failures == 0, !has_failed, "a slow response is a success");
        }
        assert!(breaker.is_at_rest());
    }

    #[test]
    fn probes_wait_twice_as_long_each_up_to_fifteen_minutes() {
        let mut breaker = opened();
        let mut now = NOW;
        let mut waits = Vec::new();
        for _ in 0..8 {
            let open = breaker.open.expect("open");
            waits.push(open.probe_at.since(now).as_secs());
            assert!(!breaker.start_probe(Timestamp(open.probe_at.0 - 1), Duration::from_mins(1)));
            now = open.probe_at;
            assert!(breaker.start_probe(now, Duration::from_mins(1)));
            assert!(!breaker.start_probe(now, Duration::from_mins(1)), "one at a time");
            assert_eq!(breaker.after_attempt(FAILED, now), Change::None);
        }
        assert_eq!(waits, [30, 60, 120, 240, 480, 900, 900, 900]);
        assert_eq!(breaker.after_attempt(SENT, now), Change::Closed);
        assert!(breaker.is_at_rest());
    }

    #[test]
    fn attempt_in_flight_at_the_opening_neither_delays_the_probe_nor_counts_as_one() {
        let mut breaker = opened();
        let straggler = Ending { started_at: Timestamp(NOW.0 - 1), ..FAILED };
        let before = breaker.open;
        assert_eq!(breaker.after_attempt(straggler, NOW.after(Duration::from_secs(5))), Change::None);
        assert_eq!(breaker.open, before);
        let due = NOW.after(FIRST_WAIT);
        assert!(breaker.start_probe(due, Duration::from_mins(1)));
        let before = breaker.open;
        assert_eq!(breaker.after_attempt(straggler, due.after(Duration::from_secs(5))), Change::None);
        assert_eq!(breaker.open, before, "the probe is still under way");
        breaker.after_attempt(Ending { started_at: due, ..FAILED }, due);
        assert_eq!(breaker.open.map(|open| open.wait), Some(FIRST_WAIT * 2));
    }

    #[test]
    fn probe_without_an_outcome_is_followed_by_another() {
        let mut breaker = opened();
        let due = breaker.open.expect("open").probe_at;
        assert!(breaker.start_probe(due, Duration::from_secs(15)));
        assert!(breaker.start_probe(due.after(Duration::from_secs(15)), Duration::from_secs(15)));
    }
}
