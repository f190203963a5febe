//! Whether the store's schema is this program's.

use super::finding::{Finding, Report};
use crate::store::Schema;

/// Says it; whether the tables are those that this program asks.
pub(super) fn examine(schema: &Schema, report: &mut Report) -> bool {
    const CHECK: &str = "schema";
    let list = |numbers: &[i64]| numbers.iter().map(|number| format!("{number:04}")).collect::<Vec<_>>().join(", ");
    if !schema.broken.is_empty() {
        report.add(Finding::error(
            CHECK,
            format!("migrations that did not come to their end: {}", list(&schema.broken)),
            "Hubs do not start on it.",
            "See what the database's log says of it, put that right, and run `tasklight migrate` again.",
        ));
        return false;
    }
    let missing: Vec<_> = schema.known.iter().copied().filter(|number| !schema.applied.contains(number)).collect();
    let newer: Vec<_> = schema.applied.iter().copied().filter(|number| !schema.known.contains(number)).collect();
    if !missing.is_empty() {
        report.add(Finding::error(
            CHECK,
            format!("migrations that are missing: {}", list(&missing)),
            "Hubs of this version bring it up to date when they start, or refuse to if store.migrate = false. Rows were not looked at.",
            "Run `tasklight migrate` as the owner of the tables.",
        ));
        return false;
    }
    if !newer.is_empty() {
        report.add(Finding::warning(
            CHECK,
            format!("migrations that this program does not know: {}", list(&newer)),
            "Hubs of a newer version have been here. This one works with it, and judges by what it knows.",
            "Use a doctor of the newest version that runs.",
        ));
        return true;
    }
    report.add(Finding::ok(CHECK, format!("all {} migrations", schema.known.len())));
    true
}

#[cfg(test)]
mod tests {
    use super::{super::finding::Level, *};

    #[test]
    fn a_schema_is_ours_older_newer_or_broken() {
        for (applied, broken, level, usable) in [
            (vec![1, 2, 3], vec![], Level::Ok, true),
            (vec![1, 2], vec![], Level::Error, false),
            (vec![], vec![], Level::Error, false),
            (vec![1, 2, 3, 4], vec![], Level::Warning, true),
            (vec![1, 2], vec![3], Level::Error, false),
        ] {
            let mut report = Report::default();
            let schema = Schema { applied, broken, known: vec![1, 2, 3] };
            assert_eq!(examine(&schema, &mut report), usable, "{schema:?}");
            assert_eq!(report.told(), [("schema", level)], "{schema:?}");
        }
    }
}
