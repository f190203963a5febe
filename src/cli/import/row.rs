//! A row of the old table as activities: what its columns mean, and its date.

use serde_json::{Map, Value, json};

use super::table::Table;
use crate::model::{ActivityType, InvocationId, TaskId, Timestamp};

/// The task of rows that name none.
const NO_TASK: &str = "legacy";

/// The most characters of a title that is made of a prompt.
const TITLE_CHARS: usize = 120;

/// Which columns mean what.
#[derive(Debug)]
pub(super) struct Columns {
    pub id: Option<String>,
    task: Option<String>,
    agent: Option<String>,
    title: Option<String>,
    prompt: Option<String>,
    result: Option<String>,
    error: Option<String>,
    exit_code: Option<String>,
    pub created_at: String,
}

impl Columns {
    /// What the table has of what is known. Without a date there is nothing to import by.
    pub(super) fn of(table: &Table) -> anyhow::Result<Self> {
        let created_at = table.column(&["created_at", "createdat", "created", "timestamp"]);
        let created_at = created_at
            .ok_or_else(|| anyhow::anyhow!("the table has no column created_at; it has {}", table.columns.join(", ")))?;
        Ok(Self {
            id: table.column(&["id", "invocation_id", "uuid"]),
            task: table.column(&["task_id", "task", "task_name"]),
            agent: table.column(&["agent", "agent_name", "agent_id"]),
            title: table.column(&["title", "name"]),
            prompt: table.column(&["prompt", "input", "instructions", "description"]),
            result: table.column(&["result", "output", "response"]),
            error: table.column(&["error", "error_message"]),
            exit_code: table.column(&["exit_code", "exitcode"]),
            created_at,
        })
    }
}

/// A row, understood.
#[derive(Debug)]
pub(super) struct Run {
    pub task: TaskId,
    /// What the row called its task, if that is no task's id.
    pub renamed: Option<String>,
    pub invocation: InvocationId,
    /// Its activities with a word for each; all of them happened at once.
    pub activities: Vec<(&'static str, ActivityType, Value)>,
}

/// The activities of a row. `key` tells it from all others.
pub(super) fn run_of(columns: &Columns, mut row: Map<String, Value>, number: i64, dated: bool, task: Option<&TaskId>) -> Run {
    let raw_date = row.get(&columns.created_at).cloned().unwrap_or_default();
    let mut take = |column: &Option<String>| column.as_ref().and_then(|name| row.remove(name)).as_ref().and_then(words);
    let id = take(&columns.id);
    let named = take(&columns.task);
    let (agent, title, prompt) = (take(&columns.agent), take(&columns.title), take(&columns.prompt));
    let (result, error, exit_code) = (take(&columns.result), take(&columns.error), take(&columns.exit_code));
    let invocation: Option<InvocationId> = id.as_deref().and_then(|id| id.parse().ok());
    let invocation = invocation.unwrap_or_else(|| format!("row-{number}").parse().expect("a short word and a number"));
    let fallback = || NO_TASK.parse().expect("a task id");
    let (task, renamed) = match (task, named.as_deref()) {
        (Some(task), _) => (task.clone(), None),
        (None, None) => (fallback(), None),
        (None, Some(name)) => match name.parse() {
            Ok(task) => (task, None),
            Err(_) => (TaskId::nearest(name).unwrap_or_else(fallback), named.clone()),
        },
    };
    // What nobody knows is kept with the run, and so is what was changed.
    row.remove(&columns.created_at);
    row.retain(|_, value| !value.is_null());
    row.insert("row".to_owned(), number.into());
    row.extend(renamed.clone().map(|name| ("task_id".to_owned(), name.into())));
    row.extend((!dated).then_some(("created_at".to_owned(), raw_date)));
    row.extend(id.filter(|id| *id != invocation.as_str()).map(|id| ("id".to_owned(), id.into())));
    let title = title.or_else(|| prompt.as_deref().map(shortened));
    let exit_code: Option<i32> = exit_code.and_then(|code| code.parse().ok());
    let reason = (!dated).then_some("its date could not be read: the time is that of the row before it");
    let mut status = json!({"status": "completed", "backfilled": true, "legacy": row});
    let known = [("agent", json!(agent)), ("title", json!(title)), ("exitCode", json!(exit_code)), ("reason", json!(reason))];
    for (name, value) in known.into_iter().filter(|(_, value)| !value.is_null()) {
        status[name] = value;
    }
    let message = |word, role: &str, text: Option<String>| {
        text.map(|text| (word, ActivityType::Message, json!({"role": role, "text": text})))
    };
    let error = error.map(|text| ("error", ActivityType::Error, json!({"message": text})));
    // The status is first, so that the run is marked before anything else is known of it.
    let mut activities = vec![("status", ActivityType::Status, status)];
    activities.extend([message("prompt", "user", prompt), message("result", "assistant", result), error].into_iter().flatten());
    Run { task, renamed, invocation, activities }
}

fn words(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
        other => Some(other.to_string()),
    }
}

fn shortened(text: &str) -> String {
    text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default().chars().take(TITLE_CHARS).collect()
}

/// A date as old programs wrote it: `2024-01-31 12:34:56` and the like, in UTC unless it says otherwise; or seconds or milliseconds
/// since 1970.
pub(super) fn date(value: &Value) -> Option<Timestamp> {
    /// More seconds than these are milliseconds: the year 5138.
    const MOST_SECONDS: u64 = 100_000_000_000;
    let number = |number: u64| Timestamp::from_millis(if number < MOST_SECONDS { number.checked_mul(1_000)? } else { number });
    let text = match value {
        Value::Number(seconds) => return seconds.as_u64().and_then(number),
        Value::String(text) => text.trim(),
        _ => return None,
    };
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // A year, or a day without its dashes, is no time.
        return text.parse().ok().filter(|_| 9 <= text.len()).and_then(number);
    }
    let time: Option<jiff::Timestamp> = text.parse().ok();
    let time = time.or_else(|| {
        let civil: jiff::civil::DateTime = text.parse().ok()?;
        Some(civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
    })?;
    u64::try_from(time.as_millisecond()).ok().and_then(Timestamp::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_as_old_programs_wrote_them_and_nothing_is_guessed() {
        for (text, millis) in [
            (json!("2024-01-31 12:34:56"), Some(1_706_704_496_000)),
            (json!(" 2024-01-31T12:34:56 "), Some(1_706_704_496_000)),
            (json!("2024-01-31T12:34:56Z"), Some(1_706_704_496_000)),
            (json!("2024-01-31 14:34:56+02:00"), Some(1_706_704_496_000)),
            (json!("2024-01-31 12:34:56.789"), Some(1_706_704_496_789)),
            (json!("2024-01-31"), Some(1_706_659_200_000)),
            (json!("1706704496"), Some(1_706_704_496_000)),
            (json!(1_706_704_496_000_u64), Some(1_706_704_496_000)),
            (json!("31.01.2024"), None),
            (json!("2024-13-01 00:00:00"), None),
            (json!("20240131"), None),
            (json!("1969-12-31 23:59:59"), None),
            (json!(-5), None),
            (json!(""), None),
            (json!(null), None),
        ] {
            assert_eq!(date(&text).map(Timestamp::as_millis), millis, "{text}");
        }
    }
}
