//! TLS: the certificate that the hub shows, whom it lets shake hands, and both anew when their files change.

mod files;
pub(crate) mod stream;

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use parking_lot::RwLock;
use rustls::{ServerConfig, pki_types::CertificateDer};
use tokio::{
    net::TcpStream,
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::{auth::Certificate, metrics::TlsMetrics, model::Timestamp, stamp::Stamp};

pub(crate) use files::TlsError;
use stream::Stream;

/// The most bytes that are encrypted and wait for the socket of one connection. What waits before that is shared by all who wait for it, this is not.
const PENDING_BYTES: usize = 32 * 1024;

/// Whom the hub lets shake hands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ClientAuth {
    /// Anybody; nobody is asked for a certificate.
    Off,
    /// Anybody without a certificate, and whoever has one that an authority of this file signed.
    Optional(PathBuf),
    /// Only whoever has such a certificate.
    Required(PathBuf),
}

/// How the hub speaks TLS.
#[derive(Debug, Clone)]
pub(crate) struct TlsOptions {
    /// The certificate, and those between it and an authority (PEM).
    pub cert_file: PathBuf,
    /// Its key (PEM).
    pub key_file: PathBuf,
    /// Who may come.
    pub client_auth: ClientAuth,
    /// Whether TLS 1.2 is not spoken.
    pub only_13: bool,
    /// How long a handshake may take.
    pub handshake_timeout: Duration,
    /// How often the files are looked at.
    pub reload_interval: Duration,
}

/// Why there is no TLS connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failed {
    /// It took too long.
    #[error("the handshake took too long")]
    Slow,
    /// The client does not speak TLS, but what looks like HTTP: it can be told so.
    #[error("it is HTTP without TLS")]
    Plain(TcpStream),
    /// It broke, or one side does not want the other.
    #[error(transparent)]
    Broken(#[from] io::Error),
}

/// Shakes hands, by the files as they were when they last made sense.
#[derive(Debug)]
pub(crate) struct Tls {
    options: TlsOptions,
    config: RwLock<Arc<ServerConfig>>,
    metrics: TlsMetrics,
}

impl Tls {
    /// Reads the files. The error names the key and the file that is at fault.
    pub(crate) fn new(options: TlsOptions, metrics: TlsMetrics) -> Result<Self, TlsError> {
        let (config, own) = files::load(&options)?;
        note_end(&metrics, &own);
        Ok(Self { options, config: RwLock::new(Arc::new(config)), metrics })
    }

    /// Shakes hands within the time for that. Gives the connection, and the certificate that the client showed, if it did.
    pub(crate) async fn accept(&self, socket: TcpStream) -> Result<(Stream, Option<Certificate>), Failed> {
        let shaken = timeout(self.options.handshake_timeout, self.shake_hands(socket)).await.unwrap_or(Err(Failed::Slow));
        self.metrics.count(match &shaken {
            Ok(_) => "done",
            Err(Failed::Slow) => "slow",
            Err(Failed::Plain(_)) => "plain",
            Err(Failed::Broken(_)) => "failed",
        });
        shaken
    }

    async fn shake_hands(&self, socket: TcpStream) -> Result<(Stream, Option<Certificate>), Failed> {
        let mut first = [0];
        // A handshake begins with a byte that is no letter, a request with one that is.
        if socket.peek(&mut first).await? == 1 && first[0].is_ascii_alphabetic() {
            return Err(Failed::Plain(socket));
        }
        let acceptor = TlsAcceptor::from(self.config.read().clone());
        let stream = acceptor.accept_with(socket, |session| session.set_buffer_limit(Some(PENDING_BYTES))).await?;
        let (socket, session) = stream.into_inner();
        let shown = session.peer_certificates().and_then(<[CertificateDer<'_>]>::first);
        let certificate = shown.and_then(|der| Certificate::read(der));
        Ok((Stream::secured(socket, session), certificate))
    }

    /// Looks at the files again and again until `stop`. While they make no sense, what was good before is used; that is said once for each state
    /// of them, and they are tried again each time, because a key may come a moment after its certificate.
    pub(crate) async fn run(self: Arc<Self>, stop: CancellationToken) {
        let files = self.options.files();
        let mut stamps = vec![Stamp::default(); files.len()];
        let mut ticks = interval(self.options.reload_interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut said = None;
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = stop.cancelled() => return,
            }
            let changed = stamps.iter_mut().zip(&files).fold(false, |any, (stamp, file)| stamp.changes(file) || any);
            if changed || said.is_some() {
                said = self.reload(changed, said);
            }
        }
    }

    /// Reads the files again. Gives what is wrong with them, if anything is.
    fn reload(&self, changed: bool, said: Option<String>) -> Option<String> {
        match files::load(&self.options) {
            Ok((config, own)) => {
                *self.config.write() = Arc::new(config);
                note_end(&self.metrics, &own);
                self.metrics.reloads.inc();
                tracing::info!(certificate = own.id, "the files of TLS were read; they hold for new connections");
                None
            }
            Err(error) => {
                let text = error.to_string();
                if changed || said.as_ref() != Some(&text) {
                    self.metrics.reload_failures.inc();
                    tracing::error!(%error, "the files of TLS have changed and make no sense: the ones from before stay in use");
                }
                Some(text)
            }
        }
    }
}

impl TlsOptions {
    fn files(&self) -> Vec<PathBuf> {
        let mut files = vec![self.cert_file.clone(), self.key_file.clone()];
        if let ClientAuth::Optional(file) | ClientAuth::Required(file) = &self.client_auth {
            files.push(file.clone());
        }
        files
    }
}

/// Tells when the hub's own certificate ends. One that has ended is shown all the same: without it nobody would be served either.
fn note_end(metrics: &TlsMetrics, own: &Certificate) {
    metrics.expires.set(i64::try_from(own.ends.as_millis() / 1_000).unwrap_or(i64::MAX));
    if own.ends <= Timestamp::now() {
        tracing::error!("the certificate of tls.cert_file has ended: clients that look will not come");
    }
}
