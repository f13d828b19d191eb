//! Column types that mean the same on both databases.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

/// A text column that compares by bytes, as SQLite does by itself.
pub(crate) fn text(manager: &SchemaManager<'_>, name: &'static str) -> ColumnDef {
    let mut column = ColumnDef::new(Alias::new(name));
    column.text();
    if manager.get_database_backend() == DbBackend::Postgres {
        column.extra("COLLATE \"C\"");
    }
    column
}

/// A 64-bit key that is never used twice.
pub(crate) fn key(name: &'static str) -> ColumnDef {
    let mut column = ColumnDef::new(Alias::new(name));
    column.big_integer().not_null().auto_increment().primary_key();
    column
}

/// A 64-bit integer: ids, and instants in milliseconds since 1970.
pub(crate) fn int(name: &'static str) -> ColumnDef {
    let mut column = ColumnDef::new(Alias::new(name));
    column.big_integer();
    column
}

/// A truth value.
pub(crate) fn boolean(name: &'static str) -> ColumnDef {
    let mut column = ColumnDef::new(Alias::new(name));
    column.boolean().not_null();
    column
}

/// Bytes.
pub(crate) fn bytes(name: &'static str) -> ColumnDef {
    let mut column = ColumnDef::new(Alias::new(name));
    column.blob();
    column
}

/// A UUID: 16 bytes on SQLite, `uuid` on PostgreSQL.
pub(crate) fn uuid(name: &'static str) -> ColumnDef {
    let mut column = ColumnDef::new(Alias::new(name));
    column.uuid();
    column
}
