//! Notes on a message, of which absent values were the first kind; names without their case, for searches; and webhooks
//! that are called directly and not through the proxy.

use crate::column::{boolean, text};
use crate::table::create;
use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::{DbBackend, Statement};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// The names to fold, by table. Each `x_name` gets a column `x_folded`, which is null if the name equals its folded
/// form.
const FOLDED: [(&str, &[&str]); 2] = [("delivery", &["webhook", "task", "object"]), ("run", &["task"])];

/// Returns a name without its case. The rule is that of `model`, copied, because a migration never changes.
fn fold(name: &str) -> String {
    name.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect()
}

/// Collects the names that differ from their folded form in the table `folding`.
async fn gather(m: &SchemaManager<'_>) -> Result<(), DbErr> {
    let db = m.get_connection();
    let key = text(m, "name").not_null().primary_key().to_owned();
    create(m, "folding", vec![key, text(m, "folded").not_null().to_owned()]).await?;
    for (table, names) in FOLDED {
        for name in names {
            let select = format!("SELECT DISTINCT {name}_name AS name FROM {table} WHERE {name}_name IS NOT NULL");
            for row in db.query_all_raw(Statement::from_string(db.get_database_backend(), select)).await? {
                let name: String = row.try_get("", "name")?;
                let folded = fold(&name);
                if folded != name {
                    let insert = "INSERT INTO folding (name, folded) VALUES ($1, $2) ON CONFLICT DO NOTHING";
                    let values = [name.into(), folded.into()];
                    db.execute_raw(Statement::from_sql_and_values(db.get_database_backend(), insert, values)).await?;
                }
            }
        }
    }
    Ok(())
}

#[async_trait::async_trait]
#[expect(elided_lifetimes_in_paths, reason = "the trait declares its methods so")]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, m: &SchemaManager) -> Result<(), DbErr> {
        let db = m.get_connection();
        let mut direct = boolean("is_direct").default(false).to_owned();
        m.alter_table(Table::alter().table(Alias::new("webhook")).add_column(&mut direct).to_owned()).await?;
        db.execute_unprepared("ALTER TABLE delivery RENAME COLUMN absent TO notes").await?;
        gather(m).await?;
        // One note on each line, each with its kind.
        let line = if m.get_database_backend() == DbBackend::Postgres { "chr(10)" } else { "char(10)" };
        let kinds = format!("notes = 'absent ' || replace(notes, {line}, {line} || 'absent ')");
        for (table, names) in FOLDED {
            let mut set = if table == "delivery" { vec![kinds.clone()] } else { Vec::new() };
            let mut which = if table == "delivery" { vec!["notes IS NOT NULL".to_owned()] } else { Vec::new() };
            for name in names {
                let mut folded = ColumnDef::new(Alias::new(format!("{name}_folded")));
                folded.text();
                if m.get_database_backend() == DbBackend::Postgres {
                    folded.extra("COLLATE \"C\"");
                }
                m.alter_table(Table::alter().table(Alias::new(table)).add_column(&mut folded).to_owned()).await?;
                set.push(format!("{name}_folded = (SELECT folded FROM folding WHERE folding.name = {name}_name)"));
                which.push(format!("{name}_name IN (SELECT name FROM folding)"));
            }
            let update = format!("UPDATE {table} SET {} WHERE {}", set.join(", "), which.join(" OR "));
            db.execute_unprepared(&update).await?;
        }
        db.execute_unprepared("DROP TABLE folding").await.map(drop)
    }

    /// Notes are lost, since an earlier version would misread them.
    async fn down(&self, m: &SchemaManager) -> Result<(), DbErr> {
        for (table, names) in FOLDED {
            for name in names {
                let column = Alias::new(format!("{name}_folded"));
                m.alter_table(Table::alter().table(Alias::new(table)).drop_column(column).to_owned()).await?;
            }
        }
        let db = m.get_connection();
        db.execute_unprepared("UPDATE delivery SET notes = NULL WHERE notes IS NOT NULL").await?;
        db.execute_unprepared("ALTER TABLE delivery RENAME COLUMN notes TO absent").await?;
        m.alter_table(Table::alter().table(Alias::new("webhook")).drop_column(Alias::new("is_direct")).to_owned()).await
    }
}
