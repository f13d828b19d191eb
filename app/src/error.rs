//! What can go wrong with a request of the console, as the browser may know it.
//!
//! Carries a code, a sentence that is safe to show, and the wrong fields. Never a payload, a secret or the text of
//! an inner error: those are logged where they are handled.

use crate::json::JsonText;
use leptos::server_fn::error::{FromServerFnError, ServerFnErrorErr};
use model::field_error::FieldErrors;
use serde::{Deserialize, Serialize};

/// The kind of a failure; each has one HTTP status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// Done for some of what was chosen, and not for the rest: 200.
    Partial,
    /// The request could not be read: 400.
    Malformed,
    /// Nobody is signed in: 401.
    SignedOut,
    /// Known, but not allowed: 403.
    Forbidden,
    /// No such thing, or none that this person may know of: 404.
    NotFound,
    /// Somebody else changed it, or it is in use: 409.
    Conflict,
    /// Wrong fields: 422.
    Invalid,
    /// The database or the network is away: 503.
    Unavailable,
    /// A fault of ours: 500.
    Internal,
}

impl Code {
    /// The HTTP status of an answer with this code.
    pub fn http_status(self) -> u16 {
        match self {
            Self::Partial => 200,
            Self::Malformed => 400,
            Self::SignedOut => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::Conflict => 409,
            Self::Invalid => 422,
            Self::Internal => 500,
            Self::Unavailable => 503,
        }
    }
}

/// A failure of a use case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppError {
    /// What kind.
    pub code: Code,
    /// A sentence for the person.
    pub message: String,
    /// The wrong fields of a refused draft.
    #[serde(default)]
    pub fields: FieldErrors,
    /// Where what was typed and what somebody else has saved meanwhile differ; the first is `revision`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub versions: Vec<Versions>,
    /// What stands in the way, each with where it is. Only pages made by the server show it.
    #[cfg(feature = "ssr")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<Link>,
}

/// A draft that was posted without WASM and refused: as typed (without secrets), and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused<D> {
    /// What was typed.
    pub draft: D,
    /// What is wrong.
    pub error: AppError,
}

/// One field in two versions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versions {
    /// The form field.
    pub field: String,
    /// What was typed.
    pub yours: String,
    /// What is saved now.
    pub saved: String,
}

/// A thing of the console, and where it is.
#[cfg(feature = "ssr")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// What it is called.
    pub label: String,
    /// The path of its page.
    pub href: String,
}

impl AppError {
    /// A failure without wrong fields.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            fields: FieldErrors::default(),
            versions: Vec::new(),
            #[cfg(feature = "ssr")]
            links: Vec::new(),
        }
    }

    /// After a conflict was shown, the next submit replaces the saved version: it carries that one's revision.
    pub fn adopt_revision(&self, revision: &mut String) {
        if let Some(saved) = self.versions.iter().find(|versions| versions.field == "revision") {
            revision.clone_from(&saved.saved);
        }
    }

    /// No such thing: `what` is "webhook".
    pub fn not_found(what: &str) -> Self {
        Self::new(Code::NotFound, format!("There is no such {what}. It may have been deleted."))
    }

    #[cfg(feature = "ssr")]
    /// A page was given up, so that deliveries are not kept waiting.
    pub fn late() -> Self {
        let words =
            "This took longer than a page may take from deliveries. Narrow the filters, or try again in a moment.";
        Self::new(Code::Unavailable, words)
    }

    #[cfg(feature = "ssr")]
    /// `what` ("The webhook Chat") cannot be deleted: others use it.
    pub fn in_use(what: &str, links: Vec<Link>) -> Self {
        let names: Vec<_> = links.iter().take(5).map(|link| link.label.as_str()).collect();
        let more = links.len().saturating_sub(names.len());
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let message = format!("{what} is used by {}{more}. Nothing was deleted.", names.join(", "));
        Self { links, ..Self::new(Code::Conflict, message) }
    }

    /// The same with a field under another name, as a page with two forms has it.
    #[cfg(feature = "ssr")]
    #[must_use]
    pub fn with_field_renamed(mut self, from: &str, to: &str) -> Self {
        for field in self.fields.0.iter_mut().filter(|field| field.field == from) {
            to.clone_into(&mut field.field);
        }
        self
    }

    /// Whoever asks may not do this.
    pub fn forbidden() -> Self {
        Self::new(Code::Forbidden, "Your role does not allow this. Ask an administrator.")
    }
}

impl From<FieldErrors> for AppError {
    fn from(fields: FieldErrors) -> Self {
        let message = match fields.count_fields() {
            1 => "1 field needs attention.".to_owned(),
            count => format!("{count} fields need attention."),
        };
        Self { fields, ..Self::new(Code::Invalid, message) }
    }
}

impl std::fmt::Display for AppError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.message.fmt(f)
    }
}

impl std::error::Error for AppError {}

impl FromServerFnError for AppError {
    type Encoder = JsonText;

    fn from_server_fn_error(value: ServerFnErrorErr) -> Self {
        match value {
            ServerFnErrorErr::Request(_) => {
                Self::new(Code::Unavailable, "The console could not be reached. Nothing was saved; try again.")
            }
            ServerFnErrorErr::Args(_) | ServerFnErrorErr::MissingArg(_) | ServerFnErrorErr::Deserialization(_) => {
                Self::new(Code::Malformed, "This request could not be read. Reload the page and try again.")
            }
            _ => Self::new(Code::Internal, "Something went wrong inside the console. Nothing was saved."),
        }
    }
}
