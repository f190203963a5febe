//! What goes is written to the archive first: to a file, read again and compared, and only then in its place. Nothing is removed before.

mod bucket;
mod part;

use std::{
    fs::{DirBuilder, File},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use tempfile::NamedTempFile;

use super::{Stop, turn::Turn};
use crate::{
    archive::{BadArchive, Manifest},
    model::Offset,
    store::{Store, StoreError},
};

pub(super) use part::Part;

use bucket::Bucket;
use part::Written;

/// Where archives are.
#[derive(Debug, Clone)]
pub(crate) enum ArchivePlace {
    /// In files below a folder.
    Folder(PathBuf),
    /// In objects of a bucket.
    Bucket(Box<Bucket>),
}

impl ArchivePlace {
    /// Reads `file:///PATH` or `s3://BUCKET/PREFIX`. A bucket's credentials are in the file `credentials`, or if that is empty in the environment, as
    /// everywhere: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, if there is one, AWS_SESSION_TOKEN.
    pub(crate) fn parse(url: &str, endpoint: &str, region: &str, credentials: &str) -> Result<Self, String> {
        if let Some(path) = url.strip_prefix("file://") {
            return match path.starts_with('/') {
                true => Ok(Self::Folder(path.into())),
                false => Err("the path must be absolute: file:///var/lib/tasklight/archive".to_owned()),
            };
        }
        match url.strip_prefix("s3://") {
            Some(rest) => Bucket::parse(rest, endpoint, region, credentials).map(|bucket| Self::Bucket(Box::new(bucket))),
            None => Err("an archive is file:///PATH or s3://BUCKET/PREFIX".to_owned()),
        }
    }
}

/// Why something could not be archived. Nothing of it is removed then.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArchiveError {
    /// The round ends.
    #[error(transparent)]
    Stop(#[from] Stop),
    /// The task was changed or deleted meanwhile: there is nothing to archive as it was.
    #[error("the log changed under the archive")]
    Changed,
    /// The file could not be written.
    #[error("{path}: {error}")]
    File {
        /// The file or its folder.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// What was written is not what was to be written.
    #[error("what was written cannot be read again: {0}")]
    Unsound(#[from] BadArchive),
    /// The server did not take it, or gave something else back.
    #[error("the archive's server: {0}")]
    Server(String),
}

impl From<StoreError> for ArchiveError {
    fn from(error: StoreError) -> Self {
        Self::Stop(Stop::Store(error))
    }
}

/// The archive.
#[derive(Debug)]
pub(super) struct Archive {
    place: ArchivePlace,
}

impl Archive {
    pub(super) fn new(place: ArchivePlace) -> Self {
        Self { place }
    }

    /// Writes as much of the part as goes into one file, and gives the offset that comes next. When this returns the file is in its place and was read
    /// again.
    pub(super) async fn keep(&self, store: &Store, part: &Part<'_>, turn: &mut Turn<'_>) -> Result<Offset, ArchiveError> {
        let folder = match &self.place {
            ArchivePlace::Folder(folder) => {
                make_folder(folder)?;
                folder.clone()
            }
            ArchivePlace::Bucket(_) => std::env::temp_dir(),
        };
        let Written { file, manifest, sha256 } = part.write(store, &folder, turn).await?;
        let next = manifest.last.next();
        match &self.place {
            ArchivePlace::Folder(folder) => {
                let path = folder.join(manifest.path());
                turn.during(blocking(move || put_in_place(file, &path))).await?;
            }
            ArchivePlace::Bucket(bucket) => turn.during(bucket.keep(&manifest.path(), file.path(), &sha256)).await?,
        }
        Ok(next)
    }
}

fn failed(path: &Path) -> impl Fn(io::Error) -> ArchiveError {
    move |error| ArchiveError::File { path: path.to_owned(), error }
}

/// For its owner only: it holds what was published.
fn make_folder(path: &Path) -> Result<(), ArchiveError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed(path))
}

/// Puts a file that is on the disk in its place, in one step, and has the disk keep that, too.
fn put_in_place(file: NamedTempFile, path: &Path) -> Result<(), ArchiveError> {
    let folder = path.parent().unwrap_or(path);
    make_folder(folder)?;
    file.persist(path).map_err(|error| ArchiveError::File { path: path.to_owned(), error: error.error })?;
    for folder in [Some(folder), folder.parent()].into_iter().flatten() {
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed(folder))?;
    }
    Ok(())
}

/// Work that would hold up others on its thread.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, ArchiveError> + Send + 'static) -> Result<T, ArchiveError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(ArchiveError::File { path: PathBuf::new(), error: io::Error::other(error) }))
}

fn of(summary: crate::model::TaskSummary, part: &Part<'_>, last: Offset, invocations: Vec<crate::model::Invocation>) -> Manifest {
    Manifest {
        tasklight_archive: Manifest::VERSION,
        task_id: summary.task_id,
        epoch: summary.epoch,
        title: summary.title,
        labels: summary.labels,
        status: summary.status,
        created_at: summary.created_at,
        head: part.state.head,
        floor: part.state.floor,
        first: part.state.floor,
        last,
        whole: part.whole,
        archived_at: crate::model::Timestamp::now(),
        invocations,
    }
}
