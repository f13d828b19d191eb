//! The `--name value` pairs of a command line.

use anyhow::{Context, Result, bail};
use std::collections::HashMap;
use std::str::FromStr;

/// The pairs by name.
pub(crate) struct Flags(HashMap<String, String>);

impl Flags {
    /// Reads the words behind the part's name.
    ///
    /// # Errors
    /// A word that is no name, or a name without a value.
    pub(crate) fn read(mut words: impl Iterator<Item = String>) -> Result<Self> {
        let mut pairs = HashMap::new();
        while let Some(word) = words.next() {
            let Some(name) = word.strip_prefix("--") else { bail!("{word} is not a flag") };
            let value = words.next().with_context(|| format!("--{name} has no value"))?;
            pairs.insert(name.to_owned(), value);
        }
        Ok(Self(pairs))
    }

    /// Returns the value of a flag that is required.
    pub(crate) fn text(&self, name: &str) -> Result<&str> {
        self.0.get(name).map(String::as_str).with_context(|| format!("--{name} is missing"))
    }

    /// Returns the number in a flag, or a default.
    pub(crate) fn number<T: FromStr>(&self, name: &str, default: T) -> Result<T> {
        let Some(value) = self.0.get(name) else { return Ok(default) };
        value.parse().ok().with_context(|| format!("--{name} {value} is not a number"))
    }
}
