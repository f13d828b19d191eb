//! The leases of deliveries that are being written.

use super::{Lanes, Leased};
use model::id::DestinationId;
use tokio::sync::mpsc;
use uuid::Uuid;

/// The longest message that is kept in memory from its intake until it is sent.
const DIRECT_MAX_BYTES: usize = 64 << 10;

/// The leases of new deliveries, from their start to their commit. Without a commit they are returned.
#[derive(Debug)]
pub struct Taken {
    pub(super) lanes: Lanes,
    pub(super) owner: Uuid,
    pub(super) handed: mpsc::UnboundedSender<Vec<Leased>>,
    pub(super) destinations: Vec<DestinationId>,
    pub(super) leased: Vec<Leased>,
    /// True from when the rows may be in the database.
    pub(super) has_rows: bool,
    /// True while the rows may be in the database and have no ids here.
    pub(super) is_unnamed: bool,
}

impl Taken {
    /// Leases a new delivery with a message of this length. Returns the owner of the lease, or `None` where the
    /// delivery has to queue.
    pub fn lease(&mut self, id: DestinationId, bytes: usize) -> Option<Uuid> {
        let mut state = self.lanes.state();
        let has_backlog = state.lanes.get(&id).is_some_and(|lane| lane.has_backlog);
        if has_backlog || bytes > DIRECT_MAX_BYTES || state.room(id) == 0 {
            state.mark(id);
            return None;
        }
        state.lease(id);
        self.destinations.push(id);
        Some(self.owner)
    }

    /// Notes that the rows are about to be written and committed in one step. Their ids arrive after the commit, or
    /// never if the response is lost.
    pub fn expect_rows(&mut self) {
        self.has_rows = !self.destinations.is_empty();
        if self.has_rows {
            self.is_unnamed = true;
            self.lanes.state().unnamed += 1;
        }
    }

    /// Notes leased deliveries whose rows are written, before they are committed.
    pub fn note(&mut self, leased: impl Iterator<Item = Leased>) {
        let before = self.leased.len();
        self.leased.extend(leased);
        self.has_rows = true;
        let mut state = self.lanes.state();
        self.leased[before..].iter().for_each(|one| state.note(one.claimed.id()));
        state.unnamed -= usize::from(std::mem::take(&mut self.is_unnamed));
    }

    /// Releases the leases, for deliveries that have no rows.
    pub fn give_back(mut self) {
        self.has_rows = false;
    }

    /// Hands the deliveries to the dispatcher, after the commit.
    pub fn hand_over(mut self) {
        self.destinations.clear();
        self.has_rows = false;
        let leased = std::mem::take(&mut self.leased);
        if !leased.is_empty() {
            // The dispatcher receives until the last `Taken` is gone.
            let _ = self.handed.send(leased);
        }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if self.destinations.is_empty() {
            return;
        }
        let mut state = self.lanes.state();
        state.unnamed -= usize::from(self.is_unnamed);
        for id in &self.destinations {
            state.release(*id);
        }
        for one in &self.leased {
            state.forget(one.claimed.id());
        }
        state.may_have_lost |= self.has_rows;
    }
}
