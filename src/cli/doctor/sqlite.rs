//! How SQLite's file is.

use std::collections::BTreeMap;

use super::finding::{Finding, Report};

const CHECK: &str = "sqlite";

/// A write-ahead log that is longer was not taken up into the file for a while.
const LONG_WAL: u64 = 256 << 20;

/// Free pages that are worth a word: more bytes than this, and more than half of the file.
const MUCH_FREE: u64 = 64 << 20;

/// Tells what SQLite found broken.
pub(super) fn tell_damage(broken: &[String], report: &mut Report) {
    for fault in broken {
        report.add(Finding::error(
            CHECK,
            format!("the file is damaged: {fault}"),
            "What is read from there is missing or wrong.",
            "Stop the hub, keep a copy, and restore a backup; `sqlite3 FILE .recover` may save what is newer.",
        ));
    }
}

/// Judges what the file says of itself.
pub(super) fn examine(file: &BTreeMap<String, String>, report: &mut Report) {
    let word = |name: &str| file.get(name).map(String::as_str).unwrap_or_default();
    let number = |name: &str| word(name).parse::<u64>().unwrap_or_default();
    let (size, free) = (number("page_count") * number("page_size"), number("free_pages") * number("page_size"));
    let mebibytes = |bytes: u64| format!("{} MiB", bytes >> 20);
    if word("journal_mode") != "wal" {
        report.add(Finding::warning(
            CHECK,
            format!("the journal mode is {}", word("journal_mode")),
            "Readers and the writer wait for each other.",
            "Nothing is to be done: a hub switches it to wal when it opens the file.",
        ));
    }
    if LONG_WAL < number("wal_bytes") {
        report.add(Finding::warning(
            CHECK,
            format!("the write-ahead log has {}", mebibytes(number("wal_bytes"))),
            "It cannot be taken up into the file while somebody reads an old state: reading gets slow, the disk fills.",
            "Look for a program that keeps the file open (a backup, a shell), and end it.",
        ));
    }
    if MUCH_FREE < free && size / 2 < free {
        report.add(Finding::warning(
            CHECK,
            format!("{} of {} are free", mebibytes(free), mebibytes(size)),
            "They are used again, and not given back to the system.",
            "To have them back: stop the hub, and run `sqlite3 FILE VACUUM`.",
        ));
    }
    let (wal, version) = (mebibytes(number("wal_bytes")), word("version"));
    report.add(Finding::ok(CHECK, format!("version {version}, {}, {wal} of write-ahead log", mebibytes(size))));
}

#[cfg(test)]
mod tests {
    use super::{super::finding::Level, *};

    #[test]
    fn a_file_is_judged_by_what_it_says_of_itself() {
        let good =
            [("journal_mode", "wal"), ("page_size", "4096"), ("page_count", "100000"), ("free_pages", "0"), ("wal_bytes", "0")];
        for (name, value, level) in [
            ("journal_mode", "wal", Level::Ok),
            ("journal_mode", "delete", Level::Warning),
            ("wal_bytes", "268435457", Level::Warning),
            ("free_pages", "49000", Level::Ok),
            ("free_pages", "51000", Level::Warning),
        ] {
            let mut file: BTreeMap<String, String> = good.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
            file.insert(name.to_owned(), value.to_owned());
            let mut report = Report::default();
            examine(&file, &mut report);
            assert_eq!(report.worst(), level, "{name} = {value}");
        }
        let mut report = Report::default();
        tell_damage(&["row 7 missing from index".to_owned()], &mut report);
        assert_eq!(report.told(), [("sqlite", Level::Error)]);
    }
}
