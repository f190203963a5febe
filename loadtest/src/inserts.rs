//! Ways to write a batch of activities to Postgres, each in its own transaction, in turns within the same minutes: the rows of the schema with
//! all its indexes and checks, by UNNEST, COPY or VALUES; and the same with names instead of surrogate keys.

use std::{fmt::Write, time::Instant};

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use uuid::Uuid;

use super::services::Services;

const BATCHES: [usize; 4] = [1, 10, 100, 1_000];
const ROUNDS: usize = 30;

const COLUMNS: &str = "task, \"offset\", invocation, event_id, type, timestamp, received_at, data";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Unnest,
    Copy,
    Values,
    UnnestNames,
}

const WAYS: [Way; 4] = [Way::Unnest, Way::Copy, Way::Values, Way::UnnestNames];

pub async fn run(services: &Services) -> anyhow::Result<()> {
    let (_, mut connection) = services.database().await?;
    connection.execute(SCHEMA).await?;
    let mut offset = 0;
    println!("rows a second, median of {ROUNDS} transactions each, in turns\n");
    println!("| rows a commit | UNNEST | COPY | VALUES | UNNEST, names as keys |\n|---|---|---|---|---|");
    for batch in BATCHES {
        let mut times = [const { Vec::new() }; WAYS.len()];
        for _ in 0..ROUNDS {
            for (way, times) in WAYS.into_iter().zip(&mut times) {
                let rows: Vec<Row> = (0..batch).map(|n| Row::new(offset + n as i64 + 1)).collect();
                offset += batch as i64;
                let began = Instant::now();
                write(&mut connection, way, &rows).await?;
                times.push(began.elapsed().as_secs_f64());
            }
        }
        let rates = times.map(|mut times| {
            times.sort_unstable_by(f64::total_cmp);
            batch as f64 / times[times.len() / 2]
        });
        let [unnest, copy, values, names] = rates;
        println!(
            "| {batch} | {unnest:.0} | {copy:.0} ({:.2}) | {values:.0} ({:.2}) | {names:.0} ({:.2}) |",
            copy / unnest,
            values / unnest,
            names / unnest
        );
    }
    for table in ["activities", "activities_by_name"] {
        let sql = AssertSqlSafe(format!("SELECT pg_total_relation_size('{table}') / (SELECT count(*) FROM {table})"));
        let bytes: i64 = sqlx::query_scalar(sql).fetch_one(&mut connection).await?;
        println!("\n{table}: {bytes} bytes a row with its indexes");
    }
    Ok(())
}

struct Row {
    offset: i64,
    event: Uuid,
    data: String,
}

impl Row {
    fn new(offset: i64) -> Self {
        Self { offset, event: Uuid::now_v7(), data: format!("{{\"n\":{offset},\"text\":\"{}\"}}", "x".repeat(200)) }
    }
}

async fn write(connection: &mut PgConnection, way: Way, rows: &[Row]) -> anyhow::Result<()> {
    let mut transaction = connection.begin().await?;
    match way {
        Way::Unnest | Way::UnnestNames => {
            let (table, key) = if way == Way::Unnest {
                ("activities", "1::int8, 1::int8")
            } else {
                ("activities_by_name", "'build-42-of-somebody', 'run-7'")
            };
            let (task, invocation) = key.split_once(", ").unwrap_or_default();
            let sql = format!(
                "INSERT INTO {table} ({COLUMNS}) SELECT {task}, o, {invocation}, e, 'message', 1764000000000, 1764000000000, d \
                 FROM unnest($1::int8[], $2::uuid[], $3::text[]) AS n(o, e, d)"
            );
            sqlx::query(AssertSqlSafe(sql))
                .bind(rows.iter().map(|row| row.offset).collect::<Vec<_>>())
                .bind(rows.iter().map(|row| row.event).collect::<Vec<_>>())
                .bind(rows.iter().map(|row| row.data.as_str()).collect::<Vec<_>>())
                .execute(&mut *transaction)
                .await?;
        }
        Way::Copy => {
            let mut text = String::new();
            for row in rows {
                writeln!(text, "1\t{}\t1\t{}\tmessage\t1764000000000\t1764000000000\t{}", row.offset, row.event, row.data)?;
            }
            let sql = format!("COPY activities ({COLUMNS}) FROM STDIN");
            let mut copy = transaction.copy_in_raw(&sql).await?;
            copy.send(text.into_bytes()).await?;
            copy.finish().await?;
        }
        Way::Values => {
            let places: Vec<_> = (0..rows.len())
                .map(|n| {
                    format!("(1, ${}, 1, ${}, 'message', 1764000000000, 1764000000000, ${})", n * 3 + 1, n * 3 + 2, n * 3 + 3)
                })
                .collect();
            let sql = format!("INSERT INTO activities ({COLUMNS}) VALUES {}", places.join(","));
            let mut query = sqlx::query(AssertSqlSafe(sql));
            for row in rows {
                query = query.bind(row.offset).bind(row.event).bind(row.data.as_str());
            }
            query.execute(&mut *transaction).await?;
        }
    }
    transaction.commit().await?;
    Ok(())
}

/// The table of the store with everything that costs something at an insert, and the same with names.
const SCHEMA: &str = "\
CREATE TABLE tasks (id BIGINT PRIMARY KEY, name TEXT UNIQUE); CREATE TABLE invocations (id BIGINT PRIMARY KEY, name TEXT UNIQUE); \
INSERT INTO tasks VALUES (1, 'build-42-of-somebody'); INSERT INTO invocations VALUES (1, 'run-7'); \
CREATE TABLE activities (task BIGINT NOT NULL REFERENCES tasks (id) ON DELETE CASCADE, \"offset\" BIGINT NOT NULL CHECK (\"offset\" > 0), \
  invocation BIGINT NOT NULL REFERENCES invocations (id) ON DELETE CASCADE, event_id UUID NOT NULL, \
  type TEXT NOT NULL CHECK (type IN ('status', 'message', 'output')), timestamp BIGINT NOT NULL, received_at BIGINT NOT NULL, \
  data TEXT NOT NULL, PRIMARY KEY (task, \"offset\"), UNIQUE (task, event_id)); \
CREATE INDEX ON activities (invocation, \"offset\"); \
CREATE TABLE activities_by_name (task TEXT NOT NULL REFERENCES tasks (name) ON DELETE CASCADE, \"offset\" BIGINT NOT NULL CHECK (\"offset\" > 0), \
  invocation TEXT NOT NULL REFERENCES invocations (name) ON DELETE CASCADE, event_id UUID NOT NULL, \
  type TEXT NOT NULL CHECK (type IN ('status', 'message', 'output')), timestamp BIGINT NOT NULL, received_at BIGINT NOT NULL, \
  data TEXT NOT NULL, PRIMARY KEY (task, \"offset\"), UNIQUE (task, event_id)); \
CREATE INDEX ON activities_by_name (invocation, \"offset\")";
