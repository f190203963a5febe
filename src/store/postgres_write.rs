//! The write of an append: activities, invocations and tasks in one statement, each row once.

use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    Append, Appended,
    plan::{InvocationRow, Rows},
    postgres::stored,
};
use crate::model::{InvocationId, Status, Timestamp};

/// The arrays of activities are unfolded in the list of columns, where Postgres takes a value of each at a time; as a table, each of them would be
/// copied first.
///
/// New and changed invocations are one list: a known key means a change. The order of the parts does not matter, because foreign keys are
/// checked at the end of the statement.
const WRITE: &str = "\
WITH touched AS ( \
  INSERT INTO invocations AS i (id, task, name, status, agent, title, exit_code, reason, created_at, started_at, completed_at, \
                                last_activity_at, usage, backfilled) \
  SELECT * FROM unnest($1::int8[], $2::int8[], $3::text[], $4::text[], $5::text[], $6::text[], $7::int4[], $8::text[], $9::int8[], \
                       $10::int8[], $11::int8[], $12::int8[], $13::text[], $34::bool[]) \
  ON CONFLICT (id) DO UPDATE SET status = excluded.status, agent = excluded.agent, title = excluded.title, \
    exit_code = excluded.exit_code, reason = excluded.reason, started_at = excluded.started_at, \
    completed_at = excluded.completed_at, last_activity_at = excluded.last_activity_at, usage = excluded.usage, \
    backfilled = excluded.backfilled \
), moved AS ( \
  UPDATE tasks SET head = n.head, status = n.status, pending = n.pending, running = n.running, completed = n.completed, \
    failed = n.failed, cancelled = n.cancelled, lost = n.lost, last_activity_at = n.at \
  FROM unnest($14::int8[], $15::int8[], $16::text[], $17::int8[], $18::int8[], $19::int8[], $20::int8[], $21::int8[], $22::int8[], \
              $23::int8[]) AS n(id, head, status, pending, running, completed, failed, cancelled, lost, at) \
  WHERE tasks.id = n.id \
) \
INSERT INTO activities (task, \"offset\", invocation, event_id, type, timestamp, received_at, data, series, series_ends) \
SELECT unnest($24::int8[]), unnest($25::int8[]), unnest($26::int8[]), unnest($27::uuid[]), unnest($28::text[]), \
       unnest($29::int8[]), unnest($30::int8[]), unnest($31::text[]), unnest($32::text[]), unnest($33::bool[])";

/// Writes what the plan came to.
pub(super) async fn write(
    connection: &mut PgConnection,
    batch: &[Append],
    appended: &Appended,
    rows: &Rows,
) -> Result<(), sqlx::Error> {
    let millis = |time: Timestamp| stored(time.as_millis());
    let mut runs: Vec<(&(i64, InvocationId), &InvocationRow)> = rows.invocations.iter().filter(|(_, row)| row.touched).collect();
    runs.sort_unstable_by_key(|(_, row)| row.key);
    let tasks: Vec<_> = appended.commits.iter().map(|commit| &rows.tasks[&commit.task]).filter(|row| row.touched).collect();
    let count = |of: fn(&crate::model::StatusCounts) -> u64| tasks.iter().map(|row| stored(of(&row.counts))).collect::<Vec<_>>();
    let mut new = Vec::with_capacity(batch.len());
    for commit in &appended.commits {
        let key = rows.tasks[&commit.task].key;
        new.extend(
            commit.items.iter().zip(0..).map(|(index, after)| (key, stored(commit.first.plus(after).get()), &batch[*index])),
        );
    }
    let invocation_of = |(task, _, item): &(i64, i64, &Append)| {
        rows.invocations.get(&(*task, item.activity.activity.invocation.clone())).and_then(|row| row.key)
    };
    sqlx::query(WRITE)
        .bind(runs.iter().map(|(_, row)| row.key).collect::<Vec<_>>())
        .bind(runs.iter().map(|((task, _), _)| *task).collect::<Vec<_>>())
        .bind(runs.iter().map(|((_, name), _)| name.as_str()).collect::<Vec<_>>())
        .bind(runs.iter().map(|(_, row)| row.status.as_str()).collect::<Vec<_>>())
        .bind(runs.iter().map(|(_, row)| row.agent.as_deref()).collect::<Vec<_>>())
        .bind(runs.iter().map(|(_, row)| row.title.as_deref()).collect::<Vec<_>>())
        .bind(runs.iter().map(|(_, row)| row.exit_code).collect::<Vec<_>>())
        .bind(runs.iter().map(|(_, row)| row.reason.as_deref()).collect::<Vec<_>>())
        .bind(runs.iter().map(|(_, row)| millis(row.created_at)).collect::<Vec<_>>())
        .bind(runs.iter().map(|(_, row)| row.started_at.map(millis)).collect::<Vec<_>>())
        .bind(runs.iter().map(|(_, row)| row.completed_at.map(millis)).collect::<Vec<_>>())
        .bind(runs.iter().map(|(_, row)| millis(row.last_activity_at.to_write().unwrap_or(row.created_at))).collect::<Vec<_>>())
        .bind(runs.iter().map(|(_, row)| row.usage.as_deref()).collect::<Vec<_>>())
        .bind(tasks.iter().map(|row| row.key).collect::<Vec<_>>())
        .bind(tasks.iter().map(|row| stored(row.head.get())).collect::<Vec<_>>())
        .bind(tasks.iter().map(|row| row.status.map(Status::as_str)).collect::<Vec<_>>())
        .bind(count(|counts| counts.pending))
        .bind(count(|counts| counts.running))
        .bind(count(|counts| counts.completed))
        .bind(count(|counts| counts.failed))
        .bind(count(|counts| counts.cancelled))
        .bind(count(|counts| counts.lost))
        .bind(tasks.iter().map(|row| row.last_activity_at.to_write().map(millis)).collect::<Vec<_>>())
        .bind(new.iter().map(|(task, _, _)| *task).collect::<Vec<_>>())
        .bind(new.iter().map(|(_, offset, _)| *offset).collect::<Vec<_>>())
        .bind(new.iter().map(invocation_of).collect::<Vec<_>>())
        .bind(new.iter().map(|(_, _, item)| Uuid::from_bytes(*item.activity.activity.event_id.as_bytes())).collect::<Vec<_>>())
        .bind(new.iter().map(|(_, _, item)| item.activity.activity.kind.as_str()).collect::<Vec<_>>())
        .bind(new.iter().map(|(_, _, item)| millis(item.activity.activity.timestamp)).collect::<Vec<_>>())
        .bind(new.iter().map(|(_, _, item)| millis(item.activity.activity.received_at)).collect::<Vec<_>>())
        .bind(new.iter().map(|(_, _, item)| item.activity.activity.data.as_str()).collect::<Vec<_>>())
        .bind(new.iter().map(|(_, _, item)| item.activity.series.as_ref().map(|series| &*series.id)).collect::<Vec<_>>())
        .bind(new.iter().map(|(_, _, item)| item.activity.series.as_ref().map(|series| series.is_final)).collect::<Vec<_>>())
        .bind(runs.iter().map(|(_, row)| row.backfilled).collect::<Vec<_>>())
        .execute(connection)
        .await?;
    Ok(())
}
