//! The TOML file with options.

use super::{DatabaseOptions, Error, ServeOptions};
use serde::{Deserialize, Deserializer};
use std::path::Path;

/// The TOML file.
#[derive(Debug, Default, Deserialize)]
pub(super) struct File {
    #[serde(flatten)]
    pub(super) database: DatabaseOptions,
    #[serde(flatten)]
    pub(super) serve: ServeOptions,
}

/// Every key that the file may have. Flattening disables serde's own check.
const FILE_KEYS: &[&str] = &[
    "data-dir",
    "database-url",
    "key-file",
    "listen",
    "tls-cert",
    "tls-key",
    "time-zone",
    "public-url",
    "trusted-proxy",
    "egress-policy",
    "egress-allow",
    "egress-proxy",
    "in-flight-per-webhook",
    "keep-days",
    "keep-per-webhook",
    "keep-unmatched-days",
    "log",
    "demo",
];

/// Reads the file.
///
/// # Errors
/// The file cannot be read, is no TOML, or has an option that does not exist or a value of another type.
pub(super) fn read_file(path: &Path) -> Result<File, Error> {
    let text = std::fs::read_to_string(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
    let invalid = |reason: String| Error::File { path: path.to_owned(), reason };
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        let message = error.message().lines().next().unwrap_or_default();
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        invalid(format!("line {}: {message}", before.matches('\n').count() + 1))
    })?;
    if let Some(key) = table.keys().find(|key| !FILE_KEYS.contains(&key.as_str())) {
        return Err(invalid(format!("unknown option {key}; the options are {}", FILE_KEYS.join(", "))));
    }
    // An error does not name its key, since the options are flattened. Read alone, each key names itself.
    for (key, value) in &table {
        let alone = toml::Table::from_iter([(key.clone(), value.clone())]);
        let read: Result<File, _> = alone.try_into();
        // The parser names the type of the code.
        read.map_err(|error| invalid(format!("{key}: {}", error.message().replace("u32", "a whole number"))))?;
    }
    table.try_into().map_err(|error: toml::de::Error| invalid(error.message().to_owned()))
}

/// Reads a list, or a single text with commas, as the variables have them.
pub(super) fn one_or_several<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a text, or a list of texts")]
    enum Given {
        One(String),
        Several(Vec<String>),
    }
    Ok(match Given::deserialize(deserializer)? {
        Given::One(text) => text.split(',').map(str::to_owned).collect(),
        Given::Several(list) => list,
    })
}
