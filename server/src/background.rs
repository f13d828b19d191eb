//! Threads of a lower priority, for what people look at: when the processor is short, deliveries go first.
//!
//! Nothing that a sender or a receiver waits for may run here.

use std::sync::LazyLock;
use tokio::runtime::{Builder, Handle, Runtime};

/// How nice the threads are, of 19: they get a quarter of a core that a delivery or another program wants. With less, a
/// busy neighbour makes the console unusable.
const NICENESS: i32 = 5;

/// As long as the process lives.
static RUNTIME: LazyLock<std::io::Result<Runtime>> = LazyLock::new(|| {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Builder::new_multi_thread()
        // One core is left, however many people look.
        .worker_threads(cores.saturating_sub(1).max(1))
        .thread_name("background")
        // Threads that these start inherit it, such as those that read the embedded database for pages.
        .on_thread_start(|| {
            // Where the system does not allow it all have the same priority.
            let _ = rustix::process::setpriority_process(None, NICENESS);
        })
        .enable_all()
        .build()
});

/// Does this work on those threads.
pub async fn run<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    // Without threads of their own, or when the work has panicked, here: a panic goes on to whoever waits.
    match RUNTIME.as_ref().map(Runtime::handle) {
        Ok(handle) => on(handle, work).await,
        Err(_) => work.await,
    }
}

async fn on<T: Send + 'static>(handle: &Handle, work: impl Future<Output = T> + Send + 'static) -> T {
    let task = AbortOnDrop(handle.spawn(work));
    task.await
}

/// Work that nobody waits for any more ends, as it would within the task that waited.
struct AbortOnDrop<T>(tokio::task::JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<T> Future for AbortOnDrop<T> {
    type Output = T;

    fn poll(mut self: std::pin::Pin<&mut Self>, context: &mut std::task::Context<'_>) -> std::task::Poll<T> {
        std::pin::Pin::new(&mut self.0).poll(context).map(|done| match done {
            Ok(done) => done,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        })
    }
}
