//! One address in front of all hubs, as a load balancer: each connection goes to a random one, and is cut after a while.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use anyhow::Result;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};

use crate::run::Run;

/// How long a connection lasts: about 15 s.
const LASTS: std::ops::Range<Duration> = Duration::from_secs(8)..Duration::from_secs(22);

/// How long connecting to a hub may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// The load balancer. It ends when this is dropped.
pub struct Front {
    address: SocketAddr,
    _accepting: JoinSet<()>,
}

impl Front {
    /// In front of whichever nodes are listed at the time.
    pub async fn start(run: Arc<Run>) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, crate::services::free_address()?.port())).await?;
        let address = listener.local_addr()?;
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, run));
        Ok(Self { address, _accepting: accepting })
    }

    /// Where clients are to go.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn accept(listener: TcpListener, run: Arc<Run>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((client, _)) = accepted {
                    connections.spawn(pass_on(client, run.nodes.any()));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn pass_on(mut client: TcpStream, hub: SocketAddr) {
    let Ok(Ok(mut hub)) = timeout(CONNECT_TIMEOUT, TcpStream::connect(hub)).await else { return };
    let lasts = rand::random_range(LASTS);
    // However it ends, both sockets close.
    let _ = timeout(lasts, copy_bidirectional(&mut client, &mut hub)).await;
}
