//! What a store promises of leases, of what is written under one, and of the runs that are gone through.

use tasklight::{
    model::{EventId, Status},
    store::{Condition, Fence, HeldLease, LastHeard, LeaseName, OpenRun},
};

use super::*;
use crate::services::execute_on;

/// Longer than any test takes.
const TERM: Duration = Duration::from_secs(300);
const LEASE: LeaseName = LeaseName::Reconciler;

/// Changes the leases behind the store's back.
async fn let_it_be(f: &Fixture, change: &str) {
    execute_on(&f.options.url, &format!("UPDATE leases SET {change}")).await;
}

async fn acquire(f: &Fixture, holder: &str) -> Option<HeldLease> {
    f.store.acquire_lease(LEASE, holder, TERM).await.expect("it answers")
}

async fn renew(f: &Fixture, fence: Fence) -> Option<HeldLease> {
    f.store.renew_lease(fence, TERM).await.expect("it answers")
}

pub async fn a_lease_has_one_holder_at_a_time(f: Fixture) {
    let first = acquire(&f, "a").await.expect("nobody has it");
    assert_eq!((first.fence.token, first.since), (1, first.now));
    assert_eq!(acquire(&f, "b").await, None);
    assert_eq!(acquire(&f, "a").await, None, "not even another process of the same name");
    let retention = f.store.acquire_lease(LeaseName::Retention, "b", TERM).await.expect("it answers");
    assert!(retention.is_some(), "each by itself");
    assert_eq!(renew(&f, first.fence).await.map(|held| (held.fence, held.since)), Some((first.fence, first.since)));
    f.store.release_lease(first.fence).await.expect("it answers");
    assert_eq!(renew(&f, first.fence).await, None, "given back is given back");
    let second = acquire(&f, "b").await.expect("it was given back");
    assert_eq!((second.fence.token, second.since), (2, first.since), "somebody has had it all the time");
    f.store.release_lease(first.fence).await.expect("it answers");
    assert!(renew(&f, second.fence).await.is_some(), "an earlier holder gives back nothing");
    let (rows, now) = f.store.leases().await.expect("it reads");
    assert_eq!(rows.iter().map(|row| row.name.as_str()).collect::<Vec<_>>(), ["reconciler", "retention"]);
    assert_eq!((rows[0].holder.as_deref(), rows[0].token), (Some("b"), 2));
    assert!(now < rows[0].expires_at);
}

pub async fn a_lease_that_ran_out_is_for_whoever_comes_first(f: Fixture) {
    let first = acquire(&f, "a").await.expect("nobody has it");
    let_it_be(&f, "expires_at = 1").await;
    let again = renew(&f, first.fence).await.expect("nobody came");
    assert_eq!(again.fence.token, 2, "but what was decided before is over");
    assert_eq!(renew(&f, first.fence).await, None);
    let_it_be(&f, "expires_at = 1").await;
    let second = acquire(&f, "b").await.expect("it ran out");
    assert_eq!(second.fence.token, 3);
    assert_eq!(renew(&f, again.fence).await, None);
    let_it_be(&f, "expires_at = 9007199254740991").await;
    let third = acquire(&f, "c").await.expect("no lease lasts that long: a clock was wrong");
    assert_eq!(third.fence.token, 4);
}

pub async fn a_lease_tells_since_when_somebody_has_had_it(f: Fixture) {
    let first = acquire(&f, "a").await.expect("nobody has it");
    let_it_be(&f, "since = 5000").await;
    let renewed = renew(&f, first.fence).await.expect("it is ours");
    assert_eq!(renewed.since.as_millis(), 5_000);
    // Ran out a moment ago: less than a term passed.
    let soon = format!("expires_at = {}", renewed.now.as_millis() - 100_000);
    let late = format!("expires_at = {}", renewed.now.as_millis() - 400_000);
    let_it_be(&f, &soon).await;
    let renewed = renew(&f, first.fence).await.expect("it is ours");
    assert_eq!((renewed.since.as_millis(), renewed.fence), (5_000, first.fence));
    let_it_be(&f, &late).await;
    let again = renew(&f, first.fence).await.expect("it is ours");
    assert_eq!(again.since, again.now, "nobody had it for a while");
    let_it_be(&f, &format!("since = 5000, {soon}")).await;
    let second = acquire(&f, "b").await.expect("it ran out");
    assert_eq!(second.since.as_millis(), 5_000);
    let_it_be(&f, &late).await;
    let third = acquire(&f, "c").await.expect("it ran out");
    assert_eq!(third.since, third.now);
    let_it_be(&f, "since = 9007199254740991").await;
    let renewed = renew(&f, third.fence).await.expect("it is ours");
    assert_eq!(renewed.since, renewed.now, "a clock was wrong: nothing begins in the future");
}

/// The only open run.
async fn only(f: &Fixture) -> OpenRun {
    let mut runs = f.store.open_runs(0, 10).await.expect("it reads");
    assert_eq!(runs.len(), 1, "{runs:?}");
    runs.remove(0)
}

fn as_it_is(run: &OpenRun, fence: Fence) -> Condition {
    let OpenRun { task, epoch, invocation, status, heard, .. } = run.clone();
    Condition { fence, runs: vec![LastHeard { task, epoch, invocation, status, heard }] }
}

fn lost(id: &str) -> Append {
    let event = EventId::derived(b"a silence");
    activity(id, &format!(r#"{{"invocationId":"r","type":"status","eventId":"{event}","data":{{"status":"lost"}}}}"#))
}

/// What becomes of saying that the run is lost.
async fn say_lost(store: &Store, condition: &Condition) -> Result<u64, Refusal> {
    let mut appended = store.append_if(&[lost("t")], condition, Attempt::First).await.expect("it answers");
    appended.results.remove(0).map(|receipt| receipt.cursor.offset.get())
}

pub async fn what_an_earlier_holder_writes_is_refused(f: Fixture) {
    receipts(&f.store, &[message("t", "1")]).await;
    let run = only(&f).await;
    let first = acquire(&f, "a").await.expect("nobody has it");
    let condition = as_it_is(&run, first.fence);
    let_it_be(&f, "expires_at = 1").await;
    assert_eq!(say_lost(&f.store, &condition).await, Err(Refusal::Fenced), "it ran out");
    let second = acquire(&f, "b").await.expect("it ran out");
    assert_eq!(say_lost(&f.store, &condition).await, Err(Refusal::Fenced), "another one has it");
    f.store.release_lease(second.fence).await.expect("it answers");
    assert_eq!(say_lost(&f.store, &as_it_is(&run, second.fence)).await, Err(Refusal::Fenced), "it was given back");
    let third = acquire(&f, "a").await.expect("it was given back");
    assert_eq!(say_lost(&f.store, &condition).await, Err(Refusal::Fenced), "it is another lease, although the same holder's");
    assert_eq!(texts(&f.store, "t", &everything()).await.len(), 1, "nothing was written");
    assert_eq!(say_lost(&f.store, &as_it_is(&run, third.fence)).await, Ok(2));
    assert_eq!(say_lost(&f.store, &as_it_is(&run, third.fence)).await, Ok(2), "the same silence is said once");
    receipts(&f.store, &[message("t", "back")]).await;
    let summary = f.store.summaries(&[task("t")]).await.expect("it reads").remove(0);
    assert_eq!((summary.invocation_counts.running, summary.invocation_counts.lost), (1, 0), "an activity revives it");
}

pub async fn whoever_was_heard_in_the_meantime_is_not_lost(f: Fixture) {
    receipts(&f.store, &[message("t", "1")]).await;
    let fence = acquire(&f, "a").await.expect("nobody has it").fence;
    let refused = async |why: &str, condition: &Condition| {
        assert_eq!(say_lost(&f.store, condition).await, Err(Refusal::Outdated), "{why}");
    };
    let condition = as_it_is(&only(&f).await, fence);
    receipts(&f.store, &[message("t", "2")]).await;
    refused("it spoke", &condition).await;
    let condition = as_it_is(&only(&f).await, fence);
    f.store
        .heartbeats(&[Heartbeat { task: task("t"), invocation: "r".parse().expect("valid"), at: Timestamp::now() }])
        .await
        .expect("it is noted");
    refused("its heart beat", &condition).await;
    let condition = as_it_is(&only(&f).await, fence);
    receipts(&f.store, &[status("t", "r", "completed")]).await;
    refused("it ended", &condition).await;
    f.store.delete_task(&task("t")).await.expect("it answers");
    refused("its task is gone", &condition).await;
    assert!(f.store.summaries(&[task("t")]).await.expect("it reads").is_empty(), "and is not made again");
    receipts(&f.store, &[message("t", "1")]).await;
    let mut another = as_it_is(&only(&f).await, fence);
    another.runs[0].epoch = condition.runs[0].epoch;
    refused("its task is another one", &another).await;
    let mut elsewhere = as_it_is(&only(&f).await, fence);
    elsewhere.runs[0].status = Status::Pending;
    refused("it stands elsewhere", &elsewhere).await;
    assert_eq!(texts(&f.store, "t", &everything()).await.len(), 1);
    receipts(&f.store, &[message("u", "another task's run goes on")]).await;
}

pub async fn open_runs_are_gone_through_by_key(f: Fixture) {
    let old = |run: &str, seconds: u64, kind: &str, data: &str| {
        let mut append = activity("t", &format!(r#"{{"invocationId":"{run}","type":"{kind}","data":{data}}}"#));
        append.activity.activity.received_at = Timestamp::now().minus(Duration::from_secs(seconds));
        append
    };
    receipts(&f.store, &[old("a", 100, "message", "{}"), old("b", 100, "status", r#"{"status":"pending"}"#)]).await;
    receipts(&f.store, &[old("imported", 90, "status", r#"{"status":"running","backfilled":true}"#)]).await;
    receipts(&f.store, &[old("done", 90, "status", r#"{"status":"failed"}"#), old("c", 90, "tool_call", "{}")]).await;
    // Within the lag of rows: the log alone tells.
    receipts(&f.store, &[old("a", 95, "message", "{}")]).await;
    let (first, next) = (f.store.open_runs(0, 2).await.expect("it reads"), |last: &OpenRun| last.key);
    let rest = f.store.open_runs(next(&first[1]), 2).await.expect("it reads");
    let all: Vec<_> = first.iter().chain(&rest).collect();
    let mut told: Vec<_> =
        all.iter().map(|run| (run.invocation.as_str(), run.status, run.heard.newest.map(Offset::get))).collect();
    told.sort_unstable_by_key(|(name, ..)| *name);
    let expected = [("a", Status::Running, Some(6)), ("b", Status::Pending, Some(2)), ("c", Status::Running, Some(5))];
    assert_eq!(told, expected);
    let of = |name: &str| all.iter().find(|run| run.invocation.as_str() == name).expect("it is there");
    let age = Timestamp::now().as_millis() - of("a").last_activity_at.as_millis();
    assert!((95_000..98_000).contains(&age), "{age}");
    assert_eq!((of("b").said, of("a").said, of("c").doing), (Some(Status::Pending), None, tasklight::model::Doing::Tool));
    let keys: Vec<_> = all.iter().map(|run| run.key).collect();
    let said = f.store.last_statuses(&keys).await.expect("it reads");
    let said: Vec<_> = said.iter().map(|(run, said)| (*run, said.offset.get(), said.data.as_str())).collect();
    assert_eq!(said, [(of("b").key, 2, r#"{"status":"pending"}"#)]);
}

/// A run speaks at the moment at which it is said to be lost, again and again: whichever comes first, nothing stands between what was judged and that it is
/// lost.
pub async fn a_run_that_speaks_at_that_moment_was_first_or_comes_back(f: Fixture) {
    const ROUNDS: usize = 60;
    let other = match f.store {
        Store::Postgres(_) => Store::open(&f.options).await.expect("it opens"),
        Store::Sqlite(_) => f.store.clone(),
    };
    let fence = acquire(&f, "a").await.expect("nobody has it").fence;
    receipts(&f.store, &[message("t", "begin")]).await;
    let mut outcomes = [0; 2];
    for round in 0..ROUNDS {
        let run = only(&f).await;
        let newest = run.heard.newest.expect("it spoke").get();
        let event = EventId::generate();
        let said =
            activity("t", &format!(r#"{{"invocationId":"r","type":"status","eventId":"{event}","data":{{"status":"lost"}}}}"#));
        let (condition, lost, speaks) = (as_it_is(&run, fence), [said], [message("t", &round.to_string())]);
        let (lost, spoke) =
            tokio::join!(f.store.append_if(&lost, &condition, Attempt::First), other.append(&speaks, Attempt::First),);
        spoke.expect("it answers").results.remove(0).expect("a publisher is never refused");
        match lost.expect("it answers").results.remove(0) {
            Ok(receipt) => assert_eq!(receipt.cursor.offset.get(), newest + 1),
            Err(refusal) => assert_eq!(refusal, Refusal::Outdated),
        }
        let is_lost = f.store.open_runs(0, 10).await.expect("it reads").is_empty();
        assert!(!is_lost, "it spoke");
        let last = f.store.read_before(&task("t"), None, 2, &Filter::default()).await.expect("it reads").expect("the task");
        outcomes[usize::from(last.activities[0].1.event_id == event)] += 1;
    }
    println!("heard first {}, lost first {}", outcomes[0], outcomes[1]);
}
