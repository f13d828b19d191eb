//! The secrets that a save of a webhook stores: newly sealed, or taken over from the stored webhook.

use crate::service::Services;
use crate::store::destination::unreadable;
use crate::store::webhook::{self, SealedSecrets};
use app::error::{AppError, Code};
use model::destination::Kind;
use model::field_error::FieldErrors;
use model::header::{HeaderList, MASK, MissingSecret, looks_secret};
use model::id::WebhookId;
use model::webhook::{SecretChange, Settings, Webhook};
use secrecy::SecretString;
use uuid::Uuid;

impl Services {
    /// Returns the secrets that a save stores. A secret that stays is taken from `stored` as it is sealed there.
    pub(super) fn seal_secrets(
        &self,
        checked: &Webhook,
        stored: Option<&webhook::Row>,
        uuid: Uuid,
    ) -> Result<SealedSecrets, AppError> {
        let kept = stored.map(|row| row.secrets.clone()).unwrap_or_default();
        let seal = |change: &SecretChange, kept: Option<Vec<u8>>, associated_data: String| match change {
            SecretChange::Keep => Ok(kept),
            SecretChange::Clear => Ok(None),
            SecretChange::Set(secret) => self.seal(secret, &associated_data).map(Some),
        };
        Ok(SealedSecrets {
            authorization: seal(&checked.secret, kept.authorization, webhook::secret_associated_data(uuid))?,
            signing: seal(&checked.signing, kept.signing, webhook::signing_associated_data(uuid))?,
            headers: if checked.secret_values.is_empty() {
                None
            } else {
                let headers = self.as_typed(checked, stored)?.1.headers;
                headers.map(|headers| self.seal(&headers, &webhook::headers_associated_data(uuid))).transpose()?
            },
        })
    }

    /// Seals the headers that are stored in clear and look like secrets.
    pub(super) async fn seal_plain_headers(&self, id: WebhookId, opened_on: i64) -> Result<(), AppError> {
        let stored = self.find_webhook(id).await?;
        let names: Vec<String> = plain_secrets(&stored.settings.headers).map(str::to_owned).collect();
        if stored.revision != opened_on || names.is_empty() {
            let message = "This webhook has changed since you looked at it. Look at its headers again.";
            return Err(AppError::new(Code::Conflict, message));
        }
        if !stored.is_readable {
            // Saving an unreadable row would store its stand-ins.
            return Err(AppError::new(Code::Conflict, unreadable(Kind::Webhook)));
        }
        let opened = self.open_for_test(&stored)?;
        let headers = &stored.settings.headers;
        let filled = headers.with_secrets(&opened.headers()).map_err(|missing| missing_header(&missing))?;
        let mut masked = headers.clone();
        for row in masked.0.iter_mut().filter(|row| looks_secret(&row.name)) {
            MASK.clone_into(&mut row.value);
        }
        let values = filled.0.into_iter().zip(&masked.0).filter(|(_, row)| row.is_secret()).map(|(row, _)| row);
        let values = serde_json::to_string(&HeaderList(values.collect())).map(SecretString::from);
        let sealed = values.ok().map(|values| self.seal(&values, &webhook::headers_associated_data(stored.uuid)));
        let secrets = SealedSecrets { headers: sealed.transpose()?, ..stored.secrets.clone() };
        let settings = Settings { headers: masked, ..stored.settings.clone() };
        let txn = self.store.begin_change().await?;
        if !webhook::update(&txn, &stored, &settings, secrets, self.clock.now()).await? {
            return Err(AppError::new(Code::Conflict, "This webhook has just changed. Try again."));
        }
        webhook::mask_revisions(&txn, id, &names).await?;
        self.commit(txn).await
    }
}

/// Returns the refusal of a secret header whose value should be kept, but is not stored.
pub(in crate::service) fn missing_header(missing: &MissingSecret) -> AppError {
    FieldErrors::one("secret_headers", format!("Enter the value of {}: none is stored for it.", missing.0)).into()
}

/// Returns the names of headers that are stored in clear and look like secrets.
pub(super) fn plain_secrets(headers: &HeaderList) -> impl Iterator<Item = &str> {
    headers.0.iter().filter(|row| !row.is_secret() && looks_secret(&row.name)).map(|row| row.name.as_str())
}
