//! Holding deliveries: the reasons for it, and the rules that choose between them.
//!
//! The decisions are pure. Only `store::hold`, `store::arrange` and `store::sweep` of the server act on them.

use crate::breaker::Breaker;
use crate::destination::Kind;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// The most deliveries that are held for one destination.
pub const HELD_MAX: u64 = 100_000;

/// The reason why a delivery is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldReason {
    /// A person has paused the destination.
    Paused,
    /// The destination's breaker is open.
    Breaker,
    /// The destination's target has changed since the delivery was queued, and the new target is not confirmed.
    Target,
    /// The destination was resumed, and its deliveries are released at a chosen rate.
    Releasing,
}

impl HoldReason {
    /// All reasons.
    pub const ALL: [Self; 4] = [Self::Paused, Self::Breaker, Self::Target, Self::Releasing];

    /// Returns the word in rows and the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Paused => "paused",
            Self::Breaker => "breaker",
            Self::Target => "target",
            Self::Releasing => "releasing",
        }
    }

    /// Returns the reason with this word.
    pub fn find(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == word)
    }

    /// Returns the reason as a sentence for the operator, about a destination of this kind.
    pub fn message(self, kind: Kind) -> String {
        let noun = kind.noun();
        match self {
            Self::Paused => format!("The {noun} is paused."),
            Self::Breaker => format!("The {noun} keeps failing; a single delivery is tried now and then."),
            Self::Target => format!("The {noun}'s target has changed. Confirm that this may be sent there."),
            Self::Releasing => "Resumed; released at the chosen rate.".to_owned(),
        }
    }
}

/// The state that holds a destination's deliveries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HoldState {
    /// The instant at which a person paused the destination.
    pub paused_at: Option<Timestamp>,
    /// The number of resumed deliveries that are released each second, while a release at a rate lasts.
    pub release_per_second: Option<u32>,
    /// The revision at which the target last changed. Deliveries of an older revision wait for a person's confirmation.
    pub target_revision: i64,
    /// The breaker.
    pub breaker: Breaker,
    /// True while the waiting deliveries still follow a change of this state, in steps. Meanwhile no delivery of the
    /// destination is claimed.
    pub is_arranging: bool,
}

impl HoldState {
    /// Returns the reason that holds new deliveries, if there is one.
    pub fn reason(&self) -> Option<HoldReason> {
        if self.paused_at.is_some() { Some(HoldReason::Paused) } else { self.breaker.open.map(|_| HoldReason::Breaker) }
    }

    /// Returns the reason that holds a delivery to an earlier target, which the breaker does not concern.
    pub fn reason_of_replay(&self) -> Option<HoldReason> {
        self.paused_at.map(|_| HoldReason::Paused)
    }

    /// Returns the reason that holds a delivery whose last attempt was made with this revision of the destination.
    pub fn reason_after(&self, revision: i64) -> Option<HoldReason> {
        if revision < self.target_revision { Some(HoldReason::Target) } else { self.reason() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::breaker::Open;
    use std::time::Duration;

    fn open() -> Breaker {
        let open =
            Open { since: Timestamp(0), wait: Duration::from_secs(1), probe_at: Timestamp(0), is_probing: false };
        Breaker { open: Some(open), ..Breaker::default() }
    }

    #[test]
    fn pause_comes_before_an_open_breaker() {
        let state = HoldState { breaker: open(), ..HoldState::default() };
        assert_eq!(state.reason(), Some(HoldReason::Breaker));
        let paused = HoldState { paused_at: Some(Timestamp(1)), ..state };
        assert_eq!(paused.reason(), Some(HoldReason::Paused));
        assert_eq!(HoldState::default().reason(), None);
    }

    #[test]
    fn replay_to_an_earlier_target_waits_for_a_pause_only() {
        let state = HoldState { breaker: open(), target_revision: 3, ..HoldState::default() };
        assert_eq!(state.reason_of_replay(), None);
        assert_eq!(HoldState { paused_at: Some(Timestamp(1)), ..state }.reason_of_replay(), Some(HoldReason::Paused));
    }

    #[test]
    fn attempt_by_an_earlier_target_waits_for_confirmation() {
        let state = HoldState { breaker: open(), target_revision: 3, ..HoldState::default() };
        assert_eq!(state.reason_after(2), Some(HoldReason::Target));
        assert_eq!(state.reason_after(3), Some(HoldReason::Breaker));
    }

    #[test]
    fn hold_reason_is_found_by_its_name() {
        for reason in HoldReason::ALL {
            assert_eq!(HoldReason::find(reason.as_str()), Some(reason));
        }
    }
}
