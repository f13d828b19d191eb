//! Destinations: what pages show of them whatever their kind.

use model::destination::Kind;
use model::id::DestinationId;

/// A destination as a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DestinationLink {
    /// The id.
    pub id: DestinationId,
    /// The kind.
    pub kind: Kind,
    /// The name.
    pub name: String,
}

impl DestinationLink {
    /// Returns the path of the destination's page.
    pub fn path(&self) -> String {
        match self.kind {
            Kind::Webhook => format!("/webhooks/{}", self.id),
            Kind::Mailer => "/smtp".to_owned(),
        }
    }

    /// Returns the name of the icon.
    pub fn icon(&self) -> &'static str {
        match self.kind {
            Kind::Webhook => "webhook",
            Kind::Mailer => "mail",
        }
    }
}
