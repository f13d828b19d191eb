//! The waits between attempts.

use std::time::Duration;

/// The wait after the first failed attempt. Each further failure doubles it.
pub const FIRST_WAIT: Duration = Duration::from_secs(5);
/// The longest wait before jitter.
pub const LONGEST_WAIT: Duration = Duration::from_mins(15);

/// Returns the wait after failed attempt number `failed` (from 1), without jitter.
pub fn wait_after(failed: u32) -> Duration {
    let doublings = failed.saturating_sub(1).min(16);
    (FIRST_WAIT * 2u32.pow(doublings)).min(LONGEST_WAIT)
}

/// Returns the wait with up to 10 % jitter added, never less than [`wait_after`]. `jitter` is uniform in `0.0..1.0`.
pub fn jittered_wait(failed: u32, jitter: f64) -> Duration {
    let wait = wait_after(failed);
    wait + wait.mul_f64(0.1 * jitter.clamp(0.0, 1.0))
}

/// Returns the offsets of the attempts from the first one, without jitter: `0, 5, 15, 35 …` seconds.
pub fn attempt_offsets(retries: u32) -> impl Iterator<Item = Duration> {
    (0..=retries).scan(Duration::ZERO, |offset, failed| {
        if failed > 0 {
            *offset += wait_after(failed);
        }
        Some(*offset)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn waits_double_from_five_seconds_to_fifteen_minutes() {
        let seconds: Vec<_> = (1..=10).map(|failed| wait_after(failed).as_secs()).collect();
        assert_eq!(seconds, [5, 10, 20, 40, 80, 160, 320, 640, 900, 900]);
    }

    #[test]
    fn offsets_are_the_sums_of_the_waits() {
        let seconds: Vec<_> = attempt_offsets(3).map(|offset| offset.as_secs()).collect();
        assert_eq!(seconds, [0, 5, 15, 35]);
    }

    proptest! {
        #[test]
        fn jitter_adds_at_most_a_tenth_and_never_shortens_the_wait(failed in 1u32..200, jitter in 0.0f64..1.0) {
            let (plain, jittered) = (wait_after(failed), jittered_wait(failed, jitter));
            prop_assert!(jittered >= plain);
            prop_assert!(jittered <= plain.mul_f64(1.1001));
        }
    }
}
