//! Joining and leaving the nodes that share a database on PostgreSQL. Each node writes a heartbeat once a second, by
//! which the others know of it (`Dispatcher::look_around`).

use super::{Dispatcher, chain};
use crate::store::node;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The wait of a node that joins others, before it sends anything: the others have noticed it by then.
const JOIN_WAIT: Duration = Duration::from_millis(2500);

impl Dispatcher {
    /// Joins the nodes on PostgreSQL, and waits until the others share their limits with this one.
    pub(super) async fn join_nodes(&self, stop: &CancellationToken) {
        if !self.store.is_postgres() {
            return;
        }
        let joined = self.store.in_time(node::beat(self.store.write(), self.owner, self.clock.now())).await;
        // If the database is away, there is nothing to send, and the first cycle joins later.
        if joined.is_ok_and(|nodes| nodes.count > 1) {
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(JOIN_WAIT) => {}
            }
        }
    }

    /// Leaves the nodes, so that the others use the whole limits at once.
    pub(super) async fn leave_nodes(&self) {
        if self.store.is_postgres()
            && let Err(error) = self.store.in_time(node::leave(self.store.write(), self.owner)).await
        {
            tracing::warn!(error = chain(error), "the other nodes notice this stop only after some seconds");
        }
    }
}
