//! Appending to Postgres, in one transaction whatever the size of the batch.
//!
//! A node that was the last to write a batch's tasks remembers how they stood. Then it is one statement, a single round trip: it checks what was
//! remembered, and writes. Otherwise, or if it was wrong, it takes four:
//!
//! 1. Begin, and lock the rows of the batch's tasks in order of their names, in one simple message. The locks make commit order offset
//!    order; the one order of locking makes deadlocks impossible.
//! 2. Load what the plan needs, in one statement, which sees everything that was committed before the locks were granted. It may see a
//!    task that was made meanwhile too, and that is not locked: so the number of locked ones is remembered in a setting of the transaction
//!    and compared.
//! 3. Write everything, in one statement.
//! 4. Commit.
//!
//! A task that is not there is made, which takes one more round; the rows are inserted in the order of their names before anything
//! is locked, so that two who make the same tasks meet at the first of them.

use sqlx::{AssertSqlSafe, Connection, PgConnection, Row, postgres::PgRow};
use uuid::Uuid;

use super::{
    Append, Appended, Attempt, StoreError,
    condition::Only,
    plan::{Freshness, InvocationRow, Rows, TaskRow, plan},
    postgres::{PostgresStore, Writer, collided, foreign, refuses, stored},
    postgres_leases,
    postgres_open::{is_here, settle},
    postgres_read::HEAD,
    postgres_streams,
    postgres_write::{self, Basis},
};
use crate::model::{Epoch, EventId, InvocationId, Offset, Status, StatusCounts, Timestamp};

/// How often a batch is tried again at once: after a serialization failure, or because a task was deleted or made meanwhile.
const AT_ONCE: usize = 5;

/// What loading found.
enum Loaded {
    /// Everything, and the store's salt.
    Rows(Box<Rows>, i64),
    /// Not all tasks.
    TasksMissing,
    /// Another server, database or timeline than the log was written on last.
    Elsewhere,
}

impl PostgresStore {
    pub(super) async fn append(&self, batch: &[Append], attempt: Attempt, only: Only<'_>) -> Result<Appended, StoreError> {
        self.within(async {
            let mut writer = self.free_writer().await;
            let (mut make, mut attempt) = (false, attempt);
            if attempt == Attempt::First
                && only.is_always()
                && let Some(rows) = self.remembered.take(batch)
            {
                let mut connection = writer.take(&self.connector).await?;
                let appended = self.append_remembered(&mut connection, batch, rows).await?;
                writer.put_back(connection);
                if let Some(appended) = appended {
                    return Ok(appended);
                }
            }
            for _ in 0..AT_ONCE {
                let mut connection = writer.take(&self.connector).await?;
                // On an error the connection goes, and with it the transaction and its locks.
                match self.append_once(&mut connection, &mut writer, batch, attempt, only, make).await {
                    Ok(Ok(appended)) => {
                        writer.put_back(connection);
                        return Ok(appended);
                    }
                    Ok(Err(Loaded::TasksMissing)) if !only.makes_tasks() => {
                        writer.put_back(connection);
                        return Ok(Appended::outdated(batch));
                    }
                    Ok(Err(Loaded::TasksMissing)) => make = true,
                    Ok(Err(_)) => settle(&mut connection).await?,
                    Err(error) if error.as_database_error().and_then(|e| e.code()).is_some_and(|code| collided(&code)) => {
                        attempt = Attempt::Again;
                        continue;
                    }
                    Err(error) => return Err(error.into()),
                }
                writer.put_back(connection);
            }
            Err(StoreError::Unavailable("others change the same tasks all the time".to_owned()))
        })
        .await
    }

    /// In one statement, if the rows are still as this node left them.
    async fn append_remembered(
        &self,
        connection: &mut PgConnection,
        batch: &[Append],
        mut rows: Rows,
    ) -> Result<Option<Appended>, StoreError> {
        let appended = plan(batch, &mut rows);
        // What would be refused may be in the log already, which was not looked at: then it is no refusal.
        if appended.commits.len() < rows.tasks.len() || appended.results.iter().any(|result| result.is_err()) {
            // What is refused is refused on the database's word.
            return Ok(None);
        }
        match postgres_write::write(connection, Basis::Remembered, batch, &appended, &rows).await {
            Ok(true) => {
                self.remembered.keep(rows, true);
                Ok(Some(appended))
            }
            Ok(false) => Ok(None),
            // Somebody else was first by a moment. Nothing is written, and the long way finds out what stands there now.
            Err(error)
                if error.as_database_error().and_then(|e| e.code()).is_some_and(|code| refuses(&code) || collided(&code)) =>
            {
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn append_once(
        &self,
        connection: &mut PgConnection,
        writer: &mut Writer,
        batch: &[Append],
        attempt: Attempt,
        only: Only<'_>,
        make: bool,
    ) -> Result<Result<Appended, Loaded>, sqlx::Error> {
        let mut transaction = connection.begin_with(AssertSqlSafe(begin(batch, make))).await?;
        let mut rows = match load(&mut transaction, batch, attempt).await? {
            Loaded::Rows(rows, salt) => {
                writer.keys_of(salt);
                *rows
            }
            other => {
                transaction.rollback().await?;
                return Ok(Err(other));
            }
        };
        self.remembered.found(&rows);
        let noted = match only {
            Only::Always => false,
            Only::If(condition) => {
                postgres_leases::check(&mut transaction, condition, &mut rows).await?;
                false
            }
            Only::Stream(write) => postgres_streams::check(&mut transaction, write, batch, &mut rows).await?,
        };
        let mut appended = plan(batch, &mut rows);
        if only.is_whole() {
            appended = appended.refused_whole();
        }
        if appended.commits.is_empty() {
            let done = noted && appended.results.iter().all(Result::is_ok);
            if done {
                transaction.commit().await?
            } else {
                transaction.rollback().await?
            }
            return Ok(Ok(appended));
        }
        give_keys(&mut transaction, writer, &mut rows).await?;
        postgres_write::write(&mut transaction, Basis::Loaded, batch, &appended, &rows).await?;
        transaction.commit().await?;
        self.remembered.keep(rows, false);
        Ok(Ok(appended))
    }
}

/// The first message: begin, make the tasks if that is wanted, lock them. Ids of tasks are letters, digits, dots, dashes and underscores, so
/// they can stand in the text.
fn begin(batch: &[Append], make: bool) -> String {
    let mut names: Vec<&str> = batch.iter().map(|item| item.task.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    debug_assert!(names.iter().all(|name| name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))));
    let mut sql = "BEGIN; ".to_owned();
    if make {
        let now = Timestamp::now().as_millis();
        let values: Vec<_> = names.iter().map(|name| format!("('{name}', {}, {now})", Epoch::generate().get())).collect();
        sql.push_str(&format!(
            "INSERT INTO tasks (name, epoch, created_at) VALUES {} ON CONFLICT DO NOTHING; ",
            values.join(",")
        ));
    }
    let list: Vec<_> = names.iter().map(|name| format!("'{name}'")).collect();
    sql.push_str(&format!(
        "SELECT set_config('tasklight.locked', count(*)::text, true) FROM \
         (SELECT 1 FROM tasks WHERE name IN ({}) ORDER BY name COLLATE \"C\" FOR NO KEY UPDATE) AS locked",
        list.join(",")
    ));
    sql
}

/// Rows of several kinds in one answer, behind `SELECT 't' AS kind, ` and the log's head: `s` the store's identity and how many tasks are
/// locked, `t` tasks, `i` invocations, `k` known events.
const LOAD: &str = ", \
       tasks.id, NULL::int8 AS task, tasks.name, tasks.status, \
       ARRAY[tasks.epoch # s.salt, pending, running, completed, failed, cancelled, lost, last_activity_at, tasks.cleanings] AS numbers, \
       NULL::text[] AS texts, NULL::uuid AS event \
FROM tasks, store_identity AS s WHERE tasks.name = ANY($1) \
UNION ALL \
SELECT 'i', NULL, i.id, i.task, i.name, i.status, \
       ARRAY[i.exit_code::int8, i.created_at, i.started_at, i.completed_at, i.last_activity_at, i.backfilled::int4::int8], \
       ARRAY[i.agent, i.title, i.reason, i.usage], NULL \
FROM unnest($2::text[], $3::text[]) AS w(task, name) JOIN tasks AS t ON t.name = w.task \
CROSS JOIN LATERAL (SELECT * FROM invocations WHERE task = t.id AND name = w.name LIMIT 1) AS i \
UNION ALL \
SELECT 'k', a.\"offset\", NULL, t.id, NULL, NULL, NULL, NULL, w.event \
FROM unnest($4::text[], $5::uuid[]) AS w(task, event) JOIN tasks AS t ON t.name = w.task \
CROSS JOIN LATERAL (SELECT \"offset\" FROM activities WHERE task = t.id AND event_id = w.event LIMIT 1) AS a \
UNION ALL \
SELECT 's', current_setting('tasklight.locked')::int8, s.salt, NULL, s.identity, NULL, NULL, NULL, NULL FROM store_identity AS s WHERE ";

async fn load(connection: &mut PgConnection, batch: &[Append], attempt: Attempt) -> Result<Loaded, sqlx::Error> {
    let mut tasks: Vec<&str> = batch.iter().map(|item| item.task.as_str()).collect();
    tasks.sort_unstable();
    tasks.dedup();
    let mut runs: Vec<_> = batch.iter().map(|item| (item.task.as_str(), item.activity.activity.invocation.as_str())).collect();
    runs.sort_unstable();
    runs.dedup();
    let (run_tasks, run_names): (Vec<&str>, Vec<&str>) = runs.into_iter().unzip();
    let wanted = batch.iter().filter(|item| attempt == Attempt::Again || item.activity.event_id_given);
    let (event_tasks, events): (Vec<&str>, Vec<Uuid>) =
        wanted.map(|item| (item.task.as_str(), Uuid::from_bytes(*item.activity.activity.event_id.as_bytes()))).unzip();
    let found = sqlx::query(AssertSqlSafe(format!("SELECT 't' AS kind, {HEAD}{LOAD}{}", is_here("s"))))
        .bind(&tasks)
        .bind(run_tasks)
        .bind(run_names)
        .bind(event_tasks)
        .bind(events)
        .fetch_all(connection)
        .await?;
    let mut rows = Rows::default();
    let mut locked = None;
    for row in &found {
        match row.try_get::<&str, _>("kind")? {
            "s" => locked = row.try_get::<Option<i64>, _>("head")?.zip(Some(row.try_get::<i64, _>("id")?)),
            "t" => drop(rows.tasks.insert(name(row)?, task(row)?)),
            "i" => drop(rows.invocations.insert((row.try_get("task")?, name(row)?), invocation(row)?)),
            _ => {
                let event: Uuid = row.try_get("event")?;
                rows.known.insert((row.try_get("task")?, EventId::from_bytes(event.into_bytes())), head(row)?);
            }
        }
    }
    Ok(match locked {
        None => Loaded::Elsewhere,
        Some((locked, salt)) if usize::try_from(locked) == Ok(tasks.len()) => Loaded::Rows(Box::new(rows), salt),
        Some(_) => Loaded::TasksMissing,
    })
}

/// The numbers of a row.
struct Numbers(Vec<Option<i64>>);

impl Numbers {
    fn of(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self(row.try_get("numbers")?))
    }

    fn maybe(&self, index: usize) -> Result<Option<u64>, sqlx::Error> {
        self.0.get(index).copied().flatten().map(|value| u64::try_from(value).map_err(|_| unread("numbers"))).transpose()
    }

    fn number(&self, index: usize) -> Result<u64, sqlx::Error> {
        self.maybe(index)?.ok_or_else(|| unread("numbers"))
    }

    fn time(&self, index: usize) -> Result<Option<Timestamp>, sqlx::Error> {
        self.maybe(index)?.map(|millis| Timestamp::from_millis(millis).ok_or_else(|| unread("time"))).transpose()
    }
}

fn head(row: &PgRow) -> Result<Offset, sqlx::Error> {
    let value: Option<i64> = row.try_get("head")?;
    value.and_then(|value| u64::try_from(value).ok()).and_then(Offset::new).ok_or_else(|| unread("head"))
}

fn unread(column: &str) -> sqlx::Error {
    sqlx::Error::Decode(foreign(column).into())
}

fn name<T: std::str::FromStr>(row: &PgRow) -> Result<T, sqlx::Error> {
    row.try_get::<&str, _>("name")?.parse().map_err(|_| unread("name"))
}

fn status(row: &PgRow) -> Result<Option<Status>, sqlx::Error> {
    let text: Option<&str> = row.try_get("status")?;
    text.map(|text| text.parse().map_err(|_| unread("status"))).transpose()
}

fn task(row: &PgRow) -> Result<TaskRow, sqlx::Error> {
    let numbers = Numbers::of(row)?;
    let epoch = u32::try_from(numbers.number(0)?).map_err(|_| unread("epoch"))?;
    Ok(TaskRow {
        key: row.try_get("id")?,
        epoch: Epoch::from_stored(epoch),
        head: head(row)?,
        status: status(row)?,
        counts: StatusCounts {
            pending: numbers.number(1)?,
            running: numbers.number(2)?,
            completed: numbers.number(3)?,
            failed: numbers.number(4)?,
            cancelled: numbers.number(5)?,
            lost: numbers.number(6)?,
        },
        last_activity_at: Freshness::of_row(numbers.time(7)?),
        cleanings: stored(numbers.number(8)?),
        touched: false,
    })
}

fn invocation(row: &PgRow) -> Result<InvocationRow, sqlx::Error> {
    let numbers = Numbers::of(row)?;
    let texts: Vec<Option<String>> = row.try_get("texts")?;
    let [agent, title, reason, usage] = <[Option<String>; 4]>::try_from(texts).map_err(|_| unread("texts"))?;
    let exit_code = numbers.0.first().copied().flatten().map(i32::try_from).transpose().map_err(|_| unread("exit_code"))?;
    Ok(InvocationRow {
        key: Some(row.try_get("id")?),
        status: status(row)?.ok_or_else(|| unread("status"))?,
        agent,
        title,
        exit_code,
        reason,
        created_at: numbers.time(1)?.ok_or_else(|| unread("created_at"))?,
        started_at: numbers.time(2)?,
        completed_at: numbers.time(3)?,
        last_activity_at: Freshness::of_row(numbers.time(4)?),
        usage,
        backfilled: numbers.maybe(5)? == Some(1),
        touched: false,
    })
}

/// How many keys of new invocations one round trip fetches.
const BLOCK: u32 = 1_000;

/// Gives new invocations their keys. A block may be left unfinished; there are enough.
async fn give_keys(connection: &mut PgConnection, writer: &mut Writer, rows: &mut Rows) -> Result<(), sqlx::Error> {
    let mut new: Vec<(&(i64, InvocationId), &mut InvocationRow)> =
        rows.invocations.iter_mut().filter(|(_, row)| row.key.is_none()).collect();
    new.sort_unstable_by_key(|(a, _)| *a);
    for (_, row) in new {
        if writer.keys.1 == 0 {
            let block: i64 = sqlx::query_scalar("SELECT nextval('invocation_blocks')").fetch_one(&mut *connection).await?;
            writer.keys = (block * i64::from(BLOCK), BLOCK);
        }
        row.key = Some(writer.keys.0);
        writer.keys = (writer.keys.0 + 1, writer.keys.1 - 1);
    }
    Ok(())
}
