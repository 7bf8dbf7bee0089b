//! The database: opened, migrated, and handed to the files beside this one.
//!
//! SQLite gets exactly one connection. It has one writer anyway; with one
//! connection writers queue fairly here instead of polling a lock in SQLite, and
//! no statement ever fails with "database is locked". The price: whoever holds a
//! transaction must not ask the pool for anything else meanwhile.

use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions, AnyRow};
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::{
    Any, AnyConnection, AnyPool, ColumnIndex, Connection as _, Decode, Row as _, Transaction, Type,
};

/// The control plane's memory. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    pool: AnyPool,
}

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

impl Store {
    /// Opens the SQLite database at `path`, makes it where there is none, and
    /// brings its tables up to date.
    pub async fn open(path: &Path) -> Result<Self, Error> {
        let text = path.to_str().ok_or(Error::Path)?;
        // `?` and `%` mean something in a URL.
        let escaped = text.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
        Self::connect(&format!("sqlite://{escaped}?mode=rwc")).await
    }

    async fn connect(url: &str) -> Result<Self, Error> {
        sqlx::any::install_default_drivers();
        let options = AnyConnectOptions::from_str(url)?;
        // The pool takes an error of the file for a passing one, and tries for long.
        let mut first = AnyConnection::connect_with(&options).await?;
        sqlx::query("PRAGMA schema_version").fetch_all(&mut first).await?;
        first.close().await?;
        let pool = AnyPoolOptions::new()
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .acquire_timeout(Duration::from_secs(20))
            .after_connect(|connection, _| {
                Box::pin(async move {
                    for pragma in PRAGMAS {
                        sqlx::query(pragma).fetch_all(&mut *connection).await?;
                    }
                    Ok(())
                })
            })
            .connect_with(options)
            .await?;
        MIGRATIONS.run(&pool).await.map_err(Box::new)?;
        Ok(Self { pool })
    }

    /// Where single statements are run.
    pub(super) fn pool(&self) -> &AnyPool {
        &self.pool
    }

    /// Begins a transaction. Its holder asks `pool` for nothing until it is over.
    pub(super) async fn begin(&self) -> Result<Transaction<'static, Any>, Error> {
        Ok(self.pool.begin().await?)
    }

    /// Waits until everything is on disk, and closes the file.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// WAL with a sync at each commit: what was answered survives a power cut. The
/// rest keeps memory small and removed secrets removed.
const PRAGMAS: [&str; 6] = [
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA busy_timeout = 10000",
    "PRAGMA cache_size = -2000",
    "PRAGMA journal_size_limit = 16777216",
];

/// Reads column `name` of a row, and passes it through `FromStr` of our type.
pub(super) fn text<T>(row: &AnyRow, name: &'static str) -> Result<T, Error>
where
    T: FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    let text: String = column(row, name)?;
    text.parse().map_err(|source| Error::Corrupt { column: name, source: Box::new(source) })
}

/// Like [`text`], for a column that may be NULL.
pub(super) fn optional_text<T>(row: &AnyRow, name: &'static str) -> Result<Option<T>, Error>
where
    T: FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    let text: Option<String> = column(row, name)?;
    text.map(|text| text.parse())
        .transpose()
        .map_err(|source| Error::Corrupt { column: name, source: Box::new(source) })
}

/// Reads a number that is of a narrower type here than in the database.
pub(super) fn number<T>(row: &AnyRow, name: &'static str) -> Result<T, Error>
where
    T: TryFrom<i64, Error: std::error::Error + Send + Sync + 'static>,
{
    T::try_from(column::<i64>(row, name)?)
        .map_err(|source| Error::Corrupt { column: name, source: Box::new(source) })
}

/// Reads column `name` as it is.
pub(super) fn column<'r, T>(row: &'r AnyRow, name: &'static str) -> Result<T, Error>
where
    T: Decode<'r, Any> + Type<Any>,
    &'static str: ColumnIndex<AnyRow>,
{
    Ok(row.try_get(name)?)
}

/// Why the store could not answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database refused or is not there.
    #[error("the database could not be used")]
    Database(#[from] sqlx::Error),
    /// The tables could not be brought up to date.
    #[error("the database's tables could not be brought up to date")]
    Migration(#[from] Box<MigrateError>),
    /// A row holds what was never written there by this program.
    #[error("column `{column}` of the database holds what makes no sense")]
    Corrupt {
        /// Which column.
        column: &'static str,
        /// What its type said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The path of the database is no UTF-8.
    #[error("the data directory's path is no UTF-8")]
    Path,
}

impl Error {
    /// Whether the same call may succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Database(_) => true,
            Self::Migration(_) | Self::Corrupt { .. } | Self::Path => false,
        }
    }

    /// What the operator can do next.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Database(_) => "look at the free space and the permissions of the data directory",
            Self::Migration(_) => {
                "use the version of floe that wrote the data directory, or a newer one"
            }
            Self::Corrupt { .. } => "restore the data directory from a backup",
            Self::Path => "choose another data directory",
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use floe_proto::digest::Digest;
    use floe_proto::time::Timestamp;
    use sqlx::AssertSqlSafe;

    use super::super::TokenRecord;
    use super::*;

    /// A store in a directory that is gone when the guard is dropped.
    pub(crate) async fn store() -> (Store, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("floe.sqlite")).await.unwrap();
        (store, dir)
    }

    #[tokio::test]
    async fn a_database_is_opened_again_with_what_it_held() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a ? # % name.sqlite");
        let store = Store::open(&path).await.unwrap();
        let mode: String =
            sqlx::query("PRAGMA journal_mode").fetch_one(store.pool()).await.unwrap().get(0);
        assert_eq!(mode, "wal");
        store.close().await;
        assert!(path.exists());
        Store::open(&path).await.unwrap();
    }

    #[tokio::test]
    async fn what_is_no_database_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("floe.sqlite");
        std::fs::write(&path, b"this is no database, whatever it is called").unwrap();
        assert!(Store::open(&path).await.is_err());
    }

    #[tokio::test]
    async fn a_full_disk_fails_calls_and_loses_nothing_that_was_answered() {
        let (store, dir) = store().await;
        let limit = async |pages: i64| {
            sqlx::query(AssertSqlSafe(format!("PRAGMA max_page_count = {pages}")))
                .fetch_all(store.pool())
                .await
                .unwrap();
        };
        let pages: i64 =
            sqlx::query("PRAGMA page_count").fetch_one(store.pool()).await.unwrap().get(0);
        limit(pages + 4).await;
        let add = async |number: i64| {
            let token = TokenRecord {
                digest: Digest::of(&number.to_le_bytes()),
                role: "www".parse().unwrap(),
                host: None,
                adopts: false,
                creator: "a".repeat(500),
                created: Timestamp::from_micros(number),
                expires: Timestamp::from_micros(number),
            };
            store.add_token(&token).await
        };
        let mut answered = 0;
        while add(answered).await.is_ok() {
            answered += 1;
        }
        assert!(answered > 0);
        // Again and again, and other calls go on.
        for _ in 0..3 {
            assert!(add(answered).await.unwrap_err().is_transient());
            assert!(store.hosts(None).await.unwrap().is_empty());
        }
        limit(1_000_000).await;
        add(answered).await.unwrap();
        store.close().await;
        let store = Store::open(&dir.path().join("floe.sqlite")).await.unwrap();
        let count = sqlx::query("SELECT COUNT(*) FROM join_tokens").fetch_one(store.pool()).await;
        assert_eq!(count.unwrap().get::<i64, _>(0), answered + 1);
    }
}
