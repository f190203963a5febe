//! HTTP/1.1 as cheap as it can be, so that the load costs little beside what it loads: one connection, one request at a time.

use std::time::Duration;

use anyhow::{Context, ensure};
use memchr::memmem;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection to a hub.
pub struct Connection {
    stream: TcpStream,
    address: String,
    /// What is sent, then what is read.
    buffer: Vec<u8>,
}

impl Connection {
    pub async fn open(address: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, address: address.to_owned(), buffer: Vec::new() })
    }

    /// Publishes to a task; gives the answer, which must be a success without any refusal or duplicate.
    pub async fn publish(&mut self, task: &str, body: &[u8]) -> anyhow::Result<()> {
        let head = format!(
            "POST /v1/tasks/{task}/activities HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n\r\n",
            self.address,
            body.len()
        );
        self.buffer.clear();
        self.buffer.extend_from_slice(head.as_bytes());
        self.buffer.extend_from_slice(body);
        self.stream.write_all(&self.buffer).await?;
        let answer = timeout(PATIENCE, self.answer()).await.context("the hub does not answer")??;
        ensure!(memmem::find(answer, b"\"error\"").is_none(), "refused: {}", String::from_utf8_lossy(answer));
        ensure!(memmem::find(answer, b"\"duplicate\":true").is_none(), "an activity was stored before");
        Ok(())
    }

    /// The body of the next answer.
    async fn answer(&mut self) -> anyhow::Result<&[u8]> {
        self.buffer.clear();
        let (head, length) = loop {
            if let Some(end) = memmem::find(&self.buffer, b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&self.buffer[..end]).to_ascii_lowercase();
                ensure!(head.starts_with("http/1.1 2"), "the hub answered {}", head.lines().next().unwrap_or_default());
                let length = head.lines().find_map(|line| line.strip_prefix("content-length:")).context("no content-length")?;
                break (end + 4, length.trim().parse::<usize>()?);
            }
            self.read().await?;
        };
        while self.buffer.len() < head + length {
            self.read().await?;
        }
        Ok(&self.buffer[head..head + length])
    }

    async fn read(&mut self) -> anyhow::Result<()> {
        self.buffer.reserve(16 * 1024);
        let count = self.stream.read_buf(&mut self.buffer).await?;
        ensure!(count != 0, "the hub closed a publisher's connection");
        Ok(())
    }
}
