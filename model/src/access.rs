//! Who may do what: roles for people, scopes for keys.
//!
//! Every route and server function names one [`Permission`] (or is public by name); nothing else decides access.

use serde::{Deserialize, Serialize};

/// What a person may do, each role including the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Reads everything but secrets.
    Viewer,
    /// Also edits webhooks, tasks and events.
    Operator,
    /// Also manages people, keys and settings.
    Admin,
}

/// One thing that can be allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Permission {
    /// Read the console.
    View,
    /// Create, change and delete webhooks, tasks and events.
    Edit,
    /// Manage people, keys and settings.
    Administer,
}

/// What the key of another system may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// Post occurrences.
    Ingest,
    /// Write objects and their tags.
    Inventory,
    /// Read occurrences and why they fired or did not.
    Read,
}

impl Role {
    /// Whether this role includes `permission`.
    pub fn may(self, permission: Permission) -> bool {
        self >= match permission {
            Permission::View => Self::Viewer,
            Permission::Edit => Self::Operator,
            Permission::Administer => Self::Admin,
        }
    }

    /// The word for it in the command line, the database and the console.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

impl std::str::FromStr for Role {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Viewer, Self::Operator, Self::Admin]
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or_else(|| "the roles are viewer, operator and admin".to_owned())
    }
}

impl Scope {
    /// The word for it in the command line and the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Inventory => "inventory",
            Self::Read => "read",
        }
    }
}

impl std::str::FromStr for Scope {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Ingest, Self::Inventory, Self::Read]
            .into_iter()
            .find(|scope| scope.as_str() == text)
            .ok_or_else(|| "the scopes are ingest, inventory and read".to_owned())
    }
}
