//! A sequence that shows a difference, for the report: of one webhook, and as short as some tries make it. Must not decide
//! if the test fails.

use super::command::Move;
use super::world::{Difference, Setting, Step, World};
use crate::harness::Database;
use futures_util::FutureExt;
use std::time::{Duration, Instant};

/// The time for shortening a sequence.
const BUDGET: Duration = Duration::from_mins(3);
/// The longest time in which the server has to come to rest. The sweep and the look for ended leases take a second each.
const PATIENCE: Duration = Duration::from_secs(5);

/// Returns the steps that concern one webhook; a rest belongs after each. Moves of the clock near instants of the others
/// become plain ones.
pub(super) fn of_slot(steps: &[Step], number: usize) -> Vec<Step> {
    let one = |step: &Step| match step {
        Step::Do(slot, command) => (*slot == number).then(|| Step::Do(0, command.clone())),
        Step::Rest => None,
        Step::Clock(Move::Near { slot, pick, how }, by) if *slot == number => {
            Some(Step::Clock(Move::Near { slot: 0, pick: *pick, how: *how }, *by))
        }
        Step::Clock(_, by) => Some(Step::Clock(Move::By(*by), *by)),
    };
    steps.iter().filter_map(one).collect()
}

/// Cuts steps from a sequence for as long as the rest still shows a difference. Returns the sequence, and its difference
/// if it showed one at all.
pub(super) async fn shorten(
    database: Database,
    setting: Setting,
    mut steps: Vec<Step>,
) -> (Vec<Step>, Option<Difference>) {
    let since = Instant::now();
    let Some((taken, mut difference)) = differs(database, setting, &steps).boxed().await else { return (steps, None) };
    steps = taken;
    let mut size = steps.len() / 2;
    while size > 0 {
        let mut from = 0;
        while from < steps.len() && since.elapsed() < BUDGET {
            let fewer = [&steps[..from], &steps[(from + size).min(steps.len())..]].concat();
            match differs(database, setting, &fewer).boxed().await {
                Some((taken, other)) => (steps, difference) = (taken, other),
                None => from += size,
            }
        }
        size /= 2;
    }
    (steps, Some(difference))
}

/// Takes these steps and finishes. Returns the steps up to the difference, and the difference.
async fn differs(database: Database, setting: Setting, steps: &[Step]) -> Option<(Vec<Step>, Difference)> {
    let mut world = World::start(database, &[setting], PATIENCE).await;
    let mut done = Ok(());
    for step in steps {
        done = world.step(step.clone()).await;
        if done.is_ok() {
            done = world.step(Step::Rest).await;
        }
        if done.is_err() {
            break;
        }
    }
    if done.is_ok() {
        done = world.finish().await;
    }
    done.err().map(|difference| (of_slot(&world.steps, 0), difference))
}
