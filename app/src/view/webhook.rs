//! Webhooks: their list, their form, their dashboard, and test messages.

#[cfg(feature = "ssr")]
use crate::view::delivery::DeliveryLine;
#[cfg(feature = "ssr")]
use crate::view::destination::DestinationState;
#[cfg(feature = "ssr")]
use crate::view::task::TaskLink;
use model::id::WebhookId;
#[cfg(feature = "ssr")]
use model::webhook::Settings;
use model::webhook::{Authorization, StoredWebhook, WebhookDraft};
use serde::{Deserialize, Serialize};

/// A row of the webhook list.
#[cfg(feature = "ssr")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookRow {
    /// The webhook's id.
    pub id: WebhookId,
    /// The settings, as far as the viewer may see them.
    pub settings: Settings,
    /// The number of tasks that use the webhook.
    pub tasks: u32,
    /// True if a person has paused the webhook.
    pub is_paused: bool,
    /// True if the webhook's breaker is open.
    pub is_failing: bool,
    /// The number of deliveries that are held for the webhook.
    pub held: u64,
}

/// The form of a stored webhook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookForm {
    /// The fields as stored, without secrets.
    pub draft: WebhookDraft,
    /// Scheme, host and port that the stored secret belongs to. The draft's URL may lack parts that the viewer may not
    /// see.
    pub origin: String,
    /// The names of the secret headers, in order.
    pub secret_headers: Vec<String>,
}

impl WebhookForm {
    /// The stored authorization, without its secret: the draft has it field by field.
    fn authorization(&self) -> Authorization {
        let draft = &self.draft;
        match draft.auth_type.as_str() {
            "basic" => Authorization::Basic { username: draft.username.clone() },
            "bearer" => Authorization::Bearer,
            "api_key" => {
                Authorization::ApiKey { header: draft.api_key_header.clone(), prefix: draft.api_key_prefix.clone() }
            }
            _ => Authorization::None,
        }
    }

    /// Returns true if the stored webhook signs its messages.
    pub(crate) fn is_signing(&self) -> bool {
        self.draft.sign == "true"
    }

    /// Returns the stored facts by which the parser decides whether the stored secret may be kept.
    pub fn stored(&self) -> StoredWebhook {
        StoredWebhook {
            origin: self.origin.clone(),
            allows_insecure_tls: self.draft.allow_insecure == "true",
            authorization: self.authorization(),
            is_signing: self.is_signing(),
            secret_headers: self.secret_headers.clone(),
        }
    }
}

/// A webhook that was saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedWebhook {
    /// The webhook's id.
    pub id: WebhookId,
    /// True if the name of the webhook's host does not resolve at the moment.
    pub is_unresolved: bool,
}

impl SavedWebhook {
    /// Returns the path of the webhook's page, with the warning if there is one.
    pub fn path(self) -> String {
        format!("/webhooks/{}{}", self.id, if self.is_unresolved { "?done=unresolved" } else { "" })
    }

    /// Returns the address to open after the save: the task form at the path `wanted`, with the webhook chosen, or the
    /// webhook's page.
    #[cfg(feature = "ssr")]
    pub fn path_from(self, wanted: &str) -> String {
        match task_form(wanted) {
            Some(path) => format!("{path}?object={}", self.id),
            None => self.path(),
        }
    }
}

/// Returns the path of the task form that a person came from to make a new webhook. Leads to no other page.
#[cfg(feature = "ssr")]
pub(crate) fn task_form(wanted: &str) -> Option<String> {
    Some(wanted.to_owned())
        .filter(|path| path.starts_with("/tasks/") && path.chars().all(|c| c.is_ascii_alphanumeric() || c == '/'))
}

/// A test message for a webhook as typed.
#[cfg(feature = "ssr")]
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TestRequest {
    /// The webhook as typed.
    pub draft: WebhookDraft,
    /// The message as typed; its variables are filled in with a sample.
    pub message: String,
}

/// The result of a test: the exact request, and the whole response.
#[cfg(feature = "ssr")]
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TestResult {
    /// Method and URL.
    pub target: String,
    /// The request's headers, in the order in which they were sent.
    pub headers: Vec<ShownHeader>,
    /// The body that was sent.
    pub body: String,
    /// The response's status code.
    pub status_code: Option<u16>,
    /// The failure in words, if the test failed.
    pub error: Option<String>,
    /// The response's headers, one a line.
    pub response_headers: String,
    /// The response's body as text.
    pub response_body: String,
    /// The duration of the whole test, in milliseconds.
    pub duration_ms: u32,
    /// The time that connecting took, in milliseconds, if a connection was made.
    pub connect_ms: Option<u32>,
}

/// A header as a person may see it.
#[cfg(feature = "ssr")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownHeader {
    /// The header's name.
    pub name: String,
    /// The header's value, or a text that is shown instead.
    pub value: String,
    /// True if a text is shown instead of the value.
    pub is_masked: bool,
}

/// A webhook with its state, for its dashboard.
#[cfg(feature = "ssr")]
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields say it")]
pub struct WebhookDetail {
    pub id: WebhookId,
    pub revision: i64,
    /// The settings, as far as the viewer may see them.
    pub settings: Settings,
    pub is_signing: bool,
    /// The names of headers that are stored in clear and look like secrets.
    pub in_clear: Vec<String>,
    pub state: DestinationState,
    /// The tasks that send through the webhook.
    pub tasks: Vec<TaskLink>,
    pub deliveries: Vec<DeliveryLine>,
}
