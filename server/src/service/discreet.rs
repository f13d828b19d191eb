//! Webhooks as the current viewer may see them. Viewers who cannot edit see no URL paths and no header values, since
//! these may be secrets.

use super::Services;
use model::header::{self, HeaderList};
use url::Url;

impl Services {
    /// Returns a webhook's URL for display. A viewer sees its origin only, since path and query may be secret.
    pub(super) fn shown_url(&self, url: &str) -> String {
        if !self.is_discreet {
            return url.to_owned();
        }
        let Ok(url) = Url::parse(url) else { return "…".to_owned() };
        let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        format!("{}{}", url.origin().ascii_serialization(), if is_bare { "/" } else { "/…" })
    }

    /// Returns a webhook's headers for display.
    pub(super) fn shown_headers(&self, headers: HeaderList) -> HeaderList {
        if self.is_discreet { headers.discreet() } else { headers.masked() }
    }

    /// Returns the header lines of a response for display. A redirect may repeat the webhook's URL.
    pub(super) fn shown_response_headers(&self, lines: &str) -> String {
        if !self.is_discreet {
            return lines.to_owned();
        }
        let shown = |line: &str| match line.split_once(": ") {
            Some((name, _)) if !header::is_harmless(name) => format!("{name}: {}", header::MASK),
            _ => line.to_owned(),
        };
        lines.lines().map(shown).collect::<Vec<_>>().join("\n")
    }
}
