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
#[path = "checker/log.rs"]
mod log;
#[path = "checker/publication.rs"]
mod publication;
#[path = "checker/transcript.rs"]
mod transcript;

/// How many differences are told; all are counted.
const TOLD: usize = 20;

/// The time of what nobody saw while it ran.
const THE_END: u64 = u64::MAX;

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
    /// When it was certain that it had left them, in milliseconds from the start of the run: a receipt given later names the present one.
    pub renewed_ms: u64,
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
    /// Why it may be stored after later ones of its invocation, although it is not lost.
    pub out_of_turn: Option<&'static str>,
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
    /// The number that its publisher gave it, as the viewer got it with the rest of what was published.
    pub number: u64,
    /// When it came, in milliseconds from the start of the run.
    pub at_ms: u64,
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
    /// When it could first be known, in milliseconds from the start of the run; see [`Times`].
    pub at_ms: u64,
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
    /// The first ones by time.
    pub differences: Vec<Difference>,
    /// What is known about the first one by time: receipts, rows around it, and what each viewer saw there.
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
        let name = self.kind.name();
        match self.at_ms {
            THE_END => write!(f, "{name}, seen by nobody while it ran: {}", self.text),
            at_ms => write!(f, "{name}, at {}: {}", seconds(at_ms), self.text),
        }
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
        format!("at {}{during}", seconds(self.at_ms))
    }
}

impl Verdict {
    /// One more. They are kept in the order of their times, and those of one time in the order in which they were found.
    fn note(&mut self, kind: Kind, at_ms: u64, place: Place, text: String) {
        *self.counts.entry(kind).or_default() += 1;
        let index = self.differences.partition_point(|other| other.at_ms <= at_ms);
        if index < TOLD {
            self.differences.insert(index, Difference { kind, at_ms, place, text });
            self.differences.truncate(TOLD);
        }
    }
}

/// Milliseconds as seconds.
fn seconds(at_ms: u64) -> String {
    format!("{}.{:03} s", at_ms / 1_000, at_ms % 1_000)
}

/// When each place of each log was first shown to a viewer.
///
/// This is how differences are put in order: what a viewer was shown, when it was shown that; what is wrong in the store, when a viewer was
/// first shown that place, or else when its publisher was told of it; what was promised, when it was promised; what a viewer never got, when
/// another one got it. What nobody saw comes last.
struct Times<'a>(HashMap<(&'a str, &'a str, u64), u64>);

impl<'a> Times<'a> {
    fn of(transcripts: &'a [Transcript]) -> Self {
        let mut times = HashMap::new();
        for transcript in transcripts {
            for Seen { epoch, offset, at_ms, .. } in &transcript.seen {
                let first = times.entry((&*transcript.task, &**epoch, *offset)).or_insert(*at_ms);
                *first = (*first).min(*at_ms);
            }
        }
        Self(times)
    }

    /// When this place in the present life of the log was first shown to anybody.
    fn shown(&self, log: &'a Log, offset: u64) -> Option<u64> {
        self.0.get(&(&*log.task, &*log.epoch, offset)).copied()
    }
}

/// Compares everything. Logs are by task; every publication's and transcript's task must have one.
pub fn check(logs: &[Log], publications: &[Publication], transcripts: &[Transcript]) -> Verdict {
    let mut verdict = Verdict::default();
    let times = Times::of(transcripts);
    let published: log::Published<'_> =
        publications.iter().map(|publication| ((&*publication.task, &*publication.invocation), publication)).collect();
    let mut places: HashMap<&str, HashMap<Uuid, u64>> = HashMap::new();
    for log in logs {
        places.insert(&log.task, log::check(log, &published, &times, &mut verdict));
    }
    let nowhere = HashMap::new();
    for publication in publications {
        let log = logs.iter().find(|log| log.task == publication.task);
        publication::check(publication, log, places.get(&*publication.task).unwrap_or(&nowhere), &mut verdict);
    }
    transcript::check_all(logs, &places, &times, transcripts, &mut verdict);
    if let Some(first) = verdict.differences.first() {
        verdict.history = history::of(&first.place, logs, publications, transcripts);
    }
    verdict
}
