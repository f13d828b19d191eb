//! Named points at which a test stops this process, to prove that nothing acknowledged is lost there.
//!
//! `HOOKWRIGHT_FAULT=intake.after-commit=kill@3` ends the process at once when it passes that point for the third time:
//! no handler runs and nothing is flushed, as with SIGKILL. `panic` instead of `kill` panics there. Faults are separated
//! by commas. Without the variable a point costs one comparison. Nothing else may depend on a point.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// The variable that names the faults.
const VARIABLE: &str = "HOOKWRIGHT_FAULT";

/// One fault that is to happen.
struct Fault {
    point: String,
    is_kill: bool,
    /// At which pass it happens, from 1; once, so that what comes after it is seen.
    at: u32,
    passed: AtomicU32,
}

static FAULTS: LazyLock<Vec<Fault>> = LazyLock::new(|| {
    std::env::var(VARIABLE).map(|text| text.split(',').filter_map(parse).collect()).unwrap_or_default()
});

fn parse(text: &str) -> Option<Fault> {
    let (point, action) = text.split_once('=')?;
    let (action, at) = action.split_once('@').unwrap_or((action, "1"));
    Some(Fault { point: point.to_owned(), is_kill: action == "kill", at: at.parse().ok()?, passed: AtomicU32::new(0) })
}

/// Passes a point.
///
/// # Panics
/// When the variable says so.
pub fn point(name: &str) {
    for fault in FAULTS.iter().filter(|fault| fault.point == name) {
        if fault.passed.fetch_add(1, Ordering::SeqCst) + 1 != fault.at {
            continue;
        }
        tracing::error!(point = name, "a fault is made here, as {VARIABLE} says");
        if fault.is_kill {
            std::process::abort();
        }
        #[expect(clippy::panic, reason = "a test asks for it")]
        {
            panic!("a fault at {name}");
        }
    }
}
