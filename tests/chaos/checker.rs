//! Compares what the store holds with what publishers were promised and with what viewers saw. Pure, so that it is tested itself
//! (tests/it/checker.rs feeds it every kind of difference).

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::Arc,
};

use uuid::Uuid;

// By its path, because tests/it takes this file in under another name.
#[path = "checker/history.rs"]
mod history;
#[path = "checker/transcript.rs"]
mod transcript;

/// How many differences are told; all are counted.
const TOLD: usize = 20;

/// A task's log as the store has it, in the order in which the store gave it.
#[derive(Debug, Clone, Default)]
pub struct Log {
    /// The task.
    pub task: String,
    /// Its epoch, as cursors have it.
    pub epoch: String,
    /// The head that the task's own row says.
    pub head: u64,
    /// Its activities.
    pub entries: Vec<Entry>,
    /// Epochs that it has left, as viewers had to be told.
    pub former: Vec<String>,
}

/// An activity in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its place.
    pub offset: u64,
    /// Its `eventId`.
    pub event: Uuid,
    /// Its invocation.
    pub invocation: String,
    /// The number that its publisher gave it, counted within the invocation from 1.
    pub number: u64,
}

/// What an agent published in one invocation, in the order in which it did.
#[derive(Debug, Clone, Default)]
pub struct Publication {
    /// To which task.
    pub task: String,
    /// In which invocation.
    pub invocation: String,
    /// The activities; the number of the first one is 1.
    pub sent: Vec<Sent>,
}

/// A published activity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// Its `eventId`.
    pub event: Uuid,
    /// What its publisher knows about it.
    pub proof: Proof,
    /// When it learned that, in milliseconds from the start of the run.
    pub at_ms: u64,
    /// The fault that was on then.
    pub during: Option<&'static str>,
    /// The epoch that its receipt names.
    pub life: Option<Arc<str>>,
}

/// What a publisher was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// Nothing that counts: the run ended, or it was never sent.
    None,
    /// A receipt over HTTP, with this offset.
    Receipt(u64),
    /// An ack over Redis.
    Ack,
    /// PUBLISH counted so many receivers; nothing more was waited for.
    Counted {
        /// How many.
        receivers: u32,
        /// The fault under which promise 5 does not cover it, if there was one.
        excused: Option<&'static str>,
    },
}

/// What a viewer saw of a task, in order, over all its connections.
#[derive(Debug, Clone, Default)]
pub struct Transcript {
    /// Who.
    pub viewer: String,
    /// Of which task.
    pub task: String,
    /// The offset after which it began.
    pub after: u64,
    /// What it got.
    pub seen: Vec<Seen>,
}

/// One delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The epoch of its cursor.
    pub epoch: Arc<str>,
    /// Its place.
    pub offset: u64,
    /// Its `eventId`.
    pub event: Uuid,
    /// Over which of the viewer's connections it came.
    pub connection: u32,
    /// Whether the viewer was told since the delivery before that the log starts over.
    pub told: bool,
}

/// Which promise was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Something confirmed, or counted by PUBLISH, is not in the store.
    Lost,
    /// Something is in the store twice, or came twice over one connection.
    Duplicate,
    /// Something is not where its order puts it.
    Reordered,
    /// Offsets have a hole.
    Hole,
    /// Something is in the store that nobody published, or not as it was published; or a viewer saw what is not stored.
    Phantom,
    /// A viewer was led past something.
    Skipped,
    /// A viewer saw something else than the log or another viewer has under the same cursor.
    Diverging,
    /// A viewer that had come back was shown again what it had seen.
    NonMonotonic,
    /// A viewer was shown another life of the log without a word.
    Untold,
    /// A viewer never came to the head.
    Behind,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Lost,
        Self::Duplicate,
        Self::Reordered,
        Self::Hole,
        Self::Phantom,
        Self::Skipped,
        Self::Diverging,
        Self::NonMonotonic,
        Self::Untold,
        Self::Behind,
    ];

    /// What it is called in what is printed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Duplicate => "duplicate",
            Self::Reordered => "reordered",
            Self::Hole => "holes",
            Self::Phantom => "phantom",
            Self::Skipped => "skipped",
            Self::Diverging => "diverging between viewers",
            Self::NonMonotonic => "non-monotonic after resume",
            Self::Untold => "another life untold",
            Self::Behind => "never at the head",
        }
    }
}

/// Where something is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// In which task.
    pub task: String,
    /// Around which offset, if that is known.
    pub offset: Option<u64>,
    /// Which activity.
    pub event: Option<Uuid>,
}

/// A broken promise, with what is needed to look for its cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Which.
    pub kind: Kind,
    /// Where.
    pub place: Place,
    /// Where and what, in words.
    pub text: String,
}

/// What the comparison came to.
#[derive(Debug, Clone, Default)]
pub struct Verdict {
    /// How many differences there are of each kind.
    pub counts: BTreeMap<Kind, u64>,
    /// The first ones.
    pub differences: Vec<Difference>,
    /// What is known about the first one: receipts, rows around it, and what each viewer saw there.
    pub history: String,
    /// Lost without a broken promise, by the fault that excuses it.
    pub excused: BTreeMap<&'static str, u64>,
    /// Stored after what its publisher sent later, without waiting for acks, while Redis itself failed; by the fault.
    pub late: BTreeMap<&'static str, u64>,
    /// Activities in the store.
    pub stored: u64,
    /// Deliveries that were compared.
    pub deliveries: u64,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.name(), self.text)
    }
}

impl Sent {
    /// The fault under which promise 5 does not cover it.
    fn excused(&self) -> Option<&'static str> {
        match self.proof {
            Proof::Counted { excused, .. } => excused,
            _ => None,
        }
    }

    fn when(&self) -> String {
        let during = self.during.map(|fault| format!(" ({fault})")).unwrap_or_default();
        format!("at {}.{:03} s{during}", self.at_ms / 1_000, self.at_ms % 1_000)
    }
}

impl Verdict {
    fn note(&mut self, kind: Kind, place: Place, text: String) {
        *self.counts.entry(kind).or_default() += 1;
        if self.differences.len() < TOLD {
            self.differences.push(Difference { kind, place, text });
        }
    }
}

/// Compares everything. Logs are by task; every publication's and transcript's task must have one.
pub fn check(logs: &[Log], publications: &[Publication], transcripts: &[Transcript]) -> Verdict {
    let mut verdict = Verdict::default();
    let published: HashMap<(&str, &str), &Publication> =
        publications.iter().map(|publication| ((&*publication.task, &*publication.invocation), publication)).collect();
    let mut places: HashMap<&str, HashMap<Uuid, u64>> = HashMap::new();
    for log in logs {
        places.insert(&log.task, check_log(log, &published, &mut verdict));
    }
    let nowhere = HashMap::new();
    for publication in publications {
        let log = logs.iter().find(|log| log.task == publication.task);
        check_publication(publication, log, places.get(&*publication.task).unwrap_or(&nowhere), &mut verdict);
    }
    transcript::check_all(logs, &places, transcripts, &mut verdict);
    if let Some(first) = verdict.differences.first() {
        verdict.history = history::of(&first.place, logs, publications, transcripts);
    }
    verdict
}

/// A log by itself, and against what was published. Gives the place of each event.
fn check_log(log: &Log, published: &HashMap<(&str, &str), &Publication>, verdict: &mut Verdict) -> HashMap<Uuid, u64> {
    let mut places = HashMap::with_capacity(log.entries.len());
    let mut last_of: HashMap<&str, &Entry> = HashMap::new();
    let mut due = 1;
    for entry in &log.entries {
        let Entry { offset, event, invocation, number } = entry;
        let place = format!("task {} offset {offset} event {event} ({invocation} number {number})", log.task);
        let here = || Place { task: log.task.clone(), offset: Some(*offset), event: Some(*event) };
        verdict.stored += 1;
        if *offset != due {
            verdict.note(Kind::Hole, here(), format!("{place}: the offset should be {due}"));
        }
        due = offset + 1;
        if let Some(first) = places.insert(*event, *offset) {
            verdict.note(Kind::Duplicate, here(), format!("{place}: the event is at offset {first}, too"));
        }
        if let Some(last) = last_of.insert(invocation, entry)
            && *number <= last.number
        {
            let late = sent_as(published, log, invocation, *number).and_then(Sent::excused).filter(|_| *number != last.number);
            if let Some(fault) = late {
                // No node had heard both: the links came back one by one.
                *verdict.late.entry(fault).or_default() += 1;
                last_of.insert(invocation, last);
            } else {
                let kind = if *number == last.number { Kind::Duplicate } else { Kind::Reordered };
                let when = |number| sent_as(published, log, invocation, number).map_or_else(|| "never".to_owned(), Sent::when);
                let before = format!("number {} event {} at offset {}", last.number, last.event, last.offset);
                let times = format!("confirmed {}, the other {}", when(*number), when(last.number));
                verdict.note(kind, here(), format!("{place}: comes after {before} of the same invocation; {times}"));
            }
        }
        let sent = sent_as(published, log, invocation, *number);
        if sent.is_none_or(|sent| sent.event != *event) {
            verdict.note(Kind::Phantom, here(), format!("{place}: nobody published this"));
        }
    }
    if due != log.head + 1 {
        let end = Place { task: log.task.clone(), offset: Some(log.head), event: None };
        let text = format!("task {}: the head is {}, the last activity has offset {}", log.task, log.head, due - 1);
        verdict.note(Kind::Hole, end, text);
    }
    places
}

/// What was published under this number.
fn sent_as<'a>(published: &HashMap<(&str, &str), &'a Publication>, log: &Log, invocation: &str, number: u64) -> Option<&'a Sent> {
    let index = usize::try_from(number).ok()?.checked_sub(1)?;
    published.get(&(&*log.task, invocation))?.sent.get(index)
}

/// What a publisher was promised against the places of events in the log.
fn check_publication(publication: &Publication, log: Option<&Log>, places: &HashMap<Uuid, u64>, verdict: &mut Verdict) {
    let lived = |life: &str| log.is_some_and(|log| log.epoch == life || log.former.iter().any(|epoch| epoch == life));
    for (index, sent) in publication.sent.iter().enumerate() {
        let Publication { task, invocation, .. } = publication;
        let name = format!("task {task} {invocation} number {} event {}", index + 1, sent.event);
        let place = places.get(&sent.event);
        let there = |offset| Place { task: task.clone(), offset, event: Some(sent.event) };
        if let Some(life) = sent.life.as_deref().filter(|life| !lived(life)) {
            let text = format!("{name}: the receipt is of life {life}, which the log never had");
            verdict.note(Kind::Phantom, there(None), text);
        }
        match (&sent.proof, place) {
            (Proof::None, _) | (Proof::Ack | Proof::Counted { .. }, Some(_)) => {}
            (Proof::Receipt(offset), Some(place)) if offset == place => {}
            (Proof::Receipt(offset), Some(place)) => {
                verdict.note(
                    Kind::Phantom,
                    there(Some(*place)),
                    format!("{name}: the receipt says offset {offset}, the log has it at {place}"),
                );
            }
            (Proof::Receipt(offset), None) => {
                verdict.note(
                    Kind::Lost,
                    there(Some(*offset)),
                    format!("{name}: not in the log, but there is a receipt for offset {offset}"),
                );
            }
            (Proof::Ack, None) => {
                let acked = format!("{name}: not in the log, but it was acked {}", sent.when());
                verdict.note(Kind::Lost, there(None), acked);
            }
            (Proof::Counted { excused: Some(fault), .. }, None) => {
                *verdict.excused.entry(fault).or_default() += 1;
            }
            (Proof::Counted { receivers, excused: None }, None) => {
                let counted = format!("PUBLISH counted {receivers} receivers {}", sent.when());
                verdict.note(Kind::Lost, there(None), format!("{name}: not in the log, but {counted}"));
            }
        }
    }
}
