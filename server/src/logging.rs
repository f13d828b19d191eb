//! The log on standard error. Its level comes from `--log`, `HOOKWRIGHT_LOG` or the configuration file, and may change
//! while the server runs.

use std::io::Write;
use std::sync::OnceLock;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload::{self, Handle};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, fmt};

/// The filter when no level is set.
const DEFAULT: &str = "info,sea_orm_migration=warn,sqlx=warn";

static FILTER: OnceLock<Handle<EnvFilter, Registry>> = OnceLock::new();

/// Starts the log with the level in the environment, since the options are not read yet.
pub fn init() {
    let level = std::env::var("HOOKWRIGHT_LOG").unwrap_or_default();
    let (filter, handle) = reload::Layer::new(parse(&level).unwrap_or_else(|_| EnvFilter::new(DEFAULT)));
    tracing_subscriber::registry().with(filter).with(fmt::layer().with_writer(std::io::stderr)).init();
    // Called once in a process.
    let _ = FILTER.set(handle);
}

/// Reports the error that ends the process. The level of the log may hide errors, with `off` for example; then the
/// message is written to standard error without the log.
pub fn fatal(message: &str) {
    if tracing::enabled!(target: "hookwright", tracing::Level::ERROR) {
        tracing::error!(target: "hookwright", "{message}");
    } else {
        // Without standard error there is nobody to tell.
        let _ = writeln!(std::io::stderr(), "{message}");
    }
}

/// Sets the level from now on; `None` sets the default.
///
/// # Errors
/// The level is not valid. The message explains the format, and the log keeps its level.
pub fn set(level: Option<&str>) -> Result<(), String> {
    let filter = parse(level.unwrap_or_default())?;
    let Some(handle) = FILTER.get() else { return Ok(()) };
    handle.reload(filter).map_err(|_| "the log cannot be changed".to_owned())
}

/// Returns the filter of a level, such as `info` or `server=debug,warn`.
///
/// # Errors
/// A message that explains the format.
pub fn parse(level: &str) -> Result<EnvFilter, String> {
    let wrong = || "write a level: off, error, warn, info, debug or trace".to_owned();
    let level = if level.is_empty() { DEFAULT } else { level };
    // A single word that is not a level would be read as the name of a module, and would silence all others.
    let is_valid = |part: &str| part.contains('=') || part.trim().parse::<LevelFilter>().is_ok();
    if !level.split(',').all(is_valid) {
        return Err(wrong());
    }
    EnvFilter::try_new(level).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    #[test]
    fn parse_accepts_a_level_or_a_level_per_module() {
        for level in ["", "info", "OFF", "server=debug,warn", "warn,server::dispatch=trace"] {
            assert!(super::parse(level).is_ok(), "{level}");
        }
        for level in ["server=loud", "warning", "inof", "info,server"] {
            assert!(super::parse(level).is_err(), "{level}");
        }
    }
}
