//! The schema's history: plain SQL files that are built in, run in order, and never changed once run.

use std::fmt;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::SqlitePool;

use super::Database;

/// One step of the schema.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Migration {
    /// Its number.
    pub version: i64,
    /// What it does, from the name of its file.
    pub description: String,
}

static MIGRATOR: Migrator = sqlx::migrate!("migrations/sqlite");

impl Database {
    /// Brings the schema up to date and says what was done; all of it, or nothing.
    ///
    /// Everything runs in one transaction that locks the file first, because sqlx takes no lock of its own for SQLite:
    /// two instances that start together would run the same step twice.
    pub async fn migrate(&self) -> Result<Vec<Migration>, MigrateError> {
        let pending = self.pending().await?;
        let mut transaction = self.writer_pool().begin_with("BEGIN IMMEDIATE").await?;
        MIGRATOR.run(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(pending)
    }

    /// The steps that this build knows and the database has not seen.
    pub async fn pending(&self) -> Result<Vec<Migration>, MigrateError> {
        let applied = self.applied().await?;
        let steps = MIGRATOR.iter().filter(|step| !applied.contains(&step.version));
        Ok(steps
            .map(|step| Migration { version: step.version, description: step.description.to_string() })
            .collect())
    }

    async fn applied(&self) -> Result<Vec<i64>, sqlx::Error> {
        const KNOWN: &str = "SELECT count(*) > 0 FROM sqlite_master WHERE name = '_sqlx_migrations'";
        const APPLIED: &str = "SELECT version FROM _sqlx_migrations WHERE success ORDER BY version";

        let pool = self.reader.get_sqlite_connection_pool();
        if sqlx::query_scalar(KNOWN).fetch_one(pool).await? {
            sqlx::query_scalar(APPLIED).fetch_all(pool).await
        } else {
            Ok(Vec::new())
        }
    }

    fn writer_pool(&self) -> &SqlitePool {
        self.writer.get_sqlite_connection_pool()
    }
}

impl fmt::Display for Migration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04} {}", self.version, self.description)
    }
}
