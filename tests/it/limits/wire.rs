//! HTTP spoken by hand, as far as attacks need it.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::harness::{PATIENCE, TestHub};

/// A connection that says what it is told to say.
pub struct Wire(pub TcpStream);

/// What a hub answered: the status, the head, and the body's first bytes.
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub text: String,
}

impl Answer {
    pub fn code(&self) -> Value {
        let document = self.text.find('{').and_then(|start| serde_json::from_str::<Value>(&self.text[start..]).ok());
        document.map_or(Value::Null, |document| document["code"].clone())
    }

    pub fn retry_after(&self) -> Option<u64> {
        let line = self.head.lines().find(|line| line.to_lowercase().starts_with("retry-after:"))?;
        line.split_once(':')?.1.trim().parse().ok()
    }
}

impl Wire {
    pub async fn open(address: SocketAddr) -> Self {
        Self(TcpStream::connect(address).await.expect("a connection"))
    }

    pub async fn say(&mut self, text: &str) -> bool {
        self.0.write_all(text.as_bytes()).await.is_ok()
    }

    /// One answer with a length, or the start of one without.
    pub async fn hear(&mut self) -> Answer {
        let mut text = String::new();
        let reading = async {
            loop {
                let mut buffer = [0; 4_096];
                let count = self.0.read(&mut buffer).await.unwrap_or(0);
                text.push_str(&String::from_utf8_lossy(&buffer[..count]));
                let Some((head, body)) = text.split_once("\r\n\r\n") else {
                    assert_ne!(count, 0, "the connection ended without an answer: {text}");
                    continue;
                };
                let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
                if count == 0 || length.is_none_or(|length: usize| length <= body.len()) {
                    return (head.to_owned(), body.to_owned());
                }
            }
        };
        let (head, text) = timeout(PATIENCE, reading).await.expect("an answer in time");
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).expect("a status");
        Answer { status, head, text }
    }

    pub async fn ask(&mut self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        self.say(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n")).await;
        self.hear().await
    }

    /// Waits until the hub has closed.
    pub async fn ended(mut self) {
        let mut buffer = [0; 4_096];
        while self.0.read(&mut buffer).await.is_ok_and(|count| count != 0) {}
    }
}

/// Asks on a connection of its own.
pub async fn ask(hub: &TestHub, path: &str, headers: &[(&str, &str)]) -> Answer {
    Wire::open(hub.address()).await.ask(path, headers).await
}

/// Asks again and again until it is answered with this status.
pub async fn until(hub: &TestHub, status: u16, path: &str, headers: &[(&str, &str)]) {
    let asking = async { while ask(hub, path, headers).await.status != status {} };
    timeout(PATIENCE, asking).await.expect("in the end it is answered so");
}
