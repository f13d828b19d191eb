//! Webhooks and the mailer as the current viewer may see them. Viewers who cannot edit see no URL paths, user names and
//! header values, since these may be secrets.

use super::Services;
use model::url::TargetUrl;
use model::webhook::Settings;
use model::{header, mailer};

impl Services {
    /// Returns a webhook's URL for display. A viewer sees its origin only, since path and query may be secret.
    pub(super) fn shown_url(&self, url: &TargetUrl) -> String {
        if self.is_discreet { url.discreet().as_str().to_owned() } else { url.as_str().to_owned() }
    }

    /// Returns a webhook's settings for display.
    pub(super) fn shown_settings(&self, settings: Settings) -> Settings {
        if self.is_discreet { settings.discreet() } else { Settings { headers: settings.headers.masked(), ..settings } }
    }

    /// Returns a mailer's settings for display. Some servers take a token as the user name.
    pub(super) fn shown_mailer(&self, settings: mailer::Settings) -> mailer::Settings {
        let is_hidden = self.is_discreet && !settings.username.is_empty();
        let username = if is_hidden { header::MASK.to_owned() } else { settings.username };
        mailer::Settings { username, ..settings }
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
