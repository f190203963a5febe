//! The part of a node that works whether anybody can reach it by HTTP or not: the store, the hub, the writer, what comes over Redis, and the jobs.

use std::sync::Arc;

use prometheus_client::registry::Registry;

use super::{Tasks, jobs::Prepared, node_id};
use crate::{
    auth::Auth,
    broker::{Broker, LinkReader},
    config::Settings,
    hub::Hub,
    ingest::{ChannelIngest, Envelopes, Redaction},
    metrics::Metrics,
    store::Store,
    telemetry::Tracer,
    tls::Tls,
    trail::Trail,
    writer::Writer,
};

/// What is made of the configuration and its files before anything is opened, so that a mistake in them is found first.
pub(super) struct Edge {
    pub auth: Arc<Auth>,
    pub envelopes: Arc<Envelopes>,
    pub redaction: Arc<Redaction>,
    pub tls: Option<Arc<Tls>>,
    pub metrics: Arc<Metrics>,
    pub registry: Registry,
}

impl Edge {
    pub(super) fn read(settings: &Settings) -> anyhow::Result<Self> {
        let redactor = settings.redactor()?;
        let auth = Arc::new(Auth::new(settings.auth_options()?)?);
        let envelopes = Arc::new(Envelopes::new(settings.envelope_options(), auth.clone())?);
        let tracer = match settings.tracer_options() {
            Some(options) => Tracer::start(&options, &node_id(settings))?,
            None => Tracer::off(),
        };
        let (metrics, registry) = Metrics::with_tracer(tracer);
        let tls = settings.tls_options().map(|options| Tls::new(options, metrics.tls.clone())).transpose()?.map(Arc::new);
        let redaction = Arc::new(Redaction::new(redactor, settings.carry_limits(), metrics.redacted.clone()));
        Ok(Self { auth, envelopes, redaction, tls, metrics, registry })
    }
}

/// See the head of this file.
#[derive(Debug)]
pub(super) struct Engine {
    pub store: Store,
    pub broker: Broker,
    pub hub: Hub,
    pub writer: Writer,
    /// What comes over Redis, if there is one.
    pub ingest: Option<ChannelIngest>,
    pub trail: Arc<Trail>,
}

impl Engine {
    /// Opens the store, and starts the others on it.
    pub(super) async fn start(settings: &Settings, edge: &mut Edge, tasks: &Tasks) -> anyhow::Result<Self> {
        let Tasks { work, stop, give_up, .. } = tasks;
        let store = Store::open(&settings.store_options()).await?;
        let jobs = Prepared::new(settings, &store, work, &mut edge.registry).await?;
        let metrics = &edge.metrics;
        let (broker, readers) = broker(settings, metrics, tasks)?;
        let (hints, channels) = readers.unzip();
        let trail = Arc::new(Trail::new(settings.keeps_trail(), settings.audit.interval.get()));
        let (told, until) = (trail.clone(), stop.clone());
        work.spawn(async move { told.run(until).await });
        let options = settings.hub_options();
        let hub = Hub::new(store.clone(), broker.clone(), hints, options, metrics.clone(), work.clone(), stop.clone());
        let options = settings.writer_options();
        let writer = Writer::start(store.clone(), hub.clone(), options, metrics.clone(), work, give_up.clone());
        let ingest = match (&broker, channels) {
            (Broker::Redis(redis), Some(reader)) => Some(ChannelIngest::start(
                redis.clone(),
                reader,
                store.clone(),
                writer.clone(),
                settings.ingest_limits(),
                edge.redaction.clone(),
                edge.envelopes.clone(),
                trail.clone(),
                settings.channel_options(),
                metrics.clone(),
                work,
                stop.clone(),
            )),
            _ => None,
        };
        let engine = Self { store, broker, hub, writer, ingest, trail };
        jobs.start(settings, &engine, tasks)?;
        Ok(engine)
    }
}

/// Who hears hints, and who hears agents.
type Readers = (LinkReader, LinkReader);

fn broker(settings: &Settings, metrics: &Arc<Metrics>, tasks: &Tasks) -> anyhow::Result<(Broker, Option<Readers>)> {
    let Some(options) = settings.redis_options()? else { return Ok((Broker::Local, None)) };
    let (broker, readers) = Broker::start(options, &node_id(settings), metrics, &tasks.work, &tasks.stop)?;
    Ok((broker, Some((readers.feed, readers.ingest))))
}
