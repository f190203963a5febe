//! Everybody else in a soak: those who ask for what is not there, or wrongly, or stop in the middle of a request; viewers that do not read; people who list and
//! search; and the receiver of webhooks.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, ensure};
use futures_util::SinkExt;
use reqwest::Method;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_tungstenite::{connect_async, tungstenite::Message};

use super::field::{Field, count};
use crate::{api::Api, request::Connection};

/// How often somebody asks wrongly, and how often somebody lists and searches.
const WRONG_EVERY: Duration = Duration::from_millis(200);
const ASKING_EVERY: Duration = Duration::from_millis(200);

/// The task that viewers who do not read follow: what it has must be more than the kernel keeps for them.
const FAT: &str = "fat";
const FAT_ACTIVITIES: usize = 1_000;
const FAT_BYTES: usize = 12 << 10;
const FAT_BATCH: usize = 50;

/// How long a viewer does not read, which is longer than the hub waits for it.
const NOT_READING: Duration = Duration::from_secs(15);

/// The receive buffer of such a viewer; the kernel doubles it.
const SMALL_BUFFER: u32 = 8 * 1024;

/// What is asked wrongly: the path, the body, and the status that is right.
const WRONG: [(&str, &str, &str, u16); 12] = [
    ("POST", "/v1/tasks/bad/activities", "{", 400),
    ("POST", "/v1/tasks/bad/activities", r#"{"invocationId":"r","type":"nothing"}"#, 400),
    ("POST", "/v1/tasks/bad/activities", r#"{"invocationId":"r","type":"message","data":{"text":"\ud800"},"more":1}"#, 400),
    ("POST", "/v1/tasks/no%20name/activities", "{}", 400),
    ("GET", "/v1/tasks/not-there", "", 404),
    ("GET", "/v1/tasks/not-there/activities", "", 404),
    ("GET", "/v1/tasks?limit=none", "", 400),
    ("GET", "/v1/tasks?page=x", "", 400),
    ("GET", "/v1/nowhere", "", 404),
    ("GET", "/v1/tasks/fat/activities?after=nonsense", "", 400),
    ("DELETE", "/v1/tasks/not-there", "", 404),
    ("PATCH", "/v1/tasks/fat", "[]", 400),
];

/// Asks wrongly, again and again: the answer is a refusal, or a result with one.
pub async fn ask_wrongly(field: Arc<Field>) -> anyhow::Result<()> {
    for number in 0.. {
        if field.over() {
            return Ok(());
        }
        let (method, path, body, right) = WRONG[number % WRONG.len()];
        let (status, answer) = Api::of(field.hub()).ask(Method::from_bytes(method.as_bytes())?, path, body).await?;
        ensure!(status == right, "{method} {path} {body}: {status} {answer}");
        count(&field.counts.refused, 1);
        if number % 5 == 0 {
            leave_in_the_middle(field.hub(), number).await?;
        }
        if number % 7 == 0 {
            speak_wrongly(field.hub()).await?;
        }
        field.pause(WRONG_EVERY).await;
    }
    Ok(())
}

/// A request that ends in its head, in its body, or before the answer.
async fn leave_in_the_middle(hub: &str, number: usize) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect(hub).await?;
    let parts = [
        "GET /v1/tasks HTTP/1.1\r\nHo".to_owned(),
        "POST /v1/tasks/bad/activities HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n{\"invocationId\":".to_owned(),
        format!("GET /v1/tasks/{FAT}/activities?limit=1000 HTTP/1.1\r\nHost: h\r\n\r\n"),
        format!("GET /v1/tasks/{FAT}/stream?after=start HTTP/1.1\r\nHost: h\r\n\r\n"),
    ];
    stream.write_all(parts[number / 5 % parts.len()].as_bytes()).await?;
    sleep(Duration::from_millis(20)).await;
    Ok(())
}

/// A session that says what nobody may say.
async fn speak_wrongly(hub: &str) -> anyhow::Result<()> {
    let (mut socket, _) = connect_async(format!("ws://{hub}/v1/ws")).await?;
    for words in
        [r#"{"op":"subscribe","task":"no name"}"#, r#"{"op":"unsubscribe","task":"never-followed"}"#, "{", r#"{"op":"nothing"}"#]
    {
        // The hub may have closed it by now, as it should.
        if socket.send(Message::text(words)).await.is_err() {
            break;
        }
    }
    sleep(Duration::from_millis(20)).await;
    Ok(())
}

/// Fills the task that is too much for viewers who do not read.
pub async fn fatten(field: &Field) -> anyhow::Result<()> {
    let mut connection = Connection::open(field.hub()).await?;
    let text = "x".repeat(FAT_BYTES);
    let activity = format!(r#"{{"invocationId":"r","type":"message","data":{{"text":"{text}"}}}}"#);
    for _ in 0..FAT_ACTIVITIES / FAT_BATCH {
        connection.publish(FAT, vec![activity.as_str(); FAT_BATCH].join("\n").as_bytes()).await?;
    }
    connection.publish(FAT, br#"{"invocationId":"r","type":"status","data":{"status":"completed"}}"#).await?;
    Api::of(field.hub()).patch(&format!("/v1/tasks/{FAT}"), r#"{"labels":{"kept":"yes"}}"#).await
}

/// Viewers that do not read, one after the other: the hub must close them.
pub async fn not_read(field: Arc<Field>) -> anyhow::Result<()> {
    while !field.over() {
        let hub = field.hub().to_owned();
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(SMALL_BUFFER)?;
        let stream = socket.connect(hub.parse()?).await?;
        let (mut socket, _) = tokio_tungstenite::client_async(format!("ws://{hub}/v1/ws"), stream).await?;
        socket.send(Message::text(json!({"op": "subscribe", "task": FAT, "after": "start"}).to_string())).await?;
        field.pause(NOT_READING).await;
        if field.over() {
            return Ok(());
        }
        // What the kernel kept is still there; behind it is the end, long before the log's.
        let mut stream = socket.into_inner();
        let (mut read, mut buffer) = (0, vec![0; 1 << 16]);
        let rest = async {
            while let Ok(count @ 1..) = stream.read(&mut buffer).await {
                read += count;
            }
        };
        timeout(NOT_READING, rest).await.context("a viewer that did not read was not closed")?;
        ensure!(read < FAT_ACTIVITIES * FAT_BYTES, "a viewer that did not read got all of it");
        count(&field.counts.closed, 1);
    }
    Ok(())
}

/// Lists, looks, searches.
pub async fn look_around(field: Arc<Field>) -> anyhow::Result<()> {
    for number in 0_u64.. {
        if field.over() {
            return Ok(());
        }
        let api = Api::of(field.hub());
        let task = field.visited().unwrap_or_else(|| FAT.to_owned());
        let path = match number % 8 {
            0 => "/v1/tasks?limit=100".to_owned(),
            1 => "/v1/tasks?label=soak&status=running".to_owned(),
            2 => "/v1/tasks?q=over".to_owned(),
            3 => format!("/v1/tasks/{task}"),
            4 => format!("/v1/tasks/{task}/activities?limit=50"),
            5 => format!("/v1/tasks/{task}/search?q=linker"),
            6 => format!("/v1/tasks/{task}/invocations"),
            _ => format!("/v1/rates?task={task}&task={FAT}"),
        };
        let (status, answer) = api.ask(Method::GET, &path, "").await?;
        ensure!(status.is_success() || (3 <= number % 8 && status == 404), "{path}: {status} {answer}");
        count(&field.counts.asked, 1);
        field.pause(ASKING_EVERY).await;
    }
    Ok(())
}

/// A receiver of webhooks that takes everything, as long as what it gives is kept; and its address.
pub async fn receiver(field: Arc<Field>) -> anyhow::Result<(String, JoinSet<()>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    let mut work = JoinSet::new();
    work.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            connections.spawn(answer(stream, field.clone()));
            while connections.try_join_next().is_some() {}
        }
    });
    Ok((address, work))
}

async fn answer(mut stream: TcpStream, field: Arc<Field>) {
    let mut buffer = Vec::new();
    while let Ok(1..) = stream.read_buf(&mut buffer).await {
        while let Some(length) = whole(&buffer) {
            buffer.drain(..length);
            count(&field.counts.told, 1);
            if stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.is_err() {
                return;
            }
        }
    }
}

/// How long the first request is, if it is whole.
fn whole(buffer: &[u8]) -> Option<usize> {
    let end = memchr::memmem::find(buffer, b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&buffer[..end]).to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"))
        .and_then(|length| length.trim().parse().ok())
        .unwrap_or(0);
    (end + length <= buffer.len()).then_some(end + length)
}
