//! Viewers: each follows some tasks, reads for a while, goes away and continues after its cursor at any node. Whatever does not fit is an
//! anomaly at once; at the end everything they saw is compared with the log.

mod sdk;
mod sse;
mod websocket;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use anyhow::Result;
use serde::Deserialize;
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep},
};
use uuid::Uuid;

use crate::{
    checker::{Seen, Transcript},
    figures::Count,
    run::{Mark, Run},
};

pub use sdk::{Language, Sdk};

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);

/// After so long without a word a viewer tries another node. Tasks are never silent for so long unless something is wrong.
const SILENCE: Duration = Duration::from_secs(4);

/// How long goodbye may take, and how long a viewer still listens to a node that stops.
const LEAVE_TIMEOUT: Duration = Duration::from_millis(500);

/// How long a viewer stays at a node, at random.
const STAY: std::ops::Range<Duration> = Duration::from_millis(1_500)..Duration::from_secs(12);

/// How long a viewer stays away, at random.
const AWAY: std::ops::Range<Duration> = Duration::from_millis(0)..Duration::from_millis(800);

/// How long viewers may take to come to the head when all is well.
const FINISH_PATIENCE: Duration = Duration::from_secs(45);

/// How many by WebSocket, how many tasks each follows, and how many by SSE for each task.
const BY_WEBSOCKET: usize = 6;
const TASKS_EACH: usize = 3;
const BY_SSE: usize = 1;

/// Where each log ends, once that is known.
pub type Heads = BTreeMap<String, u64>;

/// Viewers at work.
pub struct Viewers {
    at_work: JoinSet<Result<Vec<Transcript>>>,
    heads: watch::Sender<Option<Heads>>,
}

impl Viewers {
    /// Has them watch `tasks` from the start.
    pub fn start(run: &Arc<Run>, tasks: &[String]) -> Self {
        let heads = watch::Sender::new(None);
        let mut viewers = Self { at_work: JoinSet::new(), heads };
        for number in 0..BY_WEBSOCKET {
            let some = (0..TASKS_EACH).map(|index| tasks[(number + 2 * index) % tasks.len()].clone()).collect();
            viewers.join(run, format!("websocket-{}", number + 1), some, false);
        }
        for number in 0..BY_SSE * tasks.len() {
            viewers.join(run, format!("sse-{}", number + 1), vec![tasks[number % tasks.len()].clone()], true);
        }
        viewers
    }

    /// One more: one that comes late and reads everything from the start.
    pub fn join(&mut self, run: &Arc<Run>, name: String, tasks: Vec<String>, by_sse: bool) {
        let viewer = Viewer::new(run.clone(), name, &tasks, self.heads.subscribe());
        if by_sse {
            self.at_work.spawn(viewer.watch(sse::stay));
        } else {
            self.at_work.spawn(viewer.watch(websocket::stay));
        }
    }

    /// One more, by an SDK in a process of its own.
    pub fn join_sdk(&mut self, run: &Arc<Run>, sdk: Sdk) {
        let viewer = Viewer::new(run.clone(), sdk.name(), &sdk.tasks, self.heads.subscribe());
        self.at_work.spawn(sdk.watch(viewer));
    }

    /// Waits until each has come to these heads, and gives what they saw.
    pub async fn finish(mut self, heads: Heads) -> Result<Vec<Transcript>> {
        self.heads.send_replace(Some(heads));
        let mut all = Vec::new();
        while let Some(ended) = self.at_work.join_next().await {
            all.extend(ended??);
        }
        Ok(all)
    }
}

/// What a hub sends, by either transport: an activity, or something about the stream.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Message {
    op: String,
    task_id: Option<String>,
    offset: Option<u64>,
    cursor: Option<String>,
    event_id: Option<Uuid>,
    epoch: Option<String>,
    task: Option<String>,
    data: Option<Data>,
}

/// What agents publish.
#[derive(Debug, Deserialize)]
struct Data {
    n: u64,
}

/// A viewer and what it has seen.
struct Viewer {
    run: Arc<Run>,
    name: String,
    places: HashMap<String, Place>,
    heads: watch::Receiver<Option<Heads>>,
    /// Since when it wants to hear and has heard nothing.
    waits_since: Instant,
    /// Counts its connections.
    connection: u32,
}

#[derive(Debug)]
struct Place {
    cursor: Option<String>,
    seen: Vec<Seen>,
    /// It was told that the log starts over, and has got nothing since.
    told: bool,
    mark: Arc<Mark>,
}

/// Why a viewer left a node.
enum Left {
    /// Its time was up, it was told to go, or it has all.
    Gladly,
    /// There was nothing to be had: refused, ended or silent.
    InVain,
}

impl Viewer {
    fn new(run: Arc<Run>, name: String, tasks: &[String], heads: watch::Receiver<Option<Heads>>) -> Self {
        let place = |task: &String| Place { cursor: None, seen: Vec::new(), told: false, mark: run.board.join(&name, task) };
        let places = tasks.iter().map(|task| (task.clone(), place(task))).collect();
        Self { run, name, places, heads, waits_since: Instant::now(), connection: 0 }
    }

    /// Goes from node to node until it has all there is.
    async fn watch(mut self, stay: impl AsyncFn(&mut Self) -> Left) -> Result<Vec<Transcript>> {
        let mut ends_by = None;
        while !self.has_all() {
            if self.heads.borrow().is_some() && FINISH_PATIENCE < ends_by.get_or_insert_with(Instant::now).elapsed() {
                let places: Vec<_> = self.places.iter().map(|(task, place)| format!("{task} {:?}", place.cursor)).collect();
                // The checker says the same, with the history.
                println!("viewer {} does not come to the head, although all is well again: {}", self.name, places.join(", "));
                break;
            }
            self.connection += 1;
            match stay(&mut self).await {
                Left::Gladly => {
                    sleep(rand::random_range(AWAY)).await;
                    self.waits_since = Instant::now();
                }
                Left::InVain => sleep(rand::random_range(AWAY) / 4).await,
            }
        }
        Ok(self.transcripts())
    }

    /// What it has seen.
    fn transcripts(self) -> Vec<Transcript> {
        let transcript = |(task, place): (String, Place)| {
            let viewer = self.name.clone();
            Transcript { viewer, task, after: 0, seen: place.seen }
        };
        self.places.into_iter().map(transcript).collect()
    }

    /// How long it is to stay at the next node.
    fn until(&self) -> Instant {
        Instant::now() + rand::random_range(STAY)
    }

    fn has_all(&self) -> bool {
        let heads = self.heads.borrow();
        let Some(heads) = &*heads else { return false };
        self.places.iter().all(|(task, place)| {
            let last = place.seen.last().map_or(0, |seen| seen.offset);
            heads.get(task).is_some_and(|head| *head <= last)
        })
    }

    /// Takes a message. Whether the viewer should go elsewhere.
    fn take(&mut self, text: &str, count: fn(&Run) -> &Count) -> bool {
        let Ok(message) = serde_json::from_str::<Message>(text) else {
            self.run.anomaly(format!("viewer {} got what is no message: {text}", self.name));
            return false;
        };
        match &*message.op {
            "activity" => self.take_activity(message, text, count),
            "drain" => {
                self.run.figures.drains.one();
                return true;
            }
            "hello" | "subscribed" | "live" | "heartbeat" | "pong" => {}
            "reset" if self.run.may_start_over() => self.start_over(&message, text),
            _ => self.run.anomaly(format!("viewer {} got a message that must not come: {text}", self.name)),
        }
        false
    }

    fn start_over(&mut self, message: &Message, text: &str) {
        let place = message.task.as_deref().and_then(|task| self.places.get_mut(task));
        let (Some(place), Some(epoch)) = (place, &message.epoch) else {
            self.run.anomaly(format!("viewer {} was told to start over, and not what: {text}", self.name));
            return;
        };
        place.told = true;
        place.cursor = Some(format!("{epoch}-0"));
        self.run.figures.resets.one();
    }

    fn take_activity(&mut self, message: Message, text: &str, count: fn(&Run) -> &Count) {
        let (Some(task), Some(offset), Some(cursor), Some(event), Some(Data { n: number })) =
            (message.task_id, message.offset, message.cursor, message.event_id, message.data)
        else {
            self.run.anomaly(format!("viewer {} got an activity that misses something: {text}", self.name));
            return;
        };
        let Some(place) = self.places.get_mut(&task) else {
            self.run.anomaly(format!("viewer {} got an activity of a task it does not follow: {text}", self.name));
            return;
        };
        let told = std::mem::take(&mut place.told);
        let last = place.seen.last();
        let of_cursor = cursor.split('-').next().unwrap_or_default();
        // One for all of a life: a transcript has hundreds of thousands.
        let same = last.map(|last| last.epoch.clone()).filter(|epoch| **epoch == *of_cursor);
        let due = if last.is_some() && same.is_none() && told { 1 } else { last.map_or(0, |last| last.offset) + 1 };
        if offset != due || (last.is_some() && same.is_none() && !told) {
            let last = last.map(|last| format!("{}-{}", last.epoch, last.offset));
            self.run.anomaly(format!("viewer {} of {task} was at {last:?} and got {cursor} event {event}", self.name));
        }
        let epoch = same.unwrap_or_else(|| of_cursor.into());
        let at_ms = self.run.timeline.elapsed_ms();
        place.seen.push(Seen { epoch, offset, event, number, at_ms, connection: self.connection, told });
        place.mark.set(offset);
        place.cursor = Some(cursor);
        count(&self.run).one();
        let silent = self.waits_since.elapsed();
        let during = self.run.timeline.at(self.waits_since).or_else(|| self.run.timeline.now());
        self.run.figures.silence(during, silent);
        self.waits_since = Instant::now();
    }
}
