//! The log, on standard error: by `--log`, `HOOKWRIGHT_LOG` or the configuration file, and changed while running.

use std::sync::OnceLock;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload::{self, Handle};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, fmt};

/// The level where none is set.
const DEFAULT: &str = "info,sea_orm_migration=warn,sqlx=warn";

static FILTER: OnceLock<Handle<EnvFilter, Registry>> = OnceLock::new();

/// Begins to log, by the environment: the options are not read yet.
pub fn init() {
    let level = std::env::var("HOOKWRIGHT_LOG").unwrap_or_default();
    let (filter, handle) = reload::Layer::new(parse(&level).unwrap_or_else(|_| EnvFilter::new(DEFAULT)));
    tracing_subscriber::registry().with(filter).with(fmt::layer().with_writer(std::io::stderr)).init();
    // Once in a process.
    let _ = FILTER.set(handle);
}

/// Logs by this level from now on, or by the default one.
///
/// # Errors
/// Says how a level is written; the log stays as it was.
pub fn set(level: Option<&str>) -> Result<(), String> {
    let filter = parse(level.unwrap_or_default())?;
    let Some(handle) = FILTER.get() else { return Ok(()) };
    handle.reload(filter).map_err(|_| "the log cannot be changed".to_owned())
}

/// The filter of a level, such as `info` or `server=debug,warn`.
///
/// # Errors
/// A clause that says how it is written.
pub fn parse(level: &str) -> Result<EnvFilter, String> {
    let wrong = || "write a level: off, error, warn, info, debug or trace".to_owned();
    let level = if level.is_empty() { DEFAULT } else { level };
    // A word alone that is no level would be taken for a part of the program, and silence all the others.
    let is_known = |part: &str| part.contains('=') || part.trim().parse::<LevelFilter>().is_ok();
    if !level.split(',').all(is_known) {
        return Err(wrong());
    }
    EnvFilter::try_new(level).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_level_is_a_word_or_one_for_each_part() {
        for level in ["", "info", "OFF", "server=debug,warn", "warn,server::dispatch=trace"] {
            assert!(super::parse(level).is_ok(), "{level}");
        }
        for level in ["server=loud", "warning", "inof", "info,server"] {
            assert!(super::parse(level).is_err(), "{level}");
        }
    }
}
