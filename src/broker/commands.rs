//! Commands to Redis: publishing, membership, being there. Connections come from a pool for each server (`deadpool-redis`).
//!
//! Publishing keeps one connection for each server checked out: the pool's own check on every loan would cost a round trip a time.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use deadpool_redis::{Manager, Pool, PoolError, Runtime};
use futures_util::future::join_all;
use redis::{AsyncConnectionConfig, Value, aio::MultiplexedConnection};
use tokio::{sync::Mutex, time::timeout};

use super::{address::RedisAddress, servers::Servers};

/// How long what Sentinels or a cluster said about who is master is believed.
const BELIEVE: Duration = Duration::from_secs(2);

/// Why Redis did not do something. Everything passes, or is a matter of configuration.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// Redis or the connection to it said so.
    #[error("redis: {0}")]
    Redis(#[from] redis::RedisError),
    /// No connection was free or could be made.
    #[error("no connection to redis: {0}")]
    Pool(String),
    /// No answer in time.
    #[error("redis does not answer in time")]
    Timeout,
    /// There is an answer, but no server to use.
    #[error("redis cannot be used: {0}")]
    Unusable(&'static str),
}

/// Bounds of command connections.
#[derive(Debug, Clone)]
pub struct CommandOptions {
    /// The most connections to each server.
    pub pool_size: usize,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How long an answer may take.
    pub response_timeout: Duration,
}

/// The way to give Redis commands. Handles are cheap to clone.
#[derive(Debug, Clone)]
pub struct Commands {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    address: RedisAddress,
    options: CommandOptions,
    state: Mutex<Option<Arc<State>>>,
}

/// The servers as they were found, with a pool for each.
struct State {
    servers: Servers,
    pools: Vec<Pool>,
    publishers: Vec<Mutex<Option<MultiplexedConnection>>>,
    found: Instant,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("masters", &self.servers.masters.len()).finish_non_exhaustive()
    }
}

impl Commands {
    /// Connects when it is first needed.
    pub fn new(address: &RedisAddress, options: &CommandOptions) -> Result<Self, BrokerError> {
        let inner = Inner { address: address.clone(), options: options.clone(), state: Mutex::new(None) };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Publishes each message (SPUBLISH in a cluster), in order for each server, and gives how many clients heard it.
    pub async fn publish(&self, messages: &[(String, Bytes)]) -> Result<Vec<u64>, BrokerError> {
        let state = self.state().await?;
        let mut by_master: HashMap<usize, Vec<usize>> = HashMap::new();
        for (place, (channel, _)) in messages.iter().enumerate() {
            by_master.entry(state.servers.master_of(channel)).or_default().push(place);
        }
        let parts = by_master.into_iter().map(|(master, places)| self.publish_to(&state, master, places, messages));
        let mut counts = vec![0; messages.len()];
        for part in join_all(parts).await {
            for (place, count) in part.inspect_err(|_| self.doubt(&state))? {
                counts[place] = count;
            }
        }
        Ok(counts)
    }

    async fn publish_to(
        &self,
        state: &State,
        master: usize,
        places: Vec<usize>,
        messages: &[(String, Bytes)],
    ) -> Result<Vec<(usize, u64)>, BrokerError> {
        let command = if state.servers.sharded { "SPUBLISH" } else { "PUBLISH" };
        let mut pipeline = redis::Pipeline::with_capacity(places.len());
        for place in &places {
            let (channel, payload) = &messages[*place];
            pipeline.cmd(command).arg(channel).arg(&**payload);
        }
        let mut publisher = state.publishers[master].lock().await;
        let mut connection = match publisher.take() {
            Some(connection) => connection,
            None => self.within(self.connection(state, master)).await?,
        };
        let counts: Vec<u64> = self.within(async { Ok(pipeline.query_async(&mut connection).await?) }).await?;
        *publisher = Some(connection);
        Ok(places.into_iter().zip(counts).collect())
    }

    /// Runs a Lua script on the server that has `key`.
    pub async fn eval(&self, script: &redis::Script, key: &str, arguments: &[&str]) -> Result<Value, BrokerError> {
        let state = self.state().await?;
        let answer = self.within(async {
            let mut connection = self.connection(&state, state.servers.master_of(key)).await?;
            let mut invocation = script.key(key);
            for argument in arguments {
                invocation.arg(*argument);
            }
            Ok(invocation.invoke_async(&mut connection).await?)
        });
        answer.await.inspect_err(|_| self.doubt(&state))
    }

    /// What every server says to this.
    pub(crate) async fn ask_all(&self, command: &redis::Cmd) -> Result<Vec<Value>, BrokerError> {
        let state = self.state().await?;
        let mut answers = Vec::with_capacity(state.pools.len());
        for master in 0..state.pools.len() {
            let answer = self.within(async {
                let mut connection = self.connection(&state, master).await?;
                Ok(command.query_async::<Value>(&mut connection).await?)
            });
            answers.push(answer.await?);
        }
        Ok(answers)
    }

    /// Whether every server answers.
    pub async fn ping(&self) -> Result<(), BrokerError> {
        let state = self.state().await?;
        for master in 0..state.pools.len() {
            let answer = self.within(async {
                let mut connection = self.connection(&state, master).await?;
                Ok(redis::cmd("PING").query_async::<Value>(&mut connection).await?)
            });
            answer.await.inspect_err(|_| self.doubt(&state))?;
        }
        Ok(())
    }

    /// A connection that was in the pool or is new.
    async fn connection(&self, state: &State, master: usize) -> Result<MultiplexedConnection, BrokerError> {
        let connection = state.pools[master].get().await.map_err(|error| match error {
            PoolError::Backend(error) => BrokerError::Redis(error),
            other => BrokerError::Pool(other.to_string()),
        })?;
        Ok(MultiplexedConnection::clone(&connection))
    }

    /// Within the time that connecting and an answer may take together.
    async fn within<T>(&self, work: impl Future<Output = Result<T, BrokerError>>) -> Result<T, BrokerError> {
        let options = &self.inner.options;
        timeout(options.connect_timeout + options.response_timeout * 2, work).await.unwrap_or(Err(BrokerError::Timeout))
    }

    /// The servers as they are known, or found again if that was a while ago and they may have changed.
    async fn state(&self) -> Result<Arc<State>, BrokerError> {
        let inner = &self.inner;
        let mut state = inner.state.lock().await;
        let lasting = !inner.address.may_move();
        if let Some(known) = state.as_ref().filter(|known| lasting || known.found.elapsed() < BELIEVE) {
            return Ok(known.clone());
        }
        let servers = Servers::discover(&inner.address, inner.options.connect_timeout).await?;
        let fresh = match state.take() {
            Some(known) if known.servers.same_as(&servers) && known.is_intact() => State {
                servers,
                pools: known.pools.clone(),
                publishers: known.pools.iter().map(|_| Mutex::new(None)).collect(),
                found: Instant::now(),
            },
            _ => State::new(servers, &inner.options)?,
        };
        let fresh = Arc::new(fresh);
        *state = Some(fresh.clone());
        Ok(fresh)
    }

    /// Something did not work: the servers are looked for again before the next command.
    fn doubt(&self, state: &Arc<State>) {
        if !self.inner.address.may_move() {
            return;
        }
        if let Ok(mut known) = self.inner.state.try_lock()
            && known.as_ref().is_some_and(|known| Arc::ptr_eq(known, state))
        {
            *known = None;
        }
    }
}

impl State {
    fn new(servers: Servers, options: &CommandOptions) -> Result<Self, BrokerError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(options.connect_timeout))
            .set_response_timeout(Some(options.response_timeout));
        let pool = |info: &redis::ConnectionInfo| {
            let manager = Manager::new_with_config(info.clone(), config.clone())?;
            Pool::builder(manager)
                .max_size(options.pool_size.max(1))
                .wait_timeout(Some(options.response_timeout))
                .create_timeout(Some(options.connect_timeout))
                .recycle_timeout(Some(options.response_timeout))
                .runtime(Runtime::Tokio1)
                .build()
                .map_err(|error| BrokerError::Pool(error.to_string()))
        };
        let pools = servers.masters.iter().map(pool).collect::<Result<Vec<_>, _>>()?;
        let publishers = pools.iter().map(|_| Mutex::new(None)).collect();
        Ok(Self { servers, pools, publishers, found: Instant::now() })
    }

    fn is_intact(&self) -> bool {
        self.pools.iter().all(|pool| !pool.is_closed())
    }
}
