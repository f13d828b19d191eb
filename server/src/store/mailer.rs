//! The mailer: the mail server that e-mails are sent through, with its destination. There is at most one.

use super::destination::{self, Saved, hold_state};
use super::entity::{self, mailer};
use super::{Result, revision};
use model::destination::Kind;
use model::hold::HoldState;
use model::id::DestinationId;
use model::mailer::{Encryption, NAME, Settings, StoredMailer};
use model::number::from_millis;
use model::time::Timestamp;
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, ConnectionTrait, EntityTrait, JoinType, QueryFilter, QuerySelect, SelectTwo,
};
use uuid::Uuid;

/// A mailer as stored.
#[derive(Debug, Clone)]
pub struct Row {
    /// The id.
    pub id: DestinationId,
    /// The name for sealing: the associated data of the password.
    pub uuid: Uuid,
    /// The whole configuration without secrets.
    pub settings: Settings,
    /// The password, sealed for [`password_associated_data`].
    pub password: Option<Vec<u8>>,
    /// Counts the changes.
    pub revision: i64,
    /// The state that holds deliveries.
    pub hold: HoldState,
    /// False if a part could not be read, and a stand-in replaces the part.
    pub is_readable: bool,
}

impl Row {
    /// Returns what the parser must know of the mailer when it is edited.
    pub fn stored(&self) -> StoredMailer {
        StoredMailer { settings: self.settings.clone(), has_password: self.password.is_some() }
    }

    /// Replaces a part that cannot be read, since a newer version or a person has written it, by a stand-in, and logs
    /// that.
    fn of(destination: &entity::destination::Model, row: mailer::Model) -> Self {
        let port = u16::try_from(row.port).ok().filter(|port| *port > 0);
        let encryption = Encryption::find(&row.encryption);
        let is_readable = port.is_some() && encryption.is_some();
        if !is_readable {
            tracing::error!("the mail server cannot be read; nothing is sent to it until it is saved again");
        }
        Self {
            id: DestinationId(row.id),
            uuid: destination.uuid,
            hold: hold_state(destination),
            settings: Settings {
                host: row.host,
                port: port.unwrap_or(587),
                encryption: encryption.unwrap_or(Encryption::Starttls),
                username: row.username,
                from_address: row.from_address,
                from_name: row.from_name,
                allows_insecure_tls: row.allows_insecure_tls,
                timeout: from_millis(destination.timeout_ms),
                retries: u32::try_from(destination.retries).unwrap_or_default(),
            },
            password: row.password,
            revision: destination.revision,
            is_readable,
        }
    }
}

/// Returns the associated data of a mailer's sealed password.
pub fn password_associated_data(uuid: Uuid) -> String {
    format!("mailer|password|{uuid}")
}

fn saved(settings: &Settings) -> Saved<'_> {
    Saved { name: NAME, timeout: settings.timeout, retries: settings.retries }
}

fn columns(settings: &Settings, password: Option<Vec<u8>>) -> mailer::ActiveModel {
    mailer::ActiveModel {
        id: NotSet,
        host: Set(settings.host.clone()),
        port: Set(settings.port.into()),
        encryption: Set(settings.encryption.as_str().to_owned()),
        username: Set(settings.username.clone()),
        password: Set(password),
        from_address: Set(settings.from_address.clone()),
        from_name: Set(settings.from_name.clone()),
        allows_insecure_tls: Set(settings.allows_insecure_tls),
    }
}

/// Makes the mailer. `Conflict` if there is one.
pub async fn insert(
    db: &impl ConnectionTrait,
    settings: &Settings,
    uuid: Uuid,
    password: Option<Vec<u8>>,
    now: Timestamp,
) -> Result<DestinationId> {
    let id = destination::insert(db, Kind::Mailer, saved(settings), uuid, now).await?;
    let row = mailer::ActiveModel { id: Set(id.0), ..columns(settings, password) };
    mailer::Entity::insert(row).exec_without_returning(db).await?;
    revision::note(db, revision::Kind::Mailer, id.0, 1, Some(settings), now).await?;
    Ok(id)
}

/// Changes a mailer that still has the revision of `stored`; returns false if it has another.
///
/// Takes lock 4 of 9.
pub async fn update(
    db: &impl ConnectionTrait,
    stored: &Row,
    settings: &Settings,
    password: Option<Vec<u8>>,
    now: Timestamp,
) -> Result<bool> {
    let is_moved = stored.settings.is_moved_by(settings);
    if !destination::update(db, (stored.id, stored.revision), saved(settings), is_moved, now).await? {
        return Ok(false);
    }
    let of = mailer::Column::Id.eq(stored.id.0);
    mailer::Entity::update_many().set(columns(settings, password)).filter(of).exec(db).await?;
    revision::note(db, revision::Kind::Mailer, stored.id.0, stored.revision + 1, Some(settings), now).await?;
    Ok(true)
}

/// Returns the query for mailers with their destinations.
fn select() -> SelectTwo<entity::destination::Entity, mailer::Entity> {
    let same_id = entity::destination::Entity::belongs_to(mailer::Entity)
        .from(entity::destination::Column::Id)
        .to(mailer::Column::Id);
    entity::destination::Entity::find().join(JoinType::InnerJoin, same_id.into()).select_also(mailer::Entity)
}

/// Returns the mailer, if there is one.
pub async fn find_only(db: &impl ConnectionTrait) -> Result<Option<Row>> {
    let rows = super::readable_pairs(db, select()).await?;
    Ok(rows.into_iter().map(|(destination, mailer)| Row::of(&destination, mailer)).next())
}

/// Returns the mailer with this id.
pub async fn find(db: &impl ConnectionTrait, id: DestinationId) -> Result<Option<Row>> {
    Ok(find_many(db, vec![id.0]).await?.pop())
}

/// Returns the mailers with these ids.
pub async fn find_many(db: &impl ConnectionTrait, ids: Vec<i64>) -> Result<Vec<Row>> {
    let query = select().filter(entity::destination::Column::Id.is_in(ids));
    let rows = super::readable_pairs(db, query).await?;
    Ok(rows.into_iter().map(|(destination, mailer)| Row::of(&destination, mailer)).collect())
}
