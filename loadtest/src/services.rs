//! The Redis and the Postgres that several nodes meet at, as `tests/services.sh` starts them.

use anyhow::Context;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

/// Where they are.
#[derive(Debug)]
pub struct Services {
    /// A Redis that nobody else uses at the same time.
    pub redis: String,
    /// A Postgres in which databases may be made.
    pub postgres: String,
}

impl Services {
    /// An empty database: its URL and a connection to it. It is left behind, because the server is only there for the tests.
    pub async fn database(&self) -> anyhow::Result<(String, PgConnection)> {
        let name = format!("load_{:016x}", rand::random::<u64>());
        let mut server = PgConnection::connect(&self.postgres).await.context("connecting to Postgres")?;
        server.execute(sqlx::raw_sql(AssertSqlSafe(format!("CREATE DATABASE {name}")))).await?;
        let (base, _) = self.postgres.rsplit_once('/').context("a database at the end of the URL")?;
        let url = format!("{base}/{name}");
        let connection = PgConnection::connect(&url).await?;
        Ok((url, connection))
    }

    /// A connection for commands.
    pub async fn redis(&self) -> anyhow::Result<redis::aio::MultiplexedConnection> {
        let client = redis::Client::open(self.redis.as_str())?;
        Ok(client.get_multiplexed_async_connection().await?)
    }
}

/// A number of Redis's own account of itself.
pub async fn redis_count(connection: &mut redis::aio::MultiplexedConnection, name: &str) -> anyhow::Result<f64> {
    let info: String = redis::cmd("INFO").arg("all").query_async(connection).await?;
    let line = info.lines().find(|line| line.starts_with(name)).with_context(|| format!("no {name}"))?;
    Ok(line.split_once(':').context("a value")?.1.trim().parse()?)
}
