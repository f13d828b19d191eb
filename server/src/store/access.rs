//! Accounts, their sessions, and the keys of other systems.

use super::Result;
use super::entity::{account, api_key, session};
use model::access::{Role, Scope};
use model::id::{ApiKeyId, UserId};
use model::time::Timestamp;
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter,
    sea_query::{Expr, OnConflict},
};

/// A person who can sign in.
#[derive(Debug, Clone)]
pub struct Account {
    /// Its id.
    pub id: UserId,
    /// Its name.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// The password's hash, in PHC form.
    pub password_hash: String,
}

impl From<account::Model> for Account {
    fn from(row: account::Model) -> Self {
        // A role this version does not know gets the least.
        let role = row.role.parse().unwrap_or(Role::Viewer);
        Self { id: UserId(row.id), name: row.name, role, password_hash: row.password_hash }
    }
}

/// The key of another system.
#[derive(Debug, Clone)]
pub struct ApiKey {
    /// Its id.
    pub id: ApiKeyId,
    /// Its name: the source of occurrences that name none.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
}

/// How many accounts there are.
pub async fn count_accounts(db: &impl ConnectionTrait) -> Result<u64> {
    Ok(account::Entity::find().count(db).await?)
}

/// The account with this name.
pub async fn find_account(db: &impl ConnectionTrait, name: &str) -> Result<Option<Account>> {
    Ok(account::Entity::find().filter(account::Column::Name.eq(name)).one(db).await?.map(Account::from))
}

/// The account with this id.
pub async fn find_account_by_id(db: &impl ConnectionTrait, id: UserId) -> Result<Option<Account>> {
    Ok(account::Entity::find_by_id(id.0).one(db).await?.map(Account::from))
}

/// Makes an account. `Conflict` if the name is taken.
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
    };
    Ok(UserId(account::Entity::insert(row).exec(db).await?.last_insert_id))
}

/// Makes a key. `Conflict` if the name is taken.
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
    };
    Ok(ApiKeyId(api_key::Entity::insert(row).exec(db).await?.last_insert_id))
}

/// The key with this hash.
pub async fn find_key(db: &impl ConnectionTrait, key_hash: Vec<u8>) -> Result<Option<ApiKey>> {
    let row = api_key::Entity::find().filter(api_key::Column::KeyHash.eq(key_hash)).one(db).await?;
    Ok(row.map(|row| ApiKey {
        id: ApiKeyId(row.id),
        name: row.name,
        scopes: row.scopes.split(',').filter_map(|word| word.parse().ok()).collect(),
    }))
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
    /// What it holds, as JSON.
    pub data: String,
    /// When it began.
    pub created_at: Timestamp,
    /// When it ends if nobody uses it.
    pub expires_at: Timestamp,
}

/// A session that has not expired.
pub async fn find_session(db: &impl ConnectionTrait, id_hash: Vec<u8>, now: Timestamp) -> Result<Option<SessionRow>> {
    let row = session::Entity::find_by_id(id_hash).filter(session::Column::ExpiresAt.gt(now.0)).one(db).await?;
    Ok(row.map(|row| SessionRow {
        data: row.data,
        created_at: Timestamp(row.created_at),
        expires_at: Timestamp(row.expires_at),
    }))
}

/// Has a session end later.
pub async fn prolong_session(db: &impl ConnectionTrait, id_hash: Vec<u8>, expires_at: Timestamp) -> Result<()> {
    session::Entity::update_many()
        .col_expr(session::Column::ExpiresAt, Expr::value(expires_at.0))
        .filter(session::Column::IdHash.eq(id_hash))
        .exec(db)
        .await?;
    Ok(())
}

/// Ends a session.
pub async fn delete_session(db: &impl ConnectionTrait, id_hash: Vec<u8>) -> Result<()> {
    session::Entity::delete_by_id(id_hash).exec(db).await?;
    Ok(())
}
