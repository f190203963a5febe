//! What could not be delivered, kept in a file that `tasklight publish` takes.

use std::{
    io::{self, BufWriter, Write},
    path::PathBuf,
};

use super::{outbox::Outbox, sender::Sender};
use crate::model::TaskId;

/// Writes everything that is not confirmed into a new file that only its owner can read. Gives its path and the number of activities.
pub(super) fn keep(task: &TaskId, sender: &Sender<'_>, outbox: &Outbox) -> io::Result<(PathBuf, u64)> {
    let file = tempfile::Builder::new().prefix(&format!("tasklight-{task}-")).suffix(".ndjson").tempfile()?;
    let mut count = 0;
    let mut out = BufWriter::new(file);
    let waiting = std::iter::from_fn(|| outbox.pop());
    for activity in sender.unconfirmed().cloned().chain(waiting) {
        out.write_all(&activity)?;
        out.write_all(b"\n")?;
        count += 1;
    }
    let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.as_file().sync_all()?;
    let (_, path) = file.keep().map_err(|error| error.error)?;
    Ok((path, count))
}
