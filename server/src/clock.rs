//! Time and randomness, passed as arguments so that tests can replace them.

pub mod zone;

pub use zone::Zone;

use crate::store::{self, Store};
use model::number::{millis, to_u64};
use model::time::Timestamp;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// A source of the current time.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// The system's clock.
    #[expect(clippy::disallowed_methods, reason = "the one home of the system's clock")]
    pub fn system() -> Self {
        Self::from_fn(|| {
            let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
            Timestamp(millis(since_epoch))
        })
    }

    /// Returns the database's clock, as `follower` estimates it. It is the same on all nodes.
    pub fn of_database(follower: Arc<Follower>) -> Self {
        Self::from_fn(move || follower.now())
    }

    /// Returns a clock that calls `now`.
    pub fn from_fn(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// Returns the current time.
    pub fn now(&self) -> Timestamp {
        (self.0)()
    }
}

/// Follows the database's clock: stores the last reading and its age. Between two readings, changes of this machine's
/// clock have no effect.
#[derive(Debug)]
pub struct Follower {
    /// The last reading of the database's clock, and its time by the monotonic clock.
    anchor: Mutex<(Timestamp, Instant)>,
}

impl Follower {
    /// Interval between two readings.
    const EVERY: Duration = Duration::from_secs(10);

    /// Starts with a reading.
    pub async fn start(store: &Store) -> store::Result<Arc<Self>> {
        let follower = Self { anchor: Mutex::new((Timestamp(0), Instant::now())) };
        follower.look(store).await?;
        Ok(Arc::new(follower))
    }

    /// Reads the clock repeatedly until `stop` is cancelled. While the database is down, time advances from the last
    /// reading.
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

    /// Reads the clock once. The reading is assumed to be half a round trip old.
    pub async fn look(&self, store: &Store) -> store::Result<()> {
        let asked = Instant::now();
        let reading = store.now().await?;
        let trip = asked.elapsed();
        *self.anchor.lock().unwrap_or_else(PoisonError::into_inner) = (reading, asked + trip / 2);
        Ok(())
    }

    fn now(&self) -> Timestamp {
        let (reading, at) = *self.anchor.lock().unwrap_or_else(PoisonError::into_inner);
        reading.after(at.elapsed())
    }
}

impl std::fmt::Debug for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clock")
    }
}

/// Returns a UUID version 7 (RFC 9562) for this instant. It sorts by time, and its last 74 bits cannot be guessed.
pub fn new_uuid(now: Timestamp) -> uuid::Uuid {
    let millis = to_u64(now.0);
    uuid::Builder::from_unix_timestamp_millis(millis, &rand::random()).into_uuid()
}
