//! The way of the tutorials: a task for each viewer on the multi-thread runtime, a broadcast channel, tokio-tungstenite as it comes.

use std::io::BufReader;

use futures_util::{SinkExt, StreamExt};
use tokio::{net::TcpListener, sync::broadcast};
use tokio_tungstenite::{accept_async, tungstenite::Message};

use super::{LIVE, announce, next_payload};

/// How far a viewer may be behind before it loses events.
const CAPACITY: usize = 4_096;

pub async fn run() -> anyhow::Result<()> {
    let viewers = TcpListener::bind("127.0.0.1:0").await?;
    let publishers = std::net::TcpListener::bind("127.0.0.1:0")?;
    announce(viewers.local_addr()?, publishers.local_addr()?);
    let (events, _) = broadcast::channel::<String>(CAPACITY);
    let sender = events.clone();
    std::thread::spawn(move || {
        let (publisher, _) = publishers.accept()?;
        let mut publisher = BufReader::new(publisher);
        loop {
            let payload = next_payload(&mut publisher)?;
            // Without viewers nobody needs it.
            let _ = sender.send(String::from_utf8(payload)?);
        }
        #[expect(unreachable_code, reason = "names the type of the errors above")]
        anyhow::Ok(())
    });
    loop {
        let (stream, _) = viewers.accept().await?;
        let mut events = events.subscribe();
        #[expect(clippy::disallowed_methods, reason = "the way of the tutorials is what is measured")]
        tokio::spawn(async move {
            stream.set_nodelay(true)?;
            let (mut sink, mut source) = accept_async(stream).await?.split();
            sink.send(Message::text(LIVE)).await?;
            loop {
                tokio::select! {
                    event = events.recv() => sink.send(Message::text(event?)).await?,
                    message = source.next() => match message {
                        Some(message) => drop(message?),
                        None => return anyhow::Ok(()),
                    },
                }
            }
        });
    }
}
