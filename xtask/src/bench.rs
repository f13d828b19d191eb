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
    let (measure, rest): (fn(&Path) -> Result<()>, _) = match arguments {
        [what, rest @ ..] if what == "memory" => (memory::run, rest),
        [what, rest @ ..] if what == "viewers" => (viewers::run, rest),
        [what, rest @ ..] if what == "speed" => return speed::run(rest),
        rest => return speed::run(rest),
    };
    match rest.first() {
        Some(binary) => measure(&Path::new(binary).canonicalize().with_context(|| format!("there is no {binary}"))?),
        None => measure(&dist::make()?),
    }
}
