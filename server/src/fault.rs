//! Named points at which a test stops this process, to prove that nothing acknowledged is lost there.
//!
//! With `HOOKWRIGHT_FAULT=intake.after-commit=kill@3` the process ends the third time it passes that point: no handler
//! runs and nothing is flushed, as with SIGKILL. `panic` instead of `kill` panics there. Faults are separated by
//! commas. Without the variable a point costs one comparison. No other behaviour may depend on a point.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// The variable that names the faults.
const VARIABLE: &str = "HOOKWRIGHT_FAULT";

/// A fault to inject.
struct Fault {
    point: String,
    is_kill: bool,
    /// The pass at which the fault happens, from 1. It happens once, so that the following passes run.
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

/// Passes a point, and injects the fault that the variable names for it.
///
/// # Panics
/// Panics when the variable asks for it.
pub fn point(name: &str) {
    for fault in FAULTS.iter().filter(|fault| fault.point == name) {
        if fault.passed.fetch_add(1, Ordering::SeqCst) + 1 != fault.at {
            continue;
        }
        tracing::error!(point = name, "injecting a fault, as {VARIABLE} says");
        if fault.is_kill {
            std::process::abort();
        }
        #[expect(clippy::panic, reason = "a test asks for it")]
        {
            panic!("a fault at {name}");
        }
    }
}
