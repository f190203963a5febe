//! What is made of a run, by what was heard of it and when. Pure.

use std::time::Duration;

use bytes::Bytes;
use serde_json::json;

use crate::{
    ingest::{IngestLimits, Item, parse_body},
    model::{EventId, JsonLimits, NewActivity, Status, Timestamp},
    store::{OpenRun, SaidStatus},
};

/// What is written here was checked when it was published, or is made here.
const ANYTHING: IngestLimits = IngestLimits {
    activity_bytes: usize::MAX,
    request_activities: 1,
    request_bytes: usize::MAX,
    json: JsonLimits { depth: usize::MAX, number_chars: usize::MAX },
};

/// For how long silence means nothing yet; zero for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Patience {
    /// Of a run that is at work.
    pub running: Duration,
    /// Of one that was announced and has not begun.
    pub pending: Duration,
}

/// How a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Something was heard of it.
    Alive,
    /// The last thing that it said is that it ended, and its row does not say so.
    Ended,
    /// Nothing was heard for so long, which is all the patience there is.
    Silent(Duration),
}

/// Judges a run. Nobody could be heard before `since`.
pub(super) fn judge(run: &OpenRun, patience: &Patience, since: Timestamp, now: Timestamp) -> Verdict {
    if run.said.is_some_and(Status::is_final) {
        return Verdict::Ended;
    }
    let patience = if run.status == Status::Pending { patience.pending } else { patience.running };
    let heard = run.last_activity_at.max(run.heard.heartbeat_at.unwrap_or_default()).max(since);
    if patience.is_zero() || now < heard.plus(patience) { Verdict::Alive } else { Verdict::Silent(patience) }
}

/// That the run is lost. The same silence gives the same `eventId`.
pub(super) fn lost(run: &OpenRun, patience: Duration, now: Timestamp) -> Option<NewActivity> {
    let reason = format!("nothing was heard for {}", humantime::format_duration(patience));
    let data = json!({"status": Status::Lost, "reason": reason}).to_string();
    let newest = run.heard.newest.unwrap_or_default().get();
    activity(run, event_id(run, "lost", newest), now, &data, now)
}

/// That the run ended, as it said itself.
pub(super) fn finished(run: &OpenRun, said: &SaidStatus) -> Option<NewActivity> {
    activity(run, event_id(run, "finished", said.offset.get()), said.timestamp, said.data.as_str(), Timestamp::now())
}

fn event_id(run: &OpenRun, what: &str, offset: u64) -> EventId {
    EventId::derived(format!("{what}\n{}\n{}\n{}\n{offset}", run.task, run.epoch, run.invocation).as_bytes())
}

/// As a publisher would say it.
fn activity(run: &OpenRun, event: EventId, timestamp: Timestamp, data: &str, now: Timestamp) -> Option<NewActivity> {
    let (invocation, timestamp) = (json!(run.invocation), timestamp.as_millis());
    let text =
        format!(r#"{{"invocationId":{invocation},"type":"status","eventId":"{event}","timestamp":{timestamp},"data":{data}}}"#);
    let mut body = parse_body(&Bytes::from(text), &run.task, now, &ANYTHING).ok()?;
    match body.items.pop()? {
        Ok(Item::Activity(activity)) => Some(*activity),
        Ok(Item::Heartbeat(_)) => None,
        Err(rejected) => {
            tracing::warn!(task.id = %run.task, code = rejected.code, "what a log says of a run's end cannot be said again");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{Data, Doing, Effect, Epoch, Offset},
        store::Heard,
    };

    const PATIENCE: Patience = Patience { running: Duration::from_secs(1_800), pending: Duration::from_secs(86_400) };
    const NOW: u64 = 1_000_000;

    fn ago(seconds: u64) -> Timestamp {
        Timestamp::from_millis((NOW - seconds) * 1_000).expect("small")
    }

    fn run(status: Status, spoke: u64, beat: Option<u64>) -> OpenRun {
        let heard = Heard { newest: Offset::new(7), heartbeat_at: beat.map(ago) };
        let (task, invocation) = ("build-42".parse().expect("valid"), "run 7".parse().expect("valid"));
        let epoch = Epoch::from_stored(17);
        OpenRun { key: 1, task, epoch, invocation, status, heard, last_activity_at: ago(spoke), doing: Doing::Other, said: None }
    }

    #[test]
    fn silence_counts_from_the_last_sign_of_life_or_from_when_somebody_listened() {
        let silent = Verdict::Silent(PATIENCE.running);
        for (spoke, beat, since, verdict) in [
            (0, None, 90_000, Verdict::Alive),
            (1_799, None, 90_000, Verdict::Alive),
            (1_800, None, 90_000, silent),
            (90_000, Some(1_799), 90_000, Verdict::Alive),
            (90_000, Some(1_800), 90_000, silent),
            (1_799, Some(90_000), 90_000, Verdict::Alive),
            // The hubs were away.
            (90_000, None, 1_799, Verdict::Alive),
            (90_000, None, 1_800, silent),
        ] {
            let judged = judge(&run(Status::Running, spoke, beat), &PATIENCE, ago(since), ago(0));
            assert_eq!(judged, verdict, "{spoke} {beat:?} {since}");
        }
    }

    #[test]
    fn what_has_not_begun_is_waited_for_longer_and_nothing_for_ever_if_so_wished() {
        let judged = |status, spoke, patience: &Patience| judge(&run(status, spoke, None), patience, ago(500_000), ago(0));
        assert_eq!(judged(Status::Pending, 80_000, &PATIENCE), Verdict::Alive);
        assert_eq!(judged(Status::Pending, 86_400, &PATIENCE), Verdict::Silent(PATIENCE.pending));
        let never = Patience { running: Duration::ZERO, pending: Duration::ZERO };
        for status in [Status::Pending, Status::Running] {
            assert_eq!(judged(status, 400_000, &never), Verdict::Alive);
        }
    }

    #[test]
    fn a_clock_that_is_behind_makes_nothing_lost() {
        assert_eq!(judge(&run(Status::Running, 0, None), &PATIENCE, ago(90_000), ago(50_000)), Verdict::Alive);
    }

    #[test]
    fn an_end_is_an_end_however_fresh() {
        for status in Status::ALL {
            let ended = OpenRun { said: Some(status), ..run(Status::Running, 0, Some(0)) };
            let judged = judge(&ended, &PATIENCE, ago(0), ago(0));
            assert_eq!(judged == Verdict::Ended, status.is_final(), "{status}");
        }
    }

    #[test]
    fn the_same_silence_is_said_once() {
        let lost = |run: &OpenRun| lost(run, PATIENCE.running, ago(0)).expect("an activity");
        let silent = run(Status::Running, 2_000, None);
        let first = lost(&silent);
        assert_eq!(first.activity.data.as_str(), r#"{"reason":"nothing was heard for 30m","status":"lost"}"#);
        assert!(first.event_id_given && matches!(&first.effect, Effect::Status(change) if change.status == Status::Lost));
        assert_eq!(lost(&silent).activity.event_id, first.activity.event_id);
        let heard = Heard { newest: Offset::new(8), ..silent.heard };
        for other in [
            OpenRun { heard, ..silent.clone() },
            OpenRun { epoch: Epoch::from_stored(18), ..silent.clone() },
            OpenRun { invocation: "run 8".parse().expect("valid"), ..silent },
        ] {
            assert_ne!(lost(&other).activity.event_id, first.activity.event_id, "{other:?}");
        }
    }

    #[test]
    fn an_end_is_said_again_as_it_was() {
        let text = r#"{"status":"failed","exitCode":2,"reason":"no space","x":[1.50]}"#;
        let data = Data::from_checked(text.into()).expect("UTF-8");
        let said = SaidStatus { offset: Offset::new(7).expect("small"), timestamp: ago(99), data };
        assert!(said.is_final());
        let again = finished(&run(Status::Running, 99, None), &said).expect("an activity");
        assert_eq!((again.activity.data.as_str(), again.activity.timestamp), (text, ago(99)));
        let Effect::Status(change) = again.effect else { panic!("a status") };
        assert_eq!((change.status, change.exit_code, change.reason.as_deref()), (Status::Failed, Some(2), Some("no space")));
    }
}
