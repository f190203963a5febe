//! The HTTP API: routes, what they share, and the order in which a request is checked.

mod access;
mod activities;
mod admin;
mod admit;
mod cors;
mod debug;
mod durable;
mod error;
mod extract;
mod guard;
mod hand_over;
mod hooks;
mod listen;
mod log;
mod origin;
mod place;
mod rates;
mod refuse;
mod rejects;
mod revoke;
mod search;
mod secure;
mod stall;
mod streams;
mod tasks;
mod tickets;
mod ui;
mod unbuilt;
mod unread;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    http::HeaderValue,
    middleware::{from_fn, from_fn_with_state},
    routing::{get, post},
};
use prometheus_client::registry::Registry;
use tokio::{
    runtime::RuntimeMetrics,
    sync::{Semaphore, watch},
};
use tower_http::catch_panic::CatchPanicLayer;

use crate::{
    access::{Guard, Tickets},
    auth::Auth,
    broker::Broker,
    hub::Hub,
    ingest::{ChannelIngest, IngestLimits, Redaction},
    limits::{Limits, Proxies},
    metrics::Metrics,
    session::{SessionOptions, ending::Ending},
    store::Store,
    trail::Trail,
    writer::Writer,
};

pub(crate) use admin::routes as admin_routes;
pub(crate) use listen::{ListenOptions, serve};
pub(crate) use origin::Origins;

/// How far a node is on its way from start to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Taking everything.
    Running,
    /// No longer ready, taking nothing new.
    Stopping,
    /// What was taken is committed; whoever waits is told to go.
    Draining,
}

/// What the handlers work with.
#[derive(Debug)]
pub(crate) struct App {
    pub node: String,
    pub store: Store,
    pub hub: Hub,
    pub writer: Writer,
    pub broker: Broker,
    pub ingest: Option<ChannelIngest>,
    pub limits: IngestLimits,
    pub redaction: Arc<Redaction>,
    pub session: Arc<SessionOptions>,
    pub auth: Arc<Auth>,
    pub trail: Arc<Trail>,
    pub guard: Guard,
    pub tickets: Tickets,
    pub first_message_timeout: Duration,
    pub origins: Origins,
    pub bounds: Arc<Limits>,
    pub proxies: Proxies,
    pub body_timeout: Duration,
    pub bodies: Arc<Semaphore>,
    pub body_bytes: usize,
    pub metrics: Arc<Metrics>,
    pub registry: Registry,
    /// What each of the node's runtimes says of itself, by the name of its threads.
    pub runtimes: Vec<(String, RuntimeMetrics)>,
    /// What `Strict-Transport-Security` says, if it is said.
    pub strict_transport: Option<HeaderValue>,
    pub phase: watch::Receiver<Phase>,
    pub ending: Arc<Ending>,
}

impl App {
    /// Whether the node still takes what is new.
    pub(crate) fn is_running(&self) -> bool {
        *self.phase.borrow() == Phase::Running
    }
}

/// The public routes.
pub(crate) fn routes(app: Arc<App>) -> Router {
    let task = get(tasks::show).put(tasks::put).patch(tasks::patch).delete(tasks::delete);
    let routes = Router::new()
        .route("/v1/tasks", get(tasks::list))
        .route("/v1/tasks/{task}", task)
        .route("/v1/tasks/{task}/activities", get(activities::page).post(activities::publish))
        .route("/v1/tasks/{task}/search", get(search::search))
        .route("/v1/tasks/{task}/stream", get(streams::sse))
        .route("/v1/tasks/{task}/rejects", get(rejects::list))
        .route("/v1/tasks/{task}/invocations", get(tasks::invocations))
        .route("/v1/tasks/{task}/invocations/{invocation}", get(tasks::invocation))
        .route("/v1/rates", get(rates::rates))
        .route("/v1/ds/{task}", durable::methods())
        // Where the servers of Durable Streams themselves have their streams, and their tests look for them.
        .route("/v1/stream/{task}", durable::methods())
        .route("/v1/hooks/claude", post(hooks::claude))
        .route("/v1/tickets", post(tickets::make))
        .route("/v1/admin/revoke", post(revoke::revoke))
        .route("/v1/ws", get(streams::websocket))
        .route("/openapi.json", get(ui::openapi))
        .route("/asyncapi.json", get(ui::asyncapi))
        .route("/", get(ui::page))
        .route("/tasks/{task}", get(ui::page))
        .route("/assets/{*path}", get(ui::asset))
        .fallback(ui::beside)
        .method_not_allowed_fallback(error::no_method);
    #[cfg(feature = "echo")]
    let routes = routes.route("/v1/echo", get(streams::echo));
    let routes = routes
        .layer(from_fn_with_state(app.clone(), admit::draw))
        .layer(from_fn_with_state(app.clone(), access::authenticate))
        .layer(from_fn_with_state(app.clone(), origin::check))
        .layer(from_fn_with_state(app.clone(), admit::admit))
        .layer(from_fn(unread::discard));
    cors::allow(routes, &app.origins)
        .layer(from_fn_with_state(app.clone(), guard::headers))
        .layer(from_fn(log::requests))
        .layer(CatchPanicLayer::custom(error::panicked))
        .with_state(app)
}
