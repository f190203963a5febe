//! Tells the service manager how the hub stands (sd_notify(3)): systemd starts what waits for the hub once it is ready, and no sooner.

use std::{
    env,
    ffi::OsStr,
    io,
    os::unix::{
        ffi::OsStrExt,
        net::{SocketAddr, UnixDatagram},
    },
};

/// Where the manager listens; not there if it does not want to know.
const SOCKET: &str = "NOTIFY_SOCKET";

/// The hub serves.
pub(crate) const READY: &str = "READY=1";

/// The hub has begun to stop.
pub(crate) const STOPPING: &str = "STOPPING=1";

/// Says so to whoever started us, if they asked for it. Never waits.
pub(crate) fn tell(state: &str) {
    let Some(socket) = env::var_os(SOCKET).filter(|socket| !socket.is_empty()) else { return };
    if let Err(error) = send(&socket, state) {
        tracing::warn!(%error, state, "the service manager cannot be told");
    }
}

fn send(socket: &OsStr, state: &str) -> io::Result<()> {
    let sender = UnixDatagram::unbound()?;
    sender.set_nonblocking(true)?;
    sender.send_to_addr(state.as_bytes(), &address(socket)?).map(drop)
}

/// A path, or with @ in front a name that is in no file system.
fn address(socket: &OsStr) -> io::Result<SocketAddr> {
    match socket.as_bytes().strip_prefix(b"@") {
        #[cfg(target_os = "linux")]
        Some(name) => <SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(name),
        _ => SocketAddr::from_pathname(socket),
    }
}
