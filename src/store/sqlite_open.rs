//! Opening the SQLite file: one process at a time, schema up to date, and no old content under a new name.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{Read, Seek, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use sqlx::{
    SqliteConnection, SqlitePool,
    migrate::Migrator,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use uuid::Uuid;

use super::{OpenError, StoreError, StoreOptions, sqlite::SqliteStore};
use crate::model::Epoch;

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

/// How long to wait for a free read connection before the store counts as unavailable.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);

impl SqliteStore {
    pub(super) async fn open(path: &Path, options: &StoreOptions) -> Result<Self, OpenError> {
        let failed = |reason: String| OpenError::Failed { path: path.to_owned(), reason };
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(|error| failed(format!("folder {}: {error}", folder.display())))?;
        }
        let lock = FileLock::take(path)?;
        let connect = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .foreign_keys(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(if options.synchronous { SqliteSynchronous::Full } else { SqliteSynchronous::Normal })
            .busy_timeout(options.busy_timeout)
            .optimize_on_close(true, 400);
        let writer = pool(1).connect_with(connect.clone()).await.map_err(|error| failed(error.to_string()))?;
        bring_up_to_date(&writer, path, options.migrate).await?;
        renew_identity(&writer, &lock).await.map_err(|error| failed(error.to_string()))?;
        let readers = pool(options.readers.max(1))
            .connect_with(connect.pragma("query_only", "on"))
            .await
            .map_err(|error| failed(error.to_string()))?;
        Ok(Self {
            writer,
            readers,
            lock: Arc::new(lock),
            remembered: Arc::default(),
            stalled_after: options.stalled_after,
            keeps_transitions: Arc::default(),
        })
    }
}

impl SqliteStore {
    /// Gives every log another life.
    pub(super) async fn renew_epochs(&self) -> Result<(), StoreError> {
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        self.remembered.forget_all();
        give_new_epochs(&mut transaction).await?;
        Ok(transaction.commit().await?)
    }
}

/// The migrations that this program knows, by number.
pub(super) fn known_migrations() -> Vec<i64> {
    MIGRATIONS.iter().map(|migration| migration.version).collect()
}

async fn give_new_epochs(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    let keys: Vec<i64> = sqlx::query_scalar("SELECT id FROM tasks").fetch_all(&mut *connection).await?;
    for key in keys {
        sqlx::query("UPDATE tasks SET epoch = ?1 WHERE id = ?2")
            .bind(i64::from(Epoch::generate().get()))
            .bind(key)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

fn pool(connections: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(None)
        .max_lifetime(None)
        // A file in this process does not go away; asking before each use would only cost a call.
        .test_before_acquire(false)
}

async fn bring_up_to_date(writer: &SqlitePool, path: &Path, migrate: bool) -> Result<(), OpenError> {
    let failed = |error: &dyn std::fmt::Display| OpenError::Failed { path: path.to_owned(), reason: error.to_string() };
    if migrate {
        return MIGRATIONS.run(writer).await.map_err(|error| failed(&error));
    }
    let known = sqlx::query_scalar::<_, i64>("SELECT max(version) FROM _sqlx_migrations WHERE success").fetch_one(writer).await;
    let newest = MIGRATIONS.iter().map(|migration| migration.version).max();
    if known.ok() < newest {
        return Err(OpenError::OldSchema { path: path.to_owned() });
    }
    Ok(())
}

/// Gives every log a new epoch if this file is not the one that was open last: after a restored backup, committed offsets could come to
/// name other activities. The lock file, which stays when the database file is replaced, remembers the last opening; so does the
/// database. They differ when one of them was exchanged.
async fn renew_identity(writer: &SqlitePool, lock: &FileLock) -> anyhow::Result<()> {
    let stored: Option<String> = sqlx::query_scalar("SELECT opening FROM store_identity").fetch_optional(writer).await?;
    let remembered = lock.openings()?;
    let opening = Uuid::new_v4().to_string();
    // Both are noted while the database changes, so that a crash in between is not taken for a restore.
    lock.note(&[stored.as_deref().unwrap_or("new"), &opening])?;
    let mut transaction = writer.begin().await?;
    if stored.as_ref().is_some_and(|stored| !remembered.contains(stored)) {
        tracing::warn!("the database is not the file that was open last: every log gets a new epoch");
        give_new_epochs(&mut transaction).await?;
    }
    sqlx::query("INSERT INTO store_identity (id, opening) VALUES (1, ?1) ON CONFLICT (id) DO UPDATE SET opening = ?1")
        .bind(opening.clone())
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(lock.note(&[&opening])?)
}

/// At the end, notes once more that it was open, so that a copy that was made meanwhile is told from what the database is now.
pub(super) async fn note_end(writer: &SqlitePool, lock: &FileLock) -> anyhow::Result<()> {
    renew_identity(writer, lock).await
}

/// The file beside the database that one process at a time holds locked; the system lets go of it whenever that process ends.
#[derive(Debug)]
pub(super) struct FileLock {
    file: Mutex<File>,
}

impl FileLock {
    fn take(database: &Path) -> Result<Self, OpenError> {
        let mut path = database.as_os_str().to_owned();
        path.push(".lock");
        let path = PathBuf::from(path);
        let failed = |error: std::io::Error| OpenError::Failed { path: path.clone(), reason: error.to_string() };
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { file: Mutex::new(file) }),
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let pid = file.read_to_string(&mut text).ok().and_then(|_| text.lines().next().map(str::to_owned));
                Err(OpenError::InUse { path: database.to_owned(), pid: pid.unwrap_or_else(|| "unknown".to_owned()) })
            }
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    /// The openings that the last process noted; none in a new file.
    fn openings(&self) -> std::io::Result<Vec<String>> {
        let mut file = self.file.lock();
        let mut text = String::new();
        file.rewind()?;
        file.read_to_string(&mut text)?;
        Ok(text.lines().skip(1).map(str::to_owned).collect())
    }

    /// Notes this process and these openings, durably.
    fn note(&self, openings: &[&str]) -> std::io::Result<()> {
        let mut file = self.file.lock();
        file.rewind()?;
        file.set_len(0)?;
        writeln!(file, "{}\n{}", std::process::id(), openings.join("\n"))?;
        file.sync_all()
    }

    pub(super) fn release(&self) {
        if let Err(error) = self.file.lock().unlock() {
            tracing::warn!(%error, "the database's lock file could not be unlocked");
        }
    }
}
