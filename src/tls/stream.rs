//! A connection, plain or by TLS, that can move from one runtime to another as it is. The plain one costs no more than its socket: what is asked of it
//! goes straight there.
//!
//! The TLS one keeps what it has encrypted and the socket did not take, up to [`PENDING_BYTES`](super::PENDING_BYTES). To whoever writes, that counts as written: so ask
//! [`Stream::is_behind`] before you sleep, and [`Stream::poll_drain`] when you wake. The TLS library of tokio cannot be taken apart and put together again around
//! the same socket at another runtime, so its stream is used for the handshake only.

use std::{
    io::{self, BufRead, IoSlice, Read, Write},
    net,
    pin::Pin,
    task::{Context, Poll, ready},
};

use rustls::ServerConnection;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// A connection of either kind.
#[derive(Debug)]
pub(crate) enum Stream {
    /// Bytes go as they are.
    Plain(TcpStream),
    /// Bytes go encrypted.
    Tls(Box<Secured>),
}

/// A connection by TLS whose handshake is done.
#[derive(Debug)]
pub(crate) struct Secured {
    socket: TcpStream,
    session: ServerConnection,
    /// Our side has said that nothing more comes.
    closed: bool,
}

/// A connection between two runtimes.
#[derive(Debug)]
pub(crate) struct Parked {
    socket: net::TcpStream,
    session: Option<(ServerConnection, bool)>,
}

impl Parked {
    /// Goes on at the runtime that this is called in.
    pub(crate) fn settle(self) -> io::Result<Stream> {
        let socket = TcpStream::from_std(self.socket)?;
        Ok(match self.session {
            None => Stream::Plain(socket),
            Some((session, closed)) => Stream::Tls(Box::new(Secured { socket, session, closed })),
        })
    }
}

impl Stream {
    /// A connection whose handshake is done.
    pub(super) fn secured(socket: TcpStream, session: ServerConnection) -> Self {
        Self::Tls(Box::new(Secured { socket, session, closed: false }))
    }

    /// Leaves this runtime. Nothing that was read or written is lost.
    pub(crate) fn park(self) -> io::Result<Parked> {
        Ok(match self {
            Self::Plain(socket) => Parked { socket: socket.into_std()?, session: None },
            Self::Tls(secured) => {
                let Secured { socket, session, closed } = *secured;
                Parked { socket: socket.into_std()?, session: Some((session, closed)) }
            }
        })
    }

    /// Whether the socket has not taken yet all that counts as written.
    #[inline]
    pub(crate) fn is_behind(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(secured) => secured.session.wants_write(),
        }
    }

    /// Gives the socket what it has not taken yet; pending if it takes none of it. If it takes a part, the task is woken for the rest.
    pub(crate) fn poll_drain(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(_) => Poll::Ready(Ok(())),
            Self::Tls(secured) => secured.poll_drain(context),
        }
    }
}

impl Secured {
    fn poll_drain(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut any = !self.session.wants_write();
        while self.session.wants_write() {
            match self.session.write_tls(&mut Blocking { socket: &mut self.socket, context }) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(_) => any = true,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        if any { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    /// Ready once the socket has taken all.
    fn poll_clear(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(context))?;
        // The socket was asked until it took no more: the task is woken when it does.
        if self.session.wants_write() { Poll::Pending } else { Poll::Ready(Ok(())) }
    }

    /// Has `write` give plain bytes, and the socket as much of what they become as it takes.
    fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        write: impl FnOnce(&mut rustls::Writer<'_>) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        // There is room for more once all that was before is gone: so a full socket is felt at once.
        ready!(self.poll_clear(context))?;
        let written = write(&mut self.session.writer())?;
        // Pending is no news to the writer, for whom this is written.
        if let Poll::Ready(Err(error)) = self.poll_drain(context) {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(written))
    }

    fn poll_read(&mut self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            let mut reader = self.session.reader();
            match reader.fill_buf() {
                Ok(bytes) => {
                    let count = bytes.len().min(buffer.remaining());
                    buffer.put_slice(&bytes[..count]);
                    reader.consume(count);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // A connection that ends without a goodbye may have been cut by anybody.
                Err(error) => return Poll::Ready(Err(error)),
            }
            match self.session.read_tls(&mut Blocking { socket: &mut self.socket, context }) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
                Err(error) => return Poll::Ready(Err(error)),
            }
            if let Err(error) = self.session.process_new_packets() {
                // The other side gets to read why, if the socket takes it.
                let _ = self.poll_drain(context);
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, error)));
            }
        }
    }

    fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.closed {
            self.closed = true;
            self.session.send_close_notify();
        }
        ready!(self.poll_clear(context))?;
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

/// A socket as the TLS library wants it: one that would block says so.
struct Blocking<'a, 'b> {
    socket: &'a mut TcpStream,
    context: &'a mut Context<'b>,
}

fn now<T>(polled: Poll<io::Result<T>>) -> io::Result<T> {
    match polled {
        Poll::Ready(result) => result,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}

impl Read for Blocking<'_, '_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let mut buffer = ReadBuf::new(bytes);
        now(Pin::new(&mut *self.socket).poll_read(self.context, &mut buffer))?;
        Ok(buffer.filled().len())
    }
}

impl Write for Blocking<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        now(Pin::new(&mut *self.socket).poll_write(self.context, bytes))
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        now(Pin::new(&mut *self.socket).poll_write_vectored(self.context, slices))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsyncRead for Stream {
    #[inline]
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_read(context, buffer),
            Self::Tls(secured) => secured.poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    #[inline]
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_write(context, bytes),
            Self::Tls(secured) => secured.poll_write(context, |writer| writer.write(bytes)),
        }
    }

    #[inline]
    fn poll_write_vectored(self: Pin<&mut Self>, context: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_write_vectored(context, slices),
            Self::Tls(secured) => secured.poll_write(context, |writer| writer.write_vectored(slices)),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    #[inline]
    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_flush(context),
            Self::Tls(secured) => secured.poll_clear(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_shutdown(context),
            Self::Tls(secured) => secured.poll_shutdown(context),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, sync::Arc};

    use rcgen::{CertificateParams, KeyPair};
    use rustls::{
        ClientConfig, RootCertStore, ServerConfig,
        crypto::aws_lc_rs,
        pki_types::{PrivateKeyDer, ServerName},
    };
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };
    use tokio_rustls::{TlsAcceptor, TlsConnector, client};

    use super::{super::PENDING_BYTES, *};

    /// Both ends of a connection whose handshake is done.
    async fn secured() -> (Stream, client::TlsStream<TcpStream>) {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(["localhost".to_owned()]).expect("a name");
        let certificate = params.self_signed(&key).expect("a certificate").der().clone();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let server = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        let server = server.expect("versions").with_no_client_auth().with_single_cert(vec![certificate.clone()], key);
        let mut roots = RootCertStore::empty();
        roots.add(certificate).expect("a certificate");
        let client = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let client = client.expect("versions").with_root_certificates(roots).with_no_client_auth();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let name = ServerName::try_from("localhost").expect("a name");
        let (theirs, ours) = tokio::join!(
            async {
                let socket = TcpStream::connect(address).await.expect("connected");
                TlsConnector::from(Arc::new(client)).connect(name, socket).await.expect("a handshake")
            },
            async {
                let (socket, _) = listener.accept().await.expect("accepted");
                let acceptor = TlsAcceptor::from(Arc::new(server.expect("a pair")));
                acceptor.accept_with(socket, |session| session.set_buffer_limit(Some(PENDING_BYTES))).await.expect("a handshake")
            }
        );
        let (socket, session) = ours.into_inner();
        (Stream::secured(socket, session), theirs)
    }

    /// Writes until the socket takes no more; gives what was taken.
    async fn fill(stream: &mut Stream, from: u8) -> Vec<u8> {
        let mut taken = Vec::new();
        poll_fn(|context| {
            loop {
                let bytes: Vec<u8> = (from..=u8::MAX).cycle().skip(taken.len() % 251).take(1 << 20).collect();
                let slices = [IoSlice::new(&bytes[..100]), IoSlice::new(&bytes[100..])];
                match Pin::new(&mut *stream).poll_write_vectored(context, &slices) {
                    Poll::Ready(count) => {
                        let count = count.expect("open");
                        assert!((1..=PENDING_BYTES).contains(&count), "{count} at once");
                        taken.extend_from_slice(&bytes[..count]);
                    }
                    Poll::Pending => return Poll::Ready(()),
                }
            }
        })
        .await;
        assert!(stream.is_behind());
        taken
    }

    #[tokio::test]
    async fn what_was_taken_arrives_in_order_though_it_moved_to_another_runtime_while_it_was_behind() {
        let (mut ours, mut theirs) = secured().await;
        theirs.write_all(b"early").await.expect("open");
        let mut first = [0; 2];
        ours.read_exact(&mut first).await.expect("open");
        let mut expected = fill(&mut ours, 0).await;
        let parked = ours.park().expect("a socket");
        let elsewhere = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let mut ours = parked.settle().expect("a socket");
                let mut rest = [0; 3];
                ours.read_exact(&mut rest).await.expect("what was read already is there still");
                while ours.is_behind() {
                    poll_fn(|context| ours.poll_drain(context)).await.expect("open");
                }
                ours.write_all(b"and more").await.expect("open");
                ours.shutdown().await.expect("open");
                rest
            })
        });
        let mut got = Vec::new();
        theirs.read_to_end(&mut got).await.expect("it ends with a goodbye");
        expected.extend_from_slice(b"and more");
        assert!(got == expected, "{} of {} bytes", got.len(), expected.len());
        assert_eq!((&first, &elsewhere.join().expect("it ends")), (b"ea", b"rly"));
    }

    #[tokio::test]
    async fn an_end_with_a_goodbye_is_an_end_and_one_without_is_an_error() {
        for says_goodbye in [true, false] {
            let (mut ours, mut theirs) = secured().await;
            if says_goodbye {
                theirs.shutdown().await.expect("open");
            }
            drop(theirs);
            let read = ours.read(&mut [0; 8]).await;
            assert_eq!(read.is_ok_and(|count| count == 0), says_goodbye);
        }
    }
}
