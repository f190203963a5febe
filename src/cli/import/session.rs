//! Session files of agents: each an invocation.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context;
use serde_json::{Value, json};

use super::{
    Done, Stop, files,
    sender::{Past, Sender},
};
use crate::{
    cli::progress::Progress,
    formats::{Draft, Format, Framer, SessionHead, SessionReader, project_task, session_head},
    model::{ActivityType, EventId, InvocationId, TaskId, Timestamp},
};

/// How much of a file is read at once; its beginning must say whose it is.
const CHUNK: usize = 256 * 1024;

/// The most kinds of unknown lines that the summary names.
const UNKNOWN_SHOWN: usize = 5;

/// What all files came to.
#[derive(Debug, Default)]
struct Totals {
    sessions: BTreeMap<&'static str, u64>,
    tasks: BTreeSet<TaskId>,
    lines: u64,
    unknown: BTreeMap<String, u64>,
    too_long: u64,
    others: u64,
    seen_live: u64,
    failed: u64,
}

/// Imports what the files say.
pub(super) async fn import(
    paths: &[PathBuf],
    task: Option<&TaskId>,
    seen_live: bool,
    sender: &mut Sender,
    progress: &mut Progress,
) -> Result<Done, Stop> {
    let files = files::below(paths).map_err(anyhow::Error::from)?;
    let mut totals = Totals::default();
    for (number, path) in files.iter().enumerate() {
        progress.at(|| format!("file {} of {}, {}: {}", number + 1, files.len(), sender.words(), path.display()));
        match one(path, task, seen_live, sender, &mut totals).await {
            Ok(()) => {}
            Err(Stop::Hub(error)) => return Err(error.into()),
            Err(Stop::Source(error)) => {
                totals.failed += 1;
                progress.say(&format!("tasklight: {error:#}"));
            }
        }
    }
    sender.flush().await?;
    Ok(Done { summary: totals.words(sender), whole: totals.failed == 0 })
}

async fn one(path: &Path, task: Option<&TaskId>, seen_live: bool, sender: &mut Sender, totals: &mut Totals) -> Result<(), Stop> {
    let name = path.display().to_string();
    let mut file = File::open(path).with_context(|| format!("{name} cannot be opened"))?;
    let mut chunk = vec![0; CHUNK];
    let mut length = fill(&mut file, &mut chunk).with_context(|| format!("{name} cannot be read"))?;
    let Some(head) = session_head(&chunk[..length]) else {
        totals.others += 1;
        return Ok(());
    };
    let invocation: InvocationId = head.session.parse().with_context(|| format!("{name}: its session id"))?;
    let task = task.cloned().or_else(|| task_of(&head, path)).with_context(|| format!("{name}: name its task with --task"))?;
    if let (Some(client), false) = (sender.client(), seen_live)
        && client.invocation(&task, &invocation).await?.is_some_and(|run| !run.backfilled)
    {
        totals.seen_live += 1;
        return Ok(());
    }
    *totals.sessions.entry(head.agent.as_str()).or_default() += 1;
    totals.tasks.insert(task.clone());
    let mut session = Session { task, invocation, agent: head.agent, name: name.as_str().into(), time: None, lines: 0 };
    let mut reader = SessionReader::new(&head, &session.invocation);
    let mut framer = Framer::default();
    while 0 < length {
        let mut drafts = Vec::new();
        framer.push(&chunk[..length], |line| {
            session.lines += 1;
            drafts.extend(reader.line(session.lines, line));
        });
        session.send(drafts, sender).await?;
        length = fill(&mut file, &mut chunk).with_context(|| format!("{name} cannot be read"))?;
    }
    let mut drafts = Vec::new();
    framer.finish(|line| {
        session.lines += 1;
        drafts.extend(reader.line(session.lines, line));
    });
    drafts.extend(reader.finish());
    session.send(drafts, sender).await?;
    let end = reader.end();
    let data =
        json!({"status": end.status, "agent": head.agent.as_str(), "title": end.title, "reason": end.reason, "backfilled": true});
    session.status(&format!("end\n{}", session.lines), data, sender).await?;
    totals.add(&reader);
    Ok(())
}

/// One session on its way.
struct Session {
    task: TaskId,
    invocation: InvocationId,
    agent: Format,
    /// Its file.
    name: Arc<str>,
    /// When the last of it happened; nothing before the first.
    time: Option<Timestamp>,
    lines: u64,
}

impl Session {
    async fn send(&mut self, drafts: Vec<Draft>, sender: &mut Sender) -> Result<(), Stop> {
        // What has no time of its own happened when what stands before it did; before the first, when that did.
        let first = drafts.iter().find_map(|draft| draft.time);
        for draft in drafts {
            if self.time.is_none() {
                self.time = first;
                // Before anything else: a run that is recorded afterwards is never stalled, even if this ends in the middle.
                let data = json!({"status": "running", "agent": self.agent.as_str(), "backfilled": true});
                self.status("begin", data, sender).await?;
                self.time = self.time.or(Some(Timestamp::default()));
            }
            self.time = draft.time.or(self.time);
            let (event_id, time) = (draft.event_id(&self.invocation), self.time.unwrap_or_default());
            let from = self.name.clone();
            let past = Past {
                task: &self.task,
                invocation: &self.invocation,
                kind: draft.kind,
                event_id,
                time,
                data: Value::Object(draft.data),
                from: &from,
            };
            sender.push(past).await?;
        }
        Ok(())
    }

    async fn status(&self, word: &str, data: Value, sender: &mut Sender) -> Result<(), Stop> {
        let event_id = EventId::derived(format!("{}\nimport\n{word}", self.invocation).as_bytes());
        let time = self.time.unwrap_or_default();
        let kind = ActivityType::Status;
        let past = Past { task: &self.task, invocation: &self.invocation, kind, event_id, time, data, from: &self.name };
        Ok(sender.push(past).await?)
    }
}

/// Fills the buffer as far as the file goes.
fn fill(file: &mut File, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match file.read(&mut buffer[length..])? {
            0 => break,
            read => length += read,
        }
    }
    Ok(length)
}

/// The task of a session's project. Gemini's files say nothing of it, but stand in a folder that is named after it, by its name or by a hash, and
/// in newer versions beside a file that says where it is.
fn task_of(head: &SessionHead, path: &Path) -> Option<TaskId> {
    if head.agent != Format::Gemini {
        return project_task(head.cwd.as_deref(), path.to_str(), &head.session);
    }
    let project = path.parent()?.parent()?;
    let root = std::fs::read_to_string(project.join(".project_root")).ok();
    if let Some(task) = root.and_then(|root| project_task(Some(root.trim()), None, &head.session)) {
        return Some(task);
    }
    let name = project.file_name()?.to_str()?;
    let is_hash = name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hash { TaskId::nearest(&format!("gemini-{}", &name[..8])) } else { TaskId::nearest(name) }
}

impl Totals {
    fn add(&mut self, reader: &SessionReader) {
        let tally = reader.tally();
        self.lines += tally.lines;
        self.too_long += tally.too_long;
        for (name, count) in &tally.unknown {
            *self.unknown.entry(name.clone()).or_default() += count;
        }
    }

    fn words(&self, sender: &Sender) -> String {
        let count: u64 = self.sessions.values().sum();
        let agents: Vec<String> = self.sessions.iter().map(|(agent, count)| format!("{count} {agent}")).collect();
        let agents = if agents.is_empty() { String::new() } else { format!(" ({})", agents.join(", ")) };
        let mut words =
            format!("{count} sessions{agents} in {} tasks, {} lines: {}", self.tasks.len(), self.lines, sender.words());
        let unknown: u64 = self.unknown.values().sum();
        if 0 < unknown {
            let mut kinds: Vec<_> = self.unknown.iter().collect();
            kinds.sort_by(|a, b| b.1.cmp(a.1));
            let shown: Vec<String> = kinds.iter().take(UNKNOWN_SHOWN).map(|(kind, count)| format!("{kind} {count}")).collect();
            words.push_str(&format!("; {unknown} lines of unknown form were kept as they are ({})", shown.join(", ")));
        }
        for (count, what) in [
            (self.too_long, "lines were too long, their beginning was kept"),
            (self.seen_live, "sessions had been seen live and were left alone"),
            (self.others, "files were no sessions"),
            (self.failed, "files could not be imported"),
        ] {
            if 0 < count {
                words.push_str(&format!("; {count} {what}"));
            }
        }
        words
    }
}
