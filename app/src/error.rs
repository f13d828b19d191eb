//! The failure of a request of the console, as sent to the browser.
//!
//! The error carries a code, a sentence that is safe to show, and the wrong fields. It never carries a payload, a
//! secret or the text of an inner error: those are logged where they are handled.

use crate::json::JsonText;
use leptos::server_fn::error::{FromServerFnError, ServerFnErrorErr};
use model::draft::Texts;
use model::field_error::{self, FieldErrors};
use serde::{Deserialize, Serialize};

/// The kind of a failure; each has one HTTP status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// The command was carried out for some of the chosen rows only: 200.
    Partial,
    /// The request could not be read: 400.
    Malformed,
    /// No person is signed in: 401.
    SignedOut,
    /// The person is signed in, but has no permission: 403.
    Forbidden,
    /// The thing does not exist, or the person may not know of it: 404.
    NotFound,
    /// Another person has changed the thing, or it is in use: 409.
    Conflict,
    /// Some fields are wrong: 422.
    Invalid,
    /// The database or the network is away: 503.
    Unavailable,
    /// A bug: 500.
    Internal,
}

impl Code {
    /// Returns the HTTP status of a response with this code.
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
    /// The kind of the failure.
    pub code: Code,
    /// A sentence for the person.
    pub message: String,
    /// The wrong fields of a refused draft.
    #[serde(default)]
    pub fields: FieldErrors,
    /// The fields that differ between the draft and the version that another person has saved meanwhile. The first
    /// field is `revision`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub versions: Vec<Versions>,
    /// The things that prevent the command, as links. Only pages made by the server show them.
    #[cfg(feature = "ssr")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<Link>,
}

/// A refused draft of a post without WASM, without its secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused<D> {
    /// The draft as typed.
    pub draft: D,
    /// The reason for the refusal.
    pub error: AppError,
}

/// A field whose draft and saved version differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versions {
    /// The name of the form field.
    pub field: String,
    /// The value in the draft.
    pub yours: String,
    /// The value that is saved now.
    pub saved: String,
}

/// A link to a page of the console.
#[cfg(feature = "ssr")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The name of the thing.
    pub label: String,
    /// The path of its page.
    pub href: String,
}

impl AppError {
    /// Returns a failure without wrong fields.
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

    /// Adopts the revision of the saved version after a conflict was shown, so that the next submit replaces that
    /// version.
    pub fn adopt_revision(&self, draft: &mut Texts) {
        if let Some(saved) = self.versions.iter().find(|versions| versions.field == "revision") {
            draft.insert(saved.field.clone(), saved.saved.clone());
        }
    }

    /// The thing does not exist. `what` is its kind, "webhook".
    pub fn not_found(what: &str) -> Self {
        Self::new(Code::NotFound, format!("There is no such {what}. It may have been deleted."))
    }

    #[cfg(feature = "ssr")]
    /// A page timed out, so that it does not delay deliveries.
    pub fn late() -> Self {
        let message = "This took too long and was ended: the database may be busy or away. Try again in a moment, or narrow \
                       the filters.";
        Self::new(Code::Unavailable, message)
    }

    #[cfg(feature = "ssr")]
    /// `what` ("The webhook Chat") cannot be deleted: the things in `links` use it.
    pub fn in_use(what: &str, links: Vec<Link>) -> Self {
        let names: Vec<_> = links.iter().take(5).map(|link| link.label.as_str()).collect();
        let more = links.len().saturating_sub(names.len());
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let message = format!("{what} is used by {}{more}. Nothing was deleted.", names.join(", "));
        Self { links, ..Self::new(Code::Conflict, message) }
    }

    /// Returns the error with a field renamed. On a page with two forms the field has another name than in the draft.
    #[cfg(feature = "ssr")]
    #[must_use]
    pub fn with_field_renamed(mut self, from: &str, to: &str) -> Self {
        for field in self.fields.0.iter_mut().filter(|field| field.field == from) {
            to.clone_into(&mut field.field);
        }
        self
    }

    /// The person has no permission for this.
    pub fn forbidden() -> Self {
        Self::new(Code::Forbidden, "Your role does not allow this. Ask an administrator.")
    }
}

impl From<FieldErrors> for AppError {
    fn from(fields: FieldErrors) -> Self {
        let message = match fields.count_fields() {
            count if count > field_error::MAX => format!("Over {} fields need attention.", field_error::MAX),
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
            ServerFnErrorErr::Request(_) => Self::new(
                Code::Unavailable,
                "The console could not be reached. What you typed is still here; try again.",
            ),
            ServerFnErrorErr::Args(_) | ServerFnErrorErr::MissingArg(_) | ServerFnErrorErr::Deserialization(_) => {
                Self::new(Code::Malformed, "This request could not be read. Reload the page and try again.")
            }
            _ => Self::new(Code::Internal, "Something went wrong in the console. Nothing was saved."),
        }
    }
}
