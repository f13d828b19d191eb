//! Tables and indexes, in SQL that both databases understand alike.

use sea_orm_migration::prelude::*;

/// Creates a table with these columns.
pub(crate) async fn create(
    manager: &SchemaManager<'_>,
    name: &'static str,
    columns: Vec<ColumnDef>,
) -> Result<(), DbErr> {
    create_with(manager, name, columns, |table| table).await
}

/// Creates a table with these columns. `more` adds keys and checks.
pub(crate) async fn create_with(
    manager: &SchemaManager<'_>,
    name: &'static str,
    columns: Vec<ColumnDef>,
    more: impl FnOnce(&mut TableCreateStatement) -> &mut TableCreateStatement,
) -> Result<(), DbErr> {
    let mut table = Table::create();
    table.table(Alias::new(name));
    for mut column in columns {
        table.col(&mut column);
    }
    manager.create_table(more(&mut table).to_owned()).await
}

/// Returns a foreign key to the `id` of another table.
pub(crate) fn references(
    from: &'static str,
    column: &'static str,
    to: &'static str,
    on_delete: ForeignKeyAction,
) -> ForeignKeyCreateStatement {
    ForeignKey::create()
        .name(format!("{from}_{column}_fk"))
        .from(Alias::new(from), Alias::new(column))
        .to(Alias::new(to), Alias::new("id"))
        .on_delete(on_delete)
        .to_owned()
}

/// Runs statements that both databases understand alike, in order.
pub(crate) async fn run(manager: &SchemaManager<'_>, statements: &[&str]) -> Result<(), DbErr> {
    for statement in statements {
        manager.get_connection().execute_unprepared(statement).await?;
    }
    Ok(())
}
