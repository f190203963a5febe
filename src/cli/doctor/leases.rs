//! Whether somebody does what one node at a time does.

use super::finding::{Finding, Report};
use crate::{
    config::Settings,
    model::Timestamp,
    store::{LeaseName, LeaseRow},
};

const CHECK: &str = "leases";

/// Since when a hub has listened without a gap, if one does.
pub(super) fn listening_since(rows: &[LeaseRow], now: Timestamp) -> Option<Timestamp> {
    let row = rows.iter().find(|row| row.name == LeaseName::Reconciler.as_str())?;
    (row.holder.is_some() && now < row.expires_at).then_some(row.since)
}

/// Says who has which, by the database's time.
pub(super) fn examine(rows: &[LeaseRow], now: Timestamp, members: Option<&[String]>, settings: &Settings, report: &mut Report) {
    if !rows.iter().any(|row| row.name == LeaseName::Reconciler.as_str()) {
        report.add(Finding::warning(
            CHECK,
            "nobody has ever had the lease of the reconciler",
            "No hub of this version has worked on this store: silent runs stay running.",
            "Start a hub, or bring the hubs up to this version.",
        ));
    }
    for row in rows {
        report.add(one(row, now, members, settings));
    }
}

fn one(row: &LeaseRow, now: Timestamp, members: Option<&[String]>, settings: &Settings) -> Finding {
    let name = &row.name;
    let ago = |then: Timestamp| super::span(now.as_millis().saturating_sub(then.as_millis()));
    let term = settings.cluster.lease_timeout.get();
    let Some(holder) = row.holder.as_ref().filter(|_| now < row.expires_at) else {
        let (last, gone) = (row.holder.as_deref().unwrap_or("nobody"), ago(row.expires_at));
        if now < row.expires_at.plus(term * 2) {
            return Finding::ok(CHECK, format!("{name}: free for {gone}; a hub takes it within seconds"));
        }
        return Finding::warning(
            CHECK,
            format!("{name}: nobody has had it for {gone} (it runs out on {last})"),
            "No hub runs, or none may: what one node at a time does is not done. When one comes, silence counts from then.",
            "Start a hub. If hubs run, they cannot reach Redis or cannot write to the store: /readyz and their logs say which.",
        );
    };
    if term * 3 + term < std::time::Duration::from_millis(row.expires_at.as_millis().saturating_sub(now.as_millis())) {
        return Finding::warning(
            CHECK,
            format!("{name}: held by {holder} until long from now"),
            "The database's clock was wrong when it was taken, or hubs have other values of cluster.lease_timeout.",
            "Give all hubs the same configuration. A lease of more than an hour is taken over all the same.",
        );
    }
    match members {
        Some(members) if !members.iter().any(|member| member == holder) => Finding::warning(
            CHECK,
            format!("{name}: held by {holder}, which is no member"),
            "It died a moment ago, and another hub takes over when the lease runs out; or it works with another Redis or prefix.",
            "Look again in a minute. If it stays so, give all hubs the same broker.url and broker.prefix.",
        ),
        _ => Finding::ok(CHECK, format!("{name}: held by {holder}, and by somebody since {} ago", ago(row.since))),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::finding::Level, *};

    fn told(holder: Option<&str>, expires_at: u64, members: Option<&[String]>) -> Level {
        let at = |seconds: u64| Timestamp::from_millis(seconds * 1_000).expect("small");
        let row = LeaseRow {
            name: "reconciler".to_owned(),
            holder: holder.map(str::to_owned),
            token: 7,
            since: at(1),
            expires_at: at(expires_at),
        };
        let mut report = Report::default();
        examine(std::slice::from_ref(&row), at(10_000), members, &Settings::default(), &mut report);
        let held = holder.is_some() && 10_000 < expires_at;
        assert_eq!(listening_since(&[row], at(10_000)), held.then(|| at(1)));
        report.worst()
    }

    #[test]
    fn a_lease_is_held_free_or_nobodys() {
        let members = ["a#1".to_owned(), "b#2".to_owned()];
        for (holder, expires_at, members, level) in [
            (Some("a#1"), 10_010, None, Level::Ok),
            (Some("a#1"), 10_010, Some(&members[..]), Level::Ok),
            (Some("c#3"), 10_010, Some(&members[..]), Level::Warning),
            (Some("a#1"), 9_990, None, Level::Ok),
            (Some("a#1"), 9_900, None, Level::Warning),
            (None, 9_999, None, Level::Ok),
            (None, 1, None, Level::Warning),
            (Some("a#1"), 90_000, None, Level::Warning),
        ] {
            assert_eq!(told(holder, expires_at, members), level, "{holder:?} {expires_at}");
        }
        let mut report = Report::default();
        examine(&[], Timestamp::default(), None, &Settings::default(), &mut report);
        assert_eq!(report.worst(), Level::Warning);
    }
}
