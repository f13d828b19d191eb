//! `cargo xtask bench`: measures speed, memory, and the cost of many viewers. Everything stays on this machine's
//! loopback, is bounded in count, and ends by itself.

mod memory;
mod speed;
mod viewers;

use crate::dist;
use anyhow::{Context, Result};
use std::path::Path;

/// Measures a binary, or one that is built now.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let (what, binary) = match arguments {
        [what, rest @ ..] if ["speed", "memory", "viewers"].contains(&what.as_str()) => (what.as_str(), rest.first()),
        rest => ("speed", rest.first()),
    };
    let binary = match binary {
        Some(binary) => Path::new(binary).canonicalize().with_context(|| format!("there is no {binary}"))?,
        None => dist::run()?,
    };
    match what {
        "memory" => memory::run(&binary),
        "viewers" => viewers::run(&binary),
        _ => speed::run(&binary),
    }
}
