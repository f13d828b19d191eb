//! Merging: each option takes the value of its first source, and the source is recorded.

use super::{Error, Provenance, Source};
use clap::ArgMatches;
use clap::parser::ValueSource;
use std::path::PathBuf;

/// Picks the values, and records the source of each.
pub(super) struct Merge<'a> {
    pub(super) matches: &'a ArgMatches,
    pub(super) lines: &'a mut Vec<Provenance>,
}

impl Merge<'_> {
    fn note(&mut self, name: &'static str, has_file: bool, shown: String) {
        // clap's id of an option is its name with underscores.
        let source = match self.matches.value_source(&name.replace('-', "_")) {
            Some(ValueSource::CommandLine) => Source::CommandLine,
            Some(ValueSource::EnvVariable) => Source::Environment,
            _ if has_file => Source::File,
            _ => Source::Default,
        };
        self.lines.push((name, shown, source));
    }

    /// Picks a text. `default` is shown when no source gives a value.
    pub(super) fn text(
        &mut self,
        name: &'static str,
        given: Option<&String>,
        file: Option<&String>,
        default: &str,
    ) -> Option<String> {
        let value = given.or(file).cloned();
        self.note(name, file.is_some(), value.clone().unwrap_or_else(|| default.to_owned()));
        value
    }

    /// Picks a count from 1 to `most`.
    pub(super) fn number(
        &mut self,
        name: &'static str,
        given: Option<u32>,
        file: Option<u32>,
        default: u32,
        most: u32,
    ) -> Result<u32, Error> {
        let value = given.or(file).unwrap_or(default);
        self.note(name, file.is_some(), value.to_string());
        if (1..=most).contains(&value) {
            return Ok(value);
        }
        Err(Error::Value { option: name, reason: format!("{value} is not a count from 1 to {most}") })
    }

    pub(super) fn secret(
        &mut self,
        name: &'static str,
        given: Option<&String>,
        file: Option<&String>,
        unset: &str,
    ) -> Option<String> {
        let value = given.or(file).cloned();
        let shown = if value.is_some() { "(set, hidden)" } else { unset };
        self.note(name, file.is_some(), shown.to_owned());
        value
    }

    pub(super) fn path(
        &mut self,
        name: &'static str,
        given: Option<&PathBuf>,
        file: Option<&PathBuf>,
        default: &str,
    ) -> Option<PathBuf> {
        let value = given.or(file).cloned();
        let shown = value.as_ref().map_or_else(|| default.to_owned(), |path| path.display().to_string());
        self.note(name, file.is_some(), shown);
        value
    }

    pub(super) fn list(&mut self, name: &'static str, given: &[String], file: &[String], default: &str) -> Vec<String> {
        let value = match (given, file) {
            ([], []) => default.split_terminator(',').map(str::to_owned).collect(),
            ([], file) => file.to_vec(),
            (given, _) => given.to_vec(),
        };
        let value: Vec<_> = value.iter().map(|one| one.trim().to_owned()).filter(|one| !one.is_empty()).collect();
        self.note(name, !file.is_empty(), value.join(","));
        value
    }
}
