//! Accounts and API keys. The command line creates both; the setup link creates the first account.

use crate::auth::session::password_stamp;
use crate::auth::{api_key, password};
use crate::clock::Clock;
use crate::store::object::{self, NewObject};
use crate::store::{self, Store, access, setting};
use app::session::Viewer;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::access::{Role, Scope};
use model::catalog::USERS;
use model::id::UserId;
use model::occurrence::{ObjectReference, Occurrence};
use model::time::Timestamp;
use sea_orm::DatabaseTransaction;
use secrecy::SecretString;
use std::time::Duration;

/// The setting that stores the setup token of an installation without accounts: the end of its validity, and its hash.
const SETUP_TOKEN: &str = "setup_token";
/// The validity of a setup link.
const LINK_LASTS: Duration = Duration::from_hours(1);

/// An error of a use case of accounts and keys.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The name is taken.
    #[error("there is already one with this name")]
    NameTaken,
    /// There is no account or key of this name.
    #[error("there is none with this name")]
    NotFound,
    /// The account is disabled.
    #[error("this account is disabled")]
    Disabled,
    /// The setup link was used or replaced.
    #[error("this setup link is not valid any more")]
    StaleLink,
    /// Hashing failed.
    #[error(transparent)]
    Password(#[from] password::Error),
    /// The database failed.
    #[error(transparent)]
    Store(store::Error),
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::Conflict { .. } => Self::NameTaken,
            other => Self::Store(other),
        }
    }
}

/// Creates an account. The caller has checked name and password.
pub async fn add(store: &Store, clock: &Clock, name: &str, role: Role, password: SecretString) -> Result<(), Error> {
    let hash = password::hash(password).await?;
    let txn = store.begin().await?;
    insert(&txn, name, role, hash, clock.now()).await?;
    Ok(store.commit(txn).await?)
}

/// Inserts an account, and its object of type `users`, so that events can be about it.
async fn insert(
    txn: &DatabaseTransaction,
    name: &str,
    role: Role,
    hash: String,
    now: Timestamp,
) -> Result<UserId, Error> {
    let id = access::insert_account(txn, name, role, hash, now).await?;
    let object = NewObject { type_id: USERS.to_owned(), external_id: Some(id.to_string()), name: name.to_owned() };
    object::insert_many(txn, vec![object], now).await?;
    Ok(id)
}

/// Returns an occurrence about an account: `login`, `logout` or `login_failed`. Without an account it has no object. Its
/// data has the name that was typed.
pub fn occurrence(event_id: &str, account: Option<&Viewer>, typed: &str) -> Occurrence {
    let reference = |account: &Viewer| ObjectReference {
        external_id: Some(account.id.to_string()),
        name: Some(account.name.clone()),
        tags: None,
        is_subject: false,
    };
    Occurrence {
        type_id: USERS.to_owned(),
        event_id: event_id.to_owned(),
        object: account.map(reference),
        external_id: None,
        source: None,
        time: None,
        data: Some(serde_json::json!({ "name": typed.chars().take(64).collect::<String>() })),
    }
}

/// Returns the account with this name. A name with a NUL character is not queried, since PostgreSQL refuses it.
async fn find_row(store: &Store, name: &str) -> Result<Option<access::Account>, Error> {
    if name.contains('\0') { Ok(None) } else { Ok(access::find_account(store.read(), name).await?) }
}

/// Returns the account with this name, even a disabled one.
pub async fn find(store: &Store, name: &str) -> Result<Option<Viewer>, Error> {
    let account = find_row(store, name).await?;
    Ok(account.map(|account| Viewer { id: account.id.0, name: account.name, role: account.role }))
}

/// A change to an existing account.
#[derive(Debug)]
pub enum Change {
    /// Refuses further sign-ins, and ends the sessions.
    Disable,
    /// Allows sign-ins again.
    Enable,
    /// Sets another password, and ends the sessions.
    Password(SecretString),
    /// Ends the sessions.
    EndSessions,
}

/// Changes the account with this name, with effect on the next request on every node. Returns the number of sessions that
/// this ended.
pub async fn change(store: &Store, clock: &Clock, name: &str, change: Change) -> Result<u64, Error> {
    let hash = match &change {
        Change::Password(password) => Some(password::hash(password.clone()).await?),
        Change::Disable | Change::Enable | Change::EndSessions => None,
    };
    let id = find_row(store, name).await?.ok_or(Error::NotFound)?.id;
    let txn = store.begin().await?;
    match change {
        Change::Disable => access::set_disabled(&txn, id, Some(clock.now())).await?,
        Change::Enable => access::set_disabled(&txn, id, None).await?,
        Change::Password(_) | Change::EndSessions => {}
    }
    if let Some(hash) = hash {
        access::set_password(&txn, id, hash).await?;
    }
    let ended = if matches!(change, Change::Enable) { 0 } else { access::delete_sessions_of(&txn, id).await? };
    store.commit(txn).await?;
    Ok(ended)
}

/// Creates and returns a key. The key cannot be shown again, since only its hash is stored.
pub async fn add_key(store: &Store, clock: &Clock, name: &str, scopes: &[Scope]) -> Result<String, Error> {
    let key = api_key::generate();
    access::insert_key(store.write(), name, api_key::hash(&key), scopes, clock.now()).await?;
    Ok(key)
}

/// Revokes a key, with effect on the next request on every node.
pub async fn revoke_key(store: &Store, clock: &Clock, name: &str) -> Result<(), Error> {
    if access::revoke_key(store.write(), name, clock.now()).await? { Ok(()) } else { Err(Error::NotFound) }
}

/// Returns a new token for the setup link, if there is no account yet. Only its hash is stored, which replaces the
/// earlier one, so that a reader of the database cannot create an administrator.
pub async fn new_setup_token(store: &Store, clock: &Clock) -> Result<Option<String>, Error> {
    if access::count_accounts(store.read()).await? > 0 {
        return Ok(None);
    }
    let token = api_key::generate();
    let stored = format!("{} {}", clock.now().after(LINK_LASTS).0, STANDARD.encode(api_key::hash(&token)));
    setting::put(store.write(), SETUP_TOKEN, &stored).await?;
    Ok(Some(token))
}

/// Returns true if the token is the stored one and still valid.
fn is_valid(stored: &str, token: &str, now: Timestamp) -> bool {
    let Some((expires_at, hash)) = stored.split_once(' ') else { return false };
    expires_at.parse().is_ok_and(|expires_at| now < Timestamp(expires_at))
        && STANDARD.decode(hash).is_ok_and(|hash| hash == api_key::hash(token))
}

/// A person whose password was right.
#[derive(Debug)]
pub struct SignedIn {
    /// The person.
    pub viewer: Viewer,
    /// The stamp of the password.
    pub password: String,
}

/// Creates the first administrator with the token of the setup link. The token cannot be used again.
pub async fn set_up(
    store: &Store,
    clock: &Clock,
    token: &str,
    name: &str,
    password: SecretString,
) -> Result<SignedIn, Error> {
    // The token is checked before the password is hashed, so that requests without a valid link stay cheap.
    let stored = setting::find(store.read(), SETUP_TOKEN).await?.unwrap_or_default();
    if !is_valid(&stored, token, clock.now()) {
        return Err(Error::StaleLink);
    }
    let hash = password::hash(password).await?;
    let txn = store.begin().await?;
    if access::count_accounts(&txn).await? > 0 || !setting::take(&txn, SETUP_TOKEN, &stored).await? {
        return Err(Error::StaleLink);
    }
    let password = password_stamp(&hash);
    let id = insert(&txn, name, Role::Admin, hash, clock.now()).await?;
    store.commit(txn).await?;
    Ok(SignedIn { viewer: Viewer { id: id.0, name: name.to_owned(), role: Role::Admin }, password })
}

/// Returns the account with this name and password, if both are right.
///
/// # Errors
/// Fails with [`Error::Disabled`] only when the password is right.
pub async fn sign_in(store: &Store, name: &str, password: SecretString) -> Result<Option<SignedIn>, Error> {
    let account = find_row(store, name).await?;
    let hash = account.as_ref().map(|account| account.password_hash.clone());
    let is_right = password::verify(password, hash).await?;
    match account.filter(|_| is_right) {
        Some(account) if account.is_disabled => Err(Error::Disabled),
        found => Ok(found.map(|account| SignedIn {
            password: password_stamp(&account.password_hash),
            viewer: Viewer { id: account.id.0, name: account.name, role: account.role },
        })),
    }
}
