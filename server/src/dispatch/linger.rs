//! The wait of ended deliveries for others, to share the transaction of their record. It must not delay a decision: about a
//! retry, a breaker, a task, or what is claimed next.

use super::cycle::Work;
use super::{Dispatcher, Ended, GROUP_MAX};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The longest time for which an ended attempt waits for others to share its record.
const LINGER: Duration = Duration::from_millis(8);
/// The same for successes, which nothing waits for, where the last record is no older than that. At some tens of events a
/// second most of their cost is that of groups.
const LINGER_CALM: Duration = Duration::from_millis(100);

impl Dispatcher {
    /// Waits a moment for other deliveries to end, while no lane needs its records: a record costs less in a larger group.
    /// Where anything but a success has ended, or a lane has a backlog, waits only for attempts that are under way.
    pub(super) async fn linger(
        &self,
        work: &mut Work,
        group: &mut Vec<Ended>,
        waiting: &mut mpsc::UnboundedReceiver<Ended>,
        stop: &CancellationToken,
    ) {
        let since = Instant::now();
        // A single delivery is recorded at once.
        let mut is_calm = self.is_plain(group) && work.recorded_at.is_some_and(|at| at.elapsed() < LINGER_CALM);
        while group.len() < GROUP_MAX && self.lanes.have_room() {
            let most = match (is_calm && !self.lanes.wants_claim(), self.lanes.are_sending()) {
                (true, _) => work.until_due(self.clock.now()).map_or(LINGER_CALM, |due| due.min(LINGER_CALM)),
                (false, true) => LINGER,
                (false, false) => return,
            };
            tokio::select! {
                one = waiting.recv() => match one {
                    Some(one) => {
                        is_calm &= self.is_plain(std::slice::from_ref(&one));
                        group.push(one);
                    }
                    None => return,
                },
                () = tokio::time::sleep_until(since + most) => return,
                () = self.wake.notified() => {
                    work.must_claim = true;
                    return;
                }
                () = stop.cancelled() => return,
            }
        }
    }
}
