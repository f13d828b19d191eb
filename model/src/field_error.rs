//! The errors of a draft, field by field.
//!
//! A message says what is wrong and what would be right, in a sentence for the person who typed the value. It never
//! repeats a secret or a payload.

use serde::{Deserialize, Serialize};

/// The most errors of a draft or document. A document of some megabytes may have millions.
pub const MAX: usize = 100;

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

    /// Adds an error for `field`. After [`MAX`] errors one more says that there are others, and the rest is left out.
    pub fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        let error = FieldError { field: field.into(), message: message.into() };
        match self.0.len() {
            ..MAX => self.0.push(error),
            MAX => self.0.push(FieldError { field: error.field, message: "There are more errors.".to_owned() }),
            _ => {}
        }
    }

    /// Adds the errors of a part.
    pub fn append(&mut self, part: Self) {
        for error in part.0 {
            self.add(error.field, error.message);
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn document_with_a_million_errors_reports_the_first() {
        let mut errors = FieldErrors::default();
        let mut part = FieldErrors::default();
        for number in 0..1_000_000 {
            part.add(format!("[{number}]"), "Wrong.");
        }
        errors.append(part);
        assert_eq!(errors.len(), MAX + 1);
        assert_eq!(errors.message("[0]"), Some("Wrong."));
        assert_eq!(errors.message("[100]"), Some("There are more errors."));
    }
}
