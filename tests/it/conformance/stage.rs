//! Where a scenario plays: a hub in this process, or one of its own that can be killed; and a road to it that can be cut.

use std::net::{Ipv4Addr, SocketAddr};

use rustix::process::{Pid, Signal, kill_process};
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};
use tempfile::TempDir;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

use crate::harness::{HubProcess, TestHub};

/// A hub with its folder.
pub enum Stage {
    /// In this process.
    Here(Box<TestHub>),
    /// A process of its own; none while it is stopped.
    Process { hub: Option<HubProcess>, address: SocketAddr, folder: TempDir },
}

impl Stage {
    pub fn process() -> Self {
        let folder = TempDir::new().expect("a folder");
        let hub = HubProcess::start(&folder.path().join("log.db"), "127.0.0.1:0");
        Self::Process { address: hub.address(), hub: Some(hub), folder }
    }

    pub fn address(&self) -> SocketAddr {
        match self {
            Self::Here(hub) => hub.address(),
            Self::Process { address, .. } => *address,
        }
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        let Self::Process { hub, .. } = self else { panic!("only a process can be killed") };
        hub.take().expect("it runs").kill();
    }

    /// SIGTERM, and waits for the end.
    pub fn stop(&mut self) {
        let Self::Process { hub, .. } = self else { panic!("only a process can be stopped") };
        let hub = hub.take().expect("it runs");
        let pid = Pid::from_raw(hub.pid().try_into().expect("small")).expect("it runs");
        kill_process(pid, Signal::TERM).expect("it runs");
        hub.wait();
    }

    /// The same again, at the same port.
    pub fn start(&mut self) {
        let Self::Process { hub, address, folder } = self else { panic!("only a process can be started again") };
        *hub = Some(HubProcess::start(&folder.path().join("log.db"), &address.to_string()));
    }

    /// Raises every task's floor, while the hub is stopped.
    pub async fn trim(&self, floor: i64) {
        let Self::Process { hub: None, folder, .. } = self else { panic!("only what is stopped can be trimmed") };
        let options = SqliteConnectOptions::new().filename(folder.path().join("log.db"));
        let mut store = SqliteConnection::connect_with(&options).await.expect("a connection");
        for statement in ["DELETE FROM activities WHERE \"offset\" < ?", "UPDATE tasks SET floor = ?"] {
            sqlx::query(statement).bind(floor).execute(&mut store).await.expect("it is done");
        }
        store.close().await.expect("it is written");
    }
}

/// A TCP proxy whose connections can be cut without a word.
pub struct Road {
    pub address: SocketAddr,
    open: watch::Sender<bool>,
    _accepting: JoinSet<()>,
}

impl Road {
    pub async fn to(hub: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let open = watch::Sender::new(true);
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, hub, open.subscribe()));
        Self { address, open, _accepting: accepting }
    }

    /// Ends every connection, and takes no new ones; or takes them again.
    pub fn set_open(&self, open: bool) {
        self.open.send_replace(open);
    }
}

async fn accept(listener: TcpListener, hub: SocketAddr, open: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    while let Ok((mut near, _)) = listener.accept().await {
        let mut open = open.clone();
        connections.spawn(async move {
            let Ok(mut far) = TcpStream::connect(hub).await else { return };
            tokio::select! {
                _ = copy_bidirectional(&mut near, &mut far) => {}
                _ = open.wait_for(|open| !open) => {}
            }
        });
    }
}
