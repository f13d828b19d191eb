//! A delivery's request for display, with its secrets masked.

use crate::outbound::request;
use crate::outbound::secrets::Secrets;
use crate::outbound::send::Outgoing;
use crate::service::Services;
use crate::store::webhook;
use app::view::delivery::Request;
use app::view::webhook::ShownHeader;
use model::header::{MASK, is_harmless};
use secrecy::SecretString;
use url::Url;

impl Services {
    /// Returns the request as it is sent. Stand-ins are used in place of the secrets, and masked.
    pub(in crate::service) fn shown_request(&self, target: &webhook::Row, outgoing: Outgoing<'_>) -> Request {
        let masked = || SecretString::from("masked".to_owned());
        let secrets = Secrets {
            authorization: target.secrets.authorization.as_ref().map(|_| masked()),
            // This key has the right form, but is not the stored one, so that no valid signature is shown.
            signing: target.secrets.signing.as_ref().map(|_| SecretString::from(format!("whsec_{}", "A".repeat(32)))),
            headers: serde_json::to_string(&target.settings.headers).ok().map(SecretString::from),
        };
        let mut request = Request {
            method: target.settings.method.as_str().to_owned(),
            url: self.shown_url(&target.settings.url),
            headers: Vec::new(),
        };
        let Ok(url) = Url::parse(target.settings.url.as_str()) else { return request };
        if let Ok(headers) = request::headers(target, &secrets, outgoing, self.clock.now(), &url) {
            for (name, value) in &headers {
                let name = title_case(name.as_str());
                let is_secret =
                    value.is_sensitive() || name == "Webhook-Signature" || (self.is_discreet && !is_harmless(&name));
                let is_masked = is_secret || name == "Webhook-Timestamp";
                let value = if is_secret {
                    MASK.to_owned()
                } else if name == "Webhook-Timestamp" {
                    "(new for each attempt)".to_owned()
                } else {
                    String::from_utf8_lossy(value.as_bytes()).into_owned()
                };
                request.headers.push(ShownHeader { name, value, is_masked });
            }
        }
        request
    }
}

/// Returns `Content-Type` for `content-type`, as it is written on the wire.
fn title_case(name: &str) -> String {
    let mut upper = true;
    name.chars()
        .map(|c| {
            let shown = if upper { c.to_ascii_uppercase() } else { c };
            upper = c == '-';
            shown
        })
        .collect()
}
