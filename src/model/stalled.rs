//! When a run that is said to be running does not get on, by what was heard of it last. The one rule for the API, the list and the page.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{InvocationId, Status, Timestamp};

/// The name of the `custom` activity by which an agent says that it may not go on without a person.
pub const NEEDS_APPROVAL: &str = "needs_approval";

/// The reason in a `status` activity by which an agent says that it has done what it was asked.
pub const WAITING_FOR_PROMPT: &str = "waiting for a prompt";

/// Why a run is said to be stalled, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StalledReason {
    /// It waits for a person.
    Waiting,
    /// A tool was called long ago and has not given anything back.
    Tool,
    /// Its heartbeats have stopped.
    Heartbeat,
    /// Nothing was heard of it.
    Idle,
}

impl StalledReason {
    /// As people are told.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Waiting => "waiting for a person",
            Self::Tool => "a tool is open",
            Self::Heartbeat => "heartbeats stopped",
            Self::Idle => "no activity",
        }
    }
}

/// How long silence means nothing yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StalledAfter {
    /// After anything but a tool's call.
    pub idle: Duration,
    /// After a tool's call.
    pub tool: Duration,
    /// Between heartbeats.
    pub heartbeat: Duration,
}

/// What a run's last activity says of what it does now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Doing {
    /// A person is asked, now.
    Approval,
    /// It is done, and waits for what to do next.
    Prompt,
    /// A tool works.
    Tool,
    /// Nothing in particular.
    #[default]
    Other,
}

/// What is known of a run that may be stalled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Evidence {
    /// Where it stands.
    pub status: Status,
    /// Recorded after the fact: its silence means nothing.
    pub backfilled: bool,
    /// When its last activity was taken, as its log says.
    pub last_activity_at: Timestamp,
    /// What that says.
    pub doing: Doing,
    /// When its last heartbeat was taken.
    pub heartbeat_at: Option<Timestamp>,
}

impl Evidence {
    /// From when on it is stalled, if nothing more is heard of it: the earliest time for which [`Evidence::judge`] says so. Nothing if its silence means
    /// nothing.
    pub fn stalled_from(&self, after: &StalledAfter) -> Option<Timestamp> {
        if self.status != Status::Running || self.backfilled {
            return None;
        }
        let spoke = self.last_activity_at;
        let due = match self.doing {
            Doing::Approval => spoke,
            Doing::Prompt | Doing::Other => spoke.plus(after.idle),
            Doing::Tool => spoke.plus(after.tool),
        };
        let stops = self.heartbeat_at.filter(|beat| spoke <= *beat).map(|beat| beat.plus(after.heartbeat));
        Some(stops.map_or(due, |stops| stops.min(due)))
    }

    /// Why it is stalled, and when the last thing was heard that says so.
    pub fn judge(&self, after: &StalledAfter, now: Timestamp) -> Option<(StalledReason, Timestamp)> {
        if self.status != Status::Running || self.backfilled {
            return None;
        }
        let silent = |since: Timestamp, patience: Duration| since.plus(patience) <= now;
        let spoke = self.last_activity_at;
        let (reason, due) = match self.doing {
            // Whatever the clock says: nobody would look again.
            Doing::Approval => (StalledReason::Waiting, true),
            Doing::Prompt => (StalledReason::Waiting, silent(spoke, after.idle)),
            Doing::Tool => (StalledReason::Tool, silent(spoke, after.tool)),
            Doing::Other => (StalledReason::Idle, silent(spoke, after.idle)),
        };
        let stopped = self.heartbeat_at.filter(|beat| spoke <= *beat && silent(*beat, after.heartbeat));
        let by_activity = due.then_some((reason, spoke));
        by_activity.into_iter().chain(stopped.map(|beat| (StalledReason::Heartbeat, beat))).min()
    }
}

/// What is stalled of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stalled {
    /// How many of its runs, of those that were looked at.
    pub count: u64,
    /// Why the worst of them is.
    pub reason: StalledReason,
    /// When the last thing was heard that says so.
    pub since: Timestamp,
    /// Which run that is.
    pub invocation_id: InvocationId,
}

impl Stalled {
    /// What these say together: the worst reason, and of several the oldest. Nothing if none is stalled.
    pub fn of(runs: impl IntoIterator<Item = (InvocationId, Evidence)>, after: &StalledAfter, now: Timestamp) -> Option<Self> {
        let mut stalled: Option<Self> = None;
        for (invocation_id, evidence) in runs {
            let Some((reason, since)) = evidence.judge(after, now) else { continue };
            let count = stalled.as_ref().map_or(1, |worst| worst.count + 1);
            match &mut stalled {
                Some(worst) if (worst.reason, worst.since) <= (reason, since) => worst.count = count,
                worst => *worst = Some(Self { count, reason, since, invocation_id }),
            }
        }
        stalled
    }
}

#[cfg(test)]
mod tests {
    use super::{
        Doing::*,
        StalledReason::{Heartbeat, Idle, Waiting},
        *,
    };

    const AFTER: StalledAfter =
        StalledAfter { idle: Duration::from_secs(300), tool: Duration::from_secs(600), heartbeat: Duration::from_secs(90) };

    /// The time by which all others are given, as seconds before it.
    const NOW: u64 = 10_000;

    fn ago(seconds: u64) -> Timestamp {
        Timestamp::from_millis((NOW - seconds) * 1_000).expect("small")
    }

    fn evidence(doing: Doing, spoke: u64, beat: Option<u64>) -> Evidence {
        let (last_activity_at, heartbeat_at) = (ago(spoke), beat.map(ago));
        Evidence { status: Status::Running, backfilled: false, last_activity_at, doing, heartbeat_at }
    }

    #[test]
    fn a_run_is_stalled_by_evidence() {
        for (doing, spoke, beat, stalled) in [
            (Other, 0, None, None),
            (Other, 299, None, None),
            (Other, 300, None, Some((Idle, 300))),
            // Heartbeats do not hide that nothing happens,
            (Other, 300, Some(1), Some((Idle, 300))),
            (Other, 299, Some(1), None),
            // but a tool does.
            (Tool, 300, Some(1), None),
            (Tool, 599, None, None),
            (Tool, 600, Some(1), Some((StalledReason::Tool, 600))),
            (Approval, 0, None, Some((Waiting, 0))),
            (Approval, 5_000, Some(1), Some((Waiting, 5_000))),
            (Prompt, 299, None, None),
            (Prompt, 300, Some(1), Some((Waiting, 300))),
            // Heartbeats that stop say more than silence,
            (Other, 100, Some(89), None),
            (Other, 100, Some(90), Some((Heartbeat, 90))),
            (Other, 400, Some(350), Some((Heartbeat, 350))),
            (Tool, 200, Some(120), Some((Heartbeat, 120))),
            // less than a tool that hangs or a person who is waited for,
            (Tool, 700, Some(650), Some((StalledReason::Tool, 700))),
            (Prompt, 400, Some(390), Some((Waiting, 400))),
            (Approval, 100, Some(95), Some((Waiting, 100))),
            // and nothing if something was heard since.
            (Other, 80, Some(95), None),
            (Other, 95, Some(95), Some((Heartbeat, 95))),
        ] {
            let judged = evidence(doing, spoke, beat).judge(&AFTER, ago(0));
            assert_eq!(judged, stalled.map(|(reason, seconds)| (reason, ago(seconds))), "{doing:?} {spoke} {beat:?}");
        }
    }

    #[test]
    fn only_what_runs_now_is_stalled() {
        for status in Status::ALL {
            let judged = Evidence { status, ..evidence(Approval, 1_000, None) }.judge(&AFTER, ago(0));
            assert_eq!(judged.is_some(), status == Status::Running, "{status}");
        }
        assert_eq!(Evidence { backfilled: true, ..evidence(Approval, 1_000, None) }.judge(&AFTER, ago(0)), None);
    }

    #[test]
    fn a_clock_that_is_behind_makes_nothing_stalled() {
        assert_eq!(evidence(Other, 0, Some(0)).judge(&AFTER, ago(5_000)), None);
        let approval = evidence(Approval, 0, None).judge(&AFTER, ago(1));
        assert_eq!(approval, Some((Waiting, ago(0))), "but a person is waited for at once");
    }

    #[test]
    fn a_run_is_stalled_from_the_first_moment_for_which_it_is_judged_so() {
        let mut looked_at = 0;
        for doing in [Approval, Prompt, Tool, Other] {
            for spoke in [0, 80, 95, 299, 300, 400, 700, 5_000] {
                for beat in [None, Some(0), Some(89), Some(90), Some(350), Some(4_000)] {
                    let evidence = evidence(doing, spoke, beat);
                    let from = evidence.stalled_from(&AFTER).expect("it runs");
                    assert!(evidence.judge(&AFTER, from).is_some(), "{doing:?} {spoke} {beat:?}");
                    let before = from.minus(Duration::from_millis(1));
                    // Who asks a person is stalled whatever the clock says.
                    assert_eq!(evidence.judge(&AFTER, before).is_some(), doing == Approval, "{doing:?} {spoke} {beat:?}");
                    looked_at += 1;
                }
            }
        }
        assert_eq!(looked_at, 4 * 8 * 6);
        assert_eq!(Evidence { status: Status::Pending, ..evidence(Other, 0, None) }.stalled_from(&AFTER), None);
    }

    #[test]
    fn a_task_tells_of_its_worst_run() {
        let told = |runs: &[(Doing, u64)]| {
            let runs = runs
                .iter()
                .enumerate()
                .map(|(n, (doing, spoke))| (format!("r{n}").parse().expect("valid"), evidence(*doing, *spoke, None)));
            Stalled::of(runs, &AFTER, ago(0)).map(|told| (told.count, told.reason, told.since, told.invocation_id.to_string()))
        };
        assert_eq!(told(&[]), None);
        assert_eq!(told(&[(Other, 10), (Tool, 500)]), None);
        assert_eq!(told(&[(Other, 400), (Other, 10), (Tool, 700)]), Some((2, StalledReason::Tool, ago(700), "r2".to_owned())));
        assert_eq!(told(&[(Approval, 5), (Other, 900), (Approval, 7)]), Some((3, Waiting, ago(7), "r2".to_owned())));
    }
}
