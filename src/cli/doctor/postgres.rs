//! How the Postgres server is set, as far as hubs depend on it.

use std::collections::BTreeMap;

use super::finding::{Finding, Report};
use crate::config::Settings;

const CHECK: &str = "postgres";

/// The oldest version that Tasklight is tested with.
const TESTED: u64 = 150_000;

/// A transaction that is open for longer keeps vacuum from its work.
const OLD_TRANSACTION_SECONDS: u64 = 900;

/// What the server says of itself, by name.
struct Server<'a>(&'a BTreeMap<String, String>);

impl Server<'_> {
    fn word(&self, name: &str) -> &str {
        self.0.get(name).map(String::as_str).unwrap_or_default()
    }

    fn number(&self, name: &str) -> u64 {
        self.word(name).parse().unwrap_or_default()
    }
}

/// Judges the server's settings, with so many hubs beside it as Redis counts.
pub(super) fn examine(server: &BTreeMap<String, String>, ours: &Settings, members: Option<&[String]>, report: &mut Report) {
    let server = Server(server);
    let mut fine = true;
    let mut add = |finding: Finding| {
        fine = false;
        report.add(finding);
    };
    settings(&server, &mut add);
    let connections = connections(&server, ours, members.map_or(1, <[String]>::len).max(1) as u64, &mut add);
    if fine {
        let sync = server.word("synchronous_commit");
        let sync = if sync == "off" { "off, which hubs switch on for themselves" } else { sync };
        let version = server.word("server_version");
        report.add(Finding::ok(CHECK, format!("version {version}, synchronous_commit {sync}, {connections}")));
    }
}

/// What it is, and how it is set.
fn settings(server: &Server<'_>, add: &mut impl FnMut(Finding)) {
    if server.word("in_recovery") == "true" {
        add(Finding::error(
            CHECK,
            "this server is a standby: it takes no writes",
            "Nothing can be stored here.",
            "Let store.url name the primary, such as with target_session_attrs=read-write and all hosts.",
        ));
    }
    for name in ["fsync", "full_page_writes"] {
        if server.word(name) == "off" {
            add(Finding::error(
                CHECK,
                format!("{name} is off"),
                "A power cut may lose activities that were confirmed, or the whole database.",
                "Switch it on in postgresql.conf and reload.",
            ));
        }
    }
    if server.word("autovacuum") == "off" {
        add(Finding::warning(
            CHECK,
            "autovacuum is off",
            "Rows of tasks and runs change all the time: without it the tables and their indexes grow for ever.",
            "Switch it on, or vacuum by a schedule of your own.",
        ));
    }
    if server.number("server_version_num") < TESTED {
        add(Finding::warning(
            CHECK,
            format!("version {} is older than those that Tasklight is tested with", server.word("server_version")),
            "It may work; nobody has looked.",
            "Use Postgres 15 or newer.",
        ));
    }
    let old = server.number("oldest_transaction_seconds");
    if OLD_TRANSACTION_SECONDS < old {
        add(Finding::warning(
            CHECK,
            format!("a transaction has been open for {}", super::span(old * 1_000)),
            "While it is, what was changed or deleted since cannot be cleaned up: tables grow and lists get slow.",
            "Find it in pg_stat_activity (order by xact_start) and end it.",
        ));
    }
}

/// Whether there are connections for so many hubs; says how many.
fn connections(server: &Server<'_>, ours: &Settings, nodes: u64, add: &mut impl FnMut(Finding)) -> String {
    let per_node = u64::from(ours.store.readers) + ours.writer.lanes as u64;
    let free = server.number("max_connections").saturating_sub(server.number("superuser_reserved_connections"));
    let others = server.number("connections").saturating_sub(server.number("hub_connections"));
    let (wanted, room) = (per_node * nodes, free.saturating_sub(others));
    let said = format!("{nodes} hubs may want {wanted} connections ({per_node} each), of {room} that others leave of {free}");
    if room < wanted {
        add(Finding::error(
            CHECK,
            said,
            "Under load hubs will not get the connections that they are set to use, and publishers wait or get 503.",
            "Raise max_connections, lower store.readers or writer.lanes, or give others fewer.",
        ));
    } else if room < wanted + per_node {
        add(Finding::warning(
            CHECK,
            said,
            "There is no room for one more hub, as during a rolling update.",
            "Raise max_connections.",
        ));
    }
    format!("{wanted} of {room} connections for {nodes} hubs")
}

#[cfg(test)]
mod tests {
    use super::{super::finding::Level, *};

    const GOOD: [(&str, &str); 11] = [
        ("server_version", "15.8"),
        ("server_version_num", "150008"),
        ("fsync", "on"),
        ("full_page_writes", "on"),
        ("synchronous_commit", "off"),
        ("autovacuum", "on"),
        ("max_connections", "100"),
        ("superuser_reserved_connections", "3"),
        ("connections", "20"),
        ("hub_connections", "10"),
        ("in_recovery", "false"),
    ];

    fn told(name: &'static str, value: &str, hubs: usize) -> Level {
        let mut server: BTreeMap<String, String> = GOOD.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        server.insert(name.to_owned(), value.to_owned());
        let mut report = Report::default();
        examine(&server, &Settings::default(), Some(&vec![String::new(); hubs]), &mut report);
        report.worst()
    }

    #[test]
    fn each_setting_is_judged() {
        for (name, value, hubs, level) in [
            ("fsync", "on", 3, Level::Ok),
            ("fsync", "off", 3, Level::Error),
            ("full_page_writes", "off", 3, Level::Error),
            ("autovacuum", "off", 3, Level::Warning),
            ("server_version_num", "140011", 3, Level::Warning),
            ("oldest_transaction_seconds", "900", 3, Level::Ok),
            ("oldest_transaction_seconds", "901", 3, Level::Warning),
            ("in_recovery", "true", 3, Level::Error),
            // 97 are there, 10 are others', a hub wants 6.
            ("connections", "20", 13, Level::Ok),
            ("connections", "20", 14, Level::Warning),
            ("connections", "20", 15, Level::Error),
        ] {
            assert_eq!(told(name, value, hubs), level, "{name} = {value}, {hubs} hubs");
        }
    }
}
