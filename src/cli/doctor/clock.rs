//! How far clocks are apart. Silence, heartbeats and leases are measured in seconds: a clock that is off by more tells the wrong story.

use super::finding::{Finding, Report};
use crate::{
    model::Timestamp,
    store::{Inspector, StoreError},
};

const CHECK: &str = "clock";

/// From how many milliseconds on it is worth a word, and from how many on it is wrong.
const WARNING_MILLIS: u64 = 1_000;
const ERROR_MILLIS: u64 = 10_000;

/// Compares this machine's time with the database server's. SQLite has no other clock.
pub(super) async fn examine_store(inspector: &mut Inspector, report: &mut Report) -> Result<(), StoreError> {
    if matches!(inspector, Inspector::Sqlite(_)) {
        return Ok(());
    }
    let before = Timestamp::now();
    let (_, theirs) = inspector.leases().await?;
    report.add(compare("Postgres", before, theirs, Timestamp::now()));
    Ok(())
}

/// What their time says, which was read between these two of ours.
pub(super) fn compare(who: &str, before: Timestamp, theirs: Timestamp, after: Timestamp) -> Finding {
    let (before, theirs, after) = (before.as_millis(), theirs.as_millis(), after.as_millis());
    let (apart, which) = if theirs < before { (before - theirs, "behind") } else { (theirs.saturating_sub(after), "ahead of") };
    let said = format!("{who}'s clock is {} {which} this machine's", super::span(apart));
    let meaning = "Leases go by the store's clock, silence by those of the hubs, membership by Redis's: runs are said to be stalled or lost too early or too late.";
    let advice = "Let all machines set their clocks by NTP (chrony, systemd-timesyncd), also this one.";
    match apart {
        ERROR_MILLIS.. => Finding::error(CHECK, said, meaning, advice),
        WARNING_MILLIS.. => Finding::warning(CHECK, said, meaning, advice),
        _ => Finding::ok(
            CHECK,
            format!(
                "{who}'s clock agrees with this machine's within {}",
                super::span(apart.max(after - before.min(after)).max(1))
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::finding::Level, *};

    #[test]
    fn clocks_are_apart_by_what_the_way_does_not_explain() {
        for (before, theirs, after, level) in [
            (100_000, 100_000, 100_000, Level::Ok),
            // The answer took its time.
            (100_000, 103_000, 106_000, Level::Ok),
            (100_000, 99_001, 100_001, Level::Ok),
            (100_000, 99_000, 100_001, Level::Warning),
            (100_000, 101_001, 100_001, Level::Warning),
            (100_000, 90_000, 100_001, Level::Error),
            (100_000, 110_001, 100_001, Level::Error),
        ] {
            let at = |millis| Timestamp::from_millis(millis).expect("small");
            assert_eq!(compare("Redis", at(before), at(theirs), at(after)).level, level, "{before} {theirs} {after}");
        }
    }
}
