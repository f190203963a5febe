//! Receivers in trouble: away, busy, refusing, gone, behind.

use std::time::Duration;

use serde_json::json;

use super::{Answer, Receiver, endpoint, figure, on_each_store, status, tell, until_figure};
use crate::{harness::TestHub, services::free_address};

fn plain(status: u16) -> Answer {
    Answer::Status(status, Vec::new())
}

#[tokio::test]
async fn who_was_away_is_told_everything_in_order_when_it_is_back() {
    let address = free_address().expect("a free port");
    let hub = TestHub::start_with(|settings| tell(settings, json!([endpoint("ops", &format!("http://{address}/"))]))).await;
    for (task, run, word) in [("a", "1", "running"), ("b", "1", "running"), ("a", "1", "failed"), ("a", "2", "completed")] {
        hub.post(task, status(run, word)).await;
    }
    until_figure(&hub, r#"tasklight_webhook_failures_total{endpoint="ops",reason="connect"}"#, 3).await;
    until_figure(&hub, r#"tasklight_webhook_queue_events{endpoint="ops"}"#, 4).await;
    let mut receiver = Receiver::start_at(address).await;
    let told = receiver.words(4).await;
    let of_run = |task: &str, run: &str| -> Vec<_> {
        told.iter().filter(|words| words[0] == task && words[1] == run).map(|words| words[2].clone()).collect()
    };
    assert_eq!(
        (of_run("a", "1"), of_run("b", "1"), of_run("a", "2")),
        (vec!["running".to_owned(), "failed".to_owned()], vec!["running".to_owned()], vec!["completed".to_owned()])
    );
    until_figure(&hub, r#"tasklight_webhook_retries_total{endpoint="ops"}"#, 3).await;
}

#[tokio::test]
async fn what_fails_is_tried_again_with_the_same_id_and_a_wait_that_is_asked_for_is_kept() {
    for (hub, mut receiver, _database) in on_each_store("ops", |settings| {
        settings.webhooks.retry_most = "2s".parse().expect("a duration");
    })
    .await
    {
        let busy = Answer::Status(429, vec![("retry-after", "1".to_owned())]);
        receiver.answers([plain(500), busy, plain(404), plain(204)]);
        hub.post("t", status("r", "failed")).await;
        let mut arrivals = Vec::new();
        for _ in 0..4 {
            arrivals.push(receiver.next().await);
        }
        assert!(arrivals.iter().all(|arrival| arrival.id() == arrivals[0].id() && super::is_signed(arrival)), "{arrivals:?}");
        assert!(arrivals.iter().all(|arrival| arrival.text == arrivals[0].text));
        assert!(Duration::from_secs(1) <= arrivals[2].at - arrivals[1].at, "it asked for a second");
        until_figure(&hub, r#"tasklight_webhook_deliveries_total{endpoint="ops"}"#, 1).await;
        for reason in ["server", "busy", "denied"] {
            let name = format!(r#"tasklight_webhook_failures_total{{endpoint="ops",reason="{reason}"}}"#);
            assert_eq!(figure(&hub, &name).await, 1, "{reason}");
        }
    }
}

#[tokio::test]
async fn an_event_that_is_refused_holds_up_its_own_run_and_no_other() {
    let mut receiver = Receiver::start().await;
    receiver.answers([plain(422)]);
    let hub = TestHub::start_with(|settings| {
        tell(settings, json!([endpoint("ops", &receiver.url("/"))]));
        settings.webhooks.retry_first = "8s".parse().expect("a duration");
        settings.webhooks.retry_most = "8s".parse().expect("a duration");
    })
    .await;
    hub.post("bad", json!([status("r", "running"), status("r", "failed")])).await;
    assert_eq!(receiver.words(1).await, [["bad", "r", "running"]]);
    hub.post("good", json!([status("r", "running"), status("r", "failed")])).await;
    let told = receiver.words(4).await;
    let expected = [["good", "r", "running"], ["good", "r", "failed"], ["bad", "r", "running"], ["bad", "r", "failed"]];
    assert_eq!(told, expected);
}

#[tokio::test]
async fn who_says_that_it_is_gone_is_left_alone_until_the_hub_starts_anew() {
    let mut receiver = Receiver::start().await;
    receiver.answers([plain(410)]);
    let mut hub = TestHub::start_with(|settings| tell(settings, json!([endpoint("ops", &receiver.url("/"))]))).await;
    for task in ["a", "b", "c"] {
        hub.post(task, status("r", "failed")).await;
    }
    assert_eq!(receiver.words(1).await, [["a", "r", "failed"]]);
    until_figure(&hub, r#"tasklight_webhook_dropped_total{endpoint="ops",reason="gone"}"#, 3).await;
    assert!(receiver.is_silent());
    hub.restart().await;
    hub.post("d", status("r", "failed")).await;
    assert_eq!(receiver.words(1).await, [["d", "r", "failed"]]);
}

#[tokio::test]
async fn no_more_waits_than_may_and_what_is_let_go_of_is_counted() {
    let address = free_address().expect("a free port");
    let hub = TestHub::start_with(|settings| {
        tell(settings, json!([endpoint("ops", &format!("http://{address}/"))]));
        settings.webhooks.queue = 3;
    })
    .await;
    let all: Vec<_> = (0..10).map(|n| status(&format!("r{n}"), "failed")).collect();
    hub.post("t", json!(all)).await;
    until_figure(&hub, r#"tasklight_webhook_dropped_total{endpoint="ops",reason="queue_full"}"#, 7).await;
    let mut receiver = Receiver::start_at(address).await;
    let mut told = receiver.words(3).await;
    told.sort_unstable();
    assert_eq!(told, [["t", "r7", "failed"], ["t", "r8", "failed"], ["t", "r9", "failed"]], "the newest are kept");
    until_figure(&hub, r#"tasklight_webhook_deliveries_total{endpoint="ops"}"#, 3).await;
    assert!(receiver.is_silent());
}

#[tokio::test]
async fn what_is_not_taken_for_too_long_is_given_up() {
    let address = free_address().expect("a free port");
    let hub = TestHub::start_with(|settings| {
        tell(settings, json!([endpoint("ops", &format!("http://{address}/"))]));
        settings.webhooks.give_up_after = "1s".parse().expect("a duration");
    })
    .await;
    hub.post("old", status("r", "failed")).await;
    until_figure(&hub, r#"tasklight_webhook_dropped_total{endpoint="ops",reason="given_up"}"#, 1).await;
    let mut receiver = Receiver::start_at(address).await;
    hub.post("new", status("r", "failed")).await;
    assert_eq!(receiver.words(1).await, [["new", "r", "failed"]]);
}
