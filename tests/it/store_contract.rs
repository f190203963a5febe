//! What every store promises, whatever database is behind it. Another store joins by another line at the end of this file.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use tasklight::{
    ingest::{IngestLimits, Item, parse_body},
    model::{Filter, JsonLimits, Offset, Reject, Status, TaskId, Timestamp},
    store::{
        Append, Attempt, Heartbeat, OpenError, REJECTS_OF_TASK, ReadAfter, Receipt, Refusal, Store, StoreOptions, TaskChange,
        TaskQuery,
    },
};
use tempfile::TempDir;

use crate::services::{Database, postgres_database};

/// An empty store, and what must outlive it.
pub struct Fixture {
    pub store: Store,
    pub options: StoreOptions,
    _folder: Option<TempDir>,
    _database: Option<Database>,
}

pub fn options(url: String) -> StoreOptions {
    StoreOptions {
        url,
        readers: 2,
        writers: 2,
        busy_timeout: Duration::from_secs(1),
        synchronous: true,
        statement_timeout: Duration::from_secs(10),
        connect_timeout: Duration::from_secs(5),
        start_timeout: Duration::from_secs(5),
        migrate: true,
    }
}

/// A store in a database of its own on the tests' server.
pub async fn postgres() -> Fixture {
    let database = postgres_database().await;
    let options = options(database.url());
    let store = Store::open(&options).await.expect("it opens");
    Fixture { store, options, _folder: None, _database: Some(database) }
}

pub async fn sqlite() -> Fixture {
    let folder = TempDir::new().expect("a folder");
    let options = options(format!("sqlite://{}", folder.path().join("sub/log.db").display()));
    let store = Store::open(&options).await.expect("it opens");
    Fixture { store, options, _folder: Some(folder), _database: None }
}

pub fn task(id: &str) -> TaskId {
    id.parse().expect("a task id")
}

fn at(offset: u64) -> Offset {
    Offset::new(offset).expect("small")
}

/// What publishing this JSON to `id` would append.
pub fn activity(id: &str, json: &str) -> Append {
    let json_limits = JsonLimits { depth: 64, number_chars: 64 };
    let limits = IngestLimits { activity_bytes: 65_536, request_activities: 1, request_bytes: 65_536, json: json_limits };
    let body = Bytes::copy_from_slice(json.as_bytes());
    let mut parsed = parse_body(&body, &task(id), Timestamp::now(), &limits).expect("a body");
    match parsed.items.pop() {
        Some(Ok(Item::Activity(activity))) => Append { task: task(id), activity: *activity },
        other => panic!("{json} is no activity: {other:?}"),
    }
}

pub fn message(id: &str, text: &str) -> Append {
    activity(id, &format!(r#"{{"invocationId":"r","type":"message","data":{{"text":"{text}"}}}}"#))
}

fn status(id: &str, invocation: &str, status: &str) -> Append {
    activity(id, &format!(r#"{{"invocationId":"{invocation}","type":"status","data":{{"status":"{status}"}}}}"#))
}

pub async fn receipts(store: &Store, batch: &[Append]) -> Vec<Receipt> {
    let appended = store.append(batch, Attempt::First).await.expect("it is stored");
    appended.results.into_iter().map(|result| result.expect("a receipt")).collect()
}

pub fn everything() -> ReadAfter {
    ReadAfter { after: Offset::ZERO, limit: 10_000, bytes: usize::MAX, window: u64::MAX, filter: Filter::default() }
}

pub async fn texts(store: &Store, id: &str, range: &ReadAfter) -> Vec<(u64, String)> {
    let page = store.read_after(&task(id), range).await.expect("it reads").expect("the task is there");
    page.activities.iter().map(|(offset, activity)| (offset.get(), activity.data.as_str().to_owned())).collect()
}

pub async fn offsets_have_no_holes_and_follow_the_order_of_the_batch(f: Fixture) {
    let batch = [message("a", "1"), message("b", "x"), message("a", "2"), message("a", "3")];
    let first = receipts(&f.store, &batch).await;
    let offsets: Vec<_> = first.iter().map(|receipt| receipt.cursor.offset.get()).collect();
    assert_eq!(offsets, [1, 1, 2, 3]);
    assert_ne!(first[0].cursor.epoch, first[1].cursor.epoch, "each log has a life of its own");
    let second = receipts(&f.store, &[message("a", "4")]).await;
    assert_eq!((second[0].cursor.offset.get(), second[0].cursor.epoch), (4, first[0].cursor.epoch));
    let stored = texts(&f.store, "a", &everything()).await;
    let expected: Vec<_> = (1..=4).map(|n| (n, format!(r#"{{"text":"{n}"}}"#))).collect();
    assert_eq!(stored, expected);
}

pub async fn a_known_event_gets_its_first_receipt_again(f: Fixture) {
    let id = "0190c6a4-7c1e-7000-8000-5f3a9c1e0001";
    let known = |text: &str| {
        activity("t", &format!(r#"{{"invocationId":"r","type":"message","eventId":"{id}","data":{{"text":"{text}"}}}}"#))
    };
    let first = receipts(&f.store, &[known("first"), known("twice in one batch"), message("t", "other")]).await;
    assert_eq!(
        first.iter().map(|r| (r.cursor.offset.get(), r.duplicate)).collect::<Vec<_>>(),
        [(1, false), (1, true), (2, false)]
    );
    let again = f.store.append(&[known("again")], Attempt::First).await.expect("it answers");
    assert_eq!(again.results, [Ok(Receipt { duplicate: true, ..first[0] })]);
    assert!(again.commits.is_empty(), "nothing is new");
    assert_eq!(texts(&f.store, "t", &everything()).await[0].1, r#"{"text":"first"}"#);
    let elsewhere = Append { task: task("u"), ..known("same id, other task") };
    assert!(!receipts(&f.store, &[elsewhere]).await[0].duplicate, "an eventId is unique within its task");
}

pub async fn a_refused_item_does_not_hurt_its_neighbours(f: Fixture) {
    receipts(&f.store, &[status("t", "r", "completed")]).await;
    let batch = [message("t", "late output is kept"), status("t", "r", "running"), message("t", "after")];
    let appended = f.store.append(&batch, Attempt::First).await.expect("it is stored");
    let refusal = Refusal::Transition { invocation: "r".parse().expect("valid"), from: Status::Completed, to: Status::Running };
    let offsets: Vec<_> = appended.results.iter().map(|r| r.as_ref().map(|r| r.cursor.offset.get())).collect();
    assert_eq!(offsets, [Ok(2), Err(&refusal), Ok(3)]);
}

pub async fn statuses_move_in_the_same_commit(f: Fixture) {
    let counts = async |f: &Fixture| {
        let summary = f.store.summaries(&[task("t")]).await.expect("it reads").remove(0);
        (summary.status, summary.invocation_counts)
    };
    receipts(&f.store, &[status("t", "a", "pending")]).await;
    assert_eq!(counts(&f).await.0, Some(Status::Pending));
    receipts(&f.store, &[message("t", "an unknown invocation runs"), status("t", "b", "lost")]).await;
    let (overall, now) = counts(&f).await;
    assert_eq!((overall, now.pending, now.running, now.lost), (Some(Status::Running), 1, 1, 1));
    let alive = r#"{"invocationId":"b","type":"output","data":{"stream":"stdout","text":"back"}}"#;
    let done =
        r#"{"invocationId":"b","type":"status","data":{"status":"failed","agent":"make","exitCode":2,"reason":"no rule"}}"#;
    receipts(
        &f.store,
        &[activity("t", alive), activity("t", done), status("t", "r", "completed"), status("t", "a", "cancelled")],
    )
    .await;
    let (overall, now) = counts(&f).await;
    assert_eq!((overall, now.failed, now.completed, now.cancelled, now.lost), (Some(Status::Cancelled), 1, 1, 1, 0));
    let b = f.store.invocation(&task("t"), &"b".parse().expect("valid")).await.expect("it reads").expect("it is there");
    assert_eq!(
        (b.status, b.agent.as_deref(), b.exit_code, b.reason.as_deref()),
        (Status::Failed, Some("make"), Some(2), Some("no rule"))
    );
    assert!(b.started_at.is_some() && b.completed_at.is_some());
}

pub async fn a_run_recorded_after_the_fact_is_never_stalled(f: Fixture) {
    let said = |data: &str| activity("t", &format!(r#"{{"invocationId":"r","type":"status","timestamp":1000,"data":{data}}}"#));
    let run = async || {
        let run = f.store.invocation(&task("t"), &"r".parse().expect("valid")).await.expect("it reads").expect("it is there");
        run.with_stalled(Timestamp::now().plus(Duration::from_secs(3_600)))
    };
    receipts(&f.store, &[status("t", "r", "running")]).await;
    assert!(run().await.stalled && !run().await.backfilled);
    receipts(&f.store, &[said(r#"{"status":"running","backfilled":true}"#)]).await;
    assert!(!run().await.stalled && run().await.backfilled);
    receipts(&f.store, &[said(r#"{"status":"completed"}"#)]).await;
    let run = f.store.invocations(&task("t"), 10).await.expect("it reads").expect("the task is there").remove(0);
    assert!(run.backfilled, "once said it stays");
    let once = activity(
        "t",
        r#"{"invocationId":"once","type":"status","timestamp":1000,"data":{"status":"completed","backfilled":true}}"#,
    );
    receipts(&f.store, &[once]).await;
    let once = f.store.invocation(&task("t"), &"once".parse().expect("valid")).await.expect("it reads").expect("it is there");
    assert_eq!(
        (once.started_at, once.completed_at, once.backfilled),
        (Timestamp::from_millis(1_000), Timestamp::from_millis(1_000), true)
    );
}

pub async fn usage_is_the_last_snapshot(f: Fixture) {
    let usage = |n: u32| activity("t", &format!(r#"{{"invocationId":"r","type":"usage","data":{{"inputTokens":{n}}}}}"#));
    receipts(&f.store, &[usage(1), usage(5), message("t", "x")]).await;
    let run = f.store.invocations(&task("t"), 10).await.expect("it reads").expect("the task is there").remove(0);
    assert_eq!(run.usage.expect("usage").get(), r#"{"inputTokens":5}"#);
}

pub async fn heartbeats_have_a_column_of_their_own(f: Fixture) {
    receipts(&f.store, &[message("t", "x")]).await;
    let now = Timestamp::now();
    let beat = |task_id: &str, run: &str| Heartbeat { task: task(task_id), invocation: run.parse().expect("valid"), at: now };
    f.store.heartbeats(&[beat("t", "r"), beat("t", "unknown"), beat("nowhere", "r")]).await.expect("they are noted");
    let run = f.store.invocations(&task("t"), 10).await.expect("it reads").expect("the task is there").remove(0);
    assert_eq!(run.heartbeat_at, Some(now));
    assert_eq!(f.store.log_states(&[task("t"), task("nowhere")]).await.expect("it reads").len(), 1, "no task is made");
}

pub async fn pages_are_bounded_and_complete(f: Fixture) {
    let batch: Vec<_> = (1..=600).map(|n| message("t", &n.to_string())).collect();
    receipts(&f.store, &batch).await;
    let mut seen = Vec::new();
    let mut after = Offset::ZERO;
    loop {
        let range = ReadAfter { after, limit: 250, ..everything() };
        let page = f.store.read_after(&task("t"), &range).await.expect("it reads").expect("the task is there");
        assert!(page.activities.len() <= 250);
        seen.extend(page.activities.iter().map(|(offset, _)| offset.get()));
        after = page.through;
        if after == page.state.head {
            break;
        }
    }
    assert_eq!(seen, (1..=600).collect::<Vec<_>>());
    let small = ReadAfter { bytes: 30, ..everything() };
    assert_eq!(texts(&f.store, "t", &small).await.len(), 3, "each payload has 12 bytes: the third reaches the bound");
    let last = f.store.read_before(&task("t"), None, 2, &Filter::default()).await.expect("it reads").expect("there");
    assert_eq!((last.activities[0].0.get(), last.activities.len(), last.through.get()), (599, 2, 598));
    let earlier = f.store.read_before(&task("t"), Some(at(3)), 9, &Filter::default()).await.expect("it reads").expect("there");
    assert_eq!((earlier.activities.len(), earlier.through.get()), (2, 0));
    assert!(f.store.read_after(&task("nowhere"), &everything()).await.expect("it reads").is_none());
}

pub async fn filters_leave_out_and_say_how_far_they_looked(f: Fixture) {
    let mut batch: Vec<_> = (1..=50).map(|n| message("t", &n.to_string())).collect();
    batch.push(activity("t", r#"{"invocationId":"other","type":"error","data":{"message":"no"}}"#));
    receipts(&f.store, &batch).await;
    let filter = Filter { types: vec!["error".parse().expect("a type")], ..Filter::default() };
    let narrow = ReadAfter { window: 20, filter: filter.clone(), ..everything() };
    let page = f.store.read_after(&task("t"), &narrow).await.expect("it reads").expect("there");
    assert_eq!((page.activities.len(), page.through.get()), (0, 20));
    let page = f.store.read_after(&task("t"), &ReadAfter { filter, ..everything() }).await.expect("it reads").expect("there");
    assert_eq!((page.activities[0].0.get(), page.through.get()), (51, 51));
    let run = Filter { invocation: Some("other".parse().expect("valid")), ..Filter::default() };
    assert_eq!(texts(&f.store, "t", &ReadAfter { filter: run, ..everything() }).await.len(), 1);
}

pub async fn pieces_of_finished_series_can_be_left_out(f: Fixture) {
    let piece = |series: &str, end: bool, text: &str| {
        let kind = if end { "final" } else { "delta" };
        let data = format!(r#"{{"seriesId":"{series}","{kind}":true,"text":"{text}"}}"#);
        activity("t", &format!(r#"{{"invocationId":"r","type":"message","data":{data}}}"#))
    };
    let batch = [piece("s", false, "a"), piece("open", false, "x"), piece("s", false, "b"), piece("s", true, "ab")];
    receipts(&f.store, &batch).await;
    let filter = Filter { finished_series: true, ..Filter::default() };
    let kept: Vec<_> = texts(&f.store, "t", &ReadAfter { filter, ..everything() }).await.into_iter().map(|(n, _)| n).collect();
    assert_eq!(kept, [2, 4], "the open series keeps its pieces");
}

pub async fn payloads_come_back_byte_for_byte(f: Fixture) {
    let odd = [
        r#"{"b": 1.50, "a":"\u00e9\/"}"#,
        r#"{"n":123456789012345678901234567890,"dup":1,"dup":2}"#,
        "{ \"snow\" : \"\u{2603}\u{1f600}\u{2028}\" }",
    ];
    let batch: Vec<_> =
        odd.iter().map(|data| activity("t", &format!(r#"{{"invocationId":"r","type":"custom","data":{data}}}"#))).collect();
    receipts(&f.store, &batch).await;
    let stored: Vec<_> = texts(&f.store, "t", &everything()).await.into_iter().map(|(_, text)| text).collect();
    assert_eq!(stored, odd);
}

pub async fn trimming_raises_the_floor_and_keeps_offsets(f: Fixture) {
    let batch: Vec<_> = (1..=10).map(|n| message("t", &n.to_string())).collect();
    receipts(&f.store, &batch).await;
    let state = f.store.trim(&task("t"), at(8)).await.expect("it trims").expect("the task is there");
    assert_eq!((state.floor.get(), state.head.get()), (8, 10));
    assert_eq!(f.store.trim(&task("t"), at(3)).await.expect("it trims").expect("there").floor.get(), 8, "a floor never falls");
    let page = f.store.read_after(&task("t"), &everything()).await.expect("it reads").expect("there");
    assert_eq!((page.state.floor.get(), page.activities[0].0.get()), (8, 8));
    assert_eq!(f.store.trim(&task("t"), at(99)).await.expect("it trims").expect("there").floor.get(), 11, "at most head + 1");
    assert_eq!(receipts(&f.store, &[message("t", "next")]).await[0].cursor.offset.get(), 11);
}

pub async fn what_a_log_tells_is_exact_although_rows_are_written_seldom(f: Fixture) {
    let began = Timestamp::now();
    for seconds in [0, 1, 2, 12, 13] {
        let mut append = message("t", "x");
        append.activity.activity.received_at = began.plus(Duration::from_secs(seconds));
        let receipt = receipts(&f.store, &[append.clone()]).await[0];
        let expected = append.activity.activity.received_at;
        let summary = f.store.summaries(&[task("t")]).await.expect("it reads").remove(0);
        assert_eq!((summary.head, summary.last_activity_at), (receipt.cursor.offset, Some(expected)), "after {seconds} s");
        let run = f.store.invocation(&task("t"), &"r".parse().expect("valid")).await.expect("it reads").expect("it is there");
        assert_eq!(run.last_activity_at, expected, "after {seconds} s");
        let runs = f.store.invocations(&task("t"), 10).await.expect("it reads").expect("the task is there");
        assert_eq!(runs[0].last_activity_at, expected, "after {seconds} s");
    }
    // A task that was active a moment ago stands before one that was made meanwhile, whichever row was written last.
    let mut other = message("u", "x");
    other.activity.activity.received_at = began.plus(Duration::from_millis(12_500));
    receipts(&f.store, &[other]).await;
    let (tasks, _) = f.store.tasks(&TaskQuery { limit: 10, ..TaskQuery::default() }).await.expect("it lists");
    assert_eq!(tasks.iter().map(|task| task.task_id.as_str()).collect::<Vec<_>>(), ["t", "u"]);
    let since = f.store.tasks_listed_since(began.plus(Duration::from_secs(13)), 10).await.expect("it reads");
    assert!(since.contains(&task("t")), "found by when it was active, not by when its row was written");
}

pub async fn a_task_made_again_lives_another_life(f: Fixture) {
    let before = receipts(&f.store, &[message("t", "1")]).await[0].cursor;
    assert!(f.store.delete_task(&task("t")).await.expect("it deletes"));
    assert!(!f.store.delete_task(&task("t")).await.expect("it answers"));
    assert!(f.store.invocations(&task("t"), 10).await.expect("it reads").is_none());
    let after = receipts(&f.store, &[message("t", "1")]).await[0].cursor;
    assert_eq!(after.offset.get(), 1);
    assert_ne!(after.epoch, before.epoch);
}

pub async fn tasks_are_described_listed_and_found(f: Fixture) {
    let labels =
        |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect::<BTreeMap<_, _>>();
    let change = TaskChange { title: Some(Some("50% _done".to_owned())), labels: Some(labels(&[("repo", "web"), ("ci", "")])) };
    assert!(f.store.put_task(&task("quiet"), &change).await.expect("it is made"));
    assert!(!f.store.put_task(&task("quiet"), &TaskChange::default()).await.expect("it is there"));
    for n in 0..5 {
        receipts(&f.store, &[message(&format!("t{n}"), "x")]).await;
    }
    receipts(&f.store, &[status("t3", "r", "failed")]).await;
    let ids = async |query: TaskQuery| -> Vec<String> {
        let mut all = Vec::new();
        let mut after = None;
        loop {
            let (tasks, next) = f.store.tasks(&TaskQuery { limit: 2, after, ..query.clone() }).await.expect("it lists");
            all.extend(tasks.iter().map(|task| task.task_id.to_string()));
            match next {
                Some(place) => after = Some(place),
                None => return all,
            }
        }
    };
    let all = ids(TaskQuery::default()).await;
    assert_eq!((all.len(), all.iter().collect::<std::collections::HashSet<_>>().len()), (6, 6), "each once: {all:?}");
    assert_eq!(ids(TaskQuery { status: Some(Status::Failed), ..TaskQuery::default() }).await, ["t3"]);
    assert_eq!(ids(TaskQuery { text: Some("% _D".to_owned()), ..TaskQuery::default() }).await, ["quiet"], "no wildcards");
    let with = |name: &str, value: Option<&str>| TaskQuery {
        labels: vec![(name.to_owned(), value.map(str::to_owned))],
        ..TaskQuery::default()
    };
    assert_eq!(ids(with("repo", Some("web"))).await, ["quiet"]);
    assert_eq!(ids(with("ci", None)).await, ["quiet"]);
    assert!(ids(with("repo", Some("api"))).await.is_empty());
    let remove = TaskChange { title: Some(None), labels: None };
    assert!(f.store.patch_task(&task("quiet"), &remove).await.expect("it changes"));
    let quiet = f.store.summaries(&[task("quiet")]).await.expect("it reads").remove(0);
    assert_eq!((quiet.title, quiet.labels.len(), quiet.status), (None, 2, None));
    assert!(!f.store.patch_task(&task("nowhere"), &remove).await.expect("it answers"));
}

pub async fn what_was_taken_without_an_answer_is_found_again(f: Fixture) {
    let batch = [message("t", "made here"), message("t", "and here")];
    let first = receipts(&f.store, &batch).await;
    let again = f.store.append(&batch, Attempt::Again).await.expect("it answers");
    let expected: Vec<_> = first.iter().map(|receipt| Ok(Receipt { duplicate: true, ..*receipt })).collect();
    assert_eq!(again.results, expected);
    assert_eq!(texts(&f.store, "t", &everything()).await.len(), 2);
}

pub async fn open_tasks_are_read_in_pages(f: Fixture) {
    for n in 0..5 {
        receipts(&f.store, &[status(&format!("t{n}"), "r", if n == 2 { "completed" } else { "running" })]).await;
    }
    receipts(&f.store, &[status("t5", "r", "pending")]).await;
    let mut all = Vec::new();
    let mut after = None;
    loop {
        let (tasks, next) = f.store.open_tasks(after, 2).await.expect("it reads");
        all.extend(tasks.iter().map(ToString::to_string));
        let Some(next) = next else { break };
        after = Some(next);
    }
    assert_eq!(all, ["t0", "t1", "t3", "t4", "t5"]);
}

pub async fn stored_events_are_told_from_others(f: Fixture) {
    let stored = receipts(&f.store, &[message("t", "x")]).await[0].event_id;
    let other = tasklight::model::EventId::generate();
    assert_eq!(f.store.stored_events(&task("t"), &[other, stored]).await.expect("it reads"), [stored]);
    assert!(f.store.stored_events(&task("u"), &[stored]).await.expect("it reads").is_empty(), "within the task");
}

pub async fn recently_active_tasks_are_found(f: Fixture) {
    receipts(&f.store, &[message("a", "x")]).await;
    let now = Timestamp::now();
    let found = f.store.tasks_listed_since(now.minus(Duration::from_secs(60)), 10).await.expect("it reads");
    assert_eq!(found, [task("a")]);
    let later = Timestamp::from_millis(now.as_millis() + 60_000).expect("small");
    assert!(f.store.tasks_listed_since(later, 10).await.expect("it reads").is_empty());
}

pub async fn rejects_are_kept_newest_first_and_not_for_ever(f: Fixture) {
    let reject = |task_id: &str, n: u64| Reject {
        task: task(task_id),
        at: Timestamp::now(),
        code: "unknown_type".to_owned(),
        field: Some("type".to_owned()),
        message: format!("number {n}"),
        event_id: n.is_multiple_of(2).then(tasklight::model::EventId::generate),
        bytes: n,
        excerpt: "{}".to_owned(),
    };
    let many: Vec<_> = (0..150).map(|n| reject("t", n)).collect();
    f.store.keep_rejects(&many).await.expect("they are kept");
    f.store.keep_rejects(&[reject("u", 1), many[0].clone()]).await.expect("they are kept");
    let kept = f.store.rejects(&task("t"), 1_000).await.expect("it reads");
    assert_eq!((kept.len(), &kept[0], &kept[1]), (REJECTS_OF_TASK, &many[0], &many[149]));
    assert_eq!(f.store.rejects(&task("u"), 1_000).await.expect("it reads").len(), 1);
    f.store.put_task(&task("t"), &TaskChange::default()).await.expect("it is made");
    f.store.delete_task(&task("t")).await.expect("it is deleted");
    assert!(f.store.rejects(&task("t"), 10).await.expect("it reads").is_empty(), "they go with the task");
}

pub async fn renewed_epochs_end_every_cursor(f: Fixture) {
    let before = receipts(&f.store, &[message("t", "1"), message("u", "1")]).await;
    f.store.renew_epochs().await.expect("it renews");
    let states = f.store.log_states(&[task("t"), task("u")]).await.expect("it reads");
    for (task, state) in states {
        let old = if task.as_str() == "t" { before[0] } else { before[1] };
        assert_ne!(state.epoch, old.cursor.epoch);
        assert_eq!(state.head.get(), 1, "nothing else changes");
    }
}

pub async fn what_was_committed_is_there_after_opening_again(f: Fixture) {
    let before = receipts(&f.store, &[message("t", "1")]).await[0].cursor;
    f.store.close().await;
    let store = Store::open(&f.options).await.expect("it opens again");
    let (_, state) = store.log_states(&[task("t")]).await.expect("it reads")[0];
    assert_eq!((state.epoch, state.head), (before.epoch, before.offset));
}

macro_rules! contract {
    ($open:ident: $($name:ident)*) => {
        mod $open {
            $(#[tokio::test]
            async fn $name() {
                super::$name(super::$open().await).await;
            })*
        }
    };
    ($open:ident) => {
        contract! { $open:
            offsets_have_no_holes_and_follow_the_order_of_the_batch
            a_known_event_gets_its_first_receipt_again
            a_refused_item_does_not_hurt_its_neighbours
            statuses_move_in_the_same_commit
            a_run_recorded_after_the_fact_is_never_stalled
            usage_is_the_last_snapshot
            heartbeats_have_a_column_of_their_own
            pages_are_bounded_and_complete
            filters_leave_out_and_say_how_far_they_looked
            pieces_of_finished_series_can_be_left_out
            payloads_come_back_byte_for_byte
            trimming_raises_the_floor_and_keeps_offsets
            what_a_log_tells_is_exact_although_rows_are_written_seldom
            a_task_made_again_lives_another_life
            tasks_are_described_listed_and_found
            what_was_taken_without_an_answer_is_found_again
            open_tasks_are_read_in_pages
            stored_events_are_told_from_others
            recently_active_tasks_are_found
            rejects_are_kept_newest_first_and_not_for_ever
            renewed_epochs_end_every_cursor
            what_was_committed_is_there_after_opening_again
        }
    };
}

contract!(sqlite);
contract!(postgres);

#[tokio::test]
async fn a_second_process_on_the_same_file_is_refused() {
    let f = sqlite().await;
    let refused = Store::open(&f.options).await.expect_err("one at a time");
    assert!(matches!(&refused, OpenError::InUse { pid, .. } if *pid == std::process::id().to_string()), "{refused}");
    f.store.close().await;
    Store::open(&f.options).await.expect("free again");
}

#[tokio::test]
async fn a_restored_backup_gets_new_epochs() {
    let f = sqlite().await;
    let path = f.options.url.trim_start_matches("sqlite://").to_owned();
    let before = receipts(&f.store, &[message("t", "1")]).await[0].cursor;
    f.store.close().await;
    std::fs::copy(&path, format!("{path}.backup")).expect("a backup");
    let store = Store::open(&f.options).await.expect("it opens");
    assert_eq!(receipts(&store, &[message("t", "lost by the restore")]).await[0].cursor.epoch, before.epoch);
    store.close().await;
    std::fs::copy(format!("{path}.backup"), &path).expect("a restore");
    let store = Store::open(&f.options).await.expect("it opens");
    let other = receipts(&store, &[message("t", "another activity at offset 2")]).await[0].cursor;
    assert_eq!(other.offset.get(), 2);
    assert_ne!(other.epoch, before.epoch, "the old cursor at offset 2 must not name this one");
}
