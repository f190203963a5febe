//! Whether runs that are said not to have ended have not, and whether they are heard of.

use std::{collections::BTreeMap, time::Duration};

use super::finding::{Finding, Named, Report};
use crate::{
    config::Settings,
    model::{Evidence, StalledAfter, StalledReason, Status, Timestamp},
    store::{Inspector, OpenRun, SaidStatus, StoreError},
};

const CHECK: &str = "runs";

/// How many runs are looked at without `--full`, and at once.
const RUNS: usize = 1_000;

/// How long a reconciler may take to say that a run is lost, beside a few of its intervals.
const SLACK: Duration = Duration::from_secs(60);

/// Looks at runs, some or all of them. Somebody has listened since then, if anybody has.
pub(super) async fn examine(
    inspector: &mut Inspector,
    full: bool,
    settings: &Settings,
    since: Option<Timestamp>,
    report: &mut Report,
) -> Result<(), StoreError> {
    let reconciler = &settings.reconciler;
    let patience = |status| match status {
        Status::Pending => reconciler.pending_orphan_after.get(),
        _ => reconciler.orphan_after.get(),
    };
    let mut runs = Runs::default();
    let (after, slack) = (settings.store_options().stalled_after, reconciler.interval.get() * 4 + SLACK);
    let mut place = i64::MIN;
    loop {
        let page = inspector.open_runs(place, RUNS).await?;
        let keys: Vec<_> = page.iter().map(|run| run.key).collect();
        let said = inspector.last_statuses(&keys).await?;
        for run in &page {
            runs.look(run, said.get(&run.key), patience(run.status), slack, since, &after);
        }
        match page.last() {
            Some(last) if full && page.len() == RUNS => place = last.key,
            _ => break,
        }
    }
    runs.tell(inspector.open_backfilled().await?, report);
    Ok(())
}

#[derive(Debug, Default)]
struct Runs {
    looked: usize,
    ended: Named,
    silent: Named,
    stalled: BTreeMap<StalledReason, usize>,
}

impl Runs {
    fn look(
        &mut self,
        run: &OpenRun,
        said: Option<&SaidStatus>,
        patience: Duration,
        slack: Duration,
        since: Option<Timestamp>,
        after: &StalledAfter,
    ) {
        self.looked += 1;
        let now = Timestamp::now();
        let name = || format!("{} of {}", run.invocation, run.task);
        if said.is_some_and(SaidStatus::is_final) {
            self.ended.add(name);
            return;
        }
        let (last_activity_at, heartbeat_at) = (run.last_activity_at, run.heard.heartbeat_at);
        let heard = last_activity_at.max(heartbeat_at.unwrap_or_default()).max(since.unwrap_or_default());
        if !patience.is_zero() && heard.plus(patience + slack) <= now {
            self.silent.add(name);
        }
        let evidence = Evidence { status: run.status, backfilled: false, last_activity_at, doing: run.doing, heartbeat_at };
        if let Some((reason, _)) = evidence.judge(after, now) {
            *self.stalled.entry(reason).or_default() += 1;
        }
    }

    fn tell(self, backfilled: u64, report: &mut Report) {
        let stalled: Vec<_> = self.stalled.iter().map(|(reason, count)| format!("{count} {}", reason.describe())).collect();
        let stalled = if stalled.is_empty() { String::new() } else { format!(", stalled: {}", stalled.join(", ")) };
        if let Some(named) = self.ended.say("run that ended and is said to run", "runs that ended and are said to run") {
            report.add(Finding::error(
                CHECK,
                named,
                "Their logs end with a final status that their rows do not have, as after rows were put back from an older copy.",
                "A hub that runs finishes them: at once if it is the last that they said, else when reconciler.orphan_after is over.",
            ));
        }
        if let Some(named) = self.silent.say("silent run that is not lost", "silent runs that are not lost") {
            report.add(Finding::error(
                CHECK,
                named,
                "Nothing was heard of them for longer than reconciler.orphan_after, and no hub says so.",
                "See under leases whether a hub reconciles, and in its log and tasklight_runs_reconciled_total what it comes to.",
            ));
        }
        if backfilled != 0 {
            report.add(Finding::warning(
                CHECK,
                format!("{backfilled} runs that were recorded afterwards are said not to have ended"),
                "Silence means nothing for them, so nothing ever ends them, and their tasks stay open.",
                "Publish their last status, or delete their tasks.",
            ));
        }
        report.add(Finding::ok(CHECK, format!("{} runs looked at that have not ended{stalled}", self.looked)));
    }
}

#[cfg(test)]
mod tests {
    use super::{super::finding::Level, *};
    use crate::{
        model::{Data, Doing, Epoch, Offset},
        store::Heard,
    };

    fn run(minutes: u64) -> OpenRun {
        let last_activity_at = Timestamp::now().minus(Duration::from_secs(60 * minutes));
        let (task, invocation) = ("t".parse().expect("valid"), "r".parse().expect("valid"));
        let (status, epoch) = (Status::Running, Epoch::from_stored(1));
        OpenRun {
            key: 1,
            task,
            epoch,
            invocation,
            status,
            heard: Heard::default(),
            last_activity_at,
            doing: Doing::Other,
            said: None,
        }
    }

    #[test]
    fn a_run_is_told_that_should_be_lost_or_finished_and_is_not() {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        let after = StalledAfter { idle: minutes(5), tool: minutes(10), heartbeat: minutes(2) };
        let end = SaidStatus {
            offset: Offset::new(1).expect("small"),
            timestamp: Timestamp::now(),
            data: Data::from_checked(r#"{"status":"failed"}"#.into()).expect("UTF-8"),
        };
        let since = |minutes_ago| Some(Timestamp::now().minus(minutes(minutes_ago)));
        for (silent, said, since, patience, worst) in [
            (1, None, None, 30, Level::Ok),
            (31, None, None, 30, Level::Ok),
            (33, None, None, 30, Level::Error),
            (33, None, since(10), 30, Level::Ok),
            (99, None, since(33), 30, Level::Error),
            (99, None, None, 0, Level::Ok),
            (1, Some(&end), None, 30, Level::Error),
        ] {
            let (mut runs, mut report) = (Runs::default(), Report::default());
            runs.look(&run(silent), said, minutes(patience), minutes(2), since, &after);
            runs.tell(0, &mut report);
            assert_eq!(report.worst(), worst, "{silent} {said:?} {since:?} {patience}");
        }
        let mut report = Report::default();
        Runs::default().tell(3, &mut report);
        assert_eq!(report.worst(), Level::Warning);
    }
}
