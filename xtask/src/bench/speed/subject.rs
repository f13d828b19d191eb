//! A server under test, and the messages that it is measured with.

use super::ours::Ours;
use super::peer::Peer;
use std::ops::RangeInclusive;

/// The webhooks beside the one that hangs. Each gets its own messages.
pub(super) const LANES: u32 = 49;

/// A kind of message: the webhooks that it is sent to. Each webhook has an endpoint of the receiver of its own.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Topic {
    /// To one webhook.
    One,
    /// To ten webhooks, the first of which is that of [`Topic::One`].
    Ten,
    /// To one of [`LANES`] webhooks, in turn.
    Lanes,
    /// To the webhook whose receiver hangs.
    Hanging,
    /// To the webhook that has a backlog.
    Backlog,
}

impl Topic {
    pub(super) const ALL: [Self; 5] = [Self::One, Self::Ten, Self::Lanes, Self::Hanging, Self::Backlog];

    /// Returns the endpoints of the receiver.
    pub(super) fn endpoints(self) -> RangeInclusive<u32> {
        match self {
            Self::One => 0..=0,
            Self::Ten => 0..=9,
            Self::Lanes => 10..=9 + LANES,
            Self::Hanging => 100..=100,
            Self::Backlog => 200..=200,
        }
    }

    /// Returns the deliveries of a message.
    pub(super) fn each(self) -> u32 {
        if self == Self::Ten { 10 } else { 1 }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::One => "one",
            Self::Ten => "ten",
            Self::Lanes => "lane",
            Self::Hanging => "hanging",
            Self::Backlog => "backlog",
        }
    }
}

/// A request that reports a message. The sender replaces `{seq}` by the number of the message, and `{lane}` by that
/// number modulo [`LANES`].
pub(super) struct Message {
    pub(super) url: String,
    pub(super) token: String,
    pub(super) body: String,
}

/// The members of each message: 192 bytes of payload.
pub(super) fn payload() -> String {
    format!(
        "\"bench_seq\":{{seq}},\"kind\":\"order.created\",\"customer\":\"cus_8f3a1c2b9d\",\"amount\":12345,\
         \"currency\":\"EUR\",\"note\":\"{}\"",
        "x".repeat(80)
    )
}

/// A server under test.
pub(super) enum Subject {
    Ours(Box<Ours>),
    Peer(Peer),
}

impl Subject {
    /// Returns the head of its column.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Ours(ours) => ours.database.name(),
            Self::Peer(_) => "peer",
        }
    }

    pub(super) fn message(&self, topic: Topic) -> Message {
        match self {
            Self::Ours(ours) => ours.message(topic),
            Self::Peer(peer) => peer.message(topic),
        }
    }

    /// Returns the ids of its processes. Their descendants count too. Empty if they are unknown.
    pub(super) fn processes(&self) -> Vec<u32> {
        match self {
            Self::Ours(ours) => ours.processes(),
            Self::Peer(peer) => peer.processes.clone(),
        }
    }

    pub(super) fn ours(&mut self) -> Option<&mut Ours> {
        match self {
            Self::Ours(ours) => Some(ours),
            Self::Peer(_) => None,
        }
    }
}
