//! Traces of single requests on their way: published, committed, told to other nodes, delivered. They go to a collector over OTLP.
//!
//! Whether a trace is followed is decided once, where it begins, by chance or by whoever sent the request; everything after that is asked
//! only whether there is a context. So what is not followed costs a branch. Spans wait in a bounded queue for a thread of their own, which
//! sends them in batches; with a collector that is away they are dropped, and nothing else happens.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use opentelemetry::{
    Context, KeyValue, SpanId, TraceFlags, TraceId, Value,
    trace::{Span as _, SpanBuilder, SpanContext, TraceContextExt, TraceState, Tracer as _, TracerProvider as _},
};
use opentelemetry_otlp::WithExportConfig;
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{
        BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider, Span as SdkSpan, SpanData, SpanExporter,
    },
};
use parking_lot::Mutex;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
};

use crate::model::TraceContext;

pub(crate) use opentelemetry::trace::SpanKind;

/// The most spans in one request to the collector.
const BATCH_SPANS: usize = 512;

/// Where traces go, and how many.
#[derive(Debug, Clone)]
pub(crate) struct TracerOptions {
    /// The collector's address, to which `/v1/traces` is added.
    pub endpoint: String,
    /// What the hub is called in traces.
    pub service_name: String,
    /// Which part of what begins here is followed, from 0 to 1.
    pub sample_ratio: f64,
    /// The most traces that are followed in a second, whoever asks for it.
    pub traces_per_second: usize,
    /// The most spans that wait to be sent.
    pub queue_spans: usize,
    /// How long spans wait to be sent together.
    pub export_interval: Duration,
    /// How long sending them may take.
    pub export_timeout: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Outcome {
    outcome: &'static str,
}

/// What became of spans.
#[derive(Debug, Clone)]
struct Counts {
    begun: Counter,
    exported: Counter,
    failed: Counter,
}

/// Begins spans; off unless there is a collector.
#[derive(Debug)]
pub(crate) struct Tracer {
    spans: Family<Outcome, Counter>,
    counts: Counts,
    on: Option<On>,
}

#[derive(Debug)]
struct On {
    tracer: SdkTracer,
    provider: SdkTracerProvider,
    sample_ratio: f64,
    traces_per_second: usize,
    /// A second, and how many traces began in it.
    recent: Mutex<(Instant, usize)>,
}

/// A span of a trace that is followed. It ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Span(Box<SdkSpan>);

impl Span {
    /// Where it is, for what follows from it.
    pub(crate) fn context(&self) -> TraceContext {
        let context = self.0.span_context();
        TraceContext { trace: context.trace_id().to_bytes(), span: context.span_id().to_bytes() }
    }

    /// Notes something about it: ids and numbers only, never what somebody said.
    pub(crate) fn note(&mut self, key: &'static str, value: impl Into<Value>) {
        self.0.set_attribute(KeyValue::new(key, value));
    }
}

impl Tracer {
    /// One that follows nothing.
    pub(crate) fn off() -> Self {
        let spans = Family::<Outcome, Counter>::default();
        let of = |outcome| spans.get_or_create(&Outcome { outcome }).clone();
        let counts = Counts { begun: of("begun"), exported: of("exported"), failed: of("failed") };
        Self { spans, counts, on: None }
    }

    /// One that sends to a collector as `node`. Whether there is one shows later.
    pub(crate) fn start(options: &TracerOptions, node: &str) -> anyhow::Result<Self> {
        let mut this = Self::off();
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .with_endpoint(format!("{}/v1/traces", options.endpoint.trim_end_matches('/')))
            .with_timeout(options.export_timeout)
            .build()
            .context("telemetry.otlp_endpoint cannot be used")?;
        let exporter = Counted { inner: exporter, counts: this.counts.clone(), is_failing: AtomicBool::default() };
        let config = BatchConfigBuilder::default()
            .with_max_queue_size(options.queue_spans)
            .with_max_export_batch_size(BATCH_SPANS)
            .with_scheduled_delay(options.export_interval)
            .build();
        let resource = Resource::builder_empty()
            .with_service_name(options.service_name.clone())
            .with_attributes([
                KeyValue::new("service.instance.id", node.to_owned()),
                KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            ])
            .build();
        let provider = SdkTracerProvider::builder()
            .with_span_processor(BatchSpanProcessor::builder(exporter).with_batch_config(config).build())
            .with_sampler(Sampler::AlwaysOn)
            .with_resource(resource)
            .build();
        this.on = Some(On {
            tracer: provider.tracer("tasklight"),
            provider,
            sample_ratio: options.sample_ratio,
            traces_per_second: options.traces_per_second,
            recent: Mutex::new((Instant::now(), 0)),
        });
        Ok(this)
    }

    /// How many spans were begun, taken by the collector, and not taken.
    pub(crate) fn spans(&self) -> Family<Outcome, Counter> {
        self.spans.clone()
    }

    /// Begins the first span of a request here, if it is followed: as part of the trace that its `traceparent` names if whoever sent it follows
    /// that, or by chance if it names none.
    pub(crate) fn begin(&self, name: &'static str, kind: SpanKind, traceparent: Option<&str>) -> Option<Span> {
        let on = self.on.as_ref()?;
        let parent = match traceparent.and_then(TraceContext::of_header) {
            Some((parent, true)) => Some(parent),
            Some((_, false)) => return None,
            None if rand::random::<f64>() < on.sample_ratio => None,
            None => return None,
        };
        if on.has_room() { self.span(on, name, kind, parent) } else { None }
    }

    /// Begins a span that follows from `parent`, if that is followed.
    pub(crate) fn within(&self, parent: Option<TraceContext>, name: &'static str, kind: SpanKind) -> Option<Span> {
        let parent = parent?;
        self.span(self.on.as_ref()?, name, kind, Some(parent))
    }

    fn span(&self, on: &On, name: &'static str, kind: SpanKind, parent: Option<TraceContext>) -> Option<Span> {
        let context = match parent {
            None => Context::new(),
            Some(TraceContext { trace, span }) => {
                let (trace, span) = (TraceId::from_bytes(trace), SpanId::from_bytes(span));
                let remote = SpanContext::new(trace, span, TraceFlags::SAMPLED, true, TraceState::NONE);
                Context::new().with_remote_span_context(remote)
            }
        };
        let span = on.tracer.build_with_context(SpanBuilder::from_name(name).with_kind(kind), &context);
        // After the end there is none.
        span.span_context().is_valid().then(|| {
            self.counts.begun.inc();
            Span(Box::new(span))
        })
    }

    /// Sends what waits, for `within` at most, and follows nothing more.
    pub(crate) async fn close(&self, within: Duration) {
        let Some(on) = &self.on else { return };
        let provider = on.provider.clone();
        let closing = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(within));
        if let Ok(Err(error)) = closing.await {
            tracing::debug!(%error, "the last spans were not sent");
        }
    }
}

impl On {
    /// Whether one more trace may begin in this second.
    fn has_room(&self) -> bool {
        let mut recent = self.recent.lock();
        if Duration::from_secs(1) <= recent.0.elapsed() {
            *recent = (Instant::now(), 0);
        }
        recent.1 += 1;
        recent.1 <= self.traces_per_second
    }
}

/// The exporter, which says and counts whether it gets anywhere.
#[derive(Debug)]
struct Counted {
    inner: opentelemetry_otlp::SpanExporter,
    counts: Counts,
    is_failing: AtomicBool,
}

impl SpanExporter for Counted {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len() as u64;
        let sent = self.inner.export(batch).await;
        match &sent {
            Ok(()) => self.counts.exported.inc_by(spans),
            Err(_) => self.counts.failed.inc_by(spans),
        };
        // Once, not with every batch.
        let was_failing = self.is_failing.swap(sent.is_err(), Ordering::Relaxed);
        match &sent {
            Err(error) if !was_failing => {
                tracing::warn!(%error, "the collector does not take traces; they are dropped until it does")
            }
            Ok(()) if was_failing => tracing::info!("the collector takes traces again"),
            _ => {}
        }
        sent
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(sample_ratio: f64) -> TracerOptions {
        TracerOptions {
            // Nobody is there, and nobody has to be.
            endpoint: "http://127.0.0.1:1".to_owned(),
            service_name: "test".to_owned(),
            sample_ratio,
            traces_per_second: 3,
            queue_spans: 16,
            export_interval: Duration::from_secs(60),
            export_timeout: Duration::from_secs(1),
        }
    }

    const FOLLOWED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn begin(tracer: &Tracer, parent: Option<&str>) -> Option<Span> {
        tracer.begin("publish", SpanKind::Server, parent)
    }

    #[test]
    fn who_sent_it_decides_then_chance_and_never_too_many() {
        let never = Tracer::start(&options(0.), "a").expect("it starts");
        assert!(begin(&never, None).is_none() && begin(&never, Some("nonsense")).is_none());
        let span = begin(&never, Some(FOLLOWED)).expect("it is followed").context();
        assert_eq!(span.trace[..2], [0x0a, 0xf7], "the sender's trace");
        assert_eq!(never.within(Some(span), "commit", SpanKind::Internal).expect("too").context().trace, span.trace);
        assert!(never.within(None, "commit", SpanKind::Internal).is_none());
        let always = Tracer::start(&options(1.), "a").expect("it starts");
        assert!(begin(&always, Some(&FOLLOWED.replace("-01", "-00"))).is_none(), "whoever sent it does not follow it");
        assert_eq!((0..10).filter(|_| begin(&always, None).is_some()).count(), 3, "a second's worth");
        assert!(begin(&Tracer::off(), Some(FOLLOWED)).is_none());
        assert_eq!((never.counts.begun.get(), always.counts.begun.get()), (2, 3));
    }
}
