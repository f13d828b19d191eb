//! What is wrong with a draft, field by field.
//!
//! A message says what is wrong and what would be right, in a sentence for the person who typed it. It never repeats
//! a secret or a payload.

use serde::{Deserialize, Serialize};

/// One wrong field: its form name (`timeout`) or its place in a document (`[3].object.id`), and a sentence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldError {
    /// The name of the form field, or the path in the document.
    pub field: String,
    /// A sentence: what is wrong, and what would be right.
    pub message: String,
}

/// All that is wrong with one draft, in the order of the form. Empty means nothing is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FieldErrors(pub Vec<FieldError>);

impl FieldErrors {
    /// The errors of a draft with a single wrong field.
    pub fn one(field: impl Into<String>, message: impl Into<String>) -> Self {
        let mut errors = Self::default();
        errors.add(field, message);
        errors
    }

    /// Notes that `field` is wrong.
    pub fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.0.push(FieldError { field: field.into(), message: message.into() });
    }

    /// Takes the value, or notes why there is none and goes on, so that one submit reports every mistake.
    pub fn check<T>(&mut self, field: &str, result: Result<T, String>) -> Option<T> {
        result.map_err(|message| self.add(field, message)).ok()
    }

    /// The first message for `field`.
    pub fn message(&self, field: &str) -> Option<&str> {
        self.0.iter().find(|error| error.field == field).map(|error| error.message.as_str())
    }

    /// Every message for `field`, one a line.
    pub fn messages(&self, field: &str) -> Option<String> {
        let found: Vec<_> =
            self.0.iter().filter(|error| error.field == field).map(|error| error.message.as_str()).collect();
        (!found.is_empty()).then(|| found.join("\n"))
    }

    /// How many fields are wrong; several lines of one may be.
    pub fn count_fields(&self) -> usize {
        self.0.iter().map(|error| &error.field).collect::<std::collections::BTreeSet<_>>().len()
    }

    /// Nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many mistakes there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl std::fmt::Display for FieldErrors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (place, error) in self.0.iter().enumerate() {
            let separator = if place == 0 { "" } else { "; " };
            write!(f, "{separator}{}: {}", error.field, error.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for FieldErrors {}
