//! `tasklight serve`: the hub, until a signal asks it to stop.

use std::{io::Write, net::SocketAddr, path::PathBuf, process::ExitCode};

use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{file_limit, notify};
use crate::{
    config::{Loaded, Settings, Sources},
    node::{Node, Reloaded},
    telemetry::{self, LogLevel},
    version,
};

const AFTER_HELP: &str = "\
Without any configuration the hub listens on 127.0.0.1:8080 and keeps everything in ./data/tasklight.db.
Values come from: defaults < tasklight.toml (or --config FILE) < TASKLIGHT__SECTION__KEY environment < flags.
`tasklight config` shows them all with their origin.

Examples:
  tasklight serve
  tasklight serve --listen 127.0.0.1:9000 --store sqlite:///var/lib/tasklight/log.db
  tasklight serve --store postgres://tasklight@db/tasklight --broker redis://redis:6379   one of many nodes
  TASKLIGHT__SESSION__HEARTBEAT=10s tasklight serve

SIGTERM or SIGINT stops it in order (nothing that was confirmed is lost, viewers are told where to continue);
a second one stops it at once. SIGHUP has the configuration read again: log.level, redact.*, and the limits of
addresses and subjects hold at once; of everything else it says that it takes a restart.";

/// Flags of `tasklight serve`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct ServeArgs {
    /// Where the API, the streams and the page are served [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Where /healthz, /readyz and /metrics are served [default: 127.0.0.1:9090]
    #[arg(long, value_name = "ADDRESS")]
    admin_listen: Option<SocketAddr>,
    #[command(flatten)]
    store: StoreArgs,
    /// Redis, for more than one node and for agents that publish over it: redis://, rediss://, redis+sentinel:// or
    /// redis+cluster:// [default: none, one node by itself]
    #[arg(long, value_name = "URL")]
    broker: Option<String>,
    /// Listen beyond loopback although no tokens are asked for: whoever reaches the port may read and write everything
    #[arg(long)]
    insecure_listen: bool,
}

/// Flags that say which store and which configuration file.
#[derive(Debug, Args)]
pub(crate) struct StoreArgs {
    /// The store: sqlite://PATH for one node, postgres://… for many [default: sqlite://data/tasklight.db]
    #[arg(long, value_name = "URL")]
    store: Option<String>,
    /// The configuration file [default: tasklight.toml if it is there]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl StoreArgs {
    /// The configuration with these flags, and `more`, on top.
    pub(crate) fn load(self, more: Vec<(&'static str, String)>) -> anyhow::Result<Loaded> {
        Ok(Settings::load(&self.sources(more))?)
    }

    fn sources(self, mut more: Vec<(&'static str, String)>) -> Sources {
        more.extend(self.store.map(|url| ("store.url", url)));
        Sources { file: self.config, flags: more }
    }
}

impl ServeArgs {
    fn sources(self) -> Sources {
        let mut flags = Vec::new();
        flags.extend(self.listen.map(|address| ("listen", address.to_string())));
        flags.extend(self.admin_listen.map(|address| ("admin_listen", address.to_string())));
        flags.extend(self.broker.map(|url| ("broker.url", url)));
        flags.extend(self.insecure_listen.then(|| ("insecure_listen", "true".to_owned())));
        self.store.sources(flags)
    }
}

/// Serves until SIGTERM or SIGINT, then stops in order; a second signal exits at once.
pub(crate) async fn run(args: ServeArgs) -> anyhow::Result<ExitCode> {
    let sources = args.sources();
    let settings = Settings::load(&sources)?.settings;
    let level = telemetry::start(&settings.log_options())?;
    tracing::info!(version = version::VERSION, commit = version::COMMIT, "starting");
    file_limit::raise(settings.http.connections);
    let mut signals = Signals::new()?;
    let node = tokio::select! {
        node = Node::start(&settings) => node?,
        () = signals.stop() => return Ok(ExitCode::SUCCESS),
    };
    let scheme = if settings.tls_options().is_some() { "https" } else { "http" };
    announce(&node, scheme, settings.asks_for_tokens());
    notify::tell(notify::READY);
    while signals.next().await == Told::Reload {
        reload(&node, &settings, &sources, &level);
    }
    notify::tell(notify::STOPPING);
    let code = tokio::select! {
        in_order = node.shutdown() => if in_order { ExitCode::SUCCESS } else { ExitCode::FAILURE },
        () = signals.stop() => {
            tracing::warn!("a second signal: exiting at once");
            ExitCode::FAILURE
        }
    };
    Ok(code)
}

/// Three lines for a person: where to look, how to publish, how to wrap a command.
fn announce(node: &Node, scheme: &str, asks_for_tokens: bool) {
    let url = format!("{scheme}://{}", node.address());
    let lines = format!(
        "look      {url}/\n\
         publish   curl {url}/v1/tasks/hello/activities -d '{{\"invocationId\":\"me\",\"type\":\"message\",\"data\":{{\"text\":\"hi\"}}}}'\n\
         wrap      tasklight run --task hello --hub {url} -- make\n"
    );
    // In one piece, and nobody needs to be there to read it: a hub whose starter has gone still serves.
    if let Err(error) = std::io::stdout().write_all(lines.as_bytes()) {
        tracing::debug!(%error, "nobody reads standard output");
    }
    tracing::info!(address = %node.address(), admin = %node.admin_address(), "listening");
    if asks_for_tokens {
        return;
    }
    if node.address().ip().is_loopback() {
        tracing::warn!(
            "no key for tokens is configured: every program and user on this machine may read and publish (pages of other origins may not); \
             `tasklight token --help` says how to ask for tokens"
        );
    } else {
        tracing::warn!(
            "no key for tokens is configured and this port is reachable from other machines: whoever reaches it may read and write everything; \
             `tasklight token --help` says how to ask for tokens"
        );
    }
}

/// Reads the configuration again. One that is no good changes nothing.
fn reload(node: &Node, started: &Settings, sources: &Sources, level: &LogLevel) {
    let reloaded = Settings::load(sources).map_err(anyhow::Error::from).and_then(|loaded| {
        let filter = telemetry::filter(&loaded.settings.log.level)?;
        let reloaded = node.reload(started, &loaded.settings)?;
        level.set(filter)?;
        Ok(reloaded)
    });
    match reloaded {
        Ok(Reloaded { taken_up, left }) if left.is_empty() => tracing::info!(?taken_up, "the configuration was read again"),
        Ok(Reloaded { taken_up, left }) => {
            tracing::warn!(?taken_up, ?left, "the configuration was read again; what is left takes a restart");
        }
        Err(error) => tracing::error!(%error, "the configuration cannot be used: the one from before holds"),
    }
}

/// What a signal asks for.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    Stop,
    Reload,
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        let [terminate, interrupt, hangup] = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()].map(signal);
        Ok(Self { terminate: terminate?, interrupt: interrupt?, hangup: hangup? })
    }

    async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.terminate.recv() => Told::Stop,
            _ = self.interrupt.recv() => Told::Stop,
            _ = self.hangup.recv() => Told::Reload,
        }
    }

    /// Waits until it is to stop.
    async fn stop(&mut self) {
        while self.next().await == Told::Reload {}
    }
}
