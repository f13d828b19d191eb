//! One webhook with its state, its tasks and its newest deliveries.

use super::plain_secrets;
use crate::service::Services;
use crate::store::{figures, task, webhook};
use app::error::AppError;
use app::view::task::TaskLink;
use app::view::webhook::{Failing, HeldCount, ShownHeader, WebhookDetail, WebhookState};
use model::header::{HeaderRow, MASK};
use model::id::WebhookId;

impl Services {
    pub(super) async fn webhook_detail(&self, id: WebhookId) -> Result<WebhookDetail, AppError> {
        let db = self.store.pages();
        let row = webhook::find(db, id).await?.ok_or_else(|| AppError::not_found("webhook"))?;
        let tasks = task::list_using(db, id).await?;
        let counts = figures::held_by_reason(db, id).await?;
        let open = row.hold.breaker.open;
        let held = |held: figures::HeldCount| HeldCount { reason: held.reason, count: held.deliveries };
        let link = |row: task::Row| TaskLink { id: row.id, name: row.task.name, is_enabled: row.task.is_enabled };
        Ok(WebhookDetail {
            id,
            revision: row.revision,
            state: WebhookState {
                paused: row.hold.paused_at.map(|at| self.when(at)),
                failing: open.map(|open| Failing { since: self.when(open.since), probe: self.when(open.probe_at) }),
                releasing_per_second: row.hold.release_per_second,
                held: counts.into_iter().map(held).collect(),
            },
            tasks: tasks.into_iter().map(link).collect(),
            deliveries: self.newest_of(id).await?,
            url: self.shown_url(row.url.as_str()),
            method: row.method.as_str().to_owned(),
            is_signing: row.signing_secret.is_some(),
            in_clear: plain_secrets(&row.headers).map(str::to_owned).collect(),
            headers: self.shown_headers(row.headers).0.into_iter().map(shown_header).collect(),
            name: row.name,
            authorization: row.authorization,
            allows_insecure_tls: row.allows_insecure_tls,
            timeout_s: row.timeout.as_secs(),
            retries: row.retries,
        })
    }
}

/// Returns a header whose secret value is masked already.
fn shown_header(header: HeaderRow) -> ShownHeader {
    ShownHeader { is_masked: header.value == MASK, name: header.name, value: header.value }
}
