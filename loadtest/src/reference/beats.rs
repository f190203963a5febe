//! The least that idle viewers can cost who are to be heard of: one thread, a message and a ping in one write(2) for each viewer every 25
//! seconds, many together twice a second, and one read(2) for what each answers. No timers, no bookkeeping, no notice of who is ready.

use std::{
    io::{ErrorKind, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Mutex, PoisonError},
    thread::sleep,
    time::Duration,
};

use super::{accept, announce};

/// How often there is a round, and in how many rounds everyone had a turn: as the hub has it.
const ROUND: Duration = Duration::from_millis(500);
const ROUNDS: usize = 50;

/// A heartbeat like the hub's, and a ping without content (RFC 6455 section 5.5.2).
const BEAT: &[u8] = b"\x81\x42{\"op\":\"heartbeat\",\"timestamp\":1764000000123,\"heads\":{\"load\":100}}\x89\x00";

/// Answers are there by then.
const ANSWERED: Duration = Duration::from_millis(100);

pub fn run() -> anyhow::Result<()> {
    let (viewers, publishers) = (TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?);
    announce(viewers.local_addr()?, publishers.local_addr()?);
    let sockets = accept(viewers);
    let mut buffer = [0; 1_024];
    for round in (0..ROUNDS).cycle() {
        sleep(ROUND - ANSWERED);
        each(&sockets, round, |socket| socket.write(BEAT).map(drop))?;
        sleep(ANSWERED);
        each(&sockets, round, |socket| socket.read(&mut buffer).map(drop))?;
    }
    Ok(())
}

/// Does this with each socket of the round.
fn each(
    sockets: &Mutex<Vec<TcpStream>>,
    round: usize,
    mut what: impl FnMut(&mut TcpStream) -> std::io::Result<()>,
) -> std::io::Result<()> {
    let mut sockets = sockets.lock().unwrap_or_else(PoisonError::into_inner);
    for socket in sockets.iter_mut().skip(round).step_by(ROUNDS) {
        match what(socket) {
            Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
            _ => {}
        }
    }
    Ok(())
}
