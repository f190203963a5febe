//! The part of a node that others reach: limits, sessions, and the two listeners.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::http::HeaderValue;
use tokio::{
    net::TcpListener,
    runtime::Handle,
    sync::{Semaphore, watch},
};

use super::{
    Tasks,
    engine::{Edge, Engine},
    node_id,
};
use crate::{
    access::{Guard, Tickets},
    config::Settings,
    http::{self, App, ListenOptions, Origins, Phase},
    limits::{Limits, Memory, Proxies},
    session::{ending::Ending, shard::Shards},
};

/// How much longer than a WebSocket session a blocked HTTP answer is kept, so that the session ends first and says why.
const STALL_EXTRA: Duration = Duration::from_secs(10);

/// What the node keeps of it.
pub(super) struct Front {
    pub address: SocketAddr,
    pub admin_address: SocketAddr,
    pub bounds: Arc<Limits>,
    pub phase: watch::Sender<Phase>,
    pub ending: Arc<Ending>,
}

impl Front {
    /// Serves on the two listeners, that of the API and the operator's.
    pub(super) async fn open(
        settings: &Settings,
        edge: Edge,
        engine: &Engine,
        tasks: &Tasks,
        [listener, admin_listener]: [TcpListener; 2],
    ) -> anyhow::Result<Self> {
        let Tasks { work, sessions, closing, stop, .. } = tasks;
        let (address, admin_address) = (listener.local_addr()?, admin_listener.local_addr()?);
        let (phase, ending) = (watch::Sender::new(Phase::Running), Arc::<Ending>::default());
        let shards = Arc::new(Shards::start(settings.session.shards, &edge.metrics, sessions.clone())?);
        let sessions_of = ending.clone();
        let guard = Guard::new(edge.auth.clone(), engine.store.clone(), move || sessions_of.look());
        if !edge.auth.is_open() {
            guard.look().await?;
        }
        work.spawn(guard.clone().run(settings.auth.revocation_interval.get(), stop.clone()));
        let bounds = limits(settings, &edge, tasks);
        if let Some(tls) = &edge.tls {
            work.spawn(tls.clone().run(stop.clone()));
        }
        let proxies = settings.proxies()?;
        let listen = ListenOptions {
            header_timeout: settings.http.header_timeout.get(),
            connections: settings.http.connections,
            write_timeout: settings.session.write_timeout.get() + STALL_EXTRA,
            sessions: (shards.clone(), ending.clone()),
            addresses: None,
            reached: edge.metrics.reached.clone(),
            tls: None,
        };
        let public =
            ListenOptions { addresses: Some((bounds.clone(), proxies.clone())), tls: edge.tls.clone(), ..listen.clone() };
        let front = Self { address, admin_address, bounds, phase, ending };
        let app = Arc::new(front.app(settings, edge, engine, &shards, guard, proxies));
        sessions.spawn(http::serve(listener, http::routes(app.clone()), public, sessions.clone(), closing.clone()));
        work.spawn(http::serve(admin_listener, http::admin_routes(app), listen, work.clone(), stop.clone()));
        Ok(front)
    }

    /// What handlers work with.
    fn app(&self, settings: &Settings, edge: Edge, engine: &Engine, shards: &Shards, guard: Guard, proxies: Proxies) -> App {
        App {
            auth: edge.auth,
            bounds: self.bounds.clone(),
            proxies,
            trail: engine.trail.clone(),
            guard,
            tickets: Tickets::new(engine.store.clone()),
            first_message_timeout: settings.auth.first_message_timeout.get(),
            node: node_id(settings),
            store: engine.store.clone(),
            hub: engine.hub.clone(),
            writer: engine.writer.clone(),
            broker: engine.broker.clone(),
            ingest: engine.ingest.clone(),
            limits: settings.ingest_limits(),
            redaction: edge.redaction,
            session: Arc::new(settings.session_options()),
            origins: Origins {
                allowed: settings.http.origins.words().to_vec(),
                loopback: self.address.ip().is_loopback(),
                secure: edge.tls.is_some(),
            },
            body_timeout: settings.http.body_timeout.get(),
            bodies: Arc::new(Semaphore::new(settings.http.body_bytes.bytes())),
            body_bytes: settings.http.body_bytes.bytes(),
            metrics: edge.metrics,
            registry: edge.registry,
            runtimes: [vec![("tasklight".to_owned(), Handle::current().metrics())], shards.metrics()].concat(),
            strict_transport: strict_transport(settings),
            phase: self.phase.subscribe(),
            ending: self.ending.clone(),
        }
    }
}

/// Who takes how much, looked at now and then.
fn limits(settings: &Settings, edge: &Edge, tasks: &Tasks) -> Arc<Limits> {
    let memory = Memory::new(settings.limits.memory.bytes(), edge.metrics.memory_bytes.clone());
    let bounds = Arc::new(Limits::new(settings.limit_options(), memory, edge.metrics.reached.clone()));
    let (looked_at, until) = (bounds.clone(), tasks.stop.clone());
    tasks.work.spawn(async move { looked_at.run(until).await });
    bounds
}

/// What browsers are told of coming by TLS only, if they are told.
fn strict_transport(settings: &Settings) -> Option<HeaderValue> {
    let seconds = settings.tls.hsts.get().as_secs();
    if seconds == 0 { None } else { HeaderValue::from_str(&format!("max-age={seconds}")).ok() }
}
