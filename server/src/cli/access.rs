//! `hookwright user …` and `hookwright key …`: accounts and keys, managed from the server's own command line.
//!
//! Each change takes effect on the next request, also in servers that are running.

use super::{KeyCommand, Named, UserCommand, print};
use crate::clock::Clock;
use crate::config::{self, DatabaseOptions};
use crate::serve;
use crate::service::account::{self, Change};
use crate::store::{Store, access};
use anyhow::{Context, bail};
use model::access::{Role, Scope};
use model::{account as rules, text};
use secrecy::SecretString;
use std::io::BufRead;

pub(super) async fn manage_user(command: UserCommand) -> anyhow::Result<()> {
    match command {
        UserCommand::Add { name, role, database, .. } => add_user(&name, role, &database).await,
        UserCommand::List(database) => {
            let store = open(&database).await?;
            let accounts = access::list_accounts(store.read()).await;
            store.close().await;
            let line = |account: access::Account| {
                let state = if account.is_disabled { "disabled" } else { "enabled" };
                format!("{}\t{}\t{state}\n", account.name, account.role.as_str())
            };
            print(&accounts.context("cannot read the accounts")?.into_iter().map(line).collect::<String>())
        }
        UserCommand::Disable(named) => change(&named, Change::Disable, "may no longer sign in").await,
        UserCommand::Enable(named) => change(&named, Change::Enable, "may sign in again").await,
        UserCommand::Password { named, .. } => {
            let password = read_password()?;
            change(&named, Change::Password(password), "has a new password").await
        }
        UserCommand::Sessions(named) => change(&named, Change::EndSessions, "is signed out").await,
    }
}

pub(super) async fn manage_key(command: KeyCommand) -> anyhow::Result<()> {
    match command {
        KeyCommand::Add { name, scope, database } => add_key(&name, &scope, &database).await,
        KeyCommand::List(database) => {
            let store = open(&database).await?;
            let keys = access::list_keys(store.read()).await;
            store.close().await;
            let line = |key: access::ApiKey| {
                let scopes: Vec<_> = key.scopes.iter().map(|scope| scope.as_str()).collect();
                let state = match key.revoked_at {
                    Some(at) => format!("revoked {}", at.to_rfc3339()),
                    None => "valid".to_owned(),
                };
                format!("{}\t{}\tcreated {}\t{state}\n", key.name, scopes.join(","), key.created_at.to_rfc3339())
            };
            print(&keys.context("cannot read the keys")?.into_iter().map(line).collect::<String>())
        }
        KeyCommand::Revoke(Named { name, database }) => {
            let store = open(&database).await?;
            let revoked = account::revoke_key(&store, &Clock::system(), &name).await;
            store.close().await;
            match revoked {
                Err(account::Error::NotFound) => {
                    bail!("there is no valid key {name}; `hookwright key list` shows the keys")
                }
                revoked => revoked.with_context(|| format!("cannot revoke the key {name}"))?,
            }
            print(&format!("The key {name} is revoked.\n"))
        }
    }
}

async fn open(options: &DatabaseOptions) -> anyhow::Result<Store> {
    serve::open_beside(&config::resolve_database(options)?).await
}

fn read_password() -> anyhow::Result<SecretString> {
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).context("cannot read the password from standard input")?;
    let password = line.trim_end_matches(['\r', '\n']).to_owned();
    rules::check_password(&password).map_err(anyhow::Error::msg)?;
    Ok(password.into())
}

async fn add_user(name: &str, role: Role, options: &DatabaseOptions) -> anyhow::Result<()> {
    let name = rules::parse_account_name(name).map_err(anyhow::Error::msg)?;
    let password = read_password()?;
    let store = open(options).await?;
    let made = account::add(&store, &Clock::system(), &name, role, password).await;
    store.close().await;
    made.with_context(|| format!("cannot create the account {name}"))
}

async fn change(named: &Named, change: Change, done: &str) -> anyhow::Result<()> {
    let Named { name, database } = named;
    let store = open(database).await?;
    let changed = account::change(&store, &Clock::system(), name, change).await;
    store.close().await;
    let ended = match changed {
        Err(account::Error::NotFound) => bail!("there is no account {name}; `hookwright user list` shows the accounts"),
        changed => changed.with_context(|| format!("cannot change the account {name}"))?,
    };
    let ended = match ended {
        0 => String::new(),
        1 => ", and a session has ended".to_owned(),
        _ => format!(", and {ended} sessions have ended"),
    };
    print(&format!("{name} {done}{ended}.\n"))
}

async fn add_key(name: &str, scopes: &[Scope], options: &DatabaseOptions) -> anyhow::Result<()> {
    let name = text::parse_name(name, 64).map_err(anyhow::Error::msg)?;
    if scopes.is_empty() {
        bail!("a key needs at least one scope");
    }
    let store = open(options).await?;
    let key = account::add_key(&store, &Clock::system(), &name, scopes).await;
    store.close().await;
    let key = key.with_context(|| format!("cannot create the key {name}"))?;
    // The key is stored as a hash alone and cannot be printed again.
    print(&format!("{key}\n")).with_context(|| {
        format!(
            "the key {name} was created but could not be printed; revoke it with `hookwright key revoke` and create \
             another"
        )
    })
}
