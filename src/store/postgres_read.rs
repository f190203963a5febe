//! Reading logs from Postgres: each page is one statement, so it sees one moment, bounded in activities, bytes and offsets looked at.

use bytes::Bytes;
use sqlx::{AssertSqlSafe, Row, postgres::PgRow};

use crate::model::{Activity, Data, EventId, Filter, InvocationId, LogState, Offset, TaskId, Timestamp};

use super::{
    Page, ReadAfter, StoreError,
    postgres::{PostgresStore, foreign, log_state, names, stored, word},
};

/// A task's epoch as it is seen outside.
pub(super) const EPOCH: &str = "(tasks.epoch # (SELECT salt FROM store_identity)) AS epoch";

/// Where a task's log ends: its row may be behind (see `plan::LAG`), and alone knows it when everything was trimmed. Below the floor the index may be full of
/// entries of rows that are gone: they are not looked at.
pub(super) const HEAD: &str = "greatest(tasks.head, (SELECT max(a.\"offset\") FROM activities AS a \
                               WHERE a.task = tasks.id AND a.\"offset\" >= tasks.floor)) AS head";

/// Columns of what was chosen from the log, under the name `chosen`, with the run's name; the payload comes after them. The log is cut to its page before
/// anything is joined, so that no plan reads more of it.
const COLUMNS: &str = "chosen.\"offset\", chosen.event_id, chosen.type, chosen.timestamp, chosen.received_at, \
                       invocations.name AS invocation";

/// How a page is kept from having too many bytes.
#[derive(Debug, Clone, Copy)]
enum Bound {
    /// Payloads that are much longer than others are left out, and the page ends before the first of them. Costs next to nothing.
    Each,
    /// The page ends where its payloads come to the bytes wanted. A running sum costs Postgres more than reading the rows does.
    Sum,
}

/// With [`Bound::Each`], how many times the bytes of a page may come from the server at most.
const ROOM: usize = 4;

const JOIN: &str = "JOIN invocations ON invocations.id = chosen.invocation";

/// Where the log of the task `$1` stands, as a table `tasks` of one row: found once, not again for each row of a page.
fn log() -> String {
    format!("(SELECT tasks.id, tasks.floor, {EPOCH}, {HEAD} FROM tasks WHERE tasks.name = $1 OFFSET 0) AS tasks")
}

/// The columns of a page, by place.
mod column {
    pub(super) const OFFSET: usize = 3;
    pub(super) const EVENT_ID: usize = 4;
    pub(super) const TYPE: usize = 5;
    pub(super) const TIMESTAMP: usize = 6;
    pub(super) const RECEIVED_AT: usize = 7;
    pub(super) const INVOCATION: usize = 8;
    pub(super) const DATA: usize = 9;
}

impl PostgresStore {
    pub(super) async fn read_after(&self, task: &TaskId, range: &ReadAfter) -> Result<Option<Page>, StoreError> {
        let Some((state, mut activities, mut cut)) = self.page_after(task, range, Bound::Each).await? else { return Ok(None) };
        let mut state = state;
        if cut && activities.is_empty() {
            // A long one comes first.
            let Some(exact) = self.page_after(task, range, Bound::Sum).await? else { return Ok(None) };
            (state, activities, cut) = exact;
        }
        let bytes: usize = activities.iter().map(|(_, activity)| activity.data.as_bytes().len()).sum();
        let until = range.after.max(state.floor.previous()).plus(range.window).min(state.head);
        let stopped = cut || activities.len() == range.limit || range.bytes <= bytes;
        let through = if stopped { activities.last().map_or(until, |(offset, _)| *offset) } else { until };
        Ok(Some(Page { state, through: through.max(range.after.min(state.head)), activities }))
    }

    async fn page_after(&self, task: &TaskId, range: &ReadAfter, bound: Bound) -> Result<Option<Read>, StoreError> {
        let wanted = format!(
            "SELECT * FROM activities WHERE activities.task = tasks.id AND activities.\"offset\" > greatest($2, tasks.floor - 1) \
             AND activities.\"offset\" <= greatest($2, tasks.floor - 1) + $3 {} ORDER BY activities.\"offset\" LIMIT $4",
            conditions(&range.filter, 6)
        );
        let (data, chosen, condition, bytes) = match bound {
            Bound::Each => {
                let each = range.bytes.saturating_mul(ROOM) / range.limit.max(1);
                ("CASE WHEN octet_length(chosen.data) <= $5 THEN chosen.data END AS data", wanted, "true", each)
            }
            Bound::Sum => (
                "chosen.data",
                format!(
                    "SELECT wanted.*, sum(octet_length(data)) OVER (ORDER BY \"offset\" ROWS UNBOUNDED PRECEDING) \
                     - octet_length(data) AS before FROM ({wanted}) AS wanted"
                ),
                "before < $5",
                range.bytes,
            ),
        };
        let sql = format!(
            "SELECT tasks.epoch, tasks.head, tasks.floor, page.* FROM {} LEFT JOIN LATERAL ( \
               SELECT {COLUMNS}, {data} FROM ({chosen}) AS chosen {JOIN} WHERE {condition} \
             ) AS page ON true",
            log(),
        );
        let query = sqlx::query(AssertSqlSafe(sql))
            .bind(task.as_str())
            .bind(stored(range.after.get()))
            .bind(stored(range.window.min(Offset::MAX.get())))
            .bind(stored(range.limit as u64))
            .bind(i64::try_from(bytes).unwrap_or(i64::MAX));
        let mut rows = self.within(async { Ok(bind(query, &range.filter).fetch_all(&self.readers).await?) }).await?;
        // They come in this order, but nothing says so; telling Postgres would have it sort them.
        rows.sort_by_key(|row| row.try_get::<Option<i64>, _>(column::OFFSET).ok().flatten());
        page(&rows, range.bytes)
    }

    pub(super) async fn read_before(
        &self,
        task: &TaskId,
        before: Option<Offset>,
        limit: usize,
        filter: &Filter,
    ) -> Result<Option<Page>, StoreError> {
        let sql = format!(
            "SELECT tasks.epoch, tasks.head, tasks.floor, page.* FROM {} LEFT JOIN LATERAL ( \
               SELECT {COLUMNS}, chosen.data FROM (SELECT * FROM activities WHERE activities.task = tasks.id \
               AND activities.\"offset\" >= greatest(tasks.floor, least($2, tasks.head + 1) - $4) AND activities.\"offset\" < $2 {} \
               ORDER BY activities.\"offset\" DESC LIMIT $3) AS chosen {JOIN} \
             ) AS page ON true ORDER BY page.\"offset\"",
            log(),
            conditions(filter, 5)
        );
        let before = before.unwrap_or(Offset::MAX);
        let window = filter.window().min(Offset::MAX.get());
        let query = sqlx::query(AssertSqlSafe(sql)).bind(task.as_str()).bind(stored(before.get()));
        let query = query.bind(stored(limit as u64)).bind(stored(window));
        let rows = self.within(async { Ok(bind(query, filter).fetch_all(&self.readers).await?) }).await?;
        let Some((state, activities, _)) = page(&rows, usize::MAX)? else { return Ok(None) };
        let from = Page::looked_from(&state, before, filter);
        Ok(Some(Page::back(state, from, limit, activities)))
    }

    pub(super) async fn log_states(&self, tasks: &[TaskId]) -> Result<Vec<(TaskId, LogState)>, StoreError> {
        let sql = AssertSqlSafe(format!("SELECT name, {EPOCH}, {HEAD}, floor FROM tasks WHERE name = ANY($1)"));
        let query = sqlx::query(sql).bind(names(tasks));
        let rows = self.within(async { Ok(query.fetch_all(&self.readers).await?) }).await?;
        rows.iter().map(|row| Ok((word(row, "name")?.ok_or_else(|| foreign("name"))?, log_state(row)?))).collect()
    }
}

/// The filter as SQL; its values are bound as parameters `first` and the one after. There are eight texts in all, so each is prepared once.
fn conditions(filter: &Filter, first: usize) -> String {
    let second = first + 1;
    // Both parameters are always named, so that both have a type.
    let mut sql = format!("AND (${first}::text[] IS NULL OR activities.type = ANY(${first})) ");
    if filter.invocation.is_some() {
        let run = "SELECT i.id FROM invocations AS i WHERE i.task = tasks.id AND i.name";
        sql.push_str(&format!("AND activities.invocation = ({run} = ${second}) "));
    } else {
        sql.push_str(&format!("AND ${second}::text IS NULL "));
    }
    if filter.finished_series {
        sql.push_str(
            "AND NOT (activities.series_ends IS false AND EXISTS (SELECT 1 FROM activities AS whole \
             WHERE whole.invocation = activities.invocation AND whole.series = activities.series AND whole.series_ends)) ",
        );
    }
    sql
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments>;

fn bind<'q>(query: Query<'q>, filter: &Filter) -> Query<'q> {
    let types: Vec<&str> = filter.types.iter().map(|kind| kind.as_str()).collect();
    query.bind((!types.is_empty()).then_some(types)).bind(filter.invocation.as_ref().map(|id| id.as_str().to_owned()))
}

/// What a statement that reads a log gives: where the log stands, the activities, and whether they are fewer than there were rows.
type Read = (LogState, Vec<(Offset, Activity)>, bool);

/// The log's state, which is in every row, and the activities, of which there may be none: those before the first whose payload was left out, and
/// no more than come to so many bytes, but one at least.
fn page(rows: &[PgRow], bytes: usize) -> Result<Option<Read>, StoreError> {
    let Some(first) = rows.first() else { return Ok(None) };
    let state = log_state(first)?;
    let mut activities: Vec<(Offset, Activity)> = Vec::with_capacity(rows.len());
    let mut sum = 0;
    for row in rows {
        let Some(offset) = row.try_get::<Option<i64>, _>(column::OFFSET)? else { continue };
        let data = row.try_get::<Option<&str>, _>(column::DATA)?.filter(|_| sum < bytes);
        let Some(data) = data else { return Ok(Some((state, activities, true))) };
        sum += data.len();
        // Most of a page is of one run.
        let name: &str = row.try_get(column::INVOCATION)?;
        let invocation = match activities.last() {
            Some((_, before)) if before.invocation.as_str() == name => before.invocation.clone(),
            _ => name.parse().map_err(|_| foreign("invocation"))?,
        };
        activities.push((
            u64::try_from(offset).ok().and_then(Offset::new).ok_or_else(|| foreign("offset"))?,
            activity(row, invocation, data)?,
        ));
    }
    Ok(Some((state, activities, false)))
}

fn activity(row: &PgRow, invocation: InvocationId, data: &str) -> Result<Activity, StoreError> {
    let kind: &str = row.try_get(column::TYPE)?;
    let event_id: uuid::Uuid = row.try_get(column::EVENT_ID)?;
    let time = |column: usize| -> Result<Timestamp, StoreError> {
        let millis: i64 = row.try_get(column)?;
        u64::try_from(millis).ok().and_then(Timestamp::from_millis).ok_or_else(|| foreign("time"))
    };
    Ok(Activity {
        event_id: EventId::from_bytes(event_id.into_bytes()),
        invocation,
        kind: kind.parse().map_err(|_| foreign("type"))?,
        timestamp: time(column::TIMESTAMP)?,
        received_at: time(column::RECEIVED_AT)?,
        data: Data::from_checked(Bytes::copy_from_slice(data.as_bytes())).ok_or_else(|| foreign("data"))?,
    })
}

pub(super) fn event_id(row: &PgRow, column: &str) -> Result<EventId, StoreError> {
    let id: uuid::Uuid = row.try_get(column)?;
    Ok(EventId::from_bytes(id.into_bytes()))
}
