//! Permissions: roles for people, scopes for keys.
//!
//! Every route and server function names one [`Permission`], or is public by name. Nothing else decides access.

use serde::{Deserialize, Serialize};

/// The role of a person. Each role includes the one before it.
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

/// A permission that a role gives.
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

/// A permission of another system's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// Post occurrences.
    Ingest,
    /// Write objects and their tags.
    Inventory,
    /// Read occurrences, and the reasons why they started tasks or did not.
    Read,
}

impl Role {
    /// Returns true if this role includes `permission`.
    pub fn may(self, permission: Permission) -> bool {
        self >= match permission {
            Permission::View => Self::Viewer,
            Permission::Edit => Self::Operator,
            Permission::Administer => Self::Admin,
        }
    }

    /// Returns the role's name in the command line, the database and the console.
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
    /// Returns the scope's name in the command line and the database.
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
