//! Decides about a schedule that is due: the run to start now, and the runs that were missed. A pure function of the
//! schedule, two instants and the time zone.

use super::next::next_after;
use jiff::tz::TimeZone;
use model::number::millis;
use model::schedule::Schedule;
use model::time::Timestamp;
use std::time::Duration;

/// A run that is this late is not started any more.
const CATCH_UP: Duration = Duration::from_hours(1);
/// The most missed runs that are counted: about a week of a schedule that runs each minute.
const COUNTED: u32 = 10_000;

/// The decision about a schedule that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// The run to start now: the newest run that is due. `None` if that run is an hour late.
    pub run: Option<Timestamp>,
    /// The earlier runs that were due, which nothing has started.
    pub missed: Option<Missed>,
    /// The next run. `None` after the last one.
    pub next_at: Option<Timestamp>,
}

/// Runs that were due while nothing could start them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missed {
    /// The number of runs. `None` for more than 10,000.
    pub count: Option<u32>,
    /// The first run.
    pub first: Timestamp,
    /// The last run or, if the runs are not counted, the time until which they were missed.
    pub last: Timestamp,
}

impl Due {
    /// Decides at `now` about a schedule whose next run was planned for `due`.
    pub fn of(schedule: &Schedule, due: Timestamp, now: Timestamp, zone: &TimeZone) -> Self {
        let late = Timestamp(now.0 - millis(CATCH_UP));
        let mut run = (due > late).then_some(due);
        let mut last = due.max(late);
        let next_at = loop {
            match next_after(schedule, last, zone) {
                Some(at) if at <= now => {
                    run = Some(at);
                    last = at;
                }
                next => break next,
            }
        };
        Self { run, missed: count(schedule, due, run.unwrap_or(Timestamp(now.0 + 1)), zone), next_at }
    }
}

/// Counts the runs from `due` on, before `end`.
fn count(schedule: &Schedule, due: Timestamp, end: Timestamp, zone: &TimeZone) -> Option<Missed> {
    let mut missed = None;
    let mut next = Some(due);
    for count in 1..=COUNTED {
        match next {
            Some(at) if at < end => {
                missed = Some(Missed { count: Some(count), first: due, last: at });
                next = next_after(schedule, at, zone);
            }
            _ => return missed,
        }
    }
    match next {
        Some(at) if at < end => Some(Missed { count: None, first: due, last: end }),
        _ => missed,
    }
}

impl Missed {
    /// Returns the note of the run that stands for all missed runs.
    pub fn note(&self, zone: &TimeZone) -> String {
        let date = |at| crate::engine::render::date(at, zone);
        let (first, last) = (date(self.first), date(self.last));
        let why = "no server could start them then";
        match self.count {
            Some(1) => format!("The run of {first} was missed: no server could start it then."),
            Some(count) => format!("{count} runs from {first} to {last} were missed: {why}."),
            None => format!("More than {COUNTED} runs from {first} to {last} were missed: {why}."),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::schedule::{Date, Moment, Repeat, Time};

    const MINUTE: i64 = 60_000;
    const HOUR: i64 = 60 * MINUTE;

    fn schedule(repeat: Repeat) -> Schedule {
        let date = Date::new(2026, 1, 1).expect("a date");
        Schedule {
            name: "s".into(),
            description: String::new(),
            is_enabled: true,
            repeat,
            start: Moment { date, at: Time::MIDNIGHT },
            ends: None,
        }
    }

    /// Returns the instant that many milliseconds after 2026-01-01T00:00:00Z.
    fn at(millis: i64) -> Timestamp {
        Timestamp(1_767_225_600_000 + millis)
    }

    fn look(repeat: Repeat, due: i64, now: i64) -> Due {
        Due::of(&schedule(repeat), at(due), at(now), &TimeZone::UTC)
    }

    const EACH_MINUTE: Repeat = Repeat::Minutes { every: 1, window: None };

    #[test]
    fn run_that_is_due_starts_alone() {
        for now in [0, 900, MINUTE - 1] {
            assert_eq!(
                look(EACH_MINUTE, 0, now),
                Due { run: Some(at(0)), missed: None, next_at: Some(at(MINUTE)) },
                "{now} ms"
            );
        }
    }

    #[test]
    fn newest_of_missed_runs_is_caught_up_within_the_hour() {
        let missed = |count, last| Some(Missed { count: Some(count), first: at(0), last: at(last) });
        assert_eq!(
            look(EACH_MINUTE, 0, 59 * MINUTE + 1),
            Due { run: Some(at(59 * MINUTE)), missed: missed(59, 58 * MINUTE), next_at: Some(at(HOUR)) }
        );
        let each_two_hours = Repeat::Hours { every: 2, window: None };
        assert_eq!(
            look(each_two_hours, 0, HOUR - 1),
            Due { run: Some(at(0)), missed: None, next_at: Some(at(2 * HOUR)) }
        );
        for now in [HOUR, 2 * HOUR - 1] {
            assert_eq!(
                look(each_two_hours, 0, now),
                Due { run: None, missed: missed(1, 0), next_at: Some(at(2 * HOUR)) }
            );
        }
        assert_eq!(
            look(each_two_hours, 0, 4 * HOUR),
            Due { run: Some(at(4 * HOUR)), missed: missed(2, 2 * HOUR), next_at: Some(at(6 * HOUR)) }
        );
        assert_eq!(look(Repeat::Never, 0, HOUR), Due { run: None, missed: missed(1, 0), next_at: None });
    }

    #[test]
    fn missed_runs_are_counted_up_to_ten_thousand() {
        let missed = |minutes: i64| look(EACH_MINUTE, 0, minutes * MINUTE).missed.expect("missed runs");
        assert_eq!(missed(10_000).count, Some(10_000));
        let more = missed(10_001);
        assert_eq!((more.count, more.last), (None, at(10_001 * MINUTE)));
        assert_eq!(look(EACH_MINUTE, 0, 525_600 * MINUTE).next_at, Some(at(525_601 * MINUTE)));
    }

    #[test]
    fn note_says_which_runs_were_missed() {
        let note = |repeat, now| look(repeat, 0, now).missed.expect("missed runs").note(&TimeZone::UTC);
        assert_eq!(
            note(Repeat::Never, HOUR),
            "The run of Thu, 01 Jan 2026 00:00:00 UTC was missed: no server could start it then."
        );
        assert_eq!(
            note(EACH_MINUTE, 2 * MINUTE),
            "2 runs from Thu, 01 Jan 2026 00:00:00 UTC to Thu, 01 Jan 2026 00:01:00 UTC were missed: no server could \
             start them then."
        );
        assert_eq!(
            note(EACH_MINUTE, 20_000 * MINUTE),
            "More than 10000 runs from Thu, 01 Jan 2026 00:00:00 UTC to Wed, 14 Jan 2026 21:20:00 UTC were missed: no \
             server could start them then."
        );
    }
}
