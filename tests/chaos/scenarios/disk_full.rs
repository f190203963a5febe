//! Postgres's disk is full, and has room again: publishers are told, nothing that was promised is lost, and everything goes on by itself.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use futures_util::future::join_all;
use serde_json::json;
use tokio::{
    io::AsyncWriteExt,
    process::Command,
    time::{Instant, sleep, sleep_until, timeout_at},
};
use uuid::Uuid;

use super::Stage;
use crate::{
    hubs::HubOptions,
    run::Run,
    services::{Postgres, Redis},
};

/// The size of its disk.
const SIZE: &str = "220m";

/// How much is written at once to fill it.
const CHUNK: usize = 64 << 10;

/// How often, and for how long it is full.
const TIMES: u32 = 3;
const FULL: Duration = Duration::from_secs(25);

/// How long a publisher waits for its answer: longer than `writer.commit_timeout` (15 s).
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// The task of a patient publisher, and what it publishes: more than fits into pages that are there.
const PATIENT: &str = "patient";
const MANY: usize = 100;
const LARGE: usize = 16 << 10;

/// A disk of its own, by `mount -t tmpfs`. It goes when this is dropped.
struct Disk(PathBuf);

impl Disk {
    async fn mount(at: &Path) -> Result<Self> {
        std::fs::create_dir_all(at)?;
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={SIZE}"), "tmpfs"]).arg(at).output().await?;
        let said = String::from_utf8_lossy(&mounted.stderr);
        ensure!(mounted.status.success(), "no disk can be full, because a tmpfs cannot be mounted here: {}", said.trim());
        Ok(Self(at.to_owned()))
    }

    /// Fills it to the last byte. Gives back how much it was.
    async fn fill(&self) -> Result<u64> {
        let mut file = tokio::fs::File::create(self.0.join("filler")).await?;
        let (chunk, mut written) = (vec![0; CHUNK], 0);
        while file.write_all(&chunk).await.is_ok() && file.flush().await.is_ok() {
            written += CHUNK as u64;
        }
        Ok(written)
    }

    async fn make_room(&self) -> Result<()> {
        Ok(tokio::fs::remove_file(self.0.join("filler")).await?)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let unmounted = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            eprintln!("{} could not be unmounted", self.0.display());
        }
    }
}

/// Publishes much, with patience; says what the hub said: when to come back.
async fn publish(run: &Run) -> Result<String> {
    let began = Instant::now();
    let client = reqwest::Client::builder().timeout(ANSWER_TIMEOUT).build()?;
    let url = format!("http://{}/v1/tasks/{}/activities", run.nodes.any(), PATIENT);
    // Whether it is stored in the end is not known: the checker is not asked about its task.
    let one = |n: usize| {
        let data = json!({"n": n, "text": "x".repeat(LARGE)});
        json!({"invocationId": "patient", "type": "custom", "eventId": Uuid::now_v7(), "data": data})
    };
    let body: Vec<_> = (0..MANY).map(one).collect();
    let answer = client.post(&url).json(&body).send().await?;
    let (status, after) = (answer.status().as_u16(), answer.headers().contains_key("retry-after"));
    // Little may still fit into pages that are there, and is stored; this does not.
    ensure!(status == 503 && after, "{url} answered {status} (Retry-After: {after}): {}", answer.text().await?);
    Ok(format!("a patient publisher was answered {status} with Retry-After after {:.1} s", began.elapsed().as_secs_f64()))
}

pub(super) async fn play(options: &HubOptions, folder: &Path) -> Result<()> {
    let disk = Disk::mount(&folder.join("postgres")).await?;
    let mut stage = Stage::set(options, Redis::start(folder).await?, Postgres::start_small(folder).await?).await?;
    let run = stage.arena.run.clone();
    for time in 1..=TIMES {
        let again = run.figures.http.again.get();
        let filled = disk.fill().await?;
        let end = Instant::now() + FULL;
        let members = &stage.arena.fleet.members;
        let noticing = timeout_at(end, join_all(members.iter().map(|member| member.hub.unwell())));
        let (told, noticed) = tokio::join!(publish(&run), noticing);
        let told = told.context("publishing while the disk is full")?;
        ensure!(noticed.is_ok(), "the disk was full for {FULL:?}, and a hub never said that it is not well");
        sleep_until(end).await;
        let again = run.figures.http.again.get() - again;
        ensure!(again != 0, "the disk was full for {FULL:?}, and every request was answered with receipts");
        disk.make_room().await?;
        let healed = Instant::now();
        let postgres = stage.arena.postgres.as_mut().context("there is a postgres")?;
        // It may have given up for good, as whoever runs it would see.
        let ran = postgres.runs().await;
        if !ran {
            postgres.start_again().await?;
        }
        stage.settle("after the disk had room again").await?;
        println!(
            "full for the {time}. time, by {} KiB: {told}, every hub said that it is not well, {again} requests were sent again, postgres {}, settled {:.1} s after there was room",
            filled >> 10,
            if ran { "went on" } else { "had ended and was started again" },
            healed.elapsed().as_secs_f64(),
        );
        sleep(super::WELL).await;
    }
    let concluded = stage.conclude(None).await;
    drop(disk);
    concluded
}
