//! The database: one file of SQLite, one connection that writes, several that read.
//!
//! SQLite lets one transaction write at a time. Writers therefore queue for a single connection, in the order they came,
//! instead of finding the file locked and polling for it; readers see the last commit and wait for nobody. A write
//! transaction begins `IMMEDIATE`: one that read first and wrote later would fail at once when another wrote between.
//!
//! A [`DatabaseTransaction`] that is dropped, for example with the request that ran it, is rolled back before its
//! connection serves again.

mod migrations;

use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use sea_orm::{
    DatabaseConnection, DatabaseTransaction, DbErr, SqliteTransactionMode, SqlxSqliteConnector,
    TransactionOptions, TransactionTrait,
};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};

pub use migrations::Migration;

/// The connections. Clones share them.
#[derive(Clone, Debug)]
pub struct Database {
    reader: DatabaseConnection,
    writer: DatabaseConnection,
}

/// The database cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Another kind of database.
    #[error("database {0:?} is not one of sqlite, expected a file like sqlite:data/orders.db")]
    NotSqlite(String),
    /// Every connection would have a database of its own.
    #[error("database {0:?} is in memory, expected a file like sqlite:data/orders.db")]
    InMemory(String),
    /// The folder of the file cannot be made.
    #[error("cannot create folder {folder:?} for the database")]
    Folder {
        /// The folder.
        folder: String,
        /// Why not.
        source: std::io::Error,
    },
    /// The URL or the file is not right.
    #[error("cannot open database {url:?}")]
    Open {
        /// The URL.
        url: String,
        /// Why not.
        source: sqlx::Error,
    },
}

/// How long a call waits for a connection, and a connection for another process's lock.
const PATIENCE: Duration = Duration::from_secs(5);

/// Readers at a time; more wait.
const READERS: u32 = 8;

/// Opens the file that the URL (`sqlite:path/to/file.db`) names; makes it, and its folder, on first use.
pub async fn connect(url: &str) -> Result<Database, ConnectError> {
    let open = |source| ConnectError::Open { url: url.to_owned(), source };
    if !url.starts_with("sqlite:") {
        return Err(ConnectError::NotSqlite(url.to_owned()));
    }
    if url.contains(":memory:") || url.contains("mode=memory") {
        return Err(ConnectError::InMemory(url.to_owned()));
    }
    let options = SqliteConnectOptions::from_str(url)
        .map_err(open)?
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(PATIENCE);
    create_folder(options.get_filename()).await?;

    let pool = |connections| SqlitePoolOptions::new().max_connections(connections).acquire_timeout(PATIENCE);
    let writer = pool(1).connect_with(options.clone()).await.map_err(open)?;
    let reader = pool(READERS).connect_with(options.pragma("query_only", "on")).await.map_err(open)?;
    Ok(Database::new(reader, writer))
}

// === impl Database ===

impl Database {
    fn new(reader: SqlitePool, writer: SqlitePool) -> Self {
        Self {
            reader: SqlxSqliteConnector::from_sqlx_sqlite_pool(reader),
            writer: SqlxSqliteConnector::from_sqlx_sqlite_pool(writer),
        }
    }

    /// Where to read outside a transaction. Writing there is refused.
    pub fn reader(&self) -> &DatabaseConnection {
        &self.reader
    }

    /// Begins a transaction that may write, once it is its turn.
    pub async fn begin(&self) -> Result<DatabaseTransaction, DbErr> {
        let immediate = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        self.writer.begin_with_options(immediate).await
    }

    /// Calls back with every statement that is run outside a transaction.
    pub fn observe_reads(&mut self, observer: impl Fn(&sea_orm::metric::Info<'_>) + Send + Sync + 'static) {
        self.reader.set_metric_callback(observer);
    }

    /// Says whether the database answers.
    pub async fn ping(&self) -> Result<(), DbErr> {
        self.reader.ping().await
    }

    /// Waits for what runs, and closes the file.
    pub async fn close(self) -> Result<(), DbErr> {
        self.reader.close().await?;
        self.writer.close().await
    }
}

async fn create_folder(file: &Path) -> Result<(), ConnectError> {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => tokio::fs::create_dir_all(folder)
            .await
            .map_err(|source| ConnectError::Folder { folder: folder.display().to_string(), source }),
        _ => Ok(()),
    }
}
