//! What a store promises of logs: appending and reading.

use super::*;

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

pub async fn a_known_status_beside_new_activities_gets_its_first_receipt_again(f: Fixture) {
    let id = "0190c6a4-7c1e-7000-8000-5f3a9c1e0002";
    let running = format!(r#"{{"invocationId":"r","type":"status","eventId":"{id}","data":{{"status":"running"}}}}"#);
    let began = activity("t", &running);
    let first = receipts(&f.store, std::slice::from_ref(&began)).await[0];
    receipts(&f.store, &[status("t", "r", "completed")]).await;
    let again = f.store.append(&[began, message("t", "late")], Attempt::First).await.expect("it answers");
    let results: Vec<_> = again.results.iter().map(|r| r.as_ref().map(|r| (r.cursor.offset.get(), r.duplicate))).collect();
    assert_eq!(results, [Ok((first.cursor.offset.get(), true)), Ok((3, false))], "it is in the log, so it is no move any more");
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

pub async fn a_filtered_read_back_looks_at_a_bounded_part(f: Fixture) {
    let mut batch = vec![activity("t", r#"{"invocationId":"other","type":"error","data":{"message":"no"}}"#)];
    batch.extend((0..Filter::WINDOW).map(|n| message("t", &n.to_string())));
    receipts(&f.store, &batch).await;
    let errors = Filter { types: vec!["error".parse().expect("a type")], ..Filter::default() };
    let last = f.store.read_before(&task("t"), None, 9, &errors).await.expect("it reads").expect("there");
    assert_eq!((last.activities.len(), last.through), (0, at(1)), "it is one further back than a read looks");
    let before = f.store.read_before(&task("t"), Some(last.through.next()), 9, &errors).await.expect("it reads").expect("there");
    assert_eq!((before.activities.len(), before.through), (1, Offset::ZERO));
    let one = f.store.read_before(&task("t"), Some(at(9)), 1, &errors).await.expect("it reads").expect("there");
    assert_eq!((one.activities.len(), one.through), (1, Offset::ZERO));
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
