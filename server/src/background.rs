//! Threads of a lower priority, for the pages of the console. When processor time is scarce, deliveries come first.
//!
//! Work that a sender or a receiver waits for must not run here.

use std::sync::LazyLock;
use tokio::runtime::{Builder, Handle, Runtime};

/// The niceness of the threads; 19 is the highest. The threads get a quarter of a core that a delivery or another
/// program also wants. With a smaller part, a busy program beside the server would make the console unusable.
const NICENESS: i32 = 5;

/// The runtime lives as long as the process.
static RUNTIME: LazyLock<std::io::Result<Runtime>> = LazyLock::new(|| {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Builder::new_multi_thread()
        // Leaves one core free, however many people use the console.
        .worker_threads(cores.saturating_sub(1).max(1))
        .thread_name("background")
        // Threads started by these inherit the niceness, such as those that read the embedded database for pages.
        .on_thread_start(|| {
            // If the system refuses, all threads have the same priority.
            let _ = rustix::process::setpriority_process(None, NICENESS);
        })
        .enable_all()
        .build()
});

/// Runs `work` on the background threads.
pub async fn run<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    // Runs the work here if the threads could not be started. A panic of the work continues in the caller.
    match RUNTIME.as_ref().map(Runtime::handle) {
        Ok(handle) => on(handle, work).await,
        Err(_) => work.await,
    }
}

async fn on<T: Send + 'static>(handle: &Handle, work: impl Future<Output = T> + Send + 'static) -> T {
    let task = AbortOnDrop(handle.spawn(work));
    task.await
}

/// A task that is aborted when the caller no longer waits for it.
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
