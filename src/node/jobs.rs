//! What one node at a time does: the reconciler, and where they are configured webhooks and retention. Each runs on the node that has its lease.

use std::sync::Arc;

use prometheus_client::registry::Registry;
use tokio_util::task::TaskTracker;

use super::{Tasks, engine::Engine, node_id};
use crate::{
    broker::Broker,
    config::Settings,
    ingest::ChannelIngest,
    jobs::{JobMetrics, Jobs, Reconciler, Retention, RetentionMetrics},
    store::Store,
    webhooks::Webhooks,
};

/// What is known before there is a hub.
pub(super) struct Prepared {
    metrics: JobMetrics,
    retention: RetentionMetrics,
    webhooks: Option<Webhooks>,
}

impl Prepared {
    /// Registers what is counted, and has moves of runs noted from now on if somebody is to be told of them.
    pub(super) async fn new(
        settings: &Settings,
        store: &Store,
        work: &TaskTracker,
        registry: &mut Registry,
    ) -> anyhow::Result<Self> {
        let (metrics, retention) = (JobMetrics::register(registry), RetentionMetrics::register(registry));
        let webhooks = match settings.webhook_options()? {
            Some(options) => Some(Webhooks::prepare(options, store, work, registry).await?),
            None => {
                store.forget_unwanted().await?;
                None
            }
        };
        Ok(Self { metrics, retention, webhooks })
    }

    /// Starts them.
    pub(super) fn start(self, settings: &Settings, engine: &Engine, tasks: &Tasks) -> anyhow::Result<()> {
        let Engine { store, hub, writer, broker, ingest, .. } = engine;
        let Tasks { work, jobs_stop: stop, .. } = tasks;
        let jobs = Jobs {
            store: store.clone(),
            holder: holder(settings, broker),
            term: settings.cluster.lease_timeout.get(),
            metrics: self.metrics,
        };
        let (healthy, heard, links) = (writer.clone(), ingest.clone(), broker.clone());
        let listens =
            move || healthy.is_healthy() && links.trouble().is_none() && heard.as_ref().is_none_or(ChannelIngest::is_member);
        let options = settings.reconciler_options();
        let reconciler = Reconciler::new(store.clone(), writer.clone(), options, listens, jobs.metrics.clone());
        jobs.start(reconciler, settings.reconciler.interval.get(), work, stop.clone());
        if let Some(webhooks) = self.webhooks {
            jobs.start(webhooks, settings.webhooks.interval.get(), work, stop.clone());
        }
        if let Some(options) = settings.retention_options()? {
            let retention = Retention::new(store.clone(), Some(hub.clone()), options, self.retention);
            jobs.start(retention, settings.retention.interval.get(), work, stop.clone());
        }
        Ok(())
    }
}

/// This process among all that ever had a lease: its name among the members, if there are any.
fn holder(settings: &Settings, broker: &Broker) -> Arc<str> {
    match broker {
        Broker::Redis(redis) => redis.node.clone(),
        Broker::Local => format!("{}#{:08x}", node_id(settings), rand::random::<u32>()).into(),
    }
}
