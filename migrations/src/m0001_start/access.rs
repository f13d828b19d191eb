//! Settings of the installation, and the people and senders who may use it.

use crate::column::{bytes, int, key, text};
use crate::table::{create, create_with, references};
use sea_orm_migration::prelude::*;

pub(super) async fn create_tables(m: &SchemaManager<'_>) -> Result<(), DbErr> {
    setting(m).await?;
    account(m).await?;
    session(m).await?;
    api_key(m).await
}

async fn setting(m: &SchemaManager<'_>) -> Result<(), DbErr> {
    let columns = vec![text(m, "key").not_null().primary_key().take(), text(m, "value").not_null().take()];
    create(m, "setting", columns).await
}

async fn account(m: &SchemaManager<'_>) -> Result<(), DbErr> {
    let columns = vec![
        key("id"),
        text(m, "name").not_null().unique_key().take(),
        text(m, "role").not_null().take(),
        text(m, "password_hash").not_null().take(),
        int("created_at").not_null().take(),
        int("disabled_at"),
    ];
    create(m, "account", columns).await
}

/// The sessions of signed-in people. Before a person has signed in, a session has no account.
async fn session(m: &SchemaManager<'_>) -> Result<(), DbErr> {
    let columns = vec![
        bytes("id_hash").not_null().primary_key().take(),
        int("account_id"),
        int("created_at").not_null().take(),
        int("expires_at").not_null().take(),
        text(m, "data").not_null().take(),
    ];
    create_with(m, "session", columns, |table| {
        table.foreign_key(&mut references("session", "account_id", "account", ForeignKeyAction::Cascade))
    })
    .await
}

async fn api_key(m: &SchemaManager<'_>) -> Result<(), DbErr> {
    let columns = vec![
        key("id"),
        text(m, "name").not_null().unique_key().take(),
        bytes("key_hash").not_null().unique_key().take(),
        // The words of its scopes, separated by commas.
        text(m, "scopes").not_null().take(),
        int("created_at").not_null().take(),
        int("revoked_at"),
    ];
    create(m, "api_key", columns).await
}
