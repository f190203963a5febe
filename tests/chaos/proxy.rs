//! A TCP proxy between one hub and Redis, which can become deaf in one direction while every socket stays open: what a firewall that has
//! lost its state, or a half-broken network card, looks like from both ends.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use anyhow::Result;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, tcp},
    sync::watch,
    task::JoinSet,
    time::timeout,
};

/// How much is read at once.
const BUFFER: usize = 16 << 10;

/// How long connecting to Redis may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Which direction is swallowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// What Redis sends to the hub.
    ToHub,
    /// What the hub sends to Redis.
    FromHub,
}

/// What the proxy does at present. The number grows with each healing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Weather {
    cut: Option<Cut>,
    healings: u64,
}

/// The proxy. It ends when this is dropped.
pub struct Proxy {
    address: SocketAddr,
    weather: watch::Sender<Weather>,
    _accepting: JoinSet<()>,
}

impl Proxy {
    /// Passes everything on to `to`, until told otherwise.
    pub async fn start(to: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, crate::services::free_address()?.port())).await?;
        let address = listener.local_addr()?;
        let weather = watch::Sender::new(Weather { cut: None, healings: 0 });
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, to, weather.subscribe()));
        Ok(Self { address, weather, _accepting: accepting })
    }

    /// Where the hub is to find Redis.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Swallows one direction, of the connections that there are and of those to come. All sockets stay open.
    pub fn cut(&self, cut: Cut) {
        self.weather.send_modify(|weather| weather.cut = Some(cut));
    }

    /// Passes on again. Connections of which something was swallowed are closed: their streams have a hole, and TCP would never give out one.
    pub fn heal(&self) {
        self.weather.send_modify(|weather| *weather = Weather { cut: None, healings: weather.healings + 1 });
    }
}

async fn accept(listener: TcpListener, to: SocketAddr, weather: watch::Receiver<Weather>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((hub, _)) = accepted {
                    connections.spawn(pass_on(hub, to, weather.clone()));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// One connection. If Redis is not there the hub's end is closed at once, as a refusal that comes a little late.
async fn pass_on(hub: TcpStream, to: SocketAddr, weather: watch::Receiver<Weather>) {
    let Ok(Ok(redis)) = timeout(CONNECT_TIMEOUT, TcpStream::connect(to)).await else { return };
    if hub.set_nodelay(true).is_err() || redis.set_nodelay(true).is_err() {
        return;
    }
    let (from_hub, to_hub) = hub.into_split();
    let (from_redis, to_redis) = redis.into_split();
    // Whichever direction ends takes the other one along: both sockets close.
    tokio::select! {
        () = carry(from_hub, to_redis, Cut::FromHub, weather.clone()) => {}
        () = carry(from_redis, to_hub, Cut::ToHub, weather) => {}
    }
}

/// Carries bytes one way until an end closes, or until healing if something was swallowed.
async fn carry(mut from: tcp::OwnedReadHalf, mut to: tcp::OwnedWriteHalf, way: Cut, mut weather: watch::Receiver<Weather>) {
    let mut buffer = vec![0; BUFFER];
    let mut open = true;
    // How often it was healed before something was swallowed.
    let mut hole = None;
    loop {
        tokio::select! {
            read = from.read(&mut buffer), if open => {
                let now = *weather.borrow();
                if hole.is_some() || now.cut == Some(way) {
                    hole.get_or_insert(now.healings);
                    // While deaf, not even the end of the connection is seen on the other side.
                    open = matches!(read, Ok(length) if length != 0);
                    continue;
                }
                match read {
                    Ok(0) | Err(_) => return,
                    Ok(length) => if to.write_all(&buffer[..length]).await.is_err() { return },
                }
            }
            changed = weather.changed() => {
                if changed.is_err() || hole.is_some_and(|healings| weather.borrow().healings != healings) {
                    return;
                }
            }
        }
    }
}
