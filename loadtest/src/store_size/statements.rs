//! What the hubs' statements touched, as the server itself counts it.

use std::collections::BTreeMap;

use sqlx::{Executor, PgConnection};

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
pub fn normal(query: &str) -> String {
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
    // The server takes the word for a constant, too.
    out.replace("extract(epoch FROM", "extract($? FROM")
}

/// The beginning of it, in a table.
pub fn shown(text: &str) -> String {
    text.chars().take(SHOWN).collect::<String>().replace('|', "\\|")
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
        [b'-', b'0'..=b'9', ..] => 1 + digits(&text[1..]),
        [b'\'', rest @ ..] => rest.iter().position(|byte| *byte == b'\'').map_or(0, |end| end + 2),
        _ => digits(text),
    }
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
        assert_eq!(normal("THEN -1 ELSE a - 1"), normal("THEN $1 ELSE a - $2"));
        assert_eq!(normal("extract(epoch FROM now()) * 1000"), normal("extract($1 FROM now()) * $2"));
        assert_eq!(normal("a.\"offset\"::int8"), "a.\"offset\"::int8");
        assert_eq!(normal("SELECT NULL::int8 WHERE true AND a IS NOT NULL"), "SELECT $?::int8 WHERE $? AND a IS NOT NULL");
    }
}
