//! The schema of the first release: a file for each group of tables, in the order in which they refer to each other.
//!
//! The indexes of a table are one list above it, each with the queries that needed it at that time, by their modules in
//! `server::store`. A primary key and each unique column have an index of their own, without a line in a list.
//!
//! Columns that may be long stand last, since SQLite reads a row from its front and follows a chain of pages to what
//! stands behind them. A column has a default only where rows are inserted without it.

mod access;
mod configuration;
mod deliveries;
mod inventory;
mod occurrences;
mod schedules;

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
#[expect(elided_lifetimes_in_paths, reason = "the trait declares its methods so")]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        access::create_tables(manager).await?;
        inventory::create_tables(manager).await?;
        configuration::create_tables(manager).await?;
        schedules::create_tables(manager).await?;
        occurrences::create_tables(manager).await?;
        deliveries::create_tables(manager).await
    }
}
