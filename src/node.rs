//! A node: everything put together, started in order and stopped in order.
//!
//! Stopping: not ready → jobs of one node at a time are given back, nothing new is taken, tasks are handed to other nodes → the writer commits what it has → sessions are told where to continue and closed spread
//! out → whatever still runs when the time is up is cut off.

mod jobs;
mod reload;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use axum::http::HeaderValue;
use tokio::{
    net::TcpListener,
    runtime::Handle,
    sync::{Semaphore, watch},
    time::{Instant, timeout_at},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    access::{Guard, Tickets},
    auth::Auth,
    broker::Broker,
    config::Settings,
    http::{self, App, ListenOptions, Origins, Phase},
    hub::Hub,
    ingest::{ChannelIngest, Envelopes, Redaction},
    limits::{Limits, Memory},
    metrics::Metrics,
    session::{
        ending::{Ending, Stage},
        shard::Shards,
    },
    store::Store,
    telemetry::Tracer,
    tls::Tls,
    trail::Trail,
    writer::Writer,
};

use jobs::{Parts, Prepared};
pub use reload::Reloaded;

/// How much longer than a WebSocket session a blocked HTTP answer is kept, so that the session ends first and says why.
const STALL_EXTRA: Duration = Duration::from_secs(10);

/// What background work and the store have at least to end, even if the time for stopping is up.
const LAST_GRACE: Duration = Duration::from_millis(500);

/// A running node.
#[derive(Debug)]
pub struct Node {
    address: SocketAddr,
    admin_address: SocketAddr,
    store: Store,
    hub: Hub,
    writer: Writer,
    ingest: Option<ChannelIngest>,
    redaction: Arc<Redaction>,
    bounds: Arc<Limits>,
    phase: watch::Sender<Phase>,
    /// Tells sessions where to continue, and ends them.
    ending: Arc<Ending>,
    metrics: Arc<Metrics>,
    work: TaskTracker,
    sessions: TaskTracker,
    /// Ends listening; requests under way finish.
    closing: CancellationToken,
    /// Ends background work.
    stop: CancellationToken,
    /// Ends what one node at a time does.
    jobs_stop: CancellationToken,
    /// Ends everything.
    give_up: CancellationToken,
    stop_timeout: Duration,
}

impl Node {
    /// Opens the store, starts everything and listens. The node works until [`Node::shutdown`].
    pub async fn start(settings: &Settings) -> anyhow::Result<Self> {
        let listener = bind("listen", settings.listen).await?;
        let admin_listener = bind("admin_listen", settings.admin_listen).await?;
        let redactor = settings.redactor()?;
        let auth = Arc::new(Auth::new(settings.auth_options()?)?);
        let envelopes = Arc::new(Envelopes::new(settings.envelope_options(), auth.clone())?);
        let tracer = match settings.tracer_options() {
            Some(options) => Tracer::start(&options, &node_id(settings))?,
            None => Tracer::off(),
        };
        let (metrics, mut registry) = Metrics::with_tracer(tracer);
        let tls = settings.tls_options().map(|options| Tls::new(options, metrics.tls.clone())).transpose()?.map(Arc::new);
        let store = Store::open(&settings.store_options()).await?;
        let (work, sessions) = (TaskTracker::new(), TaskTracker::new());
        let jobs = Prepared::new(settings, &store, &work, &mut registry).await?;
        let redaction = Arc::new(Redaction::new(redactor, settings.carry_limits(), metrics.redacted.clone()));
        let [closing, stop, give_up] = [(); 3].map(|()| CancellationToken::new());
        let (broker, readers) = match settings.redis_options()? {
            Some(options) => {
                let (broker, readers) = Broker::start(options, &node_id(settings), &metrics, &work, &stop)?;
                (broker, Some((readers.feed, readers.ingest)))
            }
            None => (Broker::Local, None),
        };
        let (hints, channels) = readers.unzip();
        let trail = Arc::new(Trail::new(settings.keeps_trail(), settings.audit.interval.get()));
        let (told, until) = (trail.clone(), stop.clone());
        work.spawn(async move { told.run(until).await });
        let hub_options = settings.hub_options();
        let hub = Hub::new(store.clone(), broker.clone(), hints, hub_options, metrics.clone(), work.clone(), stop.clone());
        let writer =
            Writer::start(store.clone(), hub.clone(), settings.writer_options(), metrics.clone(), &work, give_up.clone());
        let ingest = match (&broker, channels) {
            (Broker::Redis(redis), Some(reader)) => Some(ChannelIngest::start(
                redis.clone(),
                reader,
                store.clone(),
                writer.clone(),
                settings.ingest_limits(),
                redaction.clone(),
                envelopes,
                trail.clone(),
                settings.channel_options(),
                metrics.clone(),
                &work,
                stop.clone(),
            )),
            _ => None,
        };
        let jobs_stop = stop.child_token();
        let parts = Parts { store: &store, hub: &hub, writer: &writer, broker: &broker, ingest: &ingest };
        jobs.start(settings, &parts, &work, &jobs_stop)?;
        let (phase, ending) = (watch::Sender::new(Phase::Running), Arc::<Ending>::default());
        let shards = Arc::new(Shards::start(settings.session.shards, &metrics, sessions.clone())?);
        let (address, admin_address) = (listener.local_addr()?, admin_listener.local_addr()?);
        let session = Arc::new(settings.session_options());
        let sessions_of = ending.clone();
        let guard = Guard::new(auth.clone(), store.clone(), move || sessions_of.look());
        if !auth.is_open() {
            guard.look().await?;
        }
        work.spawn(guard.clone().run(settings.auth.revocation_interval.get(), stop.clone()));
        let memory = Memory::new(settings.limits.memory.bytes(), metrics.memory_bytes.clone());
        let bounds = Arc::new(Limits::new(settings.limit_options(), memory, metrics.reached.clone()));
        let (looked_at, until) = (bounds.clone(), stop.clone());
        work.spawn(async move { looked_at.run(until).await });
        if let Some(tls) = &tls {
            work.spawn(tls.clone().run(stop.clone()));
        }
        let proxies = settings.proxies()?;
        let addresses = Some((bounds.clone(), proxies.clone()));
        let reached = metrics.reached.clone();
        let app = Arc::new(App {
            auth,
            bounds: bounds.clone(),
            proxies,
            trail,
            guard,
            tickets: Tickets::new(store.clone()),
            first_message_timeout: settings.auth.first_message_timeout.get(),
            node: node_id(settings),
            store: store.clone(),
            hub: hub.clone(),
            writer: writer.clone(),
            broker,
            ingest: ingest.clone(),
            limits: settings.ingest_limits(),
            redaction: redaction.clone(),
            session: session.clone(),
            origins: Origins {
                allowed: settings.http.origins.words().to_vec(),
                loopback: address.ip().is_loopback(),
                secure: tls.is_some(),
            },
            body_timeout: settings.http.body_timeout.get(),
            bodies: Arc::new(Semaphore::new(settings.http.body_bytes.bytes())),
            body_bytes: settings.http.body_bytes.bytes(),
            metrics: metrics.clone(),
            registry,
            runtimes: [vec![("tasklight".to_owned(), Handle::current().metrics())], shards.metrics()].concat(),
            strict_transport: strict_transport(settings),
            phase: phase.subscribe(),
            ending: ending.clone(),
        });
        let listen = ListenOptions {
            header_timeout: settings.http.header_timeout.get(),
            connections: settings.http.connections,
            write_timeout: session.write_timeout + STALL_EXTRA,
            sessions: (shards, ending.clone()),
            addresses: None,
            reached,
            tls: None,
        };
        let public = ListenOptions { addresses, tls, ..listen.clone() };
        sessions.spawn(http::serve(listener, http::routes(app.clone()), public, sessions.clone(), closing.clone()));
        work.spawn(http::serve(admin_listener, http::admin_routes(app), listen, work.clone(), stop.clone()));
        let stop_timeout = settings.node.stop_timeout.get();
        Ok(Self {
            address,
            admin_address,
            store,
            hub,
            writer,
            ingest,
            redaction,
            bounds,
            phase,
            ending,
            metrics,
            work,
            sessions,
            closing,
            stop,
            jobs_stop,
            give_up,
            stop_timeout,
        })
    }

    /// Where the API is served.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where /healthz, /readyz and /metrics are served.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin_address
    }

    /// The node's store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The node's rings.
    pub fn hub(&self) -> &Hub {
        &self.hub
    }

    /// The node's way into the store.
    pub fn writer(&self) -> &Writer {
        &self.writer
    }

    /// Stops in order, within `node.stop_timeout`. Says whether everything ended by itself.
    pub async fn shutdown(self) -> bool {
        let deadline = Instant::now() + self.stop_timeout;
        tracing::info!("stopping: nothing new is taken");
        self.phase.send_replace(Phase::Stopping);
        self.jobs_stop.cancel();
        if let Some(ingest) = &self.ingest {
            // Other nodes take over before this one lets go; half of the time is left for the rest.
            let half = Instant::now() + self.stop_timeout / 2;
            if timeout_at(half, ingest.leave()).await.is_err() {
                tracing::warn!("tasks could not be handed over in time");
            }
        }
        self.writer.close();
        // What was committed while stopping reaches viewers before they are told to go.
        let flushed = timeout_at(deadline, self.writer.closed()).await.is_ok();
        self.ending.set(Stage::Draining);
        self.phase.send_replace(Phase::Draining);
        self.closing.cancel();
        self.sessions.close();
        let drained = timeout_at(deadline, self.sessions.wait()).await.is_ok();
        self.ending.set(Stage::Over);
        self.stop.cancel();
        self.give_up.cancel();
        self.work.close();
        let last = deadline.max(Instant::now() + LAST_GRACE);
        let ended = timeout_at(last, self.work.wait()).await.is_ok();
        // A connection that waits for a lock cannot be hurried; the process ends without it.
        let closed = timeout_at(last, self.store.close()).await.is_ok();
        // Last, because a collector that hangs may take all the time there is.
        self.metrics.tracer.close(last.saturating_duration_since(Instant::now())).await;
        tracing::info!(flushed, drained, ended, closed, "stopped");
        flushed && drained && ended && closed
    }
}

async fn bind(key: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!(
            "{key} = {address} cannot be listened on: is another program using it? Choose another with --{}",
            key.replace('_', "-")
        )
    })
}

/// What browsers are told of coming by TLS only, if they are told.
fn strict_transport(settings: &Settings) -> Option<HeaderValue> {
    let seconds = settings.tls.hsts.get().as_secs();
    if seconds == 0 { None } else { HeaderValue::from_str(&format!("max-age={seconds}")).ok() }
}

/// The configured name, or host name and process id.
fn node_id(settings: &Settings) -> String {
    if !settings.node.id.is_empty() {
        return settings.node.id.clone();
    }
    let host = rustix::system::uname();
    format!("{}-{}", host.nodename().to_string_lossy(), std::process::id())
}
