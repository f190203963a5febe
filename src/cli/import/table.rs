//! The old database: one table of SQLite, of which only the name and a date are certain. It is opened to be read and never written.

use std::path::Path;

use anyhow::{Context, bail};
use futures_util::TryStreamExt;
use serde_json::{Map, Value};
use sqlx::{
    AssertSqlSafe, Column, Connection, Row, SqliteConnection, TypeInfo, ValueRef,
    sqlite::{SqliteConnectOptions, SqliteRow},
};

/// The most bytes of a binary value that are kept, as hexadecimal digits.
const BLOB_BYTES: usize = 4 * 1024;

/// A table of rows that are numbered.
#[derive(Debug)]
pub(super) struct Table {
    connection: SqliteConnection,
    /// Its name, quoted.
    name: String,
    /// Its columns, in their order.
    pub columns: Vec<String>,
}

impl Table {
    /// Opens the file's table.
    pub(super) async fn open(file: &Path, table: &str) -> anyhow::Result<Self> {
        let name = file.display();
        if !file.is_file() {
            bail!("{name} is no file");
        }
        let mut log = file.as_os_str().to_owned();
        log.push("-wal");
        // Without a log beside it the file is all there is, and nothing at all is written next to it.
        let is_whole = std::fs::metadata(log).map_or(true, |log| log.len() == 0);
        let options = SqliteConnectOptions::new().filename(file).read_only(true).immutable(is_whole);
        let mut connection =
            SqliteConnection::connect_with(&options).await.with_context(|| format!("{name} cannot be opened"))?;
        let columns: Vec<String> = sqlx::query_scalar("SELECT name FROM pragma_table_info(?1) ORDER BY cid")
            .bind(table.to_owned())
            .fetch_all(&mut connection)
            .await
            .with_context(|| format!("{name} is no SQLite database"))?;
        if columns.is_empty() {
            let tables: Vec<String> = sqlx::query_scalar("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
                .fetch_all(&mut connection)
                .await?;
            bail!("{name} has no table {table}; it has {}: name one with --table", tables.join(", "));
        }
        Ok(Self { connection, name: quoted(table), columns })
    }

    /// The column that goes by one of these names, whatever its case; the first of them that is there.
    pub(super) fn column(&self, names: &[&str]) -> Option<String> {
        let find = |name: &&str| self.columns.iter().find(|column| column.eq_ignore_ascii_case(name)).cloned();
        names.iter().find_map(find)
    }

    /// Gives the number of each row, in their order, and what it has in this column.
    pub(super) async fn index(&mut self, column: &str, mut each: impl FnMut(i64, Value)) -> anyhow::Result<()> {
        let sql = format!("SELECT rowid, {} FROM {} ORDER BY rowid", quoted(column), self.name);
        let mut rows = sqlx::query(AssertSqlSafe(sql)).fetch(&mut self.connection);
        let numbered = "the table cannot be read by row number; is it one WITHOUT ROWID?";
        while let Some(row) = rows.try_next().await.context(numbered)? {
            each(row.try_get(0)?, value(&row, 1)?);
        }
        Ok(())
    }

    /// Whether no two rows have the same in this column.
    pub(super) async fn is_unique(&mut self, column: &str) -> anyhow::Result<bool> {
        let sql = format!("SELECT count(*) = count(DISTINCT {}) FROM {}", quoted(column), self.name);
        Ok(sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut self.connection).await?)
    }

    /// These rows, in any order, each with its number and all of its columns.
    pub(super) async fn rows(&mut self, numbers: &[i64]) -> anyhow::Result<Vec<(i64, Map<String, Value>)>> {
        let sql = format!("SELECT rowid, * FROM {} WHERE rowid IN (SELECT value FROM json_each(?1))", self.name);
        let rows = sqlx::query(AssertSqlSafe(sql)).bind(serde_json::to_string(numbers)?).fetch_all(&mut self.connection).await?;
        let read = |row: &SqliteRow| {
            let columns = row.columns().iter().enumerate().skip(1);
            let fields = columns.map(|(at, column)| Ok((column.name().to_owned(), value(row, at)?)));
            Ok((row.try_get(0)?, fields.collect::<anyhow::Result<_>>()?))
        };
        rows.iter().map(read).collect()
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Whatever is stored there, as it is stored: SQLite's columns hold any type.
fn value(row: &SqliteRow, at: usize) -> anyhow::Result<Value> {
    let raw = row.try_get_raw(at)?;
    let kind = raw.type_info().name().to_owned();
    Ok(match kind.as_str() {
        _ if raw.is_null() => Value::Null,
        "INTEGER" | "BOOLEAN" => row.try_get_unchecked::<i64, _>(at)?.into(),
        "REAL" => row.try_get_unchecked::<f64, _>(at)?.into(),
        "BLOB" => {
            let bytes: &[u8] = row.try_get_unchecked(at)?;
            bytes.iter().take(BLOB_BYTES).map(|byte| format!("{byte:02x}")).collect::<String>().into()
        }
        // Old programs wrote text that is no UTF-8.
        _ => String::from_utf8_lossy(row.try_get_unchecked::<&[u8], _>(at)?).into_owned().into(),
    })
}
