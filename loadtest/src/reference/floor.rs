//! The floor: one thread, each event encoded once, one write(2) per viewer. Nothing is stored, checked, bounded or waited for. Events that
//! have come together are joined into one write. With `in_turn`, each event goes to one viewer only, to one after the other.

use std::{
    io::{BufReader, Write},
    net::TcpListener,
    sync::PoisonError,
};

use super::{accept, announce, next_payload};

pub fn run(in_turn: bool) -> anyhow::Result<()> {
    let (viewers, publishers) = (TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?);
    announce(viewers.local_addr()?, publishers.local_addr()?);
    let sockets = accept(viewers);
    let (publisher, _) = publishers.accept()?;
    let mut publisher = BufReader::with_capacity(256 * 1024, publisher);
    let mut joined = Vec::new();
    let mut turn = 0;
    loop {
        joined.clear();
        if in_turn {
            encode(&next_payload(&mut publisher)?, &mut joined);
            let mut sockets = sockets.lock().unwrap_or_else(PoisonError::into_inner);
            let next = turn % sockets.len().max(1);
            if let Some(socket) = sockets.get_mut(next) {
                let _ = socket.write(&joined);
            }
            turn += 1;
            continue;
        }
        loop {
            encode(&next_payload(&mut publisher)?, &mut joined);
            if publisher.buffer().is_empty() {
                break;
            }
        }
        for socket in sockets.lock().unwrap_or_else(PoisonError::into_inner).iter_mut() {
            // What does not fit is lost, which the viewers notice.
            let _ = socket.write(&joined);
        }
    }
}

/// A server's text frame (RFC 6455 section 5.2).
fn encode(payload: &[u8], out: &mut Vec<u8>) {
    out.push(0x81);
    match u16::try_from(payload.len()) {
        Ok(short) if short < 126 => out.push(short as u8),
        Ok(medium) => {
            out.push(126);
            out.extend_from_slice(&medium.to_be_bytes());
        }
        Err(_) => {
            out.push(127);
            out.extend_from_slice(&(payload.len() as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(payload);
}
