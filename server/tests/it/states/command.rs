//! The commands of a sequence, and their random choice. Must not look at the server, since the choice depends on the
//! reference.

use super::reference::{Hook, Reply};
use app::view::destination::{Held, ReleaseChoice};
use model::hold::HoldReason;
use rand::RngExt;
use rand::rngs::StdRng;

/// The most deliveries of a webhook that are not settled: as many as may be in flight, so that none of them waits for
/// another.
const UNSETTLED_MAX: usize = 8;

/// The usual life of a webhook in a sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    /// People hold and release its deliveries, and change its target.
    Handled,
    /// Its receiver fails, and nodes vanish.
    Failing,
}

/// A command about one webhook. Deliveries are named by their index, in the order in which they were made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    /// Posts occurrences in one request, each about one of two objects or none.
    Post(Vec<Option<char>>),
    /// Gives the receiver this reply from now on, also to the requests that wait.
    Reply(Reply),
    Pause,
    Resume(ReleaseChoice),
    /// Changes the target to the other receiver.
    Move,
    Confirm(ReleaseChoice),
    Discard(usize),
    Replay {
        index: usize,
        is_original: bool,
    },
    /// Another node claims the delivery that is due next, for this many seconds, and vanishes.
    Vanish(u32),
    /// Deletes the webhook, with its task and event.
    Delete,
}

/// A move of the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Move {
    /// To one of the instants at which something may happen to this webhook, or next to it.
    Near { slot: usize, pick: usize, how: How },
    /// By this many milliseconds.
    By(i64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    Half,
    Before,
    At,
    After,
}

impl Move {
    /// Returns a move near the instants of one of this many webhooks.
    pub(super) fn choose(random: &mut StdRng, slots: usize) -> Self {
        let how = [How::Half, How::Before, How::At, How::At, How::After, How::After][random.random_range(0..6)];
        // The first instants are the likelier ones, so that not everything is due after the first move.
        let pick = random.random_range(0..8_usize).min(random.random_range(0..8));
        Self::Near { slot: random.random_range(0..slots), pick, how }
    }

    /// Returns the milliseconds by which the clock moves.
    pub(super) fn resolve(self, hooks: &[&Hook], now: i64) -> i64 {
        match self {
            Self::By(by) => by,
            Self::Near { slot, pick, how } => {
                let instants = hooks[slot % hooks.len()].instants(now);
                let Some(at) = instants.get(pick % instants.len().max(1)) else { return 1_000 };
                let by = at - now;
                match how {
                    How::Half => by / 2,
                    How::Before => by - 1,
                    How::At => by,
                    How::After => by + 700,
                }
            }
        }
    }
}

/// Chooses the next command. The numbers drawn do not depend on the state, so a seed makes much the same sequence each
/// time. Only consequences of the jitter may differ.
pub(super) fn choose(random: &mut StdRng, life: Life, hook: &Hook) -> Option<Command> {
    let [kind, pick, coin, held, rate]: [u32; 5] = random.random();
    let pick = pick as usize;
    let held = [Held::All, Held::All, Held::Newest, Held::None][held as usize % 4];
    let choice = ReleaseChoice { held, per_second: [None, None, Some(1), Some(2)][rate as usize % 4] };
    // One in eight is a command that has to be refused, or changes nothing.
    let is_sensible = !coin.is_multiple_of(8);
    let index = pick % hook.deliveries.len().max(1);
    let any = |is_settled: bool| {
        let of_kind = |index: &usize| !is_sensible || hook.deliveries[*index].is_settled() == is_settled;
        (index..hook.deliveries.len()).chain(0..index).find(of_kind)
    };
    let room = UNSETTLED_MAX.saturating_sub(hook.unsettled());
    // Each kind has a share of a hundred. The kind is the one whose share contains the number drawn.
    let shares = match life {
        Life::Handled => [28, 20, 14, 8, 6, 8, 6, 8, 1],
        Life::Failing => [32, 20, 6, 2, 1, 6, 8, 18, 1],
    };
    let mut left = kind % 100;
    let kind = shares.iter().position(|share| {
        let is_it = left < *share;
        left = left.saturating_sub(*share);
        is_it
    });
    let command = match kind? {
        0 if room > 0 => Command::Post(objects(pick, 1 + coin as usize % room.min(4))),
        1 => Command::Reply(reply(life, pick)),
        2 if hook.is_paused == is_sensible => Command::Resume(choice),
        2 => Command::Pause,
        3 | 4 if hook.is_held(HoldReason::Target) || !is_sensible => Command::Confirm(choice),
        3 => Command::Move,
        5 => Command::Discard(any(false)?),
        6 if room > 0 => Command::Replay { index: any(true)?, is_original: coin.is_multiple_of(3) },
        7 if hook.next_to_claim().is_some() => Command::Vanish([15, 90][pick % 2]),
        8 if coin.is_multiple_of(4) => Command::Delete,
        _ => return None,
    };
    let is_possible = !hook.is_deleted || matches!(command, Command::Discard(_) | Command::Replay { .. });
    is_possible.then_some(command)
}

fn objects(pick: usize, count: usize) -> Vec<Option<char>> {
    (0..count).map(|index| [None, Some('a'), Some('a'), Some('b')][(pick >> (2 * index)) % 4]).collect()
}

fn reply(life: Life, pick: usize) -> Reply {
    match pick % 20 {
        0 => Reply::Success,
        1..5 if life == Life::Handled => Reply::Success,
        1..11 => Reply::Failure,
        11 | 12 => Reply::Redirect,
        13 => Reply::Gone,
        14 => Reply::Busy,
        15 | 16 => Reply::Limited,
        _ => Reply::Pending,
    }
}
