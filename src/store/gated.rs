//! SQLite whose connections are handed out one at a time, by whoever simulates: which of those that wait goes next, and which one fails. Between two
//! of them nothing runs, so that the order of everything is chosen and can be chosen again. Only connecting is different from the real store; all
//! statements are its own.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use sqlx::{
    Connection, Row, SqliteConnection, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use tokio::sync::oneshot;

use super::{
    Store, StoreError, StoreOptions,
    remembered::Remembered,
    sqlite::{SqliteStore, TASK, log_state, offset, word},
    sqlite_append::event_id,
};
use crate::model::{EventId, LogState, Offset, TaskId};

/// Longer than any simulation: whoever waits for a connection waits until it is let go.
const FOR_EVER: Duration = Duration::from_secs(86_400);

/// A connection that fails does so after so many of the database's instructions at most.
pub(crate) const FAILS_WITHIN: i32 = 400;

/// A database of its own for each simulation, made from an empty one.
#[derive(Debug)]
pub(crate) struct Template {
    store: SqliteStore,
    path: PathBuf,
}

impl Template {
    /// Makes the empty one, by the real way of opening a store.
    pub(crate) async fn make(folder: &Path, options: &StoreOptions) -> Self {
        let path = folder.join("template.db");
        let options = StoreOptions { url: format!("sqlite://{}", path.display()), ..options.clone() };
        let Ok(Store::Sqlite(store)) = Store::open(&options).await else { panic!("an empty store is made") };
        store.readers.close().await;
        // Everything is in the one file then, and not in one beside it.
        sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&store.writer).await.expect("nobody else has it");
        store.writer.close().await;
        Self { store, path }
    }

    /// A copy under another name.
    pub(crate) fn copy(&self, path: PathBuf) -> Database<'_> {
        std::fs::copy(&self.path, &path).expect("there is room for a copy");
        Database { template: self, path, remembered: Arc::default() }
    }
}

/// A simulation's database. It is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct Database<'a> {
    template: &'a Template,
    path: PathBuf,
    remembered: Arc<Remembered>,
}

impl Drop for Database<'_> {
    fn drop(&mut self) {
        for end in ["", "-wal", "-shm"] {
            let mut path = self.path.as_os_str().to_owned();
            path.push(end);
            // Some of them need not be there.
            let _ = std::fs::remove_file(path);
        }
    }
}

impl Database<'_> {
    /// A node's way to it, through a gate of its own. All nodes remember together what was written last, as one process does.
    pub(crate) fn open(&self, readers: u32) -> (Store, Gate) {
        let gate = Gate::default();
        let bars = &gate.bars;
        let (writer, readers) = (bars.pool(self.connect(), Side::Writes, 1), bars.pool(self.readers(), Side::Reads, readers));
        gate.pools.lock().extend([writer.clone(), readers.clone()]);
        let store = SqliteStore { writer, readers, remembered: self.remembered.clone(), ..self.template.store.clone() };
        (Store::Sqlite(store), gate)
    }

    /// Somebody who reads without asking for leave, when nothing else happens.
    pub(crate) async fn onlooker(&self) -> Onlooker {
        Onlooker { connection: SqliteConnection::connect_with(&self.connect()).await.expect("it opens") }
    }

    fn connect(&self) -> SqliteConnectOptions {
        SqliteConnectOptions::new()
            .filename(&self.path)
            .foreign_keys(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Off)
            .busy_timeout(Duration::from_secs(10))
    }

    fn readers(&self) -> SqliteConnectOptions {
        self.connect().pragma("query_only", "on")
    }
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Reads,
    Writes,
}

/// How a use of a connection goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leave {
    /// Well.
    Go,
    /// It is interrupted after about so many instructions of the database.
    Fail(i32),
}

/// Who waits: in order of the tasks that wait, which is the order in which they were begun and not that in which they woke up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket {
    task: u64,
    number: u64,
}

/// Where a node's uses of its connections wait for leave.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gate {
    bars: Bars,
    pools: Arc<Mutex<Vec<SqlitePool>>>,
}

/// What a pool knows of its gate: not the pools themselves, or none of them would ever be closed.
#[derive(Debug, Clone, Default)]
struct Bars {
    inner: Arc<Mutex<Waiting>>,
    /// The connection that is used is to fail.
    armed: Arc<AtomicBool>,
}

#[derive(Debug, Default)]
struct Waiting {
    tickets: BTreeMap<Ticket, (Side, Option<oneshot::Sender<Leave>>)>,
    next: u64,
}

impl Gate {
    /// Who waits, and for what.
    pub(crate) fn waiting(&self) -> Vec<(Ticket, Side)> {
        self.bars
            .inner
            .lock()
            .tickets
            .iter()
            .filter(|(_, (_, leave))| leave.is_some())
            .map(|(at, (side, _))| (*at, *side))
            .collect()
    }

    /// Lets one go.
    pub(crate) fn let_go(&self, ticket: Ticket, leave: Leave) {
        let sender = self.bars.inner.lock().tickets.get_mut(&ticket).and_then(|(_, sender)| sender.take());
        // Whoever waited may have given up.
        let _ = sender.map(|sender| sender.send(leave));
    }

    /// Whether a connection is being made, used or given back.
    pub(crate) fn is_busy(&self) -> bool {
        let inner = self.bars.inner.lock();
        let out: usize = self.pools.lock().iter().map(|pool| (pool.size() as usize).saturating_sub(pool.num_idle())).sum();
        let waiting = inner.tickets.values().filter(|(_, leave)| leave.is_some()).count();
        waiting < out
    }
}

impl Bars {
    fn pool(&self, connect: SqliteConnectOptions, side: Side, most: u32) -> SqlitePool {
        let (for_old, for_new, for_used) = (self.clone(), self.clone(), self.clone());
        SqlitePoolOptions::new()
            .max_connections(most)
            .acquire_timeout(FOR_EVER)
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
            .before_acquire(move |connection, _| {
                let bars = for_old.clone();
                Box::pin(async move { bars.pass(side, connection).await.map(|()| true) })
            })
            .after_connect(move |connection, _| {
                let bars = for_new.clone();
                Box::pin(async move { bars.pass(side, connection).await })
            })
            .after_release(move |_, _| {
                // One that was to fail is not used again: what is left of that would come later, unasked for.
                let was_to_fail = for_used.armed.swap(false, Ordering::Relaxed);
                Box::pin(async move { Ok(!was_to_fail) })
            })
            .connect_lazy_with(connect)
    }

    async fn pass(&self, side: Side, connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        let (sender, leave) = oneshot::channel();
        let task = tokio::task::try_id().and_then(|id| id.to_string().parse().ok()).unwrap_or_default();
        let place = {
            let mut inner = self.inner.lock();
            inner.next += 1;
            let ticket = Ticket { task, number: inner.next };
            inner.tickets.insert(ticket, (side, Some(sender)));
            Place { bars: self, ticket }
        };
        let leave = leave.await.unwrap_or(Leave::Go);
        drop(place);
        match leave {
            Leave::Go => {}
            Leave::Fail(instructions) => {
                self.armed.store(true, Ordering::Relaxed);
                let mut failed = false;
                // Once: what cleans up afterwards is not disturbed.
                connection.lock_handle().await?.set_progress_handler(instructions, move || std::mem::replace(&mut failed, true));
            }
        }
        Ok(())
    }
}

/// A place among those who wait, given up also by who waits no longer.
struct Place<'a> {
    bars: &'a Bars,
    ticket: Ticket,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.bars.inner.lock().tickets.remove(&self.ticket);
    }
}

/// Reads what is committed.
#[derive(Debug)]
pub(crate) struct Onlooker {
    connection: SqliteConnection,
}

/// A stored activity, as far as simulations look at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub offset: Offset,
    pub event: EventId,
    pub invocation: String,
    pub kind: String,
    pub data: String,
    /// Its series, and whether it closes it.
    pub series: Option<(String, bool)>,
}

impl Onlooker {
    /// Where all logs stand.
    pub(crate) async fn logs(&mut self) -> Result<Vec<(TaskId, LogState)>, StoreError> {
        let sql = sqlx::AssertSqlSafe(format!("SELECT {TASK} FROM tasks ORDER BY tasks.id"));
        let rows = sqlx::query(sql).fetch_all(&mut self.connection).await?;
        rows.iter().map(|row| Ok((word(row, "name")?.expect("a task has a name"), log_state(row)?))).collect()
    }

    /// The activities of a log after an offset.
    pub(crate) async fn rows(&mut self, task: &TaskId, after: Offset) -> Result<Vec<Seen>, StoreError> {
        let rows = sqlx::query(
            "SELECT a.\"offset\", a.event_id, a.type, a.data, a.series, a.series_ends, i.name AS invocation FROM tasks \
             JOIN activities AS a ON a.task = tasks.id JOIN invocations AS i ON i.id = a.invocation \
             WHERE tasks.name = ?1 AND a.\"offset\" > ?2 ORDER BY a.\"offset\"",
        )
        .bind(task.as_str().to_owned())
        .bind(super::sqlite::stored(after.get()))
        .fetch_all(&mut self.connection)
        .await?;
        rows.iter()
            .map(|row| {
                let series: Option<String> = row.try_get("series")?;
                let ends: Option<bool> = row.try_get("series_ends")?;
                Ok(Seen {
                    offset: offset(row, "offset")?,
                    event: event_id(row)?,
                    invocation: row.try_get("invocation")?,
                    kind: row.try_get("type")?,
                    data: row.try_get("data")?,
                    series: series.zip(ends),
                })
            })
            .collect()
    }

    /// All leases run out: whoever had one is late from now on.
    pub(crate) async fn end_leases(&mut self) -> Result<(), StoreError> {
        sqlx::query("UPDATE leases SET holder = NULL").execute(&mut self.connection).await?;
        Ok(())
    }
}
