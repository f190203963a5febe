//! The logs as the store has them: by SQL where there is a Postgres, so that no hub stands between the truth and the checker; by REST from
//! the hub where it keeps its own SQLite.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, de::DeserializeOwned};
use sqlx::{Connection, PgConnection, Row};
use uuid::Uuid;

use crate::{
    checker::{Entry, Log},
    run::Run,
};

/// How long a node may take to answer when all is well.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

#[derive(Debug, Deserialize)]
struct Task {
    epoch: String,
    head: u64,
}

#[derive(Debug, Deserialize)]
struct Page {
    activities: Vec<Activity>,
    next: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Activity {
    offset: u64,
    event_id: Uuid,
    invocation_id: String,
    data: Data,
}

#[derive(Debug, Deserialize)]
struct Data {
    n: u64,
}

/// The head of a task, as a random node has it.
pub async fn head(run: &Run, task: &str) -> Result<u64> {
    Ok(get::<Task>(run, &format!("/v1/tasks/{task}")).await?.head)
}

/// The epoch of a task, as a random node has it.
pub async fn epoch(run: &Run, task: &str) -> Result<String> {
    Ok(get::<Task>(run, &format!("/v1/tasks/{task}")).await?.epoch)
}

/// The log of a task: from `postgres` if there is one, else page by page from a random node each.
pub async fn read(run: &Run, postgres: Option<&str>, task: &str) -> Result<Log> {
    let Task { epoch, head } = get(run, &format!("/v1/tasks/{task}")).await?;
    let entries = match postgres {
        Some(url) => by_sql(url, task).await,
        None => by_rest(run, task).await,
    };
    let entries = entries.with_context(|| format!("reading the log of {task}"))?;
    Ok(Log { task: task.to_owned(), epoch, head, entries, former: Vec::new(), renewed_ms: 0 })
}

async fn by_sql(url: &str, task: &str) -> Result<Vec<Entry>> {
    let mut postgres = PgConnection::connect(url).await?;
    let head: i64 = sqlx::query_scalar("SELECT head FROM tasks WHERE name = $1").bind(task).fetch_one(&mut postgres).await?;
    let rows = sqlx::query(
        r#"SELECT a."offset", a.event_id, i.name, a.data FROM activities a
           JOIN tasks t ON t.id = a.task JOIN invocations i ON i.id = a.invocation
           WHERE t.name = $1 ORDER BY a."offset""#,
    )
    .bind(task)
    .fetch_all(&mut postgres)
    .await?;
    postgres.close().await?;
    let last = rows.last().map_or(Ok(0), |row| row.try_get::<i64, _>(0))?;
    // The row may be behind its log, never ahead of it.
    ensure!(head <= last, "the row of the task says head {head}, its last activity has offset {last}");
    rows.iter()
        .map(|row| {
            let data: Data = serde_json::from_str(row.try_get(3)?)?;
            let offset = u64::try_from(row.try_get::<i64, _>(0)?)?;
            Ok(Entry { offset, event: row.try_get(1)?, invocation: row.try_get(2)?, number: data.n })
        })
        .collect()
}

async fn by_rest(run: &Run, task: &str) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    let mut after = "start".to_owned();
    loop {
        let page: Page = get(run, &format!("/v1/tasks/{task}/activities?limit=1000&after={after}")).await?;
        entries.extend(page.activities.into_iter().map(|activity| Entry {
            offset: activity.offset,
            event: activity.event_id,
            invocation: activity.invocation_id,
            number: activity.data.n,
        }));
        match page.next {
            Some(next) => after = next,
            None => return Ok(entries),
        }
    }
}

async fn get<T: DeserializeOwned>(run: &Run, path: &str) -> Result<T> {
    let client = reqwest::Client::builder().timeout(ANSWER_TIMEOUT).build()?;
    let url = format!("http://{}{path}", run.nodes.any());
    let answer = client.get(&url).send().await.with_context(|| url.clone())?;
    let status = answer.status();
    let text = answer.text().await?;
    ensure!(status.is_success(), "{url} answered {status}: {text}");
    Ok(serde_json::from_str(&text)?)
}
