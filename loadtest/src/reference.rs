//! What the hub is compared with: the cheapest way there could be, the way of the tutorials, and the bare databases.

pub mod beats;
pub mod floor;
pub mod postgres;
pub mod sqlite;
pub mod tutorial;
pub mod wire;

use std::{
    io::Write,
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
};

/// Says where a reference listens, as the hub does: for viewers, and for its publisher.
fn announce(viewers: std::net::SocketAddr, publisher: std::net::SocketAddr) {
    println!("listening on http://{viewers}/ and {publisher}");
    let _ = std::io::stdout().flush();
}

/// Sent to each viewer once it is in.
const LIVE: &str = r#"{"op":"live"}"#;

/// The viewers' sockets, as they come; each has been told that it is live.
fn accept(viewers: TcpListener) -> Arc<Mutex<Vec<TcpStream>>> {
    let sockets: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
    let accepted = sockets.clone();
    std::thread::spawn(move || {
        for stream in viewers.incoming().flatten() {
            let Ok(mut socket) = tokio_tungstenite::tungstenite::accept(stream) else { continue };
            let live = socket.send(LIVE.into());
            if let (Ok(()), Ok(stream)) = (live, socket.get_ref().try_clone())
                && stream.set_nodelay(true).is_ok()
                && stream.set_nonblocking(true).is_ok()
            {
                accepted.lock().unwrap_or_else(PoisonError::into_inner).push(stream);
            }
        }
    });
    sockets
}

/// The publisher's connection: the length of each payload in four bytes, then the payload.
fn next_payload(from: &mut impl std::io::Read) -> std::io::Result<Vec<u8>> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let mut payload = vec![0; u32::from_be_bytes(length) as usize];
    from.read_exact(&mut payload)?;
    Ok(payload)
}
