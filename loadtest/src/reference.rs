//! What the hub is compared with: the cheapest way there could be, the way of the tutorials, and the bare databases.

pub mod beats;
pub mod floor;
pub mod postgres;
pub mod sqlite;
pub mod tutorial;
pub mod wire;

use std::io::Write;

/// Says where a reference listens, as the hub does: for viewers, and for its publisher.
fn announce(viewers: std::net::SocketAddr, publisher: std::net::SocketAddr) {
    println!("listening on http://{viewers}/ and {publisher}");
    let _ = std::io::stdout().flush();
}

/// Sent to each viewer once it is in.
const LIVE: &str = r#"{"op":"live"}"#;

/// The publisher's connection: the length of each payload in four bytes, then the payload.
fn next_payload(from: &mut impl std::io::Read) -> std::io::Result<Vec<u8>> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let mut payload = vec![0; u32::from_be_bytes(length) as usize];
    from.read_exact(&mut payload)?;
    Ok(payload)
}
