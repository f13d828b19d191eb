//! Accounts, their sessions, and the keys of other systems.

use super::entity::{account, api_key, session};
use super::{Result, group};
use model::access::{Role, Scope};
use model::id::{ApiKeyId, UserId};
use model::time::Timestamp;
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Expr, OnConflict},
};

/// A person who can sign in.
#[derive(Debug, Clone)]
pub struct Account {
    /// Id of the account.
    pub id: UserId,
    /// Name of the account.
    pub name: String,
    /// The role, which grants the permissions.
    pub role: Role,
    /// The password's hash, in PHC form.
    pub password_hash: String,
    /// True when it may not sign in, and its sessions have no effect.
    pub is_disabled: bool,
}

impl From<account::Model> for Account {
    fn from(row: account::Model) -> Self {
        // The role of a newer version is read as the role with the fewest permissions.
        let role = row.role.parse().unwrap_or(Role::Viewer);
        let is_disabled = row.disabled_at.is_some();
        Self { id: UserId(row.id), name: row.name, role, password_hash: row.password_hash, is_disabled }
    }
}

/// The key of another system.
#[derive(Debug, Clone)]
pub struct ApiKey {
    /// Id of the key.
    pub id: ApiKeyId,
    /// Name of the key: the source of occurrences that name none.
    pub name: String,
    /// The scopes, which grant the permissions.
    pub scopes: Vec<Scope>,
    /// The instant at which it was made.
    pub created_at: Timestamp,
    /// The instant at which it was revoked. A revoked key has no permission.
    pub revoked_at: Option<Timestamp>,
}

impl From<api_key::Model> for ApiKey {
    fn from(row: api_key::Model) -> Self {
        Self {
            id: ApiKeyId(row.id),
            name: row.name,
            scopes: row.scopes.split(',').filter_map(|word| word.parse().ok()).collect(),
            created_at: Timestamp(row.created_at),
            revoked_at: row.revoked_at.map(Timestamp),
        }
    }
}

/// Returns the number of accounts.
pub async fn count_accounts(db: &impl ConnectionTrait) -> Result<u64> {
    Ok(account::Entity::find().count(db).await?)
}

/// Returns the account with this name.
pub async fn find_account(db: &impl ConnectionTrait, name: &str) -> Result<Option<Account>> {
    Ok(account::Entity::find().filter(account::Column::Name.eq(name)).one(db).await?.map(Account::from))
}

/// Returns the account with this id.
pub async fn find_account_by_id(db: &impl ConnectionTrait, id: UserId) -> Result<Option<Account>> {
    Ok(account::Entity::find_by_id(id.0).one(db).await?.map(Account::from))
}

/// Makes an account.
///
/// # Errors
/// [`Conflict`](super::Error::Conflict) when the name is taken.
pub async fn insert_account(
    db: &impl ConnectionTrait,
    name: &str,
    role: Role,
    password_hash: String,
    now: Timestamp,
) -> Result<UserId> {
    let row = account::ActiveModel {
        id: NotSet,
        name: Set(name.to_owned()),
        role: Set(role.as_str().to_owned()),
        password_hash: Set(password_hash),
        created_at: Set(now.0),
        disabled_at: Set(None),
    };
    Ok(UserId(account::Entity::insert(row).exec(db).await?.last_insert_id))
}

/// Returns all accounts, by name.
pub async fn list_accounts(db: &impl ConnectionTrait) -> Result<Vec<Account>> {
    let rows = account::Entity::find().order_by_asc(account::Column::Name).all(db).await?;
    Ok(rows.into_iter().map(Account::from).collect())
}

/// Disables an account at an instant, or enables it again.
pub async fn set_disabled(db: &impl ConnectionTrait, id: UserId, at: Option<Timestamp>) -> Result<()> {
    account::Entity::update_many()
        .col_expr(account::Column::DisabledAt, Expr::value(at.map(|at| at.0)))
        .filter(account::Column::Id.eq(id.0))
        .exec(db)
        .await?;
    Ok(())
}

/// Sets another password of an account.
pub async fn set_password(db: &impl ConnectionTrait, id: UserId, password_hash: String) -> Result<()> {
    account::Entity::update_many()
        .col_expr(account::Column::PasswordHash, Expr::value(password_hash))
        .filter(account::Column::Id.eq(id.0))
        .exec(db)
        .await?;
    Ok(())
}

/// Makes a key. A revoked key of this name is replaced: the new key has its id, and a new text.
///
/// # Errors
/// [`Conflict`](super::Error::Conflict) when the name is taken.
pub async fn insert_key(
    db: &impl ConnectionTrait,
    name: &str,
    key_hash: Vec<u8>,
    scopes: &[Scope],
    now: Timestamp,
) -> Result<ApiKeyId> {
    let words: Vec<_> = scopes.iter().map(|scope| scope.as_str()).collect();
    let row = api_key::ActiveModel {
        id: NotSet,
        name: Set(name.to_owned()),
        key_hash: Set(key_hash),
        scopes: Set(words.join(",")),
        created_at: Set(now.0),
        revoked_at: Set(None),
    };
    let revoked =
        api_key::Entity::find().filter(api_key::Column::Name.eq(name)).filter(api_key::Column::RevokedAt.is_not_null());
    if let Some(api_key::Model { id, .. }) = revoked.one(db).await? {
        // Another one may have replaced the key meanwhile. Then the name is taken.
        let replaced = api_key::Entity::update_many()
            .set(row.clone())
            .filter(api_key::Column::Id.eq(id))
            .filter(api_key::Column::RevokedAt.is_not_null());
        if replaced.exec(db).await?.rows_affected == 1 {
            return Ok(ApiKeyId(id));
        }
    }
    Ok(ApiKeyId(api_key::Entity::insert(row).exec(db).await?.last_insert_id))
}

/// Returns the key with this hash, unless it was revoked.
pub async fn find_key(db: &impl ConnectionTrait, key_hash: Vec<u8>) -> Result<Option<ApiKey>> {
    let query = api_key::Entity::find()
        .filter(api_key::Column::KeyHash.eq(key_hash))
        .filter(api_key::Column::RevokedAt.is_null());
    Ok(query.one(db).await?.map(ApiKey::from))
}

/// Returns all keys, by name.
pub async fn list_keys(db: &impl ConnectionTrait) -> Result<Vec<ApiKey>> {
    let rows = api_key::Entity::find().order_by_asc(api_key::Column::Name).all(db).await?;
    Ok(rows.into_iter().map(ApiKey::from).collect())
}

/// Revokes a key. Returns true when there was a valid one of this name.
pub async fn revoke_key(db: &impl ConnectionTrait, name: &str, now: Timestamp) -> Result<bool> {
    let done = api_key::Entity::update_many()
        .col_expr(api_key::Column::RevokedAt, Expr::value(now.0))
        .filter(api_key::Column::Name.eq(name))
        .filter(api_key::Column::RevokedAt.is_null())
        .exec(db)
        .await?;
    Ok(done.rows_affected > 0)
}

/// Returns those of these keys that are not valid any more, since they were revoked or replaced by another text. A key
/// is named by its id and the instant at which it was made.
pub async fn find_invalid_keys(db: &impl ConnectionTrait, keys: &[(ApiKeyId, Timestamp)]) -> Result<Vec<ApiKeyId>> {
    let ids = keys.iter().map(|(id, _)| id.0);
    let rows = api_key::Entity::find().filter(api_key::Column::Id.is_in(ids)).all(db).await?;
    let is_invalid = |key: &ApiKey| key.revoked_at.is_some() || !keys.contains(&(key.id, key.created_at));
    Ok(rows.into_iter().map(ApiKey::from).filter(is_invalid).map(|key| key.id).collect())
}

/// Stores a session under the hash of its id.
pub async fn save_session(
    db: &impl ConnectionTrait,
    id_hash: Vec<u8>,
    account_id: Option<UserId>,
    data: String,
    now: Timestamp,
    expires_at: Timestamp,
) -> Result<()> {
    let row = session::ActiveModel {
        id_hash: Set(id_hash),
        account_id: Set(account_id.map(|id| id.0)),
        data: Set(data),
        created_at: Set(now.0),
        expires_at: Set(expires_at.0),
    };
    let replace = OnConflict::column(session::Column::IdHash)
        .update_columns([session::Column::AccountId, session::Column::Data, session::Column::ExpiresAt])
        .to_owned();
    session::Entity::insert(row).on_conflict(replace).exec_without_returning(db).await?;
    Ok(())
}

/// A session as stored.
#[derive(Debug, Clone)]
pub struct SessionRow {
    /// The content, as JSON.
    pub data: String,
    /// The instant at which it began.
    pub created_at: Timestamp,
    /// The instant at which it expires, unless its use prolongs it.
    pub expires_at: Timestamp,
}

/// Returns a session that has not expired.
pub async fn find_session(db: &impl ConnectionTrait, id_hash: Vec<u8>, now: Timestamp) -> Result<Option<SessionRow>> {
    let row = session::Entity::find_by_id(id_hash).filter(session::Column::ExpiresAt.gt(now.0)).one(db).await?;
    Ok(row.map(|row| SessionRow {
        data: row.data,
        created_at: Timestamp(row.created_at),
        expires_at: Timestamp(row.expires_at),
    }))
}

/// Returns those of these sessions that have not expired.
pub async fn list_sessions(db: &impl ConnectionTrait, id_hashes: Vec<Vec<u8>>, now: Timestamp) -> Result<Vec<Vec<u8>>> {
    let query = session::Entity::find()
        .select_only()
        .column(session::Column::IdHash)
        .filter(session::Column::IdHash.is_in(group::padded(id_hashes)))
        .filter(session::Column::ExpiresAt.gt(now.0));
    Ok(query.into_tuple().all(db).await?)
}

/// Sets a later end of a session.
pub async fn prolong_session(db: &impl ConnectionTrait, id_hash: Vec<u8>, expires_at: Timestamp) -> Result<()> {
    session::Entity::update_many()
        .col_expr(session::Column::ExpiresAt, Expr::value(expires_at.0))
        .filter(session::Column::IdHash.eq(id_hash))
        .exec(db)
        .await?;
    Ok(())
}

/// Ends all sessions of an account. Returns how many there were.
pub async fn delete_sessions_of(db: &impl ConnectionTrait, id: UserId) -> Result<u64> {
    let done = session::Entity::delete_many().filter(session::Column::AccountId.eq(id.0)).exec(db).await?;
    Ok(done.rows_affected)
}

/// Ends a session.
pub async fn delete_session(db: &impl ConnectionTrait, id_hash: Vec<u8>) -> Result<()> {
    session::Entity::delete_by_id(id_hash).exec(db).await?;
    Ok(())
}
