//! The signals that the server handles.
//!
//! The system ends a process that receives a signal before its handler is installed. So the handlers are installed
//! before the work that they belong to starts, not by that work.

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGHUP, which asks the server to read files again.
///
/// # Errors
/// The system refuses the handler.
pub(super) fn hangups() -> anyhow::Result<Signal> {
    signal(SignalKind::hangup()).context("cannot listen for SIGHUP")
}

/// SIGTERM and SIGINT (Ctrl-C), either of which asks the server to stop in good order.
pub(super) struct Stops {
    terminate: Signal,
    interrupt: Signal,
}

impl Stops {
    /// Installs both handlers.
    ///
    /// # Errors
    /// The system refuses a handler.
    pub(super) fn listen() -> anyhow::Result<Self> {
        let terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
        let interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
        Ok(Self { terminate, interrupt })
    }

    /// Waits for either signal. A signal that arrived before the call counts.
    pub(super) async fn requested(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
