//! Time and chance, handed in: tests replace both.

use crate::store::{self, Store};
use model::time::Timestamp;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Where "now" comes from.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// The system's clock.
    #[expect(clippy::disallowed_methods, reason = "the one home of the system's clock")]
    pub fn system() -> Self {
        Self::from_fn(|| {
            let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
            Timestamp(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
        })
    }

    /// The database's clock, as `follower` knows it: equal on all nodes.
    pub fn of_database(follower: Arc<Follower>) -> Self {
        Self::from_fn(move || follower.now())
    }

    /// A clock of one's own.
    pub fn from_fn(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// The instant it is.
    pub fn now(&self) -> Timestamp {
        (self.0)()
    }
}

/// Follows the database's clock: what it last said, and how long ago that was. Between two looks this machine's own
/// clock may be set as it likes.
#[derive(Debug)]
pub struct Follower {
    /// What the database said, and when by the monotonic clock.
    anchor: Mutex<(Timestamp, Instant)>,
}

impl Follower {
    /// How often the database is asked again.
    const EVERY: Duration = Duration::from_secs(10);

    /// Starts with what the database says now.
    pub async fn start(store: &Store) -> store::Result<Arc<Self>> {
        let follower = Self { anchor: Mutex::new((Timestamp(0), Instant::now())) };
        follower.look(store).await?;
        Ok(Arc::new(follower))
    }

    /// Asks again and again, until `stop` is cancelled. While the database is away, time goes on from its last word.
    pub async fn run(self: Arc<Self>, store: Store, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(Self::EVERY) => {}
            }
            if let Err(error) = self.look(&store).await {
                tracing::warn!(
                    error = format!("{:#}", anyhow::Error::new(error)),
                    "the database's clock cannot be read"
                );
            }
        }
    }

    /// Asks once. The answer is taken to be half a round trip old.
    pub async fn look(&self, store: &Store) -> store::Result<()> {
        let asked = Instant::now();
        let said = store.now().await?;
        let trip = asked.elapsed();
        *self.anchor.lock().unwrap_or_else(PoisonError::into_inner) = (said, asked + trip / 2);
        Ok(())
    }

    fn now(&self) -> Timestamp {
        let (said, at) = *self.anchor.lock().unwrap_or_else(PoisonError::into_inner);
        said.after(at.elapsed())
    }
}

impl std::fmt::Debug for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clock")
    }
}

/// A UUID version 7 (RFC 9562) for this instant: sorts by time, unguessable in its last 74 bits.
pub fn new_uuid(now: Timestamp) -> uuid::Uuid {
    let millis = u64::try_from(now.0).unwrap_or_default();
    uuid::Builder::from_unix_timestamp_millis(millis, &rand::random()).into_uuid()
}
