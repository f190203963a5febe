//! What a store promises of tasks, and of what belongs to them.

use super::*;

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

pub async fn rates_count_the_newest_activities_by_the_minute(f: Fixture) {
    let span = RateSpan::up_to(Timestamp::now());
    let taken = |id: &str, minute: u64| {
        let mut append = message(id, "x");
        append.activity.activity.received_at = span.from.plus(Duration::from_secs(60 * minute + 1));
        append
    };
    let before = |id: &str| {
        let mut append = message(id, "x");
        append.activity.activity.received_at = span.from.minus(Duration::from_secs(1));
        append
    };
    receipts(&f.store, &[taken("few", 0), taken("few", 28), taken("few", 28), taken("few", 29)]).await;
    receipts(&f.store, &[before("older"), before("older"), taken("older", 5)]).await;
    receipts(&f.store, &[before("old")]).await;
    let many: Vec<_> = (0..=RATE_ACTIVITIES).map(|_| taken("many", 7)).collect();
    receipts(&f.store, &many).await;
    receipts(&f.store, &[taken("trimmed", 3), taken("trimmed", 4)]).await;
    f.store.trim(&task("trimmed"), at(2)).await.expect("it trims");
    f.store.put_task(&task("empty"), &TaskChange::default()).await.expect("it is made");
    let asked = ["few", "older", "old", "many", "trimmed", "empty", "nowhere"].map(task);
    let mut rates = f.store.rates(&asked, span).await.expect("it counts");
    rates.sort_by_key(|rate| rate.task_id.to_string());
    let told: Vec<_> = rates
        .iter()
        .map(|rate| {
            let counts: Vec<_> =
                rate.counts.iter().enumerate().filter(|(_, count)| **count != 0).map(|(n, count)| (n, *count)).collect();
            assert_eq!(rate.counts.len(), RATE_BUCKETS);
            (rate.task_id.as_str(), counts, rate.complete)
        })
        .collect();
    assert_eq!(
        told,
        [
            ("empty", vec![], true),
            ("few", vec![(0, 1), (28, 2), (29, 1)], true),
            ("many", vec![(7, RATE_ACTIVITIES)], false),
            ("old", vec![], true),
            ("older", vec![(5, 1)], true),
            ("trimmed", vec![(4, 1)], false),
        ]
    );
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
