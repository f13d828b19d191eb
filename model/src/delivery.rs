//! Deliveries and attempts: their states, and the only function that decides how a delivery continues.
//!
//! Every state after an attempt comes from [`after_attempt`], so that the database never has a state that this module
//! did not choose. The reasons that hold a delivery are decided in [`hold`](crate::hold).

use crate::breaker::Ending;
use crate::hold::HoldReason;
use crate::retry;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The state of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Waiting for its first or next attempt.
    Queued,
    /// An attempt is under way.
    Running,
    /// The receiver has returned 2xx.
    Sent,
    /// No attempts are left, or another attempt could not help.
    Error,
    /// Held by its destination: see [`HoldReason`].
    Held,
    /// A person has discarded the delivery, or its destination was deleted.
    Discarded,
}

impl Status {
    /// All statuses, in the order in which a list offers them.
    pub const ALL: [Self; 6] = [Self::Queued, Self::Running, Self::Sent, Self::Error, Self::Held, Self::Discarded];

    /// Returns the word in rows and the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Sent => "sent",
            Self::Error => "error",
            Self::Held => "held",
            Self::Discarded => "discarded",
        }
    }

    /// Returns the status with this word.
    pub fn find(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }

    /// Returns true when nothing more happens by itself.
    pub fn is_settled(self) -> bool {
        matches!(self, Self::Sent | Self::Error | Self::Discarded)
    }
}

/// The reason why an attempt failed. The words are stable, since scripts and lists rely on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// The host's name did not resolve.
    Dns,
    /// No connection.
    Connect,
    /// No encrypted connection.
    Tls,
    /// The deadline passed.
    Timeout,
    /// The address may not be called.
    RefusedAddress,
    /// A 3xx response.
    Redirect,
    /// Any other response that is not 2xx, or an SMTP reply that ends the session.
    Status,
    /// The connection broke before a status line.
    Reset,
    /// The head of the response cannot be read. The receiver has probably acted.
    Unreadable,
    /// The mail server asks to try some recipients later.
    Deferred,
    /// The mail server refuses some recipients for good.
    RefusedRecipient,
    /// The rendered message is over its limit.
    TooLarge,
    /// A configured header cannot be sent.
    Header,
    /// Too many deliveries are held for the destination.
    HoldFull,
    /// A fault of Hookwright.
    Internal,
}

impl ErrorCode {
    const ALL: [Self; 15] = [
        Self::Dns,
        Self::Connect,
        Self::Tls,
        Self::Timeout,
        Self::RefusedAddress,
        Self::Redirect,
        Self::Status,
        Self::Reset,
        Self::Unreadable,
        Self::Deferred,
        Self::RefusedRecipient,
        Self::TooLarge,
        Self::Header,
        Self::HoldFull,
        Self::Internal,
    ];

    /// Returns the word in rows and the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::RefusedAddress => "refused_address",
            Self::Redirect => "redirect",
            Self::Status => "status",
            Self::Reset => "reset",
            Self::Unreadable => "unreadable",
            Self::Deferred => "deferred",
            Self::RefusedRecipient => "refused_recipient",
            Self::TooLarge => "too_large",
            Self::Header => "header",
            Self::HoldFull => "hold_full",
            Self::Internal => "internal",
        }
    }

    /// Returns the code with this word.
    pub fn find(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.as_str() == word)
    }

    /// Returns true if a failure with this code says something about the receiver.
    fn is_about_the_receiver(self) -> bool {
        !matches!(self, Self::TooLarge | Self::Header | Self::HoldFull | Self::Internal | Self::Unreadable)
    }

    /// Returns true when another attempt with the same message and settings cannot help.
    fn is_final(self) -> bool {
        matches!(self, Self::TooLarge | Self::Header | Self::HoldFull | Self::RefusedRecipient)
    }
}

/// The outcome of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A 2xx status line arrived in time.
    Sent,
    /// The exchange failed.
    Failed {
        /// The reason.
        code: ErrorCode,
        /// The status of the response, if there was one.
        status_code: Option<u16>,
        /// The wait that `Retry-After` asks for.
        retry_after: Option<Duration>,
    },
}

impl Outcome {
    /// Returns the end of an attempt as the breaker counts it. `None` for an attempt that says nothing about the
    /// receiver.
    pub fn ending(&self, status_code: Option<u16>, has_timed_out: bool, started_at: Timestamp) -> Option<Ending> {
        let has_failed = match self {
            // The mail server works, even if it refuses a recipient.
            Self::Sent | Self::Failed { code: ErrorCode::Deferred | ErrorCode::RefusedRecipient, .. } => false,
            Self::Failed { code, .. } if code.is_about_the_receiver() => true,
            Self::Failed { .. } => return None,
        };
        let is_hanging = if has_timed_out { Some(true) } else { status_code.map(|_| false) };
        Some(Ending { has_failed, is_hanging, started_at })
    }
}

/// The next state of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The delivery is settled.
    Settle(Status),
    /// Another attempt at this instant.
    RetryAt(Timestamp),
    /// Another attempt once the hold has ended, but not before this instant.
    Hold(HoldReason, Timestamp),
}

impl Next {
    /// Returns the state held for `hold` where another attempt would follow, and otherwise unchanged.
    #[must_use]
    pub fn held(self, hold: Option<HoldReason>) -> Self {
        match (self, hold) {
            (Self::RetryAt(due), Some(reason)) => Self::Hold(reason, due),
            (next, _) => next,
        }
    }
}

/// The longest wait that a receiver can ask for with `Retry-After`.
pub const RETRY_AFTER_MAX: Duration = Duration::from_hours(1);

/// Returns the next state after attempt number `attempt` (from 1) of `1 + retries`. `jitter` is uniform in `0.0..1.0`.
pub fn after_attempt(outcome: &Outcome, attempt: u32, retries: u32, now: Timestamp, jitter: f64) -> Next {
    match outcome {
        Outcome::Sent => Next::Settle(Status::Sent),
        // With 410 the receiver says that this will never work again (RFC 9110 §15.5.11).
        Outcome::Failed { code: ErrorCode::Status, status_code: Some(410), .. } => Next::Settle(Status::Error),
        Outcome::Failed { code, .. } if code.is_final() || attempt > retries => Next::Settle(Status::Error),
        // Each further attempt may make the receiver act once more.
        Outcome::Failed { code: ErrorCode::Unreadable, .. } if attempt > 1 => Next::Settle(Status::Error),
        Outcome::Failed { status_code, retry_after, .. } => {
            let wait = retry::jittered_wait(attempt, jitter);
            let asked = retry_after.filter(|_| matches!(status_code, Some(429 | 503))).unwrap_or_default();
            Next::RetryAt(now.after(wait.max(asked.min(RETRY_AFTER_MAX))))
        }
    }
}

/// Returns the longest possible wait of a delivery after this many attempts, if the last response had this status. A
/// due time further in the future means that the clock was set back.
pub fn longest_wait(attempts: u32, status_code: Option<u16>) -> Duration {
    match (attempts, status_code) {
        (0, _) => Duration::ZERO,
        (_, Some(429 | 503)) => retry::jittered_wait(attempts, 1.0).max(RETRY_AFTER_MAX),
        _ => retry::jittered_wait(attempts, 1.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);

    fn failed(code: ErrorCode, status_code: Option<u16>, retry_after: Option<u64>) -> Outcome {
        Outcome::Failed { code, status_code, retry_after: retry_after.map(Duration::from_secs) }
    }

    fn next(outcome: &Outcome, attempt: u32) -> Next {
        after_attempt(outcome, attempt, 3, NOW, 0.0)
    }

    #[test]
    fn retries_stop_at_their_limit() {
        let outcome = failed(ErrorCode::Connect, None, None);
        for (attempt, seconds) in [(1, 5), (2, 10), (3, 20)] {
            assert_eq!(next(&outcome, attempt), Next::RetryAt(NOW.after(Duration::from_secs(seconds))));
        }
        assert_eq!(next(&outcome, 4), Next::Settle(Status::Error));
    }

    #[test]
    fn unreadable_response_is_retried_once_at_most() {
        let unreadable = failed(ErrorCode::Unreadable, None, None);
        assert_eq!(next(&unreadable, 1), Next::RetryAt(NOW.after(Duration::from_secs(5))));
        assert_eq!(next(&unreadable, 2), Next::Settle(Status::Error));
        assert_eq!(unreadable.ending(None, false, NOW), None, "the receiver is there");
    }

    #[test]
    fn status_2xx_settles_as_sent_and_410_as_error() {
        assert_eq!(next(&Outcome::Sent, 1), Next::Settle(Status::Sent));
        assert_eq!(next(&failed(ErrorCode::Status, Some(410), None), 1), Next::Settle(Status::Error));
    }

    #[test]
    fn retry_after_only_delays_and_is_capped() {
        let at = |seconds| Next::RetryAt(NOW.after(Duration::from_secs(seconds)));
        assert_eq!(next(&failed(ErrorCode::Status, Some(503), Some(60)), 1), at(60));
        assert_eq!(next(&failed(ErrorCode::Status, Some(429), Some(1)), 1), at(5));
        assert_eq!(next(&failed(ErrorCode::Status, Some(429), Some(999_999)), 1), at(3600));
        assert_eq!(next(&failed(ErrorCode::Status, Some(500), Some(60)), 1), at(5));
    }

    #[test]
    fn too_large_message_is_not_retried() {
        assert_eq!(next(&failed(ErrorCode::TooLarge, None, None), 1), Next::Settle(Status::Error));
    }

    #[test]
    fn hold_keeps_the_due_time_and_leaves_settled_deliveries_alone() {
        let retry = Next::RetryAt(NOW);
        assert_eq!(retry.held(Some(HoldReason::Paused)), Next::Hold(HoldReason::Paused, NOW));
        assert_eq!(retry.held(None), retry);
        let sent = Next::Settle(Status::Sent);
        assert_eq!(sent.held(Some(HoldReason::Breaker)), sent);
    }

    #[test]
    fn status_and_code_are_found_by_their_names() {
        for status in Status::ALL {
            assert_eq!(Status::find(status.as_str()), Some(status));
        }
        for code in ErrorCode::ALL {
            assert_eq!(ErrorCode::find(code.as_str()), Some(code));
        }
    }

    #[test]
    fn no_retry_is_due_later_than_its_longest_wait() {
        for (status_code, asked) in [(None, None), (Some(500), Some(3000)), (Some(503), None), (Some(429), Some(9999))]
        {
            for attempt in 1..=12 {
                let outcome = failed(ErrorCode::Status, status_code, asked);
                let Next::RetryAt(due) = after_attempt(&outcome, attempt, 12, NOW, 1.0) else { panic!("no retry") };
                assert!(due <= NOW.after(longest_wait(attempt, status_code)), "{attempt} {status_code:?}");
            }
        }
        assert_eq!(longest_wait(0, None), Duration::ZERO, "the first attempt does not wait");
    }
}
