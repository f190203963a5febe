//! A TCP proxy that does to the bytes what networks do: it swallows a direction while every socket stays open (a firewall that has lost its
//! state, a half-broken network card), forgets one end, resets, drops connections by chance, delays, and narrows.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::Result;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, tcp},
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};

/// How much is read at once.
const BUFFER: usize = 16 << 10;

/// How long connecting to the server may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Which direction is swallowed, as seen by the hub that is the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// What the server sends to the client.
    ToHub,
    /// What the client sends to the server.
    FromHub,
}

/// What is done to the bytes.
#[allow(dead_code, reason = "tests/it shares this file")]
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Weather {
    /// They are passed on.
    Fair,
    /// One direction is swallowed; all sockets stay open.
    Cut(Cut),
    /// The server's end is closed, and the client is not told: its socket stays open, and nothing comes of it.
    HalfOpen,
    /// Each read may be the last of its connection, with this probability: what loss comes to when TCP has given up.
    Loss(f64),
    /// Each read waits for so long.
    Delay(Duration),
    /// So many bytes a second in each direction of each connection.
    Narrow(u32),
}

/// The weather, how often it was healed, and how often everything was reset.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Sky {
    to: SocketAddr,
    weather: Weather,
    healings: u64,
    resets: u64,
}

/// The proxy. It ends when this is dropped.
pub struct Proxy {
    address: SocketAddr,
    sky: watch::Sender<Sky>,
    touched: Arc<AtomicU64>,
    _accepting: JoinSet<()>,
}

impl Proxy {
    /// Passes everything on to `to`, until told otherwise.
    pub async fn start(to: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, crate::services::free_address()?.port())).await?;
        let address = listener.local_addr()?;
        let sky = watch::Sender::new(Sky { to, weather: Weather::Fair, healings: 0, resets: 0 });
        let (touched, mut accepting) = (Arc::<AtomicU64>::default(), JoinSet::new());
        accepting.spawn(accept(listener, Line { sky: sky.subscribe(), touched: touched.clone() }));
        Ok(Self { address, sky, touched, _accepting: accepting })
    }

    /// Where the client is to find the server.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Swallows one direction, of the connections that there are and of those to come.
    #[allow(dead_code, reason = "the storm says what it wants by its name")]
    pub fn cut(&self, cut: Cut) {
        self.set(Weather::Cut(cut));
    }

    /// From now on this is done, to the connections that there are and to those to come.
    pub fn set(&self, weather: Weather) {
        self.sky.send_modify(|sky| sky.weather = weather);
    }

    /// Resets every connection that there is: RST on both sides.
    #[allow(dead_code, reason = "tests/it shares this file")]
    pub fn reset(&self) {
        self.sky.send_modify(|sky| sky.resets += 1);
    }

    /// From now on the server is there; connections to the one before are reset.
    #[allow(dead_code, reason = "tests/it shares this file")]
    pub fn aim(&self, to: SocketAddr) {
        self.sky.send_modify(|sky| *sky = Sky { to, resets: sky.resets + 1, ..*sky });
    }

    /// Passes on again. Connections of which something was swallowed are closed: their streams have a hole, and TCP would never give out one.
    pub fn heal(&self) {
        self.sky.send_modify(|sky| *sky = Sky { weather: Weather::Fair, healings: sky.healings + 1, ..*sky });
    }

    /// To how many reads or connections something was done, ever.
    #[allow(dead_code, reason = "tests/it shares this file")]
    pub fn touched(&self) -> u64 {
        self.touched.load(Ordering::Relaxed)
    }
}

/// What each connection needs to know.
#[derive(Clone)]
struct Line {
    sky: watch::Receiver<Sky>,
    touched: Arc<AtomicU64>,
}

impl Line {
    fn touch(&self) {
        self.touched.fetch_add(1, Ordering::Relaxed);
    }
}

async fn accept(listener: TcpListener, line: Line) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((client, _)) = accepted {
                    connections.spawn(pass_on(client, line.clone()));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// How a connection came to its end.
enum End {
    /// An end closed it, or it had a hole.
    Closed,
    /// Both ends are to get an RST.
    Reset,
    /// The server's end goes, the client's stays.
    Forgotten,
}

/// One connection. If the server is not there the client's end is closed at once, as a refusal that comes a little late.
async fn pass_on(mut client: TcpStream, mut line: Line) {
    let to = line.sky.borrow().to;
    let Ok(Ok(mut server)) = timeout(CONNECT_TIMEOUT, TcpStream::connect(to)).await else { return };
    if client.set_nodelay(true).is_err() || server.set_nodelay(true).is_err() {
        return;
    }
    let end = {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        // Whichever direction ends takes the other one along: both sockets close.
        tokio::select! {
            () = carry(from_client, to_server, Cut::FromHub, line.clone()) => End::Closed,
            () = carry(from_server, to_client, Cut::ToHub, line.clone()) => End::Closed,
            end = struck(line.clone()) => end,
        }
    };
    match end {
        End::Closed => {}
        End::Reset => {
            line.touch();
            // Closing them is what sends it; that they are gone already is as well.
            let _ = (client.set_zero_linger(), server.set_zero_linger());
        }
        End::Forgotten => {
            line.touch();
            drop(server);
            let healings = line.sky.borrow().healings;
            // What the client says meanwhile goes nowhere; it fills the kernel's buffer, as if packets got no answer.
            let _ = line.sky.wait_for(|sky| sky.healings != healings).await;
        }
    }
}

/// Waits until something ends the connection from here.
async fn struck(mut line: Line) -> End {
    let resets = line.sky.borrow().resets;
    match line.sky.wait_for(|sky| sky.resets != resets || sky.weather == Weather::HalfOpen).await {
        Ok(sky) if sky.resets == resets => End::Forgotten,
        _ => End::Reset,
    }
}

/// Carries bytes one way until an end closes, or until healing if something was swallowed.
async fn carry(mut from: tcp::ReadHalf<'_>, mut to: tcp::WriteHalf<'_>, way: Cut, mut line: Line) {
    let mut buffer = vec![0; BUFFER];
    let mut open = true;
    // How often it was healed before something was swallowed.
    let mut hole = None;
    loop {
        tokio::select! {
            read = from.read(&mut buffer), if open => {
                let now = *line.sky.borrow();
                if hole.is_some() || now.weather == Weather::Cut(way) {
                    hole.get_or_insert(now.healings);
                    line.touch();
                    // While deaf, not even the end of the connection is seen on the other side.
                    open = matches!(read, Ok(length) if length != 0);
                    continue;
                }
                let length = match read {
                    Ok(0) | Err(_) => return,
                    Ok(length) => length,
                };
                let wait = match now.weather {
                    Weather::Loss(probability) if rand::random_bool(probability) => {
                        line.touch();
                        return;
                    }
                    Weather::Delay(wait) => Some(wait),
                    Weather::Narrow(rate) => Some(Duration::from_secs_f64(length as f64 / f64::from(rate))),
                    Weather::Fair | Weather::Cut(_) | Weather::HalfOpen | Weather::Loss(_) => None,
                };
                if let Some(wait) = wait {
                    line.touch();
                    sleep(wait).await;
                }
                if to.write_all(&buffer[..length]).await.is_err() {
                    return;
                }
            }
            changed = line.sky.changed() => {
                if changed.is_err() || hole.is_some_and(|healings| line.sky.borrow().healings != healings) {
                    return;
                }
            }
        }
    }
}
