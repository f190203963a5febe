//! What a store promises of removing what is kept no longer.

use tasklight::{
    model::LogState,
    store::{Bite, Bitten, EmptyTask, Fence, KeptTask, LeaseName, LogSize, Removal},
};

use super::*;
use crate::services::execute_on;

const TERM: Duration = Duration::from_secs(300);

async fn kept(f: &Fixture, id: &str) -> KeptTask {
    let all = f.store.kept_tasks(i64::MIN, 1_000).await.expect("it reads");
    all.into_iter().find(|kept| kept.task == task(id)).expect("the task is there")
}

async fn fence(f: &Fixture) -> Fence {
    f.store.acquire_lease(LeaseName::Retention, "a", TERM).await.expect("it answers").expect("nobody has it").fence
}

fn bite(kept: &KeptTask, floor: u64, to: u64, fence: Option<Fence>) -> Bite {
    Bite { key: kept.key, epoch: kept.state.epoch, floor: at(floor), to: at(to), fence }
}

async fn bitten(f: &Fixture, bite: Bite) -> Option<Bitten> {
    f.store.bite(&bite).await.expect("it answers")
}

fn numbered(id: &str, numbers: std::ops::RangeInclusive<u64>) -> Vec<Append> {
    numbers.map(|n| message(id, &format!("{n:03}"))).collect()
}

pub async fn a_bite_goes_with_its_floor(f: Fixture) {
    receipts(&f.store, &numbered("t", 1..=10)).await;
    receipts(&f.store, &numbered("u", 1..=3)).await;
    let log = kept(&f, "t").await;
    let first = bitten(&f, bite(&log, 1, 4, None)).await.expect("the floor is there");
    assert_eq!((first.state.floor.get(), first.state.head.get(), first.activities, first.bytes), (4, 10, 3, 3 * 14));
    assert_eq!(bitten(&f, bite(&log, 1, 9, None)).await, None, "the floor is elsewhere");
    assert_eq!(bitten(&f, bite(&log, 5, 9, None)).await, None, "it would leave a hole");
    let other = KeptTask { state: LogState { epoch: kept(&f, "u").await.state.epoch, ..log.state }, ..log.clone() };
    assert_eq!(bitten(&f, bite(&other, 4, 9, None)).await, None, "another life of the log");
    let offsets: Vec<u64> = texts(&f.store, "t", &everything()).await.into_iter().map(|(offset, _)| offset).collect();
    assert_eq!(offsets, (4..=10).collect::<Vec<_>>());
    let rest = bitten(&f, bite(&log, 4, 99, None)).await.expect("the floor is there");
    assert_eq!((rest.state.floor.get(), rest.state.head.get(), rest.activities), (11, 10, 7));
    let state = kept(&f, "t").await;
    assert_eq!((state.state.floor.get(), state.state.head.get(), state.oldest_at), (11, 10, None));
    assert_eq!(receipts(&f.store, &[message("t", "next")]).await[0].cursor.offset.get(), 11, "offsets go on");
    let summary = f.store.summaries(&[task("t")]).await.expect("it reads").remove(0);
    assert_eq!((summary.floor.get(), summary.head.get(), summary.invocation_counts.running), (11, 11, 1), "runs stay");
    assert_eq!(texts(&f.store, "u", &everything()).await.len(), 3, "others keep theirs");
}

pub async fn an_event_is_known_as_long_as_it_is_kept(f: Fixture) {
    let one = activity("t", r#"{"invocationId":"r","type":"message","eventId":"0190c6a4-0190-7c6a-8c6a-0190c6a40190"}"#);
    receipts(&f.store, std::slice::from_ref(&one)).await;
    receipts(&f.store, &numbered("t", 2..=3)).await;
    let log = kept(&f, "t").await;
    assert!(receipts(&f.store, std::slice::from_ref(&one)).await[0].duplicate);
    bitten(&f, bite(&log, 1, 2, None)).await.expect("it goes");
    let again = receipts(&f.store, &[one]).await[0];
    assert_eq!((again.duplicate, again.cursor.offset.get()), (false, 4));
}

pub async fn nothing_goes_after_the_lease(f: Fixture) {
    receipts(&f.store, &numbered("t", 1..=10)).await;
    let log = kept(&f, "t").await;
    let first = fence(&f).await;
    assert!(bitten(&f, bite(&log, 1, 3, Some(first))).await.is_some());
    execute_on(&f.options.url, "UPDATE leases SET expires_at = 1").await;
    assert_eq!(bitten(&f, bite(&log, 3, 5, Some(first))).await, None, "it ran out");
    let second = fence(&f).await;
    assert_eq!(bitten(&f, bite(&log, 3, 5, Some(first))).await, None, "another one has it");
    f.store.note_size(log.key, LogSize { through: at(9), bytes: 9 }, first).await.expect("it answers");
    let now = kept(&f, "t").await;
    assert_eq!((now.state.floor.get(), now.size), (3, None), "nothing was written");
    assert!(bitten(&f, bite(&log, 3, 11, Some(second))).await.is_some());
    f.store.append(&[status("t", "r", "completed")], Attempt::First).await.expect("it is stored");
    let log = kept(&f, "t").await;
    assert!(bitten(&f, bite(&log, 11, 12, Some(second))).await.is_some());
    let empty = |fence| EmptyTask { key: log.key, task: task("t"), epoch: log.state.epoch, head: log.state.head, fence };
    assert_eq!(f.store.remove_task(&empty(first), 9).await.expect("it answers"), Removal::Changed);
    assert_eq!(f.store.remove_task(&empty(second), 9).await.expect("it answers"), Removal::Gone);
}

pub async fn sizes_follow_what_goes(f: Fixture) {
    receipts(&f.store, &numbered("t", 1..=10)).await;
    let (log, held) = (kept(&f, "t").await, fence(&f).await);
    assert_eq!(f.store.measure(log.key, at(2), at(6)).await.expect("it reads"), (4 * 14, at(6)));
    assert_eq!(log.size, None);
    f.store.note_size(log.key, LogSize { through: at(8), bytes: 8 * 14 }, held).await.expect("it answers");
    bitten(&f, bite(&log, 1, 4, Some(held))).await.expect("it goes");
    assert_eq!(kept(&f, "t").await.size, Some(LogSize { through: at(8), bytes: 5 * 14 }));
    bitten(&f, bite(&log, 4, 10, None)).await.expect("it goes");
    assert_eq!(kept(&f, "t").await.size, Some(LogSize { through: at(9), bytes: 0 }), "two of those were not counted yet");
    f.store.delete_task(&task("t")).await.expect("it answers");
    f.store.note_size(log.key, LogSize { through: at(8), bytes: 1 }, held).await.expect("of what is gone nothing is noted");
}

pub async fn what_goes_is_found_by_time_and_by_bytes(f: Fixture) {
    let began = Timestamp::from_millis(1_764_000_000_000).expect("a time");
    for (append, seconds) in numbered("t", 1..=10).into_iter().zip(1..) {
        let mut append = append;
        append.activity.activity.received_at = began.plus(Duration::from_secs(seconds));
        receipts(&f.store, &[append]).await;
    }
    bitten(&f, bite(&kept(&f, "t").await, 1, 3, None)).await.expect("it goes");
    let log = kept(&f, "t").await;
    assert_eq!(log.oldest_at, Some(began.plus(Duration::from_secs(3))));
    for (seconds, offset) in [(0, 3), (3, 3), (4, 4), (10, 10), (11, 11)] {
        let since = began.plus(Duration::from_secs(seconds));
        let found = f.store.first_taken_since(log.key, log.state, since).await.expect("it reads");
        assert_eq!(found, at(offset), "after {seconds} s");
    }
    for (bytes, floor, sum) in [(1, 4, 14), (14, 4, 14), (15, 5, 28), (8 * 14, 11, 8 * 14), (1_000, 11, 8 * 14)] {
        assert_eq!(f.store.floor_over(log.key, log.state, bytes).await.expect("it reads"), (at(floor), sum), "{bytes} bytes");
    }
}

pub async fn a_task_goes_if_nothing_was_added(f: Fixture) {
    let runs: Vec<_> = (0..5).map(|n| status("t", &format!("r{n}"), "completed")).collect();
    receipts(&f.store, &runs).await;
    let (log, held) = (kept(&f, "t").await, fence(&f).await);
    assert_eq!((log.open, log.status), (0, Some(Status::Completed)));
    let empty =
        |log: &KeptTask| EmptyTask { key: log.key, task: task("t"), epoch: log.state.epoch, head: log.state.head, fence: held };
    let remove = async |log: &KeptTask| f.store.remove_task(&empty(log), 2).await.expect("it answers");
    assert_eq!(remove(&log).await, Removal::Changed, "it has activities");
    bitten(&f, bite(&log, 1, 6, Some(held))).await.expect("they go");
    receipts(&f.store, &[message("t", "and one more")]).await;
    assert_eq!(remove(&log).await, Removal::Changed, "an activity came");
    let log = kept(&f, "t").await;
    bitten(&f, bite(&log, 6, 7, Some(held))).await.expect("it goes");
    assert_eq!(remove(&log).await, Removal::Changed, "its run is open");
    receipts(&f.store, &[status("t", "r", "failed")]).await;
    let log = kept(&f, "t").await;
    bitten(&f, bite(&log, 7, 8, Some(held))).await.expect("it goes");
    // Somebody comes between two bites of runs.
    assert_eq!(remove(&log).await, Removal::Some);
    receipts(&f.store, &[status("t", "r9", "lost")]).await;
    let summary = f.store.summaries(&[task("t")]).await.expect("it reads").remove(0);
    let counts = summary.invocation_counts;
    assert_eq!((counts.completed, counts.failed, counts.lost), (3, 1, 1), "they are those of the runs that are there");
    assert_eq!(f.store.invocations(&task("t"), 10).await.expect("it reads").expect("there").len(), 5);
    assert_eq!(remove(&log).await, Removal::Changed);
    let log = kept(&f, "t").await;
    bitten(&f, bite(&log, 8, 9, Some(held))).await.expect("it goes");
    f.store.settle_removed(log.key, LogState { floor: at(9), ..log.state }).await.expect("it looks");
    for expected in [Removal::Some, Removal::Some, Removal::Gone, Removal::Changed] {
        assert_eq!(remove(&log).await, expected);
    }
    assert!(f.store.summaries(&[task("t")]).await.expect("it reads").is_empty());
    let made = receipts(&f.store, &[message("t", "again")]).await[0].cursor;
    assert_eq!((made.offset.get(), made.epoch == log.state.epoch), (1, false), "it is another one");
}

/// While one appends and one removes, whoever reads sees a log without holes, from its floor.
pub async fn a_purge_beside_a_writer_leaves_no_holes(f: Fixture) {
    const BATCHES: u64 = 60;
    receipts(&f.store, &numbered("t", 1..=10)).await;
    let writing = async {
        for batch in 0..BATCHES {
            let mut both = numbered("t", batch..=batch + 9);
            both.extend(numbered("other", 1..=3));
            receipts(&f.store, &both).await;
        }
    };
    let removing = async {
        let (mut log, mut floor, mut gone) = (kept(&f, "t").await, 1, 0);
        while floor <= BATCHES * 10 {
            let to = (floor + 7).min(log.state.head.get());
            match bitten(&f, bite(&log, floor, to, None)).await {
                Some(done) => (floor, gone) = (done.state.floor.get(), gone + done.activities),
                None => tokio::task::yield_now().await,
            }
            log = kept(&f, "t").await;
        }
        assert_eq!(gone, floor - 1, "each activity went once");
    };
    let reading = async {
        loop {
            let page = f.store.read_after(&task("t"), &everything()).await.expect("it reads").expect("there");
            let offsets: Vec<u64> = page.activities.iter().map(|(offset, _)| offset.get()).collect();
            let expected: Vec<u64> = (page.state.floor.get()..=page.state.head.get()).collect();
            assert_eq!(offsets, expected);
            if BATCHES * 10 < page.state.floor.get() {
                return;
            }
        }
    };
    tokio::join!(writing, removing, reading);
    assert_eq!(texts(&f.store, "other", &everything()).await.len() as u64, BATCHES * 3);
}
