//! What retention archived: as it was, but for its offsets.
//!
//! A run is marked as recorded afterwards by a status of ours before its first activity; payloads are not touched. What a run's end was, if the files do
//! not tell of it themselves (it was never said, or is in a part that is not there), is said by a status after its last.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::BufReader,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Done, Stop, files,
    sender::{Past, Sender},
};
use crate::{
    archive::{ArchiveReader, Manifest},
    cli::progress::Progress,
    model::{ActivityType, EventId, InvocationId, Status, TaskId, Timestamp},
};

/// What is known of a run that is brought back.
#[derive(Debug)]
struct Run {
    /// Where its activities have brought it.
    status: Option<Status>,
    last: Timestamp,
    /// Whether the hub has it already, so that nothing is said of it by us.
    known: bool,
}

type Runs = BTreeMap<(TaskId, InvocationId), Run>;

/// Imports these files, and those below these folders: of each task in order of their offsets.
pub(super) async fn import(
    paths: &[PathBuf],
    task: Option<&TaskId>,
    sender: &mut Sender,
    progress: &mut Progress,
) -> Result<Done, Stop> {
    let mut parts = Vec::new();
    for path in files::ending_in(paths, &["gz"]).map_err(anyhow::Error::from)? {
        let reader = open(&path)?;
        parts.push((reader.manifest, path));
    }
    parts.sort_by_key(|(manifest, _)| (manifest.task_id.clone(), manifest.archived_at, manifest.first));
    let mut newest: BTreeMap<TaskId, &Manifest> = BTreeMap::new();
    let (mut runs, mut tasks) = (Runs::new(), BTreeSet::new());
    for (number, (manifest, path)) in parts.iter().enumerate() {
        let to = task.unwrap_or(&manifest.task_id);
        if tasks.insert(to.clone()) {
            describe(to, manifest, sender).await?;
        }
        newest.insert(to.clone(), manifest);
        progress.at(|| format!("file {} of {}, {}: {}", number + 1, parts.len(), sender.words(), path.display()));
        one(path, to, sender, &mut runs).await?;
    }
    end(&newest, &runs, sender).await?;
    sender.flush().await?;
    let summary = format!("{} files of {} tasks: {}", parts.len(), tasks.len(), sender.words());
    Ok(Done { summary, whole: true })
}

fn open(path: &Path) -> anyhow::Result<ArchiveReader<BufReader<File>>> {
    let file = File::open(path).with_context(|| format!("{} cannot be opened", path.display()))?;
    ArchiveReader::open(BufReader::new(file)).with_context(|| format!("{} is no archive of Tasklight's", path.display()))
}

/// Title and labels, if there is no such task.
async fn describe(task: &TaskId, manifest: &Manifest, sender: &Sender) -> Result<(), Stop> {
    let Some(client) = sender.client() else { return Ok(()) };
    match client.task(task).await {
        Ok(_) => Ok(()),
        Err(error) if error.code() == Some("task_not_found") => {
            Ok(client.put_task(task, manifest.title.as_deref(), &manifest.labels).await?)
        }
        Err(error) => Err(error.into()),
    }
}

async fn one(path: &Path, task: &TaskId, sender: &mut Sender, runs: &mut Runs) -> Result<(), Stop> {
    let name = || path.display().to_string();
    let mut reader = open(path)?;
    while let Some(activity) = reader.next_activity().with_context(name)? {
        let from: Arc<str> = format!("{}, activity {}", path.display(), activity.offset).into();
        let invocation = &activity.invocation_id;
        let key = (task.clone(), invocation.clone());
        if !runs.contains_key(&key) {
            let known = match sender.client() {
                Some(client) => client.invocation(task, invocation).await?.is_some(),
                None => false,
            };
            if !known {
                // Anything may follow on it.
                let mark = json!({"status": "pending", "backfilled": true});
                say(task, invocation, "mark", mark, activity.timestamp, &from, sender).await?;
            }
            runs.insert(key.clone(), Run { status: None, last: activity.timestamp, known });
        }
        if let Some(run) = runs.get_mut(&key) {
            run.last = run.last.max(activity.timestamp);
            if activity.kind == ActivityType::Status {
                run.status = status_of(activity.data.get()).or(run.status);
            }
        }
        let past = Past {
            task,
            invocation,
            kind: activity.kind,
            event_id: activity.event_id,
            time: activity.timestamp,
            data: Value::Null,
            from: &from,
        };
        sender.push_text(past, activity.data.get().to_owned()).await?;
    }
    Ok(())
}

/// Says how runs ended that the archive says ended, and whose activities do not tell.
async fn end(newest: &BTreeMap<TaskId, &Manifest>, runs: &Runs, sender: &mut Sender) -> Result<(), Stop> {
    for ((task, invocation), run) in runs {
        let Some(manifest) = newest.get(task) else { continue };
        let Some(was) = manifest.invocations.iter().find(|was| was.invocation_id == *invocation) else { continue };
        if run.known || !was.status.is_over() || run.status == Some(was.status) {
            continue;
        }
        let mut status = json!({"status": was.status, "backfilled": true});
        let known = [("agent", json!(was.agent)), ("title", json!(was.title)), ("exitCode", json!(was.exit_code))];
        for (name, value) in known.into_iter().chain([("reason", json!(was.reason))]).filter(|(_, value)| !value.is_null()) {
            status[name] = value;
        }
        let from: Arc<str> = format!("the end of {invocation}").into();
        say(task, invocation, "end", status, was.completed_at.unwrap_or(run.last), &from, sender).await?;
    }
    Ok(())
}

/// A status of ours; saying it again changes nothing.
async fn say(
    task: &TaskId,
    invocation: &InvocationId,
    word: &str,
    data: Value,
    time: Timestamp,
    from: &Arc<str>,
    sender: &mut Sender,
) -> Result<(), Stop> {
    let event_id = EventId::derived(format!("archive\n{task}\n{invocation}\n{word}").as_bytes());
    let kind = ActivityType::Status;
    Ok(sender.push(Past { task, invocation, kind, event_id, time, data, from }).await?)
}

fn status_of(data: &str) -> Option<Status> {
    #[derive(Deserialize)]
    struct Said {
        status: Status,
    }
    serde_json::from_str(data).ok().map(|Said { status }| status)
}
