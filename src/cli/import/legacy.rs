//! The old table, row by row: in order of time, and within a second in order of rows.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
};

use super::{
    Done, Stop,
    row::{Columns, date, run_of},
    sender::{Past, Sender},
    table::Table,
};
use crate::{
    cli::progress::Progress,
    model::{EventId, TaskId, Timestamp},
};

/// How many rows are read at once.
const BATCH: usize = 500;

/// The most rows with unreadable dates, and the most tasks with other names, that are named one by one.
const NAMED: usize = 100;

/// A row's place: when it was, and its number. What has no time of its own takes that of the row before it.
type Place = (Timestamp, i64, bool);

/// Imports all rows of the table.
pub(super) async fn import(
    file: &Path,
    table: &str,
    task: Option<&TaskId>,
    sender: &mut Sender,
    progress: &mut Progress,
) -> Result<Done, Stop> {
    let mut rows = Table::open(file, table).await?;
    let columns = Columns::of(&rows)?;
    let unique = match &columns.id {
        Some(id) => rows.is_unique(id).await?,
        None => false,
    };
    let (places, undated) = places(&mut rows, &columns.created_at, progress).await?;
    let mut renamed: BTreeMap<String, TaskId> = BTreeMap::new();
    let mut tasks = std::collections::BTreeSet::new();
    for (done, batch) in places.chunks(BATCH).enumerate() {
        let numbers: Vec<i64> = batch.iter().map(|(_, number, _)| *number).collect();
        let mut found: HashMap<i64, _> = rows.rows(&numbers).await?.into_iter().collect();
        for (time, number, dated) in batch {
            let Some(row) = found.remove(number) else { continue };
            let run = run_of(&columns, row, *number, *dated, task);
            if let Some(name) = run.renamed {
                renamed.insert(name, run.task.clone());
            }
            let from = format!("row {number}").into();
            for (word, kind, data) in run.activities {
                // The same row is the same run, whatever the file's name; where ids repeat, the row's number tells them apart.
                let row = if unique { String::new() } else { number.to_string() };
                let name = format!("legacy\n{}\n{}\n{row}\n{word}", run.task, run.invocation);
                let event_id = EventId::derived(name.as_bytes());
                let (task, invocation) = (&run.task, &run.invocation);
                sender.push(Past { task, invocation, kind, event_id, time: *time, data, from: &from }).await?;
            }
            tasks.insert(run.task);
        }
        sender.flush().await?;
        progress.at(|| format!("{} of {} rows, {}", done * BATCH + batch.len(), places.len(), sender.words()));
    }
    for (name, task) in renamed.iter().take(NAMED) {
        progress.say(&format!("tasklight: task {name:?} is imported as {task}: an id has letters, digits, '.', '_' and '-'"));
    }
    let mut summary = format!("{} rows in {} tasks: {}", places.len(), tasks.len(), sender.words());
    if 0 < undated {
        summary.push_str(&format!("; {undated} rows had dates that cannot be read and have the time of the row before them"));
    }
    if !renamed.is_empty() {
        summary.push_str(&format!("; {} tasks have other names now", renamed.len()));
    }
    Ok(Done { summary, whole: undated == 0 })
}

/// The rows in order of time, and how many had none; those are named. A row takes 24 bytes, whatever is in it.
async fn places(table: &mut Table, column: &str, progress: &mut Progress) -> anyhow::Result<(Vec<Place>, usize)> {
    let mut places: Vec<Place> = Vec::new();
    let (mut last, mut undated) = (None, 0);
    let see = |number, text: serde_json::Value| {
        let date = date(&text);
        if date.is_none() {
            undated += 1;
            if undated <= NAMED {
                progress.say(&format!("tasklight: row {number}: created_at {text} is no date such as \"2024-01-31 12:34:56\""));
            }
        }
        if let (None, Some(first)) = (last, date) {
            // Before the first one that can be read there is none before it: then that one's.
            places.iter_mut().for_each(|(time, ..)| *time = first);
        }
        last = date.or(last);
        places.push((last.unwrap_or_default(), number, date.is_some()));
    };
    table.index(column, see).await?;
    if NAMED < undated {
        progress.say(&format!("tasklight: and {} more rows", undated - NAMED));
    }
    // Stable: within a second rows stay in their order.
    places.sort_by_key(|(time, ..)| *time);
    Ok((places, undated))
}
