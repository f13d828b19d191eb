//! Use cases of the mailer, the mail server that e-mails are sent through. There is one at most.

mod test;

use super::destination::name_object;
use super::{Services, revision, stale};
use crate::clock::new_uuid;
use crate::outbound::mail;
use crate::store::mailer::{self, Row};
use crate::store::{self, arrange};
use app::backend::Mailers;
use app::error::{AppError, Code};
use app::view::destination::ReleaseChoice;
use app::view::mailer::{MailTest, MailerDetail, MailerForm, SavedMailer};
use async_trait::async_trait;
use model::destination::Kind;
use model::field_error::FieldErrors;
use model::mailer::{Mailer, MailerDraft, NAME, Settings};
use model::url::Host;
use model::webhook::SecretChange;
use uuid::Uuid;

impl Services {
    async fn find_only_mailer(&self) -> Result<Option<Row>, AppError> {
        mailer::find_only(self.store.pages()).await.map_err(AppError::from)
    }

    async fn find_mailer(&self) -> Result<Row, AppError> {
        let none = || AppError::new(Code::NotFound, "No mail server is configured yet.");
        self.find_only_mailer().await?.ok_or_else(none)
    }

    async fn create_mailer(&self, draft: &MailerDraft) -> Result<SavedMailer, AppError> {
        let checked = draft.parse(None)?;
        let is_unresolved = !self.check_server(&checked.settings).await?;
        let now = self.clock.now();
        let uuid = new_uuid(now);
        let password = self.seal_password(&checked, None, uuid)?;
        let txn = self.store.begin_change().await?;
        let id = match mailer::insert(&txn, &checked.settings, uuid, password, now).await {
            Ok(id) => id,
            Err(store::Error::Conflict { .. }) => {
                drop(txn);
                return Err(stale_draft(draft, &self.find_mailer().await?));
            }
            Err(other) => return Err(other.into()),
        };
        name_object(&txn, Kind::Mailer, id, NAME, now).await?;
        self.commit(txn).await?;
        Ok(SavedMailer { is_unresolved })
    }

    async fn change_mailer(&self, stored: &Row, draft: &MailerDraft) -> Result<SavedMailer, AppError> {
        // The form of the first settings has no revision.
        if draft.revision.is_empty() || revision(&draft.revision)? != stored.revision {
            return Err(stale_draft(draft, stored));
        }
        let checked = draft.parse(Some(&stored.stored()))?;
        let is_unresolved = !self.check_server(&checked.settings).await?;
        let password = self.seal_password(&checked, stored.password.as_ref(), stored.uuid)?;
        let has_moved = stored.settings.is_moved_by(&checked.settings);
        let now = self.clock.now();
        let txn = self.store.begin_change().await?;
        if !mailer::update(&txn, stored, &checked.settings, password, now).await? {
            drop(txn);
            return Err(stale_draft(draft, &self.find_mailer().await?));
        }
        if has_moved {
            arrange::begin(&txn, stored.id, true, now).await?;
        }
        name_object(&txn, Kind::Mailer, stored.id, NAME, now).await?;
        self.commit(txn).await?;
        if has_moved {
            self.arrange(stored.id).await;
        }
        Ok(SavedMailer { is_unresolved })
    }

    /// Refuses settings at save that every attempt would refuse, with the same message: the server, and the sender's
    /// address. Returns false if the server's name does not resolve.
    async fn check_server(&self, settings: &Settings) -> Result<bool, AppError> {
        mail::check_address(&settings.from_address).map_err(|reason| FieldErrors::one("from_address", reason))?;
        let checked = self.guard.check_host_at_save(&host(&settings.host), settings.port).await;
        checked.map_err(|reason| FieldErrors::one("server", reason).into())
    }

    /// Returns the sealed password that a save stores. `kept` is the stored one.
    fn seal_password(&self, checked: &Mailer, kept: Option<&Vec<u8>>, uuid: Uuid) -> Result<Option<Vec<u8>>, AppError> {
        match &checked.password {
            SecretChange::Keep => Ok(kept.cloned()),
            SecretChange::Clear => Ok(None),
            SecretChange::Set(password) => self.seal(password, &mailer::password_associated_data(uuid)).map(Some),
        }
    }
}

/// Returns the refusal of an outdated form.
fn stale_draft(draft: &MailerDraft, stored: &Row) -> AppError {
    stale("mail server", draft, &MailerDraft::of(&stored.settings, stored.revision))
}

/// Returns the host of the settings: an address, or a name in the letters that resolvers accept.
fn host(text: &str) -> Host {
    match text.parse() {
        Ok(address) => Host::Address(address),
        Err(_) => Host::Name(url::Host::parse(text).map_or_else(|_| text.to_owned(), |host| host.to_string())),
    }
}

#[async_trait]
impl Mailers for Services {
    async fn load_form(&self) -> Result<MailerForm, AppError> {
        Ok(match self.find_only_mailer().await? {
            Some(row) => MailerForm {
                draft: MailerDraft::of(&row.settings, row.revision),
                is_stored: true,
                has_password: row.password.is_some(),
            },
            None => MailerForm { draft: MailerDraft::default(), is_stored: false, has_password: false },
        })
    }

    async fn save(&self, draft: MailerDraft) -> Result<SavedMailer, AppError> {
        match self.find_only_mailer().await? {
            None => self.create_mailer(&draft).await,
            Some(stored) => self.change_mailer(&stored, &draft).await,
        }
    }

    async fn detail(&self) -> Result<Option<MailerDetail>, AppError> {
        let Some(row) = self.find_only_mailer().await? else { return Ok(None) };
        Ok(Some(MailerDetail {
            id: row.id,
            revision: row.revision,
            has_password: row.password.is_some(),
            state: self.shown_state(row.id, &row.hold).await?,
            tasks: self.tasks_of(row.id).await?,
            deliveries: self.newest_of(row.id).await?,
            settings: self.shown_mailer(row.settings),
        }))
    }

    async fn send_test(&self, to: String) -> Result<MailTest, AppError> {
        self.test_mailer(&to).await
    }

    async fn pause(&self) -> Result<(), AppError> {
        self.pause_destination(self.find_mailer().await?.id).await
    }

    async fn resume(&self, choice: ReleaseChoice) -> Result<(), AppError> {
        self.resume_destination(self.find_mailer().await?.id, choice).await
    }

    async fn confirm_target(&self, revision: i64, choice: ReleaseChoice) -> Result<(), AppError> {
        self.confirm_target_of(self.find_mailer().await?.id, revision, choice).await
    }
}
