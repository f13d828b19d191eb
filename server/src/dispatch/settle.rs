//! Settling in groups: what has ended while a commit runs shares the next one.

use crate::clock::Clock;
use crate::store::delivery::{self, Settlement};
use crate::store::{self, Store, occurrence};
use std::time::Duration;
use tokio::sync::mpsc;
use uuid::Uuid;

/// How many share one commit.
const GROUP_MAX: usize = 100;
/// How often a group is tried before its leases are left to run out.
const TRIES: u32 = 5;

/// The one worker that settles for a dispatcher.
pub(super) struct Settler {
    pub(super) store: Store,
    pub(super) clock: Clock,
    /// The dispatcher, in leases.
    pub(super) owner: Uuid,
}

impl Settler {
    /// Works until every sender is gone and everything is settled.
    pub(super) async fn run(self, mut ended: mpsc::Receiver<Settlement>) {
        let mut group = Vec::with_capacity(GROUP_MAX);
        while ended.recv_many(&mut group, GROUP_MAX).await > 0 {
            self.settle(std::mem::take(&mut group)).await;
        }
    }

    async fn settle(&self, group: Vec<Settlement>) {
        for tried in 1..=TRIES {
            match self.transact(group.clone()).await {
                Ok(()) => return,
                Err(error) => {
                    // The receivers have acted: try hard to record it, or it is sent again when the lease has run out.
                    let error = format!("{:#}", anyhow::Error::new(error));
                    tracing::error!(error, tried, deliveries = group.len(), "attempts could not be recorded");
                    tokio::time::sleep(Duration::from_millis(200) * tried).await;
                }
            }
        }
    }

    async fn transact(&self, group: Vec<Settlement>) -> Result<(), store::Error> {
        let now = self.clock.now();
        let mut runs: Vec<_> = group.iter().map(|one| one.claimed.run_id()).collect();
        runs.sort_unstable();
        runs.dedup();
        let txn = self.store.begin().await?;
        delivery::settle_many(&txn, self.owner, group, now).await?;
        occurrence::end_settled_runs(&txn, &runs, now).await?;
        txn.commit().await?;
        Ok(())
    }
}
