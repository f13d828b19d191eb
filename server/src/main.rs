//! The `hookwright` binary: logging, the TLS provider, and the command line.

use std::process::ExitCode;
use std::time::Duration;

/// Time that the end of the process waits for threads that cannot be cancelled, such as one that asks a name server.
const PATIENCE: Duration = Duration::from_millis(500);

/// The system's allocator takes a tenth of the time of a delivery.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    server::logging::init();
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        tracing::error!("the TLS provider was installed twice");
    }
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            server::logging::fatal(&format!("cannot start, since the system gives no threads: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let done = runtime.block_on(Box::pin(server::cli::run()));
    runtime.shutdown_timeout(PATIENCE);
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            server::logging::fatal(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}
