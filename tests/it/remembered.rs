//! A node that writes the same tasks again skips asking how they stand. Whatever else happens to them meanwhile, the log comes out as if it
//! had asked.

use futures_util::future::join_all;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tasklight::{
    model::Offset,
    store::{Append, Attempt, Refusal, Store, StoredKind},
};

use crate::store_contract::{Fixture, activity, everything, message, postgres, receipts, task, texts};

/// A store that remembers the task `t`, with three activities of the run `r`.
async fn remembering(f: Fixture) -> Fixture {
    for n in 1..=3 {
        receipts(&f.store, &[message("t", &n.to_string())]).await;
    }
    f
}

/// The same on Postgres, and another node's view of the same database.
async fn remembering_beside_another() -> (Fixture, Store) {
    let f = remembering(postgres().await).await;
    assert!(last_statement(&f).await.contains("sure AS"), "the third is written in one statement");
    let other = Store::open(&f.options).await.expect("it opens");
    (f, other)
}

async fn server(f: &Fixture) -> PgConnection {
    PgConnection::connect(&f.options.url).await.expect("Postgres is there")
}

/// What this node's writing connection did last.
async fn last_statement(f: &Fixture) -> String {
    let sql = "SELECT query FROM pg_stat_activity WHERE application_name = 'tasklight' AND datname = current_database() \
               ORDER BY query_start DESC LIMIT 1";
    sqlx::query_scalar(sql).fetch_one(&mut server(f).await).await.expect("its connection is there")
}

fn status(status: &str) -> Append {
    activity("t", &format!(r#"{{"invocationId":"r","type":"status","data":{{"status":"{status}"}}}}"#))
}

async fn offsets(store: &Store) -> Vec<u64> {
    texts(store, "t", &everything()).await.into_iter().map(|(offset, _)| offset).collect()
}

#[tokio::test]
async fn what_another_node_appended_is_seen() {
    let (f, other) = remembering_beside_another().await;
    let theirs = receipts(&other, &[message("t", "theirs")]).await;
    let mine = receipts(&f.store, &[message("t", "mine")]).await;
    assert_eq!((theirs[0].cursor.offset.get(), mine[0].cursor.offset.get()), (4, 5));
    assert_eq!(offsets(&f.store).await, [1, 2, 3, 4, 5]);
}

#[tokio::test]
async fn an_end_that_another_node_wrote_is_the_end() {
    let (f, other) = remembering_beside_another().await;
    receipts(&other, &[status("completed")]).await;
    let appended = f.store.append(&[status("failed")], Attempt::First).await.expect("it answers");
    assert!(matches!(appended.results[0], Err(Refusal::Transition { .. })), "{:?}", appended.results);
    let runs = f.store.invocations(&task("t"), 10).await.expect("it reads").expect("the task");
    assert_eq!(runs[0].status.as_str(), "completed");
}

async fn what_this_node_wrote_itself_is_remembered_with_it(f: Fixture) {
    receipts(&f.store, &[status("completed")]).await;
    let appended = f.store.append(&[status("running")], Attempt::First).await.expect("it answers");
    assert!(matches!(appended.results[0], Err(Refusal::Transition { .. })), "{:?}", appended.results);
    receipts(&f.store, &[message("t", "a word after the end")]).await;
    let summary = &f.store.summaries(&[task("t")]).await.expect("it reads")[0];
    assert_eq!((summary.invocation_counts.completed, summary.invocation_counts.running), (1, 0));
    assert_eq!(summary.status.map(|status| status.as_str()), Some("completed"));
}

async fn a_known_event_gets_its_first_receipt(f: Fixture) {
    let known = || {
        activity(
            "t",
            r#"{"invocationId":"r","type":"message","eventId":"0190c6a4-7c1e-7000-8000-5f3a9c1e0001","data":{"text":"x"}}"#,
        )
    };
    let first = receipts(&f.store, &[known(), known()]).await;
    let again = receipts(&f.store, &[message("t", "new"), known()]).await;
    assert_eq!([first[0].duplicate, first[1].duplicate, again[0].duplicate, again[1].duplicate], [false, true, false, true]);
    assert_eq!(again[1].cursor, first[0].cursor);
    assert_eq!(offsets(&f.store).await, [1, 2, 3, 4, 5]);
    let third = receipts(&f.store, &[known()]).await;
    assert_eq!((third[0].duplicate, third[0].cursor), (true, first[0].cursor), "and ever again");
    receipts(&f.store, &[message("t", "more")]).await;
    assert_eq!(offsets(&f.store).await, [1, 2, 3, 4, 5, 6]);
}

async fn a_task_that_was_made_again_is_another_log(f: Fixture) {
    let before = receipts(&f.store, &[message("t", "4")]).await[0].cursor;
    f.store.delete_task(&task("t")).await.expect("it answers");
    let after = receipts(&f.store, &[message("t", "first")]).await[0].cursor;
    assert_eq!(after.offset.get(), 1);
    assert_ne!(after.epoch, before.epoch);
}

async fn a_log_goes_on_after_its_activities_were_trimmed(f: Fixture) {
    f.store.trim(&task("t"), Offset::new(4).expect("small")).await.expect("it answers").expect("the task");
    let next = receipts(&f.store, &[message("t", "4")]).await[0].cursor;
    assert_eq!(next.offset.get(), 4);
    assert_eq!(offsets(&f.store).await, [4]);
}

async fn renewed_epochs_are_noticed(f: Fixture) {
    let before = receipts(&f.store, &[message("t", "4")]).await[0].cursor;
    f.store.renew_epochs().await.expect("it answers");
    let after = receipts(&f.store, &[message("t", "5")]).await[0].cursor;
    assert_ne!(after.epoch, before.epoch);
    let page = f.store.read_after(&task("t"), &everything()).await.expect("it reads").expect("the task");
    assert_eq!(page.state.epoch, after.epoch, "receipts and pages name the same life");
}

async fn runs_that_come_and_go_are_counted_once(f: Fixture) {
    for n in 0..20 {
        let of = |run: &str, kind: &str, data: &str| {
            activity("t", &format!(r#"{{"invocationId":"{run}","type":"{kind}","data":{data}}}"#))
        };
        let run = format!("run-{n}");
        receipts(&f.store, &[of(&run, "status", r#"{"status":"running"}"#), message("t", "between")]).await;
        receipts(&f.store, &[of(&run, "usage", &format!(r#"{{"inputTokens":{n}}}"#))]).await;
        receipts(&f.store, &[of(&run, "status", r#"{"status":"completed","exitCode":0}"#)]).await;
    }
    let summary = &f.store.summaries(&[task("t")]).await.expect("it reads")[0];
    let counts = summary.invocation_counts;
    assert_eq!((counts.running, counts.completed, summary.head.get()), (1, 20, 83));
    let runs = f.store.invocations(&task("t"), 100).await.expect("it reads").expect("the task");
    let usage = |run: &str| {
        runs.iter().find(|r| r.invocation_id.as_str() == run).and_then(|r| r.usage.as_ref()).map(|u| u.get().to_owned())
    };
    assert_eq!((runs.len(), usage("run-7")), (21, Some(r#"{"inputTokens":7}"#.to_owned())));
}

/// Each of these on both stores.
macro_rules! on_both_stores {
    ($($name:ident),+ $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test]
            async fn $name() {
                super::$name(super::remembering(crate::store_contract::sqlite().await).await).await;
            })+
        }
        mod on_postgres {
            $(#[tokio::test]
            async fn $name() {
                super::$name(super::remembering(crate::store_contract::postgres().await).await).await;
            })+
        }
    };
}

on_both_stores!(
    what_this_node_wrote_itself_is_remembered_with_it,
    a_known_event_gets_its_first_receipt,
    a_task_that_was_made_again_is_another_log,
    a_log_goes_on_after_its_activities_were_trimmed,
    renewed_epochs_are_noticed,
    runs_that_come_and_go_are_counted_once,
);

#[tokio::test]
async fn a_task_that_another_node_made_again_is_another_log() {
    let (f, other) = remembering_beside_another().await;
    other.delete_task(&task("t")).await.expect("it answers");
    receipts(&other, &[message("t", "theirs")]).await;
    let mine = receipts(&f.store, &[message("t", "mine")]).await[0].cursor;
    assert_eq!(mine.offset.get(), 2);
    assert_eq!(offsets(&f.store).await, [1, 2]);
}

#[tokio::test]
async fn offsets_are_not_given_again_after_a_trim() {
    let (f, other) = remembering_beside_another().await;
    receipts(&other, &[message("t", "4"), message("t", "5")]).await;
    other.trim(&task("t"), Offset::new(6).expect("small")).await.expect("it answers").expect("the task");
    let next = receipts(&f.store, &[message("t", "6")]).await[0].cursor;
    assert_eq!(next.offset.get(), 6, "although nothing stands at 4 and 5 any more");
}

#[tokio::test]
async fn another_life_of_the_database_is_noticed() {
    let (f, other) = remembering_beside_another().await;
    let before = receipts(&f.store, &[message("t", "4")]).await[0].cursor;
    other.renew_epochs().await.expect("it answers");
    let renewed = receipts(&f.store, &[message("t", "5")]).await[0].cursor;
    assert_ne!(renewed.epoch, before.epoch, "by hand");
    for n in 0..3 {
        receipts(&f.store, &[message("t", &n.to_string())]).await;
    }
    assert!(last_statement(&f).await.contains("sure AS"));
    let elsewhere = sqlx::raw_sql(AssertSqlSafe("UPDATE store_identity SET identity = left(identity, -1) || 'X'".to_owned()));
    server(&f).await.execute(elsewhere).await.expect("it is changed");
    let after = receipts(&f.store, &[message("t", "after a failover")]).await[0].cursor;
    assert_ne!(after.epoch, renewed.epoch, "by its identity");
    assert_eq!(offsets(&f.store).await, (1..=9).collect::<Vec<_>>());
}

#[tokio::test]
async fn nodes_that_take_turns_at_random_make_one_log() {
    const ROUNDS: u64 = 300;
    let (f, other) = remembering_beside_another().await;
    let stores = [f.store.clone(), other];
    join_all(stores.iter().enumerate().map(|(node, store)| async move {
        for round in 0..ROUNDS {
            let batch: Vec<_> = ["u", "t", "v"].iter().map(|name| message(name, &format!("{node}-{round}"))).collect();
            // One task alone every other time, so that what is remembered of them differs.
            let batch = if (round + node as u64).is_multiple_of(3) { &batch[1..2] } else { &batch[..] };
            receipts(store, batch).await;
        }
    }))
    .await;
    assert_eq!(offsets(&f.store).await, (1..=3 + 2 * ROUNDS).collect::<Vec<_>>());
    let log = texts(&f.store, "t", &everything()).await;
    for node in 0..2 {
        let mine: Vec<_> =
            log.iter().filter(|(_, text)| text.contains(&format!("\"{node}-"))).map(|(_, text)| text.clone()).collect();
        let expected: Vec<_> = (0..ROUNDS).map(|round| format!(r#"{{"text":"{node}-{round}"}}"#)).collect();
        assert_eq!(mine, expected, "each node's in its order");
    }
}

#[tokio::test]
async fn a_text_that_was_cleaned_is_not_written_back() {
    let (f, other) = remembering_beside_another().await;
    let said = |data: &str| activity("t", &format!(r#"{{"invocationId":"r","type":"status","data":{data}}}"#));
    receipts(&f.store, &[said(r#"{"status":"running","title":"with a secret"}"#)]).await;
    receipts(&f.store, &[message("t", "5")]).await;
    let runs = other.audit_texts(StoredKind::Run, 0, 10).await.expect("it reads");
    let mut clean = runs[0].clone();
    clean.texts[1] = Some("without".to_owned());
    // An append that waits for the cleaning's locks is as late as one that comes after it.
    let usage = [activity("t", r#"{"invocationId":"r","type":"usage","data":{"inputTokens":1}}"#)];
    let changes = [(runs[0].clone(), clean)];
    let cleaning = other.clean_texts(StoredKind::Run, &changes);
    let (cleaned, _) = tokio::join!(cleaning, receipts(&f.store, &usage));
    cleaned.expect("it is cleaned");
    receipts(&f.store, &[activity("t", r#"{"invocationId":"r","type":"usage","data":{"inputTokens":2}}"#)]).await;
    let run = &f.store.invocations(&task("t"), 10).await.expect("it reads").expect("the task")[0];
    assert_eq!(run.title.as_deref(), Some("without"));
    assert_eq!(run.usage.as_ref().map(|usage| usage.get()), Some(r#"{"inputTokens":2}"#));
}
