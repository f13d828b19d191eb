//! Deliveries and attempts: their states, and the one place that decides how a delivery goes on.
//!
//! Every change of a delivery's state goes through [`after_attempt`] (or a named transition here), so that the
//! database never sees a state this module did not choose.

use crate::retry;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Waiting for its first or next attempt.
    Queued,
    /// An attempt is under way.
    Running,
    /// A receiver answered 2xx.
    Sent,
    /// Out of attempts, or an error that retrying cannot mend.
    Error,
    /// Waiting for a paused or failing webhook.
    Held,
    /// Discarded by a person, or its webhook was deleted.
    Discarded,
}

impl Status {
    /// All of them, in the order a list offers them.
    pub const ALL: [Self; 6] = [Self::Queued, Self::Running, Self::Sent, Self::Error, Self::Held, Self::Discarded];

    /// The word in rows and the API.
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

    /// The status with this word.
    pub fn find(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }

    /// Nothing more will happen by itself.
    pub fn is_settled(self) -> bool {
        matches!(self, Self::Sent | Self::Error | Self::Discarded)
    }
}

/// Why a delivery is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldReason {
    /// A person paused the webhook.
    Paused,
    /// The webhook's breaker is open.
    Breaker,
    /// The webhook's target has changed since, and nobody has confirmed that the message may go there.
    Target,
    /// Resumed, and released at a chosen rate.
    Releasing,
}

impl HoldReason {
    /// The word in rows and the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Paused => "paused",
            Self::Breaker => "breaker",
            Self::Target => "target",
            Self::Releasing => "releasing",
        }
    }

    /// The reason with this word.
    pub fn find(word: &str) -> Option<Self> {
        [Self::Paused, Self::Breaker, Self::Target, Self::Releasing].into_iter().find(|reason| reason.as_str() == word)
    }

    /// The reason as a sentence for the operator.
    pub fn words(self) -> &'static str {
        match self {
            Self::Paused => "The webhook is paused.",
            Self::Breaker => "The webhook keeps failing; a single delivery is tried now and then.",
            Self::Target => "The webhook's target has changed. Confirm that this may be sent there.",
            Self::Releasing => "Resumed; released at the chosen rate.",
        }
    }
}

/// Why an attempt failed. Stable ids: scripts and lists rely on them.
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
    /// A 3xx answer.
    Redirect,
    /// Any other answer but 2xx.
    Status,
    /// The connection broke before a status line.
    Reset,
    /// Something was answered whose head cannot be read. The receiver may well have acted.
    Unreadable,
    /// The rendered message is over its limit.
    TooLarge,
    /// A configured header cannot be sent.
    Header,
    /// Too many deliveries are held for the webhook.
    HoldFull,
    /// A fault of ours.
    Internal,
}

impl ErrorCode {
    const ALL: [Self; 13] = [
        Self::Dns,
        Self::Connect,
        Self::Tls,
        Self::Timeout,
        Self::RefusedAddress,
        Self::Redirect,
        Self::Status,
        Self::Reset,
        Self::Unreadable,
        Self::TooLarge,
        Self::Header,
        Self::HoldFull,
        Self::Internal,
    ];

    /// The word in rows and the API.
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
            Self::TooLarge => "too_large",
            Self::Header => "header",
            Self::HoldFull => "hold_full",
            Self::Internal => "internal",
        }
    }

    /// The code with this word.
    pub fn find(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.as_str() == word)
    }

    /// Trying again with the same message and the same settings cannot help.
    fn is_final(self) -> bool {
        matches!(self, Self::TooLarge | Self::Header | Self::HoldFull)
    }
}

/// How one HTTP exchange ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A 2xx status line arrived in time.
    Sent,
    /// It did not work.
    Failed {
        /// Why.
        code: ErrorCode,
        /// The status that was answered, if any.
        http_status: Option<u16>,
        /// What `Retry-After` asked for, already read against the clock.
        retry_after: Option<Duration>,
    },
}

/// How a delivery goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// It is over.
    Settle(Status),
    /// Another attempt at this instant.
    RetryAt(Timestamp),
    /// Another attempt, not before this instant, once nothing holds it any more.
    Hold(HoldReason, Timestamp),
}

impl Next {
    /// The same, while the webhook holds its deliveries.
    #[must_use]
    pub fn held(self, hold: Option<HoldReason>) -> Self {
        match (self, hold) {
            (Self::RetryAt(due), Some(reason)) => Self::Hold(reason, due),
            (next, _) => next,
        }
    }
}

/// The most deliveries that are held for one webhook.
pub const HELD_MAX: u64 = 100_000;
/// How far ahead a due time may lie before the clock is taken to have been set back.
pub const DUE_MAX: Duration = Duration::from_mins(61);

/// The longest wait a receiver can ask for with `Retry-After`.
pub const RETRY_AFTER_MAX: Duration = Duration::from_hours(1);

/// Decides after attempt number `attempt` (from 1) of `1 + retries`; `jitter` is uniform in `0.0..1.0`.
pub fn after_attempt(outcome: &Outcome, attempt: u32, retries: u32, now: Timestamp, jitter: f64) -> Next {
    match outcome {
        Outcome::Sent => Next::Settle(Status::Sent),
        // 410: the receiver says this will never work again (RFC 9110 §15.5.11).
        Outcome::Failed { http_status: Some(410), .. } => Next::Settle(Status::Error),
        Outcome::Failed { code, .. } if code.is_final() || attempt > retries => Next::Settle(Status::Error),
        // Each further one may make the receiver act once more.
        Outcome::Failed { code: ErrorCode::Unreadable, .. } if attempt > 1 => Next::Settle(Status::Error),
        Outcome::Failed { http_status, retry_after, .. } => {
            let wait = retry::jittered_wait(attempt, jitter);
            let asked = retry_after.filter(|_| matches!(http_status, Some(429 | 503))).unwrap_or_default();
            Next::RetryAt(now.after(wait.max(asked.min(RETRY_AFTER_MAX))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);

    fn failed(code: ErrorCode, http_status: Option<u16>, retry_after: Option<u64>) -> Outcome {
        Outcome::Failed { code, http_status, retry_after: retry_after.map(Duration::from_secs) }
    }

    fn next(outcome: &Outcome, attempt: u32) -> Next {
        after_attempt(outcome, attempt, 3, NOW, 0.0)
    }

    #[test]
    fn retries_stop_after_the_limit() {
        let outcome = failed(ErrorCode::Connect, None, None);
        for (attempt, seconds) in [(1, 5), (2, 10), (3, 20)] {
            assert_eq!(next(&outcome, attempt), Next::RetryAt(NOW.after(Duration::from_secs(seconds))));
        }
        assert_eq!(next(&outcome, 4), Next::Settle(Status::Error));
    }

    #[test]
    fn a_response_that_cannot_be_read_is_asked_for_once_more_at_most() {
        let unreadable = failed(ErrorCode::Unreadable, None, None);
        assert_eq!(next(&unreadable, 1), Next::RetryAt(NOW.after(Duration::from_secs(5))));
        assert_eq!(next(&unreadable, 2), Next::Settle(Status::Error));
        assert!(!crate::breaker::counts(ErrorCode::Unreadable), "the receiver is there");
    }

    #[test]
    fn a_2xx_settles_and_a_410_gives_up() {
        assert_eq!(next(&Outcome::Sent, 1), Next::Settle(Status::Sent));
        assert_eq!(next(&failed(ErrorCode::Status, Some(410), None), 1), Next::Settle(Status::Error));
    }

    #[test]
    fn retry_after_delays_but_never_hastens_and_is_capped() {
        let at = |seconds| Next::RetryAt(NOW.after(Duration::from_secs(seconds)));
        assert_eq!(next(&failed(ErrorCode::Status, Some(503), Some(60)), 1), at(60));
        assert_eq!(next(&failed(ErrorCode::Status, Some(429), Some(1)), 1), at(5));
        assert_eq!(next(&failed(ErrorCode::Status, Some(429), Some(999_999)), 1), at(3600));
        assert_eq!(next(&failed(ErrorCode::Status, Some(500), Some(60)), 1), at(5));
    }

    #[test]
    fn a_message_that_cannot_be_sent_is_not_tried_again() {
        assert_eq!(next(&failed(ErrorCode::TooLarge, None, None), 1), Next::Settle(Status::Error));
    }

    #[test]
    fn what_is_held_keeps_its_time_and_what_is_settled_stays_settled() {
        let retry = Next::RetryAt(NOW);
        assert_eq!(retry.held(Some(HoldReason::Paused)), Next::Hold(HoldReason::Paused, NOW));
        assert_eq!(retry.held(None), retry);
        let sent = Next::Settle(Status::Sent);
        assert_eq!(sent.held(Some(HoldReason::Breaker)), sent);
    }

    #[test]
    fn words_are_read_back() {
        for reason in [HoldReason::Paused, HoldReason::Breaker, HoldReason::Target, HoldReason::Releasing] {
            assert_eq!(HoldReason::find(reason.as_str()), Some(reason));
        }
        for status in Status::ALL {
            assert_eq!(Status::find(status.as_str()), Some(status));
        }
        for code in ErrorCode::ALL {
            assert_eq!(ErrorCode::find(code.as_str()), Some(code));
        }
    }
}
