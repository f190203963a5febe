//! What the hubs' statements touched, as the server itself counts it, and whether that grows with the store.

use std::collections::BTreeMap;

use anyhow::ensure;
use sqlx::{Executor, PgConnection};

use super::Store;

/// An index over a thousand times as many rows is so much deeper at most: two pages from root to leaf become four, and some room for luck.
const GROWTH: f64 = 2.5;

/// What is left out of account: pages of the map of free space, of the root of an index that just split.
const SLACK: f64 = 8.0;

/// Calls whose numbers of rows differ more are compared per row.
const ALIKE: f64 = 1.25;

/// Of fewer calls, mostly of what comes by itself now and then, an average says nothing.
const FEWEST: f64 = 5.0;

/// How much of a statement is shown.
const SHOWN: usize = 90;

/// A statement, with lists of parameters of any length made one.
#[derive(Debug, Clone)]
pub struct Statement {
    /// What was being done.
    pub part: &'static str,
    pub text: String,
    pub calls: f64,
    pub rows: f64,
    pub blocks: f64,
}

/// Makes the server count; it must have been started with `pg_stat_statements` among `shared_preload_libraries`.
pub async fn begin(database: &mut PgConnection) -> anyhow::Result<()> {
    database.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements").await?;
    database.execute("SELECT pg_stat_statements_reset()").await?;
    Ok(())
}

/// What was counted of this database since, and from now on anew.
pub async fn taken(database: &mut PgConnection, part: &'static str) -> anyhow::Result<Vec<Statement>> {
    let rows: Vec<(String, i64, i64, i64)> = sqlx::query_as(
        "SELECT query, calls, rows, shared_blks_hit + shared_blks_read FROM pg_stat_statements \
         WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND query !~* 'pg_stat_statements|pg_backend_pid'",
    )
    .fetch_all(&mut *database)
    .await?;
    let mut statements: BTreeMap<String, Statement> = BTreeMap::new();
    for (query, calls, rows, blocks) in rows {
        let text = normal(&query);
        let one = Statement { part, text: text.clone(), calls: 0.0, rows: 0.0, blocks: 0.0 };
        let sum = statements.entry(text).or_insert(one);
        sum.calls += calls as f64;
        sum.rows += rows as f64;
        sum.blocks += blocks as f64;
    }
    begin(database).await?;
    Ok(statements.into_values().collect())
}

/// The text with single blanks, with constants as parameters (the server keeps them where it met a statement that was prepared before), and with one
/// parameter for each list of them: lists of names are as long as the batch.
fn normal(query: &str) -> String {
    let text = query.split_whitespace().collect::<Vec<_>>().join(" ");
    let (mut out, mut rest) = (String::with_capacity(text.len()), text.as_str());
    while let Some(first) = rest.chars().next() {
        let in_word = out.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_' || c == '"');
        let tested = out.ends_with("IS ") || out.ends_with("NOT ");
        let length = if in_word { 0 } else { constant(rest, tested) };
        if length == 0 {
            out.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        }
        rest = &rest[length..];
        // The list goes on, perhaps as another row of it.
        let before = out.trim_end_matches([',', ' ', '(', ')']);
        if before.ends_with("$?") && out[before.len()..].contains(',') {
            out.truncate(before.len());
        } else {
            out.push_str("$?");
        }
    }
    out
}

/// How long the parameter, number, string or word for a value is that the text begins with; what something is tested for by IS is no value.
fn constant(text: &str, tested: bool) -> usize {
    let word = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or_default();
    if matches!(word, "NULL" | "true" | "false") {
        return if tested { 0 } else { word.len() };
    }
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    match text.as_bytes() {
        [b'$', ..] => match digits(&text[1..]) {
            0 => 0,
            count => count + 1,
        },
        [b'\'', rest @ ..] => rest.iter().position(|byte| *byte == b'\'').map_or(0, |end| end + 2),
        _ => digits(text),
    }
}

/// A statement on both stores.
struct Pair<'a> {
    small: &'a Statement,
    large: &'a Statement,
    /// Blocks of a call, or of a row of its answer.
    blocks: [f64; 2],
    per_row: bool,
}

impl<'a> Pair<'a> {
    fn of(small: &'a Statement, large: &'a Statement) -> Self {
        let rows = [small.rows / small.calls, large.rows / large.calls];
        let per_row = ALIKE * rows[0].min(rows[1]) < rows[0].max(rows[1]) && 1.0 <= rows[0].min(rows[1]);
        let unit = |s: &Statement| if per_row { s.rows } else { s.calls };
        Self { small, large, blocks: [small.blocks / unit(small), large.blocks / unit(large)], per_row }
    }

    fn grows(&self) -> bool {
        GROWTH * self.blocks[0] + SLACK < self.blocks[1]
    }
}

/// Prints what each statement touched on both, and fails if one touched more than a deeper index explains.
pub fn judge(small: &Store, large: &Store) -> anyhow::Result<()> {
    let of_small: BTreeMap<_, _> =
        small.statements.iter().map(|statement| ((statement.part, &statement.text), statement)).collect();
    let mut pairs: Vec<_> = large
        .statements
        .iter()
        .filter_map(|large| Some(Pair::of(of_small.get(&(large.part, &large.text))?, large)))
        .filter(|pair| 0.0 < pair.small.blocks + pair.large.blocks && FEWEST <= pair.small.calls.min(pair.large.calls))
        .collect();
    pairs.sort_by(|a, b| b.large.blocks.total_cmp(&a.large.blocks));
    ensure!(20 < pairs.len(), "only {} statements ran on both: were they counted?", pairs.len());
    println!(
        "\n| statement | calls, {0} | calls, {1} | blocks, {0} | blocks, {1} | of a | ratio | grows |",
        of(small),
        of(large)
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for pair in &pairs {
        println!(
            "| {} | {} | {} | {} | {:.1} | {:.1} | {} | {:.2} | {} |",
            pair.large.part,
            shown(&pair.large.text),
            pair.small.calls,
            pair.large.calls,
            pair.blocks[0],
            pair.blocks[1],
            if pair.per_row { "row" } else { "call" },
            pair.blocks[1] / pair.blocks[0],
            if pair.grows() { "**yes**" } else { "no" }
        );
    }
    for alone in small.statements.iter().filter(|s| !large.statements.iter().any(|l| l.text == s.text && l.part == s.part)) {
        println!("{}, only on the small store, {} times: {}", alone.part, alone.calls, shown(&alone.text));
    }
    for alone in large.statements.iter().filter(|l| !of_small.contains_key(&(l.part, &l.text))) {
        println!(
            "only on the large store, {} times, {:.1} blocks: {}",
            alone.calls,
            alone.blocks / alone.calls,
            shown(&alone.text)
        );
    }
    let grown: Vec<_> =
        pairs.iter().filter(|pair| pair.grows()).map(|pair| format!("{}: {}", pair.large.part, pair.large.text)).collect();
    ensure!(grown.is_empty(), "{} statements touch more in the large store:\n{}", grown.len(), grown.join("\n"));
    Ok(())
}

fn of(store: &Store) -> String {
    format!("{} k", store.shape.activities() / 1_000)
}

fn shown(text: &str) -> String {
    text.chars().take(SHOWN).collect::<String>().replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::normal;

    #[test]
    fn lists_of_any_length_are_one_parameter() {
        let two = normal("INSERT INTO t VALUES ($1, $2), ($3, $4)  ON CONFLICT DO NOTHING");
        assert_eq!(two, normal("INSERT INTO t VALUES ($1, $2) ON CONFLICT DO NOTHING"));
        assert_eq!(normal("name IN ($1,$2,$3) AND id > $4"), normal("name IN ($9) AND id > $10"));
        assert_ne!(normal("id > $1"), normal("id < $1"));
    }

    #[test]
    fn constants_are_parameters_and_names_are_not() {
        assert_eq!(normal("SELECT 1 FROM t2 WHERE a = 'it'"), normal("SELECT $1 FROM t2 WHERE a = $2"));
        assert_eq!(normal("a.\"offset\"::int8"), "a.\"offset\"::int8");
        assert_eq!(normal("SELECT NULL::int8 WHERE true AND a IS NOT NULL"), "SELECT $?::int8 WHERE $? AND a IS NOT NULL");
    }
}
