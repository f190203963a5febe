//! Whether what statements touch and give grows with the store: those of the small store beside those of the large one.

use anyhow::ensure;

use super::{
    Store,
    statements::{Statement, shown},
};

/// An index over a thousand times as many rows is so much deeper at most: two pages from root to leaf become four, and some room for luck.
const GROWTH: f64 = 2.5;

/// What is left out of account: pages of the map of free space, of the root of an index that just split.
const SLACK: f64 = 8.0;

/// Calls whose numbers of rows differ more are not alike: they are compared per row, and more rows in the large store are growth.
const ALIKE: f64 = 1.25;

/// So many rows of a call are left out of account: what comes by itself comes to one run more or less.
const FEW_ROWS: f64 = 8.0;

/// Of fewer calls, mostly of what comes by itself now and then, an average says nothing.
pub const FEWEST: f64 = 5.0;

/// Fewer statements are not all that the walk asks.
const FEWEST_PAIRS: usize = 20;

/// Statements that may give more rows in the large store, by a part of their text, and what bounds them.
const MORE_ROWS: [(&str, &str); 10] = [
    ("WITH noted AS ( INSERT INTO transitions", "as many as a batch has, which is what came while the one before was committed"),
    ("WITH locked AS MATERIALIZED ( SELECT t.id FROM unnest(", "a batch"),
    ("INSERT INTO activities (task, \"offset\",", "a batch"),
    ("INSERT INTO tasks (name, epoch, created_at)", "a batch"),
    ("SELECT $? AS kind, greatest(tasks.head,", "what a batch is about"),
    (
        "AS trimmed, page.minute, page.activities",
        "a row for each minute in which something came: the walk takes longer on a large store",
    ),
    ("LEFT JOIN log_sizes AS size ON size.task = tasks.id WHERE tasks.id >", "retention looks at pages of 200 tasks"),
    ("FROM tasks LEFT JOIN LATERAL (SELECT * FROM invocations WHERE task = tasks.id", "a page of a task's newest runs"),
    ("FROM tasks WHERE name = ANY(", "as many tasks as are asked for"),
    (
        "WHERE i.status IN ($?) AND NOT i.backfilled AND i.id >",
        "a page of runs that have not ended, as many as there are just then",
    ),
];

/// Statements that may have run on the large store alone, by a part of their text, and why.
const ONLY_LARGE: [(&str, &str); 0] = [];

/// Why a statement is an exception, if it is one.
pub fn named<'a>(list: &[(&str, &'a str)], text: &str) -> Option<&'a str> {
    list.iter().find(|(part, _)| text.contains(part)).map(|(_, why)| *why)
}

/// A statement on both stores.
struct Pair<'a> {
    small: Statement,
    large: &'a Statement,
    /// Blocks of a call, or of a row of its answer.
    blocks: [f64; 2],
    rows: [f64; 2],
    per_row: bool,
}

impl<'a> Pair<'a> {
    fn of(small: Statement, large: &'a Statement) -> Self {
        let rows = [small.rows / small.calls, large.rows / large.calls];
        let per_row = ALIKE * rows[0].min(rows[1]) < rows[0].max(rows[1]) && 1.0 <= rows[0].min(rows[1]);
        let unit = |s: &Statement| if per_row { s.rows } else { s.calls };
        let blocks = [small.blocks / unit(&small), large.blocks / unit(large)];
        Self { small, large, blocks, rows, per_row }
    }

    /// The same part's statement, or, where it ran too seldom there, all of this text on the small store.
    fn with(large: &'a Statement, small: &[Statement]) -> Option<Self> {
        let same = |one: &&Statement| one.text == large.text;
        if let Some(own) = small.iter().filter(same).find(|one| one.part == large.part && FEWEST <= one.calls) {
            return Some(Self::of(own.clone(), large));
        }
        let sum = |mut all: Statement, one: &Statement| {
            (all.calls, all.rows, all.blocks) = (all.calls + one.calls, all.rows + one.rows, all.blocks + one.blocks);
            all
        };
        let mut all = small.iter().filter(same);
        let first = all.next()?.clone();
        Some(Self::of(all.fold(first, sum), large))
    }

    /// Whether there were calls enough to say anything.
    fn counts(&self) -> bool {
        FEWEST <= self.small.calls.min(self.large.calls)
    }

    /// What grows, in a word.
    fn verdict(&self) -> &'static str {
        let more_rows = ALIKE * self.rows[0] + FEW_ROWS < self.rows[1];
        let more_blocks = GROWTH * self.blocks[0] + SLACK < self.blocks[1];
        match (more_blocks, more_rows && named(&MORE_ROWS, &self.large.text).is_none()) {
            _ if !self.counts() => "too few calls",
            (true, true) => "**blocks, rows**",
            (true, false) => "**blocks**",
            (false, true) => "**rows**",
            (false, false) => "no",
        }
    }

    fn grows(&self) -> bool {
        self.verdict().starts_with('*')
    }
}

/// Prints what each statement touched on both, and fails if one touched more than a deeper index explains, gave more rows, or was not there to compare.
pub fn judge(small: &Store, large: &Store) -> anyhow::Result<()> {
    let touches = |statement: &&Statement| 0.0 < statement.blocks;
    let mut pairs: Vec<_> = large.statements.iter().filter_map(|statement| Pair::with(statement, &small.statements)).collect();
    pairs.retain(|pair| 0.0 < pair.small.blocks + pair.large.blocks);
    pairs.sort_by(|a, b| b.counts().cmp(&a.counts()).then(b.large.blocks.total_cmp(&a.large.blocks)));
    let [named_small, named_large] = [small, large].map(|store| format!("{} k", store.shape.activities() / 1_000));
    print(&pairs, &named_small, &named_large);
    let ran = |statements: &[Statement], text: &str| statements.iter().any(|statement| statement.text == text);
    for alone in small.statements.iter().filter(touches).filter(|one| !ran(&large.statements, &one.text)) {
        println!("{}, only on the small store, {} times: {}", alone.part, alone.calls, shown(&alone.text));
    }
    let alone: Vec<_> = large.statements.iter().filter(touches).filter(|one| !ran(&small.statements, &one.text)).collect();
    for Statement { part, text, calls, blocks, .. } in &alone {
        println!("{part}, only on the large store, {calls} times, {:.1} blocks: {}", blocks / calls, shown(text));
    }
    let counted = pairs.iter().filter(|pair| pair.counts()).count();
    ensure!(FEWEST_PAIRS < counted, "only {counted} statements ran on both: were they counted?");
    let wrong = wrong(&pairs, &alone);
    ensure!(wrong.is_empty(), "{} statements grow with the store or cannot be compared:\n{}", wrong.len(), wrong.join("\n"));
    Ok(())
}

fn print(pairs: &[Pair<'_>], small: &str, large: &str) {
    println!(
        "\n| part | statement | calls, {small} | {large} | rows of a call, {small} | {large} | blocks, {small} | {large} | of a | ratio | grows |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    for pair in pairs {
        println!(
            "| {} | {} | {} | {} | {:.1} | {:.1} | {:.1} | {:.1} | {} | {:.2} | {} |",
            pair.large.part,
            shown(&pair.large.text),
            pair.small.calls,
            pair.large.calls,
            pair.rows[0],
            pair.rows[1],
            pair.blocks[0],
            pair.blocks[1],
            if pair.per_row { "row" } else { "call" },
            pair.blocks[1] / pair.blocks[0],
            pair.verdict()
        );
    }
}

/// What fails the run, in a line each.
fn wrong(pairs: &[Pair<'_>], alone: &[&Statement]) -> Vec<String> {
    let grown = pairs.iter().filter(|pair| pair.grows());
    let grown = grown.map(|pair| format!("{}, {}: {}", pair.large.part, pair.verdict(), pair.large.text));
    let alone = alone.iter().filter(|one| FEWEST <= one.calls && named(&ONLY_LARGE, &one.text).is_none());
    grown.chain(alone.map(|one| format!("{}, only on the large store: {}", one.part, one.text))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ran(text: &str, calls: f64, rows: f64, blocks: f64) -> Statement {
        Statement { part: "reading", text: text.to_owned(), calls, rows: rows * calls, blocks: blocks * calls }
    }

    fn verdict(small: Statement, large: &Statement) -> &'static str {
        Pair::with(large, &[small]).expect("the same text").verdict()
    }

    #[test]
    fn more_blocks_than_a_deeper_index_explains_are_growth() {
        assert_eq!(verdict(ran("a", 10.0, 1.0, 4.0), &ran("a", 10.0, 1.0, 18.0)), "no");
        assert_eq!(verdict(ran("a", 10.0, 1.0, 4.0), &ran("a", 10.0, 1.0, 19.0)), "**blocks**");
    }

    #[test]
    fn more_rows_are_growth_however_few_blocks_each_takes() {
        assert_eq!(verdict(ran("a", 10.0, 2.0, 4.0), &ran("a", 10.0, 1_000.0, 2_000.0)), "**rows**");
        assert_eq!(verdict(ran("a", 10.0, 0.0, 4.0), &ran("a", 10.0, 9.0, 9.0)), "**rows**");
        assert_eq!(verdict(ran("a", 10.0, 2.0, 4.0), &ran("a", 10.0, 3.0, 6.0)), "no");
        let page = "SELECT 1 FROM tasks WHERE name = ANY($?)";
        assert_eq!(verdict(ran(page, 10.0, 2.0, 4.0), &ran(page, 10.0, 200.0, 400.0)), "no");
    }

    #[test]
    fn what_ran_seldom_is_told_and_not_judged() {
        assert_eq!(verdict(ran("a", 4.0, 1.0, 4.0), &ran("a", 10.0, 1.0, 400.0)), "too few calls");
        assert!(wrong(&[], &[&ran("a", 4.0, 1.0, 1.0)]).is_empty());
    }

    #[test]
    fn what_ran_in_another_part_is_compared_with_that() {
        let elsewhere = Statement { part: "by itself", ..ran("a", 10.0, 1.0, 4.0) };
        assert_eq!(verdict(elsewhere, &ran("a", 10.0, 1.0, 400.0)), "**blocks**");
    }

    #[test]
    fn what_ran_only_on_the_large_store_fails() {
        assert!(Pair::with(&ran("a", 5.0, 1.0, 1.0), &[ran("b", 5.0, 1.0, 1.0)]).is_none());
        assert_eq!(wrong(&[], &[&ran("a", 5.0, 1.0, 1.0)]), ["reading, only on the large store: a"]);
    }
}
