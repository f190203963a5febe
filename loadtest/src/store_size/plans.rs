//! How the server carried out the hubs' statements: `auto_explain` has it write the plan of every call to its log, made with the values and on the connection
//! of that very call, and here the log is read. What goes over a whole table of many rows fails the run.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fs::File,
    io::{BufRead, BufReader, Seek, SeekFrom},
    path::PathBuf,
};

use anyhow::{Context, ensure};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Executor, PgConnection};

use super::{
    account::Postmaster,
    judge::{FEWEST, named},
    statements::{Statement, normal, shown},
};

/// Tables that grow with the store.
const LARGE: [&str; 3] = ["activities", "invocations", "tasks"];

/// Statements that may go over such a table, by a part of their text, and why.
const SCANS: [(&str, &str); 0] = [];

/// What a line of the log ends with, after which the plan comes on lines of its own that begin with a tab.
const PLAN: &str = "plan:";

/// How a statement was carried out, in all its plans.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// The kinds of nodes, with the indexes that they go over.
    pub nodes: BTreeSet<String>,
    /// Tables of which every row is looked at.
    pub scans: BTreeSet<String>,
}

/// Plans by the text of their statements, as [`normal`] gives it.
pub type Plans = BTreeMap<String, Plan>;

/// Where plans are written from some moment on.
pub struct Log {
    path: PathBuf,
    from: u64,
}

impl Log {
    /// From now on sessions that begin on this database have their plans written.
    pub async fn begin(database: &mut PgConnection) -> anyhow::Result<Self> {
        let path = Postmaster::of(database).await?.log()?;
        let from = File::open(&path).and_then(|file| file.metadata()).with_context(|| format!("reading {}", path.display()))?;
        ensure!(from.is_file(), "Postgres logs to {}, which is no file: no plan can be read", path.display());
        database.execute("LOAD 'auto_explain'").await.context("auto_explain is part of Postgres's own extensions")?;
        for (name, value) in [
            ("session_preload_libraries", "auto_explain"),
            ("auto_explain.log_min_duration", "0"),
            ("auto_explain.log_format", "json"),
            ("log_min_messages", "log"),
        ] {
            change(database, &format!("SET {name} = '{value}'")).await?;
        }
        Ok(Self { path, from: from.len() })
    }

    /// The plans since; from now on none are written for sessions that begin.
    pub async fn end(self, database: &mut PgConnection) -> anyhow::Result<Plans> {
        change(database, "RESET ALL").await?;
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(self.from))?;
        read(BufReader::new(file))
    }
}

/// Changes the settings of new sessions on this database.
async fn change(database: &mut PgConnection, what: &str) -> anyhow::Result<()> {
    let name: String = sqlx::query_scalar("SELECT quote_ident(current_database())").fetch_one(&mut *database).await?;
    database.execute(sqlx::raw_sql(AssertSqlSafe(format!("ALTER DATABASE {name} {what}")))).await?;
    Ok(())
}

/// All plans of a log.
fn read(log: impl BufRead) -> anyhow::Result<Plans> {
    let (mut plans, mut known, mut text) = (Plans::new(), HashSet::new(), None::<String>);
    for line in log.lines().map(Some).chain([None]) {
        let line = line.transpose()?;
        match (&mut text, line.as_deref().and_then(|line| line.strip_prefix('\t'))) {
            (Some(text), Some(more)) => text.push_str(more),
            (Some(_), None) => {
                // Most calls are carried out as the one before.
                let whole = text.take().unwrap_or_default();
                if known.insert(whole.clone()) {
                    let value: Value = serde_json::from_str(&whole).with_context(|| format!("no plan: {whole}"))?;
                    let query = value["Query Text"].as_str().context("a plan has the text of its query")?;
                    note(&value["Plan"], plans.entry(normal(query)).or_default());
                }
            }
            (None, _) => {}
        }
        if text.is_none() && line.is_some_and(|line| line.contains(" LOG:  duration:") && line.ends_with(PLAN)) {
            text = Some(String::new());
        }
    }
    Ok(plans)
}

/// A node of a plan, and those below it.
fn note(node: &Value, plan: &mut Plan) {
    let word = |name: &str| node[name].as_str();
    if let Some(kind) = word("Node Type") {
        let of = word("Index Name").or(word("Operation")).map_or_else(String::new, |of| format!(" {of}"));
        plan.nodes.insert(format!("{kind}{of}"));
        if let Some(table) = word("Relation Name").filter(|_| kind == "Seq Scan") {
            plan.scans.insert(table.to_owned());
        }
    }
    node["Plans"].as_array().into_iter().flatten().for_each(|below| note(below, plan));
}

/// Prints how each statement was carried out, and fails if one goes over a large table, or if no plan of it was seen.
pub fn judge(plans: &Plans, statements: &[Statement]) -> anyhow::Result<()> {
    println!("\n| statement | carried out by | all rows of |\n|---|---|---|");
    for (text, Plan { nodes, scans }) in plans {
        let list = |words: &BTreeSet<String>| words.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        println!("| {} | {} | {} |", shown(text), list(nodes), list(scans));
    }
    println!();
    let wrong = wrong(plans, statements);
    ensure!(wrong.is_empty(), "{} statements are not carried out as they should:\n{}", wrong.len(), wrong.join("\n"));
    Ok(())
}

/// What fails the run, in a line each.
fn wrong(plans: &Plans, statements: &[Statement]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (text, plan) in plans.iter().filter(|(text, _)| named(&SCANS, text).is_none()) {
        let tables: Vec<_> = LARGE.into_iter().filter(|table| plan.scans.contains(*table)).collect();
        if !tables.is_empty() {
            wrong.push(format!("all rows of {}: {text}", tables.join(", ")));
        }
    }
    // Statements that are sent together are logged with the text of all of them.
    let seen: BTreeSet<_> = plans.keys().flat_map(|text| text.split("; ")).collect();
    let hot = statements.iter().filter(|one| 0.0 < one.blocks && FEWEST <= one.calls);
    let hot: BTreeSet<_> = hot.map(|one| one.text.as_str()).collect();
    wrong.extend(hot.difference(&seen).map(|text| format!("no plan was seen: {text}")));
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "2026-11-30 09:00:00.000 UTC [7] LOG:  duration: 0.1 ms  plan:\n\
        \t{\n\
        \t  \"Query Text\": \"SELECT 1 FROM tasks\\n  WHERE name = $1\",\n\
        \t  \"Plan\": {\"Node Type\": \"Nested Loop\", \"Plans\": [\n\
        \t    {\"Node Type\": \"Seq Scan\", \"Relation Name\": \"tasks\"},\n\
        \t    {\"Node Type\": \"Index Scan\", \"Relation Name\": \"activities\", \"Index Name\": \"activities_pkey\"}]}\n\
        \t}\n\
        2026-11-30 09:00:00.000 UTC [7] LOG:  checkpoint starting: time\n\
        2026-11-30 09:00:00.000 UTC [8] LOG:  duration: 0.1 ms  plan:\n\
        \t{\"Query Text\": \"DELETE FROM leases\", \"Plan\": {\"Node Type\": \"ModifyTable\", \"Operation\": \"Delete\", \"Plans\": [\n\
        \t  {\"Node Type\": \"Seq Scan\", \"Relation Name\": \"leases\"}]}}";

    #[test]
    fn plans_are_read_from_the_log() {
        let plans = read(LOG.as_bytes()).unwrap();
        let set = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<BTreeSet<_>>();
        let tasks = Plan { nodes: set(&["Nested Loop", "Seq Scan", "Index Scan activities_pkey"]), scans: set(&["tasks"]) };
        assert_eq!(plans["SELECT $? FROM tasks WHERE name = $?"], tasks);
        assert_eq!(plans["DELETE FROM leases"].scans, set(&["leases"]));
        assert!(read("x LOG:  duration: 1 ms  plan:\n\t{\"half".as_bytes()).is_err());
    }

    #[test]
    fn what_goes_over_a_large_table_or_was_not_seen_fails() {
        let plans = read(LOG.as_bytes()).unwrap();
        let ran = |calls: f64| Statement { part: "reading", text: "UPDATE tasks".to_owned(), calls, rows: 1.0, blocks: 1.0 };
        let scan = "all rows of tasks: SELECT $? FROM tasks WHERE name = $?";
        assert_eq!(wrong(&plans, &[ran(FEWEST)]), [scan, "no plan was seen: UPDATE tasks"]);
        assert_eq!(wrong(&plans, &[ran(FEWEST - 1.0)]), [scan]);
        let together = Plans::from([("BEGIN; UPDATE tasks; COMMIT".to_owned(), Plan::default())]);
        assert!(wrong(&together, &[ran(FEWEST)]).is_empty());
    }
}
