//! Archives: a part of a task's log as a file of lines, compressed with gzip. The first line says what it is a part of; each of the others is an activity as
//! the API gives it, in order of offset without holes. `zcat`, `jq` and any language read it.

use std::{
    collections::BTreeMap,
    io::{self, BufRead, BufReader, Read},
};

use flate2::read::MultiGzDecoder;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::model::{ActivityType, Epoch, EventId, Invocation, InvocationId, Offset, Status, TaskId, Timestamp};

/// The form of the files that are written.
const VERSION: u32 = 1;

/// The longest line that is read.
const LINE_BYTES: u64 = 64 << 20;

/// What an archive is a part of.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Manifest {
    /// The form of the file.
    pub tasklight_archive: u32,
    /// The task's id.
    pub task_id: TaskId,
    /// The life of its log.
    pub epoch: Epoch,
    /// Its title.
    pub title: Option<String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Where its runs stood together.
    pub status: Option<Status>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Where its log ended.
    pub head: Offset,
    /// Where its log began.
    pub floor: Offset,
    /// The first activity of the file.
    pub first: Offset,
    /// The last activity of the file; the one before `first` if there is none.
    pub last: Offset,
    /// Whether the task was to be deleted.
    pub whole: bool,
    /// When this was written.
    pub archived_at: Timestamp,
    /// Its newest runs.
    pub invocations: Vec<Invocation>,
}

impl Manifest {
    /// The form that this program writes.
    pub(crate) const VERSION: u32 = VERSION;

    /// The file's name below the archive: that of the same part is always the same.
    pub(crate) fn path(&self) -> String {
        format!("{}/{}-{:012}-{:012}.ndjson.gz", self.task_id, self.epoch, self.first.get(), self.last.get())
    }
}

/// An activity of an archive.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ArchivedActivity {
    /// Where it stood.
    pub offset: Offset,
    /// Its run.
    pub invocation_id: InvocationId,
    /// Its idempotency key.
    pub event_id: EventId,
    /// When it happened.
    pub timestamp: Timestamp,
    /// What it records.
    #[serde(rename = "type", deserialize_with = "kind")]
    pub kind: ActivityType,
    /// Its payload, byte for byte.
    pub data: Box<RawValue>,
}

fn kind<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<ActivityType, D::Error> {
    std::borrow::Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
}

/// Why an archive cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BadArchive {
    /// The file or its compression is broken.
    #[error("{0}")]
    Unreadable(#[from] io::Error),
    /// It is something else.
    #[error("line {0} is not what an archive of this version has there")]
    Foreign(u64),
    /// Something is missing.
    #[error("activity {expected} is missing")]
    Hole {
        /// The offset that comes next.
        expected: Offset,
    },
}

/// Reads an archive from its beginning; what it gives was checked.
#[derive(Debug)]
pub(crate) struct ArchiveReader<R: Read> {
    lines: BufReader<MultiGzDecoder<R>>,
    /// What it is a part of.
    pub manifest: Manifest,
    next: Offset,
    number: u64,
}

impl<R: Read> ArchiveReader<R> {
    /// Reads the first line.
    pub(crate) fn open(file: R) -> Result<Self, BadArchive> {
        let mut lines = BufReader::new(MultiGzDecoder::new(file));
        let line = line(&mut lines)?.ok_or(BadArchive::Foreign(1))?;
        let manifest: Manifest = serde_json::from_slice(&line).map_err(|_| BadArchive::Foreign(1))?;
        if manifest.tasklight_archive != VERSION {
            return Err(BadArchive::Foreign(1));
        }
        let next = manifest.first;
        Ok(Self { lines, manifest, next, number: 1 })
    }

    /// The next activity; nothing after the last one of the manifest.
    pub(crate) fn next_activity(&mut self) -> Result<Option<ArchivedActivity>, BadArchive> {
        let Some(line) = line(&mut self.lines)? else {
            return if self.next == self.manifest.last.next() { Ok(None) } else { Err(BadArchive::Hole { expected: self.next }) };
        };
        self.number += 1;
        let activity: ArchivedActivity = serde_json::from_slice(&line).map_err(|_| BadArchive::Foreign(self.number))?;
        if activity.offset != self.next || self.manifest.last < self.next {
            return Err(BadArchive::Hole { expected: self.next });
        }
        self.next = self.next.next();
        Ok(Some(activity))
    }
}

/// A line without its end; nothing at the end of the file.
fn line(from: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    if from.by_ref().take(LINE_BYTES).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    match line.pop() {
        Some(b'\n') => Ok(Some(line)),
        _ => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "a line is too long, or has no end")),
    }
}
