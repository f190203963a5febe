//! The write of an append: activities, invocations and tasks in one statement, each row once.

use std::{collections::HashMap, sync::LazyLock};

use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    Append, Appended, TaskCommit,
    plan::{InvocationRow, Rows, TaskRow},
    postgres::stored,
    postgres_open::is_here,
    postgres_webhooks::WANTED,
    webhooks::written,
};
use crate::model::{InvocationId, Status, StatusCounts, Timestamp};

/// What the rows were planned on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Basis {
    /// Rows that this transaction has locked and read.
    Loaded,
    /// Rows as this node left them: the tasks are locked by the statement, in the one order of locking, and nothing is written unless each log still ends
    /// where it did, in its epoch, on the server where it was written last, with the texts that it had, and has none of the events that publishers gave an id.
    Remembered,
}

/// Which rows there are to write beside activities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Beside {
    /// None.
    Nothing,
    /// Of tasks and runs.
    Rows,
    /// The same, and runs have moved.
    Moves,
}

/// The statement's text.
fn statement(basis: Basis, beside: Beside) -> &'static str {
    static TEXTS: LazyLock<HashMap<(Basis, Beside), String>> = LazyLock::new(|| {
        let of = |basis| [Beside::Nothing, Beside::Rows, Beside::Moves].map(|beside| (basis, beside));
        let all = [Basis::Loaded, Basis::Remembered].into_iter().flat_map(of);
        all.map(|which| (which, text(which.0, which.1))).collect()
    });
    &TEXTS[&(basis, beside)]
}

/// The arrays of activities are unfolded in the list of columns, where Postgres takes a value of each at a time; as a table, each of them would be
/// copied first.
///
/// New and changed invocations are one list: a known key means a change. The order of the parts does not matter, because foreign keys are
/// checked at the end of the statement.
fn text(basis: Basis, beside: Beside) -> String {
    let next = match beside {
        Beside::Nothing => 11,
        Beside::Rows => 35,
        Beside::Moves => 37,
    };
    let (mut parts, condition) = match basis {
        Basis::Loaded => (Vec::new(), "true"),
        Basis::Remembered => (vec![check(next)], "(SELECT yes FROM sure)"),
    };
    if beside == Beside::Moves {
        parts.push(format!(
            "noted AS ( \
  INSERT INTO transitions (task, data) SELECT * FROM unnest($35::text[], $36::text[]) WHERE {condition} AND (SELECT {WANTED}) \
)"
        ));
    }
    if beside != Beside::Nothing {
        parts.push(format!(
            "touched AS ( \
  INSERT INTO invocations AS i (id, task, name, status, agent, title, exit_code, reason, created_at, started_at, completed_at, \
                                last_activity_at, usage, backfilled) \
  SELECT * FROM unnest($11::int8[], $12::int8[], $13::text[], $14::text[], $15::text[], $16::text[], $17::int4[], $18::text[], \
                       $19::int8[], $20::int8[], $21::int8[], $22::int8[], $23::text[], $24::bool[]) WHERE {condition} \
  ON CONFLICT (id) DO UPDATE SET status = excluded.status, agent = excluded.agent, title = excluded.title, \
    exit_code = excluded.exit_code, reason = excluded.reason, started_at = excluded.started_at, \
    completed_at = excluded.completed_at, last_activity_at = excluded.last_activity_at, usage = excluded.usage, \
    backfilled = excluded.backfilled \
), moved AS ( \
  UPDATE tasks SET head = n.head, status = n.status, pending = n.pending, running = n.running, completed = n.completed, \
    failed = n.failed, cancelled = n.cancelled, lost = n.lost, last_activity_at = n.at \
  FROM unnest($25::int8[], $26::int8[], $27::text[], $28::int8[], $29::int8[], $30::int8[], $31::int8[], $32::int8[], $33::int8[], \
              $34::int8[]) AS n(id, head, status, pending, running, completed, failed, cancelled, lost, at) \
  WHERE tasks.id = n.id AND {condition} \
)"
        ));
    }
    let with = if parts.is_empty() { String::new() } else { format!("WITH {} ", parts.join(", ")) };
    format!(
        "{with}INSERT INTO activities (task, \"offset\", invocation, event_id, type, timestamp, received_at, data, series, series_ends) \
SELECT unnest($1::int8[]), unnest($2::int8[]), unnest($3::int8[]), unnest($4::uuid[]), unnest($5::text[]), unnest($6::int8[]), \
       unnest($7::int8[]), unnest($8::text[]), unnest($9::text[]), unnest($10::bool[]) WHERE {condition}"
    )
}

/// The check of what was remembered; its parameters begin with this one.
fn check(first: usize) -> String {
    let [tasks, offsets, epochs, cleanings, event_tasks, events] = [0, 1, 2, 3, 4, 5].map(|n| first + n);
    let here = is_here("s");
    format!(
        "locked AS MATERIALIZED ( \
  SELECT t.id FROM unnest(${tasks}::int8[], ${offsets}::int8[], ${epochs}::int8[], ${cleanings}::int8[]) AS w(id, first, epoch, cleanings) \
  JOIN tasks AS t ON t.id = w.id CROSS JOIN store_identity AS s \
  WHERE t.floor <= w.first AND t.cleanings = w.cleanings AND t.epoch # s.salt = w.epoch AND {here} \
    AND NOT EXISTS (SELECT 1 FROM activities AS a WHERE a.task = w.id AND a.\"offset\" >= w.first) \
  ORDER BY t.name COLLATE \"C\" FOR NO KEY UPDATE OF t \
), sure AS MATERIALIZED ( \
  SELECT (SELECT count(*) FROM locked) = cardinality(${tasks}) AND NOT EXISTS ( \
    SELECT 1 FROM unnest(${event_tasks}::int8[], ${events}::uuid[]) AS e(task, event) \
    JOIN activities AS a ON a.task = e.task AND a.event_id = e.event \
  ) AS yes \
)"
    )
}

/// Writes what the plan came to. Says whether it did: what is only remembered may have been wrong, and then nothing is written.
pub(super) async fn write(
    connection: &mut PgConnection,
    basis: Basis,
    batch: &[Append],
    appended: &Appended,
    rows: &Rows,
) -> Result<bool, sqlx::Error> {
    let mut runs: Vec<Run<'_>> = rows.invocations.iter().filter(|(_, row)| row.touched).collect();
    runs.sort_unstable_by_key(|(_, row)| row.key);
    let tasks: Vec<_> = appended.commits.iter().map(|commit| &rows.tasks[&commit.task]).filter(|row| row.touched).collect();
    let mut new = Vec::with_capacity(batch.len());
    for commit in &appended.commits {
        let key = rows.tasks[&commit.task].key;
        new.extend(
            commit.items.iter().zip(0..).map(|(index, after)| (key, stored(commit.first.plus(after).get()), &batch[*index])),
        );
    }
    let change = !runs.is_empty() || !tasks.is_empty();
    let beside = match (change, rows.transitions.is_empty()) {
        (_, false) => Beside::Moves,
        (true, true) => Beside::Rows,
        (false, true) => Beside::Nothing,
    };
    let mut query = bind_activities(sqlx::query(statement(basis, beside)), &new, rows);
    if beside != Beside::Nothing {
        query = bind_tasks(bind_runs(query, &runs), &tasks);
    }
    if beside == Beside::Moves {
        query = query
            .bind(rows.transitions.iter().map(|moved| moved.task.as_str()).collect::<Vec<_>>())
            .bind(rows.transitions.iter().map(written).collect::<Vec<_>>());
    }
    if basis == Basis::Remembered {
        query = bind_check(query, &new, appended, rows);
    }
    let written = query.execute(connection).await?.rows_affected();
    Ok(written == new.len() as u64)
}

type Query = sqlx::query::Query<'static, sqlx::Postgres, sqlx::postgres::PgArguments>;

/// A run's task and name, and its row.
type Run<'a> = (&'a (i64, InvocationId), &'a InvocationRow);

/// A new activity's task and offset.
type New<'a> = (i64, i64, &'a Append);

fn millis(time: Timestamp) -> i64 {
    stored(time.as_millis())
}

/// Parameters 1 to 10.
fn bind_activities(query: Query, new: &[New<'_>], rows: &Rows) -> Query {
    let invocation_of = |(task, _, item): &New<'_>| {
        rows.invocations.get(&(*task, item.activity.activity.invocation.clone())).and_then(|row| row.key)
    };
    query
        .bind(new.iter().map(|(task, _, _)| *task).collect::<Vec<_>>())
        .bind(new.iter().map(|(_, offset, _)| *offset).collect::<Vec<_>>())
        .bind(new.iter().map(invocation_of).collect::<Vec<_>>())
        .bind(new.iter().map(|(_, _, item)| event(item)).collect::<Vec<_>>())
        .bind(new.iter().map(|(_, _, item)| item.activity.activity.kind.as_str()).collect::<Vec<_>>())
        .bind(new.iter().map(|(_, _, item)| millis(item.activity.activity.timestamp)).collect::<Vec<_>>())
        .bind(new.iter().map(|(_, _, item)| millis(item.activity.activity.received_at)).collect::<Vec<_>>())
        .bind(new.iter().map(|(_, _, item)| item.activity.activity.data.as_str()).collect::<Vec<_>>())
        .bind(new.iter().map(|(_, _, item)| item.activity.series.as_ref().map(|series| &*series.id)).collect::<Vec<_>>())
        .bind(new.iter().map(|(_, _, item)| item.activity.series.as_ref().map(|series| series.is_final)).collect::<Vec<_>>())
}

/// Parameters 11 to 24.
fn bind_runs(query: Query, runs: &[Run<'_>]) -> Query {
    query
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
        .bind(runs.iter().map(|(_, row)| row.backfilled).collect::<Vec<_>>())
}

/// Parameters 25 to 34.
fn bind_tasks(query: Query, tasks: &[&TaskRow]) -> Query {
    let count = |of: fn(&StatusCounts) -> u64| tasks.iter().map(|row| stored(of(&row.counts))).collect::<Vec<_>>();
    query
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
}

/// The parameters of [`check`].
fn bind_check(query: Query, new: &[New<'_>], appended: &Appended, rows: &Rows) -> Query {
    let of_commits = |of: fn(&TaskCommit, &TaskRow) -> i64| {
        appended.commits.iter().map(|commit| of(commit, &rows.tasks[&commit.task])).collect::<Vec<_>>()
    };
    let given = new.iter().filter(|(_, _, item)| item.activity.event_id_given);
    let (event_tasks, events): (Vec<_>, Vec<_>) = given.map(|(task, _, item)| (*task, event(item))).unzip();
    query
        .bind(of_commits(|_, row| row.key))
        .bind(of_commits(|commit, _| stored(commit.first.get())))
        .bind(of_commits(|_, row| i64::from(row.epoch.get())))
        .bind(of_commits(|_, row| row.cleanings))
        .bind(event_tasks)
        .bind(events)
}

fn event(item: &Append) -> Uuid {
    Uuid::from_bytes(*item.activity.activity.event_id.as_bytes())
}
