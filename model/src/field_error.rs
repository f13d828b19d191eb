//! The errors of a draft, field by field.
//!
//! A message says what is wrong and what would be right, in a sentence for the person who typed the value. It never
//! repeats a secret or a payload.

use serde::{Deserialize, Serialize};

/// A wrong field: its name in the form (`timeout`) or its path in a document (`[3].object.id`), and a sentence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldError {
    /// The name of the form field, or the path in the document.
    pub field: String,
    /// A sentence: what is wrong, and what would be right.
    pub message: String,
}

/// The errors of a draft, in the order of the form. Empty if the draft is right.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FieldErrors(pub Vec<FieldError>);

impl FieldErrors {
    /// Returns the errors of a draft with a single wrong field.
    pub fn one(field: impl Into<String>, message: impl Into<String>) -> Self {
        let mut errors = Self::default();
        errors.add(field, message);
        errors
    }

    /// Adds an error for `field`.
    pub fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.0.push(FieldError { field: field.into(), message: message.into() });
    }

    /// Returns the value, or adds the error and returns `None`, so that one submit reports every mistake.
    pub fn check<T>(&mut self, field: &str, result: Result<T, String>) -> Option<T> {
        result.map_err(|message| self.add(field, message)).ok()
    }

    /// Returns the first message for `field`.
    pub fn message(&self, field: &str) -> Option<&str> {
        self.0.iter().find(|error| error.field == field).map(|error| error.message.as_str())
    }

    /// Returns every message for `field`, one on each line.
    pub fn messages(&self, field: &str) -> Option<String> {
        let found: Vec<_> =
            self.0.iter().filter(|error| error.field == field).map(|error| error.message.as_str()).collect();
        (!found.is_empty()).then(|| found.join("\n"))
    }

    /// Returns the number of wrong fields. A field may have several errors.
    pub fn count_fields(&self) -> usize {
        self.0.iter().map(|error| &error.field).collect::<std::collections::BTreeSet<_>>().len()
    }

    /// Returns true if there are no errors.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the number of errors.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl std::fmt::Display for FieldErrors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{}: {}", error.field, error.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for FieldErrors {}
