//! Errors of the database, distinguished by what the caller can do about them.

use sea_orm::{DbErr, RuntimeErr};

/// An error of the database.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// A unique constraint is violated.
    #[error("the value is already taken ({constraint})")]
    Conflict {
        /// The constraint's name, or `table.column` on SQLite.
        constraint: String,
    },
    /// Another row refers to the row.
    #[error("the row is in use")]
    InUse,
    /// The database cannot be reached or is busy.
    #[error("the database is unavailable")]
    Unavailable(#[source] DbErr),
    /// Another version has made the database. The sentence tells the operator what to do.
    #[error("{0}")]
    OtherVersion(String),
    /// Any other error: a fault of this program.
    #[error("the database refused a statement")]
    Other(#[source] DbErr),
}

impl Error {
    /// Returns true when a change by another transaction, a deadlock or an unavailable database may be the reason. The
    /// work may then succeed if it is done again from the start.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Conflict { .. } | Self::InUse | Self::Unavailable(_))
    }

    /// Returns true when the database responds, but a statement waited too long for a lock or took too long. Some of
    /// its rows may be the reason, while others are free.
    pub fn is_blocked(&self) -> bool {
        let Self::Unavailable(error) = self else { return false };
        database_error(error)
            .and_then(sqlx::error::DatabaseError::code)
            .is_some_and(|code| matches!(&*code, "55P03" | "57014"))
    }

    /// Returns true where a statement that commits may have succeeded all the same: the database went away without
    /// refusing the statement.
    pub fn is_unanswered(&self) -> bool {
        matches!(self, Self::Unavailable(_)) && !self.is_blocked()
    }

    /// Returns true when a query timed out, or its wait for a connection did.
    pub fn is_late(&self) -> bool {
        let Self::Unavailable(error) = self else { return false };
        // SQLITE_INTERRUPT.
        let is_interrupted =
            database_error(error).and_then(sqlx::error::DatabaseError::code).is_some_and(|code| code == "9");
        is_interrupted || self.is_blocked() || matches!(error, DbErr::ConnectionAcquire(_))
    }

    /// Returns the error of a database that does not respond in time, for example since its host has vanished.
    pub(super) fn out_of_time() -> Self {
        Self::Unavailable(DbErr::Custom("the database has not responded in time".to_owned()))
    }
}

/// Returns the database's own error, when the error is one.
fn database_error(error: &DbErr) -> Option<&dyn sqlx::error::DatabaseError> {
    let (DbErr::Exec(RuntimeErr::SqlxError(inner)) | DbErr::Query(RuntimeErr::SqlxError(inner))) = error else {
        return None;
    };
    inner.as_database_error()
}

impl From<DbErr> for Error {
    fn from(error: DbErr) -> Self {
        if let DbErr::Migration(sentence) = error {
            return Self::OtherVersion(sentence);
        }
        if matches!(error, DbErr::Conn(_) | DbErr::ConnectionAcquire(_)) {
            return Self::Unavailable(error);
        }
        let (DbErr::Exec(RuntimeErr::SqlxError(inner)) | DbErr::Query(RuntimeErr::SqlxError(inner))) = &error else {
            return Self::Other(error);
        };
        let Some(database) = inner.as_database_error() else {
            return if is_lost(inner) { Self::Unavailable(error) } else { Self::Other(error) };
        };
        if database.is_unique_violation() {
            // SQLite names the columns ("UNIQUE constraint failed: webhook.name"), PostgreSQL the constraint.
            let constraint =
                database.constraint().or_else(|| database.message().rsplit(": ").next()).unwrap_or_default().to_owned();
            return Self::Conflict { constraint };
        }
        if database.is_foreign_key_violation() {
            return Self::InUse;
        }
        let code = database.code().unwrap_or_default();
        let is_away = match database.try_downcast_ref::<sqlx::postgres::PgDatabaseError>() {
            Some(_) => is_postgres_away(&code),
            None => is_sqlite_away(&code),
        };
        if is_away { Self::Unavailable(error) } else { Self::Other(error) }
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        let Some(code) = error.sqlite_error().map(|inner| inner.extended_code) else {
            return Self::Other(DbErr::Custom(error.to_string()));
        };
        match code {
            rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE | rusqlite::ffi::SQLITE_CONSTRAINT_PRIMARYKEY => {
                let message = error.to_string();
                Self::Conflict { constraint: message.rsplit(": ").next().unwrap_or_default().to_owned() }
            }
            rusqlite::ffi::SQLITE_CONSTRAINT_FOREIGNKEY => Self::InUse,
            _ if is_sqlite_away(&code.to_string()) => Self::Unavailable(DbErr::Custom(error.to_string())),
            _ => Self::Other(DbErr::Custom(error.to_string())),
        }
    }
}

/// A result of the store.
pub type Result<T> = std::result::Result<T, Error>;

/// Returns true when the connection was lost or none could be acquired. Other errors, such as a value that cannot be
/// decoded, do not pass by themselves.
fn is_lost(error: &sqlx::Error) -> bool {
    use sqlx::Error::{BeginFailed, Io, PoolClosed, PoolTimedOut, Protocol, Tls, WorkerCrashed};
    matches!(error, Io(_) | Tls(_) | Protocol(_) | PoolTimedOut | PoolClosed | WorkerCrashed | BeginFailed)
}

/// Returns true for the codes of: serialization failure, deadlock, read-only standby or database, a lock or a statement
/// that took too long or was cancelled; connection lost, disk or memory or connections used up, shutting down or
/// starting, I/O failed.
fn is_postgres_away(code: &str) -> bool {
    matches!(code, "40001" | "40P01" | "25006" | "55P03" | "57014" | "25P02" | "25P03" | "25P04")
        || ["08", "53", "57P", "58"].iter().any(|class| code.starts_with(class))
}

/// Returns true for BUSY, LOCKED, NOMEM, READONLY, INTERRUPT, IOERR, FULL, CANTOPEN and PROTOCOL, each with its
/// extended codes.
fn is_sqlite_away(code: &str) -> bool {
    code.parse::<i64>().is_ok_and(|code| matches!(code & 0xff, 5 | 6 | 7 | 8 | 9 | 10 | 13 | 14 | 15))
}

#[cfg(test)]
mod tests {
    #[test]
    fn error_codes_of_an_unavailable_database_are_told_from_those_of_lasting_errors() {
        for code in ["40001", "40P01", "25006", "55P03", "57014", "08006", "53100", "53300", "57P01", "57P03", "58030"]
        {
            assert!(super::is_postgres_away(code), "{code}");
        }
        for code in ["23505", "22021", "42P01", ""] {
            assert!(!super::is_postgres_away(code), "{code}");
        }
        // SQLITE_BUSY, LOCKED, BUSY_SNAPSHOT, NOMEM, READONLY, IOERR_FSYNC, IOERR_NOMEM, FULL, CANTOPEN.
        for code in ["5", "6", "517", "7", "8", "1034", "3082", "13", "14"] {
            assert!(super::is_sqlite_away(code), "{code}");
        }
        // SQLITE_CONSTRAINT, CONSTRAINT_UNIQUE, ERROR.
        for code in ["19", "2067", "1", ""] {
            assert!(!super::is_sqlite_away(code), "{code}");
        }
    }
}
