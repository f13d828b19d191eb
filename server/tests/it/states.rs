//! The states of deliveries against a reference: random sequences of commands, on a clock that the test moves. Must not
//! run a new sequence each time, since a test must not fail by chance.
//!
//! A sequence is about some webhooks of one server. Their receivers respond as the sequence says; people pause, resume,
//! change and confirm targets, discard and replay; nodes vanish with their leases; the clock moves to the next retry,
//! next to it, or half way. After every command the server comes to rest, and each delivery, its run, its requests and
//! its webhook are compared with the [`reference`]. In the end all holds are released, and every delivery has to be
//! settled.
//!
//! A difference is reported with its seed and the steps of its webhook, shortened as far as a few minutes permit. With
//! `HOOKWRIGHT_TEST_STATES=SEED,…` only these sequences run, to look for more differences.

mod command;
mod picture;
mod receiver;
mod reference;
mod shrink;
mod world;

use self::command::Life::{Failing, Handled};
use self::command::{Command, Move, choose};
use self::reference::Reply;
use self::world::{Difference, Setting, Step, World};
use crate::harness::Database::{self, Postgres, Sqlite};
use futures_util::{FutureExt, StreamExt, stream};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rstest::rstest;
use std::fmt::Write;
use std::time::Duration;

/// The sequences that run each time.
const SEEDS: [u64; 3] = [1, 2, 15];
/// The sequences that run at the same time.
const AT_ONCE: usize = 4;
/// The webhooks of a sequence.
const WEBHOOKS: [Setting; 12] = [
    (3, Reply::Success, Handled),
    (3, Reply::Failure, Handled),
    (5, Reply::Failure, Handled),
    (1, Reply::Success, Handled),
    (2, Reply::Pending, Handled),
    (0, Reply::Success, Handled),
    (0, Reply::Failure, Failing),
    (1, Reply::Failure, Failing),
    (4, Reply::Failure, Failing),
    (8, Reply::Failure, Failing),
    (8, Reply::Limited, Failing),
    (20, Reply::Failure, Failing),
];
/// The moves of the clock in a sequence.
const MOVES: usize = 40;
/// The commands for each webhook between two moves.
const COMMANDS: usize = 2;
/// The longest time in which the server has to come to rest, on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(40);

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deliveries_follow_the_reference(#[values(Sqlite, Postgres)] database: Database) {
    let seeds = match std::env::var("HOOKWRIGHT_TEST_STATES") {
        Ok(seeds) => seeds.split(',').map(|seed| seed.parse().expect("a number")).collect(),
        Err(_) => SEEDS.to_vec(),
    };
    // Sequences wait most of the time for the second in which the server looks at the clock again.
    let runs = seeds.iter().map(|seed| run(database, *seed).boxed());
    let done: Vec<_> = stream::iter(runs).buffered(AT_ONCE).collect().await;
    for (seed, failed) in seeds.iter().zip(done) {
        let Some((steps, difference)) = failed else { continue };
        let steps = shrink::of_slot(&steps, difference.slot);
        let mut report = format!("seed {seed}, webhook {}:\n{}{}", difference.slot, list(&steps), difference.text);
        let (fewer, again) = shrink::shorten(database, WEBHOOKS[difference.slot], steps).boxed().await;
        match again {
            Some(again) => _ = write!(report, "\nshortened:\n{}{}", list(&fewer), again.text),
            None => report += "\nThe webhook alone shows no difference with these steps.",
        }
        panic!("{report}");
    }
}

/// Runs the sequence of a seed. Returns its steps and the difference, if there was one.
async fn run(database: Database, seed: u64) -> Option<(Vec<Step>, Difference)> {
    let mut world = World::start(database, &WEBHOOKS, PATIENCE).await;
    let done = run_in(&mut world, seed).await;
    done.err().map(|difference| (world.steps, difference))
}

async fn run_in(world: &mut World, seed: u64) -> Result<(), Difference> {
    let mut random = StdRng::seed_from_u64(seed);
    for _ in 0..MOVES {
        for _ in 0..COMMANDS {
            for slot in world.pending_too_long() {
                world.step(Step::Do(slot, Command::Reply(Reply::Failure))).await?;
                world.step(Step::Rest).await?;
            }
            for (slot, (_, _, life)) in WEBHOOKS.iter().enumerate() {
                if let Some(command) = choose(&mut random, *life, world.hooks()[slot]) {
                    world.step(Step::Do(slot, command)).await?;
                }
            }
            world.step(Step::Rest).await?;
        }
        world.step(Step::Clock(Move::choose(&mut random, WEBHOOKS.len()), 0)).await?;
    }
    world.finish().await
}

/// Returns the steps as lines, with the time since the beginning in milliseconds.
fn list(steps: &[Step]) -> String {
    let mut now = 0;
    let mut text = String::new();
    for step in steps {
        match step {
            Step::Do(_, command) => _ = writeln!(text, "{now:>9} {command:?}"),
            Step::Rest => {}
            Step::Clock(by, moved) => {
                now += moved;
                _ = writeln!(text, "{now:>9} clock {by:?}");
            }
        }
    }
    text
}
