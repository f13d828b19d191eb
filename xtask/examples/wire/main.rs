//! The sender and the receiver around a server that is measured. `cargo xtask bench` builds this example with
//! optimisation, and starts each part as a process of its own, so that no part shares a runtime with another and the
//! CPU of each is known.
//!
//! * `wire receive` takes the deliveries and notes when each arrived.
//! * `wire send` posts messages and waits for their deliveries. It prints one line of JSON.
//! * `wire bare` posts to the receiver by the HTTP client that the server uses, and stores nothing: the ceiling. It
//!   prints one line of JSON.

#![expect(clippy::print_stdout, reason = "a command line tool talks")]

mod bare;
mod exchange;
mod flags;
mod receive;
mod send;

use anyhow::{Context, Result, bail};
use flags::Flags;
use rustix::process::{Signal, set_parent_process_death_signal, setsid};
use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;
use tokio::runtime::Builder;

/// The threads of the bare client.
const BARE_THREADS: usize = 2;
/// The longest time of a bare measurement.
const BARE_MAX: Duration = Duration::from_mins(1);

fn main() -> Result<()> {
    // Linux may share the processor between sessions (`sched_autogroup_enabled`), and each process of PostgreSQL is a
    // session. In one session together, the parts and the server would have the share of a single one. `setsid` fails
    // if the process leads a session already.
    let _ = setsid();
    // The process ends with the bench, so that an interrupted bench leaves nothing behind.
    set_parent_process_death_signal(Some(Signal::KILL)).context("cannot follow the bench")?;
    let mut words = std::env::args().skip(1);
    let part = words.next().unwrap_or_default();
    let flags = Flags::read(words)?;
    let one_thread = || Builder::new_current_thread().enable_all().build();
    match part.as_str() {
        "receive" => one_thread()?.block_on(receive::run()),
        "send" => one_thread()?.block_on(send::run(&flags)),
        "bare" => {
            let runtime = Builder::new_multi_thread().worker_threads(BARE_THREADS).enable_all().build()?;
            runtime.block_on(async { tokio::time::timeout(BARE_MAX, bare::run(&flags)).await })?
        }
        other => bail!("there is no part {other:?}: receive, send or bare"),
    }
}

/// Returns the monotonic time in nanoseconds. All processes of a machine share this clock, so that times of the sender
/// and of the receiver can be subtracted.
fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    u64::try_from(now.tv_sec).unwrap_or_default() * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or_default()
}
