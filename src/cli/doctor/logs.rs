//! Whether the rows of tasks agree with their logs and their runs.

use super::finding::{Finding, Named, Report};
use crate::store::{Inspector, LAG, LookAt, StoreError, TaskFacts};

const CHECK: &str = "logs";

/// How much is looked at without `--full`: so many tasks, so many of the newest activities of each.
const TASKS: usize = 500;
const WINDOW: u64 = 10_000;

/// How many tasks are read at once when all are.
const PAGE: usize = 200;

/// What clocks of hubs may differ by beside the lag of rows.
const SLACK: std::time::Duration = std::time::Duration::from_secs(5);

/// Looks at tasks, the newest or all of them.
pub(super) async fn examine(inspector: &mut Inspector, full: bool, report: &mut Report) -> Result<(), StoreError> {
    let mut logs = Logs::default();
    let mut look = LookAt { after: i64::MIN, limit: TASKS, window: WINDOW, all: false };
    if full {
        look = LookAt { limit: PAGE, window: i64::MAX.unsigned_abs(), all: true, ..look };
    }
    loop {
        let tasks = inspector.tasks(look).await?;
        tasks.iter().for_each(|task| logs.look(task, look.window));
        match tasks.last() {
            Some(last) if full && tasks.len() == look.limit => look.after = last.key,
            _ => break,
        }
    }
    logs.tell(full, report);
    Ok(())
}

/// What is wrong with which tasks.
#[derive(Debug, Default)]
struct Logs {
    looked: usize,
    ahead: Named,
    holes: Named,
    below: Named,
    counts: Named,
    stale: Named,
}

impl Logs {
    fn look(&mut self, task: &TaskFacts, window: u64) {
        self.looked += 1;
        let name = || task.name.clone();
        let window = i64::try_from(window).unwrap_or(i64::MAX);
        match task.kept {
            Some((_, last)) if last < task.head => self.ahead.add(|| format!("{} ({last} of {})", task.name, task.head)),
            Some((first, last)) => {
                let wanted = last - (task.floor - 1).max(last.saturating_sub(window));
                if task.counted < wanted {
                    self.holes.add(|| format!("{} ({} of {wanted})", task.name, task.counted));
                }
                if first < task.floor {
                    self.below.add(name);
                }
            }
            None if task.floor <= task.head => self.ahead.add(|| format!("{} (none of {})", task.name, task.head)),
            None => {}
        }
        if task.counts != task.runs {
            self.counts.add(name);
        }
        let heard = task.last_activity_at.unwrap_or_default().plus(LAG + SLACK);
        if task.newest_at.is_some_and(|newest| heard < newest) {
            self.stale.add(name);
        }
    }

    fn tell(self, full: bool, report: &mut Report) {
        const RESTORE: &str = "Rows went that nobody trimmed: look for a restore that went wrong, or a hand in the database. `tasklight migrate \
                               --renew-epochs` makes viewers start over with what is there.";
        let mut fine = true;
        let mut tell = |named: Option<String>, make: fn(String) -> Finding| {
            if let Some(named) = named {
                fine = false;
                report.add(make(named));
            }
        };
        tell(self.ahead.say("task whose log ends before its head", "tasks whose logs end before their heads"), |named| {
            Finding::error(CHECK, named, "The newest activities are gone: viewers with newer cursors cannot go on.", RESTORE)
        });
        tell(self.holes.say("log with holes", "logs with holes"), |named| {
            Finding::error(
                CHECK,
                named,
                "Offsets are missing in the middle: viewers that come there are told nothing of it.",
                RESTORE,
            )
        });
        tell(self.below.say("log with activities below its floor", "logs with activities below their floors"), |named| {
            let meaning = "They are shown to nobody, and take room.";
            Finding::warning(CHECK, named, meaning, "Trim the task again, at or above its floor; that takes them away.")
        });
        tell(self.counts.say("task that miscounts its runs", "tasks that miscount their runs"), |named| {
            let meaning = "Its status and its place among running tasks in lists are wrong.";
            Finding::error(
                CHECK,
                named,
                meaning,
                "Rows were put back or changed by hand. Count the runs of the task anew in its row, with its hubs stopped.",
            )
        });
        tell(self.stale.say("task that grew without its row", "tasks that grew without their rows"), |named| {
            let meaning = "Lists order it by a time that is too old.";
            Finding::warning(
                CHECK,
                named,
                meaning,
                "Its next activity puts it right. If there are more every time, clocks of hubs differ.",
            )
        });
        if fine {
            let what = if full { "all of them".to_owned() } else { format!("the newest, {WINDOW} activities of each at most") };
            report.add(Finding::ok(CHECK, format!("{} tasks agree with their logs and runs ({what})", self.looked)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::finding::Level, *};
    use crate::model::{StatusCounts, Timestamp};

    fn task(head: i64, floor: i64, kept: Option<(i64, i64)>, counted: i64) -> TaskFacts {
        let counts = StatusCounts { running: 1, ..StatusCounts::default() };
        let now = Timestamp::from_millis(1_000_000);
        let newest_at = kept.and(now);
        let name = "t".to_owned();
        TaskFacts { key: 1, name, head, floor, last_activity_at: now, counts, runs: counts, kept, newest_at, counted }
    }

    fn told(task: &TaskFacts) -> (Level, String) {
        let (mut logs, mut report) = (Logs::default(), Report::default());
        logs.look(task, 100);
        logs.tell(false, &mut report);
        let found = serde_json::to_value(&report).expect("JSON")["findings"][0]["found"].as_str().unwrap_or_default().to_owned();
        (report.worst(), found)
    }

    #[test]
    fn a_log_that_agrees_is_no_finding() {
        for task in [
            task(0, 1, None, 0),
            task(7, 8, None, 0),
            task(7, 1, Some((1, 7)), 7),
            task(7, 3, Some((3, 7)), 5),
            // The row may be behind.
            task(5, 1, Some((1, 7)), 7),
            // Only the window is counted.
            task(1_000, 1, Some((1, 1_000)), 100),
            task(1_000, 951, Some((951, 1_000)), 50),
        ] {
            assert_eq!(told(&task).0, Level::Ok, "{task:?}");
        }
    }

    #[test]
    fn what_does_not_agree_is_told_by_what_it_is() {
        let miscounted = TaskFacts { runs: StatusCounts::default(), ..task(1, 1, Some((1, 1)), 1) };
        let stale = TaskFacts { last_activity_at: Timestamp::from_millis(900_000), ..task(1, 1, Some((1, 1)), 1) };
        for (task, level, words) in [
            (task(9, 1, Some((1, 7)), 7), Level::Error, "before its head"),
            (task(9, 3, None, 0), Level::Error, "before its head"),
            (task(7, 1, Some((1, 7)), 6), Level::Error, "with holes"),
            (task(7, 1, Some((2, 7)), 6), Level::Error, "with holes"),
            (task(7, 3, Some((2, 7)), 6), Level::Warning, "below its floor"),
            (miscounted, Level::Error, "miscounts"),
            (stale, Level::Warning, "grew without its row"),
        ] {
            let (worst, found) = told(&task);
            assert!(worst == level && found.contains(words), "{task:?} gave {worst:?}: {found}");
        }
    }
}
