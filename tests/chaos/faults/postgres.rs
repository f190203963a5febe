//! What is done to Postgres.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use sqlx::{Connection, Executor, PgConnection};
use tokio::time::{Instant, sleep, timeout};

use crate::{agents, kind::Kind, plan::Fault, services::Postgres};

/// How long Postgres may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// More connections than it gives.
const MOST_CONNECTIONS: usize = 500;

/// For so long runs are locked before their task is locked, too: so that somebody who writes them waits by then.
const LOCKED: Duration = Duration::from_millis(700);

/// Does it, waits, and heals it. Whether it was done to anything.
pub async fn inflict(postgres: &mut Postgres, fault: &Fault) -> Result<bool> {
    match fault.kind {
        Kind::RestartPostgres => {
            postgres.stop_at_once().await?;
            sleep(fault.lasts).await;
            postgres.start_again().await?;
            Ok(true)
        }
        Kind::EndBackends => {
            let mut connection = connect(postgres).await?;
            Ok(end_backends(&mut connection, 0.2 + fault.strength).await? != 0)
        }
        Kind::TakeConnections => take_connections(postgres, fault).await,
        Kind::Deadlock => deadlock(postgres, fault).await,
        kind => bail!("{} is not done to postgres", kind.name()),
    }
}

async fn connect(postgres: &Postgres) -> Result<PgConnection> {
    let connecting = PgConnection::connect(&postgres.url());
    timeout(ANSWER_TIMEOUT, connecting).await.context("postgres lets nobody in")?.context("connecting to postgres")
}

/// Ends each of the others with this probability, and says how many it were.
async fn end_backends(connection: &mut PgConnection, probability: f64) -> Result<i64> {
    let ended = sqlx::query_scalar(
        "SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM pg_stat_activity
         WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND random() < $1",
    );
    Ok(ended.bind(probability).fetch_one(connection).await?)
}

/// Takes all that are free, ends the hubs', and takes those as well.
async fn take_connections(postgres: &Postgres, fault: &Fault) -> Result<bool> {
    let mut connection = connect(postgres).await?;
    let (mut taken, mut refused) = (Vec::new(), 0_u64);
    for round in 0..2 {
        while taken.len() < MOST_CONNECTIONS {
            match PgConnection::connect(&postgres.url()).await {
                Ok(connection) => taken.push(connection),
                Err(_) => {
                    refused += 1;
                    break;
                }
            }
        }
        if round == 0 {
            end_backends_of_others(&mut connection, taken.len()).await?;
        }
    }
    let end = Instant::now() + fault.lasts;
    // Whatever becomes free is taken at once.
    while Instant::now() < end && taken.len() < MOST_CONNECTIONS {
        match PgConnection::connect(&postgres.url()).await {
            Ok(connection) => taken.push(connection),
            Err(_) => refused += 1,
        }
        sleep(Duration::from_millis(50)).await;
    }
    Ok(refused != 0)
}

/// Ends those that were there before the last so many.
async fn end_backends_of_others(connection: &mut PgConnection, mine: usize) -> Result<()> {
    let mine = i64::try_from(mine)?;
    sqlx::query(
        "SELECT pg_terminate_backend(pid) FROM
           (SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
            ORDER BY backend_start DESC OFFSET $1) others",
    )
    .bind(mine)
    .execute(connection)
    .await?;
    Ok(())
}

/// Locks the runs of a task, waits until a hub that writes them has locked the task, and locks that, too: each waits for the other. Postgres
/// ends one of the two after a second, and it is not us: we are patient. It took if somebody was ended.
async fn deadlock(postgres: &Postgres, fault: &Fault) -> Result<bool> {
    let mut connection = connect(postgres).await?;
    let before = deadlocks(&mut connection).await?;
    let mut others = connect(postgres).await?;
    for statement in ["SET deadlock_timeout = '15s'", "SET lock_timeout = '10s'"] {
        others.execute(statement).await?;
    }
    let tasks = agents::tasks();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "one of a handful")]
    let task = &tasks[(tasks.len() as f64 * fault.strength) as usize % tasks.len()];
    let mut transaction = others.begin().await?;
    let runs = sqlx::query("SELECT 1 FROM invocations WHERE task = (SELECT id FROM tasks WHERE name = $1) FOR UPDATE");
    runs.bind(task).execute(&mut *transaction).await?;
    sleep(LOCKED).await;
    let row = sqlx::query("SELECT 1 FROM tasks WHERE name = $1 FOR UPDATE").bind(task);
    if let Err(error) = row.execute(&mut *transaction).await {
        // It was ended by another fault.
        println!("a deadlock that was none: {error}");
    }
    transaction.rollback().await?;
    let _ = others.close().await;
    // Backends tell their figures when they are idle.
    let end = Instant::now() + Duration::from_secs(2);
    while Instant::now() < end {
        if before < deadlocks(&mut connection).await? {
            return Ok(true);
        }
        sleep(Duration::from_millis(200)).await;
    }
    Ok(false)
}

async fn deadlocks(connection: &mut PgConnection) -> Result<i64> {
    let count = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    Ok(sqlx::query_scalar(count).fetch_one(connection).await?)
}
