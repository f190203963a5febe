//! What every store promises, whatever database is behind it. Another store joins by another line at the end of this file.

mod leases;
mod logs;
mod retention;
mod stalls;
mod streams;
mod tasks;
mod webhooks;

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use tasklight::{
    ingest::{IngestLimits, Item, parse_body},
    model::{Filter, JsonLimits, Offset, RATE_BUCKETS, RateSpan, Reject, StalledAfter, Status, TaskId, Timestamp},
    store::{
        Append, Attempt, Heartbeat, OpenError, RATE_ACTIVITIES, REJECTS_OF_TASK, ReadAfter, Receipt, Refusal, StallSpan, Store,
        StoreOptions, TaskChange, TaskQuery,
    },
};
use tempfile::TempDir;

use self::{leases::*, logs::*, retention::*, stalls::*, streams::*, tasks::*, webhooks::*};
use crate::services::{Database, postgres_database};

const STALLED_AFTER: StalledAfter =
    StalledAfter { idle: Duration::from_secs(300), tool: Duration::from_secs(600), heartbeat: Duration::from_secs(90) };

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
        stalled_after: STALLED_AFTER,
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
            a_known_status_beside_new_activities_gets_its_first_receipt_again
            a_refused_item_does_not_hurt_its_neighbours
            statuses_move_in_the_same_commit
            a_run_recorded_after_the_fact_is_never_stalled
            runs_are_stalled_by_what_their_log_says_last
            a_task_tells_what_is_stalled_of_it_and_whose_agents_worked
            tasks_that_fall_silent_are_found_when_they_do
            usage_is_the_last_snapshot
            heartbeats_have_a_column_of_their_own
            pages_are_bounded_and_complete
            filters_leave_out_and_say_how_far_they_looked
            a_filtered_read_back_looks_at_a_bounded_part
            pieces_of_finished_series_can_be_left_out
            payloads_come_back_byte_for_byte
            trimming_raises_the_floor_and_keeps_offsets
            a_bite_goes_with_its_floor
            an_event_is_known_as_long_as_it_is_kept
            nothing_goes_after_the_lease
            sizes_follow_what_goes
            what_goes_is_found_by_time_and_by_bytes
            a_task_goes_if_nothing_was_added
            a_purge_beside_a_writer_leaves_no_holes
            what_a_log_tells_is_exact_although_rows_are_written_seldom
            a_task_made_again_lives_another_life
            tasks_are_described_listed_and_found
            what_was_taken_without_an_answer_is_found_again
            open_tasks_are_read_in_pages
            stored_events_are_told_from_others
            recently_active_tasks_are_found
            rates_count_the_newest_activities_by_the_minute
            rejects_are_kept_newest_first_and_not_for_ever
            renewed_epochs_end_every_cursor
            what_was_committed_is_there_after_opening_again
            moves_are_noted_in_their_commit_in_order_if_somebody_wishes
            a_move_is_handed_out_once_and_only_by_who_has_the_lease
            a_stall_is_noted_once_for_each_time_from_when_on_it_is
            a_lease_has_one_holder_at_a_time
            a_lease_that_ran_out_is_for_whoever_comes_first
            a_lease_tells_since_when_somebody_has_had_it
            what_an_earlier_holder_writes_is_refused
            whoever_was_heard_in_the_meantime_is_not_lost
            open_runs_are_gone_through_by_key
            a_run_that_speaks_at_that_moment_was_first_or_comes_back
            a_stream_takes_all_of_a_request_or_nothing
            a_producer_is_known_by_what_was_committed
            of_many_who_send_the_same_at_once_one_is_stored
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
