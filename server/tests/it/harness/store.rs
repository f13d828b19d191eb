//! An empty database for each test, on either engine.

use model::time::Timestamp;
use sea_orm::ConnectionTrait;
use server::clock::new_uuid;
use server::store::{Store, connect};
use tempfile::TempDir;

/// A database engine. Tests that touch the store run on both: `#[values(Sqlite, Postgres)] database: Database`.
#[derive(Clone, Copy)]
pub(crate) enum Database {
    Sqlite,
    Postgres,
}

/// A database that belongs to one test, and a data directory.
pub(crate) struct TestStore {
    pub(crate) store: Store,
    pub(crate) dir: TempDir,
    /// URL by which another process opens the PostgreSQL database; `None` for the SQLite file in `dir`.
    pub(crate) url: Option<String>,
}

impl TestStore {
    /// Returns an empty, migrated database on this engine.
    pub(crate) async fn new(database: Database) -> Self {
        match database {
            Database::Sqlite => Self::sqlite().await,
            Database::Postgres => Self::postgres().await,
        }
    }

    pub(crate) async fn sqlite() -> Self {
        let dir = folder();
        let store = connect::open_sqlite(dir.path()).await.expect("opens");
        connect::migrate(&store).await.expect("migrates");
        Self { store, dir, url: None }
    }

    pub(crate) async fn postgres() -> Self {
        let test = Self::empty_postgres().await;
        connect::migrate(&test.store).await.expect("migrates");
        test
    }

    /// Returns the same database with another data directory, for another node.
    pub(crate) fn again(&self) -> Self {
        Self { store: self.store.clone(), dir: folder(), url: self.url.clone() }
    }

    /// Returns a database without a schema.
    pub(crate) async fn empty_postgres() -> Self {
        let url = std::env::var("HOOKWRIGHT_TEST_POSTGRES")
            .expect("HOOKWRIGHT_TEST_POSTGRES is set by `cargo xtask test`, which starts a PostgreSQL");
        let admin = sea_orm::Database::connect(&url).await.expect("connects");
        let name = format!("t{}", new_uuid(Timestamp(0)).simple());
        admin.execute_unprepared(&format!("CREATE DATABASE {name}")).await.expect("a database");
        admin.close().await.expect("closes");
        let url = url.replacen("/postgres?", &format!("/{name}?"), 1);
        let store = connect::open_postgres(&url).await.expect("opens");
        Self { store, dir: folder(), url: Some(url) }
    }
}

/// Makes a directory that only its owner can access; the server refuses any other.
pub(crate) fn folder() -> TempDir {
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    tempfile::Builder::new().permissions(private).tempdir().expect("a directory")
}
