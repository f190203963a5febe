//! What a store promises of what webhooks are told.

use tasklight::{
    model::Transition,
    store::{Delivery, Fence, LeaseName, NewDelivery, NextDelivery, Queue, Stall},
};

use super::*;

const DAY: Duration = Duration::from_secs(86_400);

async fn fence(f: &Fixture) -> Fence {
    let lease = f.store.acquire_lease(LeaseName::Webhooks, "us", Duration::from_secs(60)).await;
    lease.expect("it answers").expect("nobody has it").fence
}

/// What waits to be handed out, as `task run from>to at`.
async fn untold(f: &Fixture) -> Vec<String> {
    let words = |transition: &Transition| {
        let from = transition.previous.map_or("-", Status::as_str);
        format!("{} {} {from}>{} {}", transition.task, transition.invocation, transition.became, transition.cursor.offset)
    };
    f.store.untold(100).await.expect("it reads").iter().map(|untold| words(&untold.transition)).collect()
}

pub async fn moves_are_noted_in_their_commit_in_order_if_somebody_wishes(f: Fixture) {
    receipts(&f.store, &[status("a", "r", "pending")]).await;
    assert!(untold(&f).await.is_empty(), "nobody wishes");
    f.store.wish_for_transitions(DAY).await.expect("it is noted");
    let known = activity(
        "b",
        r#"{"invocationId":"r","type":"status","eventId":"07070707-0707-7707-8707-070707070707","data":{"status":"lost"}}"#,
    );
    receipts(&f.store, &[status("a", "r", "running"), message("a", "no move"), status("a", "r", "failed"), known.clone()]).await;
    // By what this node remembers; a revival; a repeat; a refusal; a run that was recorded afterwards; a run that stays.
    receipts(&f.store, &[message("b", "it lives")]).await;
    let refused = f.store.append(&[known, status("a", "r", "running"), status("b", "r", "completed")], Attempt::First).await;
    assert_eq!(refused.expect("it is stored").results.iter().filter(|result| result.is_err()).count(), 1);
    let old = r#"{"invocationId":"old","type":"status","data":{"status":"failed","backfilled":true}}"#;
    receipts(&f.store, &[activity("a", old), status("b", "r", "completed")]).await;
    let expected =
        ["a r pending>running 2", "a r running>failed 4", "b r ->lost 1", "b r lost>running 2", "b r running>completed 3"];
    let mut told = untold(&f).await;
    // Those of a task are in order; tasks of one batch come as they come.
    told.sort_by_key(|words| words.starts_with('b'));
    assert_eq!(told, expected);
    f.store.forget_unwanted().await.expect("it answers");
    assert_eq!(untold(&f).await.len(), 5, "it is wanted");
}

pub async fn a_move_is_handed_out_once_and_only_by_who_has_the_lease(f: Fixture) {
    f.store.wish_for_transitions(DAY).await.expect("it is noted");
    receipts(&f.store, &[status("a", "r", "running"), status("a", "s", "running"), status("a", "r", "failed")]).await;
    let found = f.store.untold(100).await.expect("it reads");
    let told: Vec<i64> = found.iter().map(|untold| untold.key).collect();
    let new = |n: usize| NewDelivery {
        endpoint: "ops".to_owned(),
        event: format!("e{n}"),
        run: found[n].transition.invocation.to_string(),
        at: Timestamp::now(),
        body: format!("{{\"n\":{n},\"é\":\"\\\"\"}}"),
    };
    let deliveries: Vec<_> = (0..3).map(new).collect();
    let good = fence(&f).await;
    let stale = Fence { token: good.token - 1, ..good };
    assert!(!f.store.hand_out(stale, &told, &deliveries).await.expect("it answers"));
    assert_eq!((untold(&f).await.len(), f.store.delivery_queues().await.expect("it reads").len()), (3, 0));
    assert!(f.store.hand_out(good, &told, &deliveries).await.expect("it answers"));
    let queue = Queue { endpoint: "ops".to_owned(), waiting: 3, oldest: Some(deliveries[0].at) };
    assert_eq!((untold(&f).await.len(), f.store.delivery_queues().await.expect("it reads")), (0, vec![queue]));
    // The first of run `r` is put off: the second one waits for it, that of `s` does not.
    let (now, later) = (Timestamp::now(), Timestamp::now().plus(DAY));
    let first = due(&f, now).await;
    assert_eq!((first.event.as_str(), first.attempts, first.body.as_str()), ("e0", 0, deliveries[0].body.as_str()));
    f.store.postpone_delivery(first.key, later).await.expect("it is noted");
    let second = due(&f, now).await;
    assert_eq!(second.event, "e1");
    f.store.end_delivery(second.key).await.expect("it is removed");
    assert_eq!(f.store.next_delivery("ops", now).await.expect("it reads"), NextDelivery::Later(later));
    assert_eq!(f.store.next_delivery("another", now).await.expect("it reads"), NextDelivery::None);
    let again = due(&f, later).await;
    assert_eq!((again.event.as_str(), again.attempts), ("e0", 1));
    assert_eq!(f.store.drop_oldest_deliveries("ops", 1).await.expect("it answers"), 1);
    assert_eq!(due(&f, now).await.event, "e2");
    assert_eq!(f.store.drop_oldest_deliveries("ops", 1).await.expect("it answers"), 0);
    let kept = ["ops".to_owned()];
    assert_eq!(f.store.drop_deliveries_of_others(&kept, later).await.expect("it answers"), 0);
    assert_eq!(f.store.drop_deliveries_of_others(&[], later).await.expect("it answers"), 1);
}

async fn due(f: &Fixture, now: Timestamp) -> Delivery {
    match f.store.next_delivery("ops", now).await.expect("it reads") {
        NextDelivery::Due(delivery) => delivery,
        other => panic!("something is due: {other:?}"),
    }
}

pub async fn a_stall_is_noted_once_for_each_time_from_when_on_it_is(f: Fixture) {
    f.store.wish_for_transitions(DAY).await.expect("it is noted");
    receipts(&f.store, &[status("a", "r", "running")]).await;
    let good = fence(&f).await;
    let run = f.store.open_runs(0, 10).await.expect("it reads").remove(0);
    let moved = f.store.untold(1).await.expect("it reads").remove(0);
    assert!(f.store.hand_out(good, &[moved.key], &[]).await.expect("it answers"));
    let stall = |at: u64| {
        let at = Timestamp::from_millis(at).expect("small");
        let transition = Transition { became: "stalled".parse().expect("a word"), at, ..moved.transition.clone() };
        [Stall { run: run.key, transition }]
    };
    for (at, count) in [(1_000, 1), (1_000, 1), (2_000, 2), (2_000, 2)] {
        assert!(f.store.note_stalls(good, &stall(at)).await.expect("it answers"));
        assert_eq!(untold(&f).await.len(), count, "{at}");
    }
    assert!(!f.store.note_stalls(Fence { token: good.token + 1, ..good }, &stall(3_000)).await.expect("it answers"));
    f.store.forget_told_stalls().await.expect("it answers");
    assert!(f.store.note_stalls(good, &stall(2_000)).await.expect("it answers"));
    assert_eq!(untold(&f).await.len(), 2, "the run has not ended: it is remembered");
    receipts(&f.store, &[status("a", "r", "failed")]).await;
    f.store.forget_told_stalls().await.expect("it answers");
    assert!(f.store.note_stalls(good, &stall(2_000)).await.expect("it answers"));
    assert_eq!(untold(&f).await.len(), 4, "forgotten with its end");
}
