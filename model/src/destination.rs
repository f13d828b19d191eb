//! Destinations: the kinds of systems that messages are sent to.

use crate::catalog::{MAILERS, WEBHOOKS};

/// The kind of a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A URL, called by HTTP.
    Webhook,
    /// The mail server, called by SMTP.
    Mailer,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 2] = [Self::Webhook, Self::Mailer];

    /// Returns the word in rows and the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Mailer => "mailer",
        }
    }

    /// Returns the kind with this word.
    pub fn find(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// Returns the object type by which events can be about destinations of this kind.
    pub fn object_type(self) -> &'static str {
        match self {
            Self::Webhook => WEBHOOKS,
            Self::Mailer => MAILERS,
        }
    }

    /// Returns the noun in sentences.
    pub fn noun(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Mailer => "mail server",
        }
    }
}
