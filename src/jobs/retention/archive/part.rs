//! One file of an archive: written, put on the disk, and read again.

use std::{
    fs::File,
    io::{self, BufWriter, Read, Seek, Write},
    path::Path,
};

use aws_lc_rs::digest::{Context, SHA256};
use flate2::{Compression, write::GzEncoder};
use tempfile::NamedTempFile;
use tokio::time::Instant;

use super::{ArchiveError, blocking, failed, of};
use crate::{
    archive::{ArchiveReader, BadArchive, Manifest},
    jobs::retention::turn::Turn,
    model::{Filter, FrameBuilder, LogState, Offset},
    store::{KeptTask, Page, ReadAfter, Store},
};

/// The most activities in a file, and the most bytes of their payloads; one bite of measuring may exceed them.
const PART_ACTIVITIES: u64 = 100_000;
const PART_BYTES: u64 = 256 << 20;

/// The most of one read.
const PAGE_ACTIVITIES: usize = 2_000;
const PAGE_BYTES: usize = 1 << 20;

/// The most runs that a file tells of, the newest.
const MOST_RUNS: usize = 10_000;

/// What is to be archived of a task.
#[derive(Debug)]
pub(in crate::jobs::retention) struct Part<'a> {
    /// Which task.
    pub task: &'a KeptTask,
    /// Where its log stands.
    pub state: LogState,
    /// Everything before this.
    pub to: Offset,
    /// Whether the task is to go as a whole.
    pub whole: bool,
}

/// A file that is on the disk, but not yet in its place.
#[derive(Debug)]
pub(super) struct Written {
    pub file: NamedTempFile,
    pub manifest: Manifest,
    /// Of the file.
    pub sha256: Vec<u8>,
}

type Gzip = GzEncoder<BufWriter<NamedTempFile>>;

impl Part<'_> {
    /// Writes as much of it as goes into one file.
    pub(super) async fn write(&self, store: &Store, folder: &Path, turn: &mut Turn<'_>) -> Result<Written, ArchiveError> {
        let name = &self.task.task;
        let summary = store.summaries(std::slice::from_ref(name)).await?.pop().ok_or(ArchiveError::Changed)?;
        let runs = store.invocations(name, MOST_RUNS).await?.ok_or(ArchiveError::Changed)?;
        if summary.epoch != self.state.epoch || summary.floor != self.state.floor {
            return Err(ArchiveError::Changed);
        }
        let to = self.end(store, turn).await?;
        let manifest = of(summary, self, to.previous(), runs);
        let file = NamedTempFile::new_in(folder).map_err(failed(folder))?;
        let gzip = GzEncoder::new(BufWriter::new(file), Compression::default());
        let mut line = serde_json::to_vec(&manifest).map_err(|error| failed(folder)(io::Error::other(error)))?;
        line.push(b'\n');
        let mut gzip = write(gzip, line, folder).await?;
        let mut after = self.state.floor.previous();
        while after.next() < to {
            let began = Instant::now();
            let page = self.page(store, after).await?;
            after = page.through.min(to.previous());
            gzip = write(gzip, self.lines(&page, to), folder).await?;
            turn.rest(began.elapsed()).await;
        }
        let (folder, expected) = (folder.to_owned(), manifest.clone());
        let finish = blocking(move || finish(gzip, &expected, &folder));
        let (file, sha256) = turn.during(finish).await?;
        Ok(Written { file, manifest, sha256 })
    }

    /// Where the file ends.
    async fn end(&self, store: &Store, turn: &mut Turn<'_>) -> Result<Offset, ArchiveError> {
        let most = self.to.min(self.state.floor.plus(PART_ACTIVITIES));
        let (mut end, mut sum) = (self.state.floor, 0);
        while end < most && sum < PART_BYTES {
            let began = Instant::now();
            let (bytes, to) = store.measure(self.task.key, end, most).await?;
            (sum, end) = (sum + bytes, to);
            turn.rest(began.elapsed()).await;
        }
        Ok(end)
    }

    async fn page(&self, store: &Store, after: Offset) -> Result<Page, ArchiveError> {
        let (limit, bytes) = (PAGE_ACTIVITIES, PAGE_BYTES);
        let range = ReadAfter { after, limit, bytes, window: u64::MAX, filter: Filter::default() };
        let page = store.read_after(&self.task.task, &range).await?;
        let same = |page: &Page| page.state.epoch == self.state.epoch && page.state.floor == self.state.floor;
        page.filter(|page| same(page) && after < page.through).ok_or(ArchiveError::Changed)
    }

    /// A page as lines, without what comes after the file's end.
    fn lines(&self, page: &Page, to: Offset) -> Vec<u8> {
        let mut builder = FrameBuilder::new(&self.task.task, page.state.epoch);
        for (offset, activity) in page.activities.iter().filter(|(offset, _)| *offset < to) {
            builder.push(*offset, activity);
        }
        let mut lines = Vec::with_capacity(page.data_bytes() * 2);
        for batch in builder.finish() {
            for frame in batch.frames() {
                batch.write_json(frame, &mut lines);
                lines.push(b'\n');
            }
        }
        lines
    }
}

async fn write(mut gzip: Gzip, text: Vec<u8>, folder: &Path) -> Result<Gzip, ArchiveError> {
    let folder = folder.to_owned();
    blocking(move || gzip.write_all(&text).map(|()| gzip).map_err(failed(&folder))).await
}

/// Ends the file, has the disk keep it, and reads all of it again.
fn finish(gzip: Gzip, expected: &Manifest, folder: &Path) -> Result<(NamedTempFile, Vec<u8>), ArchiveError> {
    let written = gzip.finish().and_then(|buffer| buffer.into_inner().map_err(io::IntoInnerError::into_error));
    let mut file = written.and_then(|file| file.as_file().sync_all().map(|()| file)).map_err(failed(folder))?;
    file.rewind().map_err(failed(folder))?;
    let mut reader = ArchiveReader::open(io::BufReader::new(file.reopen().map_err(failed(folder))?))?;
    if (reader.manifest.first, reader.manifest.last) != (expected.first, expected.last) {
        return Err(BadArchive::Foreign(1).into());
    }
    while reader.next_activity()?.is_some() {}
    let sha256 = sha256(file.reopen().map_err(failed(folder))?).map_err(failed(folder))?;
    Ok((file, sha256))
}

fn sha256(mut file: File) -> io::Result<Vec<u8>> {
    let mut context = Context::new(&SHA256);
    let mut buffer = vec![0; 64 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(context.finish().as_ref().to_vec()),
            count => context.update(&buffer[..count]),
        }
    }
}
