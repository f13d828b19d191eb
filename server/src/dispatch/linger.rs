//! Ended deliveries wait a moment for others, to share the transaction of their record, and on SQLite for a group of
//! the intake, to share its commit. The wait must not delay a decision: about a retry, a breaker, a task or the next
//! claim.

use super::cycle::Work;
use super::{Dispatcher, Ended, GROUP_MAX};
use crate::store::delivery::{self, PlainRow};
use crate::store::turn::Along;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The longest time for which an ended attempt waits for others to share its record.
const LINGER: Duration = Duration::from_millis(8);
/// The same for successes, where the last record is no older than this. Nothing waits for the record of a success. At
/// some tens of events a second, groups are most of their cost.
const LINGER_CALM: Duration = Duration::from_millis(100);

/// The fewest successes that go along with a turn of the intake. They delay the response to a sender, so fewer are not
/// worth the delay.
const ALONG_LEAST: usize = 4;

impl Dispatcher {
    /// Waits a moment for other deliveries to end, since a record costs less in a larger group. Stops when a lane needs
    /// its records. After anything but a success, or with a backlog, waits only for attempts that are under way.
    ///
    /// On SQLite, a group of successes also goes along with the next turn of the intake. Then returns the record, which
    /// a turn may still take.
    pub(super) async fn linger(
        &self,
        work: &mut Work,
        group: &mut Vec<Ended>,
        waiting: &mut mpsc::UnboundedReceiver<Ended>,
        stop: &CancellationToken,
    ) -> Option<Along<PlainRow>> {
        let since = Instant::now();
        // A single delivery is recorded at once.
        let mut is_calm = self.is_plain(group) && work.recorded_at.is_some_and(|at| at.elapsed() < LINGER_CALM);
        let mut along = None;
        while group.len() < GROUP_MAX && (self.lanes.have_room() || (along.is_some() && self.lanes.have_some_room())) {
            let is_patient = is_calm && !work.must_claim && !self.lanes.wants_claim() && !self.lanes.need_records();
            let most = match (is_patient, self.lanes.are_sending()) {
                (true, _) => work.until_due(self.clock.now()).map_or(LINGER_CALM, |due| due.min(LINGER_CALM)),
                (false, true) => LINGER,
                (false, false) => break,
            };
            if is_patient && along.is_none() && group.len() >= ALONG_LEAST {
                along = self.go_along(group);
            }
            tokio::select! {
                one = waiting.recv() => {
                    let Some(one) = one else { break };
                    is_calm &= self.is_plain(std::slice::from_ref(&one));
                    if !self.join(along.as_ref(), &one, is_calm) {
                        work.left = Some(one);
                        break;
                    }
                    if !is_calm {
                        along = None;
                    }
                    group.push(one);
                }
                () = made(&mut along) => break,
                () = tokio::time::sleep_until(since + most) => break,
                () = self.wake.notified() => {
                    work.must_claim = true;
                    break;
                }
                () = stop.cancelled() => break,
            }
        }
        along
    }

    /// Lets the record of a group go along with a turn.
    fn go_along(&self, group: &[Ended]) -> Option<Along<PlainRow>> {
        if self.store.is_postgres() {
            return None;
        }
        delivery::settle_along(&self.store, self.owner, self.plain_rows(group).collect())
    }

    /// Adds an ended delivery to a record that goes along, or takes the record back for a delivery that cannot. Returns
    /// false where a turn has taken the record.
    fn join(&self, along: Option<&Along<PlainRow>>, one: &Ended, is_plain: bool) -> bool {
        let Some(along) = along else { return true };
        let mut rows = self.plain_rows(std::slice::from_ref(one));
        match rows.next().filter(|_| is_plain) {
            Some(row) => along.add(row).is_none(),
            None => along.take_back(),
        }
    }

    /// Returns the attempts of a group as rows of the embedded database.
    pub(super) fn plain_rows(&self, group: &[Ended]) -> impl Iterator<Item = PlainRow> {
        let now = self.clock.now();
        group.iter().filter_map(Ended::settlement).map(move |one| PlainRow::new(one, now))
    }
}

/// Waits until a turn has made the record that goes along. Waits for ever where none does.
async fn made(along: &mut Option<Along<PlainRow>>) {
    match along {
        Some(along) => _ = along.made().await,
        None => std::future::pending().await,
    }
}
