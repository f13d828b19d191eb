//! The breaker of a webhook: after ten failed attempts in a row it opens, and single probes ask whether the receiver is
//! back (`spec/engine.md` §4).
//!
//! Pure: the dispatcher stores what is decided here, so that a restart neither closes nor hastens it.

use crate::delivery::ErrorCode;
use crate::time::Timestamp;
use std::time::Duration;

/// How many failed attempts in a row open it.
pub const FAILURES: u32 = 10;
/// The wait before the first probe; each failed probe doubles it.
pub const FIRST_WAIT: Duration = Duration::from_secs(30);
/// The longest wait between probes.
pub const LONGEST_WAIT: Duration = Duration::from_mins(15);

/// Where a breaker stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Breaker {
    /// Failed attempts since the last success.
    pub failures: u32,
    /// Set while it is open.
    pub open: Option<Open>,
    /// The last attempt timed out: until an answer comes in time, one delivery at a time is enough.
    pub is_hanging: bool,
}

/// An open breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Open {
    /// Since when.
    pub since: Timestamp,
    /// The wait that leads to the next probe.
    pub wait: Duration,
    /// When the next probe may go, also if the one under way is never heard of again.
    pub probe_at: Timestamp,
    /// Whether a probe is under way.
    pub is_probing: bool,
}

/// What an attempt changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Nothing that anybody has to hear of.
    None,
    /// It has just opened.
    Opened,
    /// It has just closed.
    Closed,
}

/// How an attempt ended, as far as that says something about the receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending {
    /// No 2xx.
    pub has_failed: bool,
    /// Whether the receiver hangs, if this says so: the time was up before the answer was whole, or it answered in time.
    pub is_hanging: Option<bool>,
    /// When it began.
    pub started_at: Timestamp,
}

/// Whether a failure with this code says something about the receiver.
pub fn counts(code: ErrorCode) -> bool {
    !matches!(
        code,
        ErrorCode::TooLarge | ErrorCode::Header | ErrorCode::HoldFull | ErrorCode::Internal | ErrorCode::Unreadable
    )
}

impl Breaker {
    /// Nothing to store for a success.
    pub fn is_at_rest(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a probe is under way.
    pub fn is_probing(&self) -> bool {
        self.open.is_some_and(|open| open.is_probing)
    }

    /// Takes note of an attempt that ended now.
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
            // What was in flight when it opened changes nothing; only a probe's failure makes the next one wait longer.
            Some(open) if open.is_probing && ending.started_at >= open.since => {
                open.wait = (open.wait * 2).min(LONGEST_WAIT);
                open.probe_at = now.after(open.wait);
                open.is_probing = false;
                Change::None
            }
            _ => Change::None,
        }
    }

    /// Mends what a clock that was set back has left in the future. Nothing waits longer than it would have.
    pub fn pull_in(&mut self, now: Timestamp) {
        if let Some(open) = &mut self.open {
            open.since = open.since.min(now);
            open.probe_at = open.probe_at.min(now.after(LONGEST_WAIT));
        }
    }

    /// Sends a probe, if one is due; `lost_after` is when it is given up if nothing is heard of it.
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
    fn a_success_in_between_starts_the_count_again() {
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
    fn it_hangs_from_a_timeout_until_any_answer_in_time() {
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
            assert_eq!(breaker.failures == 0, !has_failed, "a slow answer is one");
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
    fn what_was_in_flight_when_it_opened_neither_puts_the_probe_off_nor_counts_as_one() {
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
    fn a_clock_that_was_set_back_does_not_put_the_probe_off() {
        let mut breaker = opened();
        let yesterday = Timestamp(NOW.0 - 86_400_000);
        breaker.pull_in(yesterday);
        let open = breaker.open.expect("open");
        assert_eq!((open.since, open.probe_at), (yesterday, yesterday.after(LONGEST_WAIT)));
        let before = breaker;
        breaker.pull_in(NOW);
        assert_eq!(breaker, before);
    }

    #[test]
    fn a_probe_that_is_never_heard_of_again_is_followed_by_another() {
        let mut breaker = opened();
        let due = breaker.open.expect("open").probe_at;
        assert!(breaker.start_probe(due, Duration::from_secs(15)));
        assert!(breaker.start_probe(due.after(Duration::from_secs(15)), Duration::from_secs(15)));
    }
}
