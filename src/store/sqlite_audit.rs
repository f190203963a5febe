//! Stored texts in SQLite, read in pages and changed in their place.

use sqlx::{AssertSqlSafe, Executor, Row, sqlite::SqliteRow};

use super::{
    AuditPlace, StoreError, StoredActivity, StoredKind, StoredTexts,
    sqlite::{SqliteStore, count, foreign, offset, stored, word},
};
use crate::model::TaskId;

impl SqliteStore {
    pub(super) async fn audit_activities(&self, after: AuditPlace, limit: usize) -> Result<Vec<StoredActivity>, StoreError> {
        let rows = sqlx::query(
            "SELECT a.task, a.\"offset\", a.type, a.data, a.series, tasks.name, invocations.name AS invocation FROM activities AS a \
             CROSS JOIN tasks ON tasks.id = a.task CROSS JOIN invocations ON invocations.id = a.invocation \
             WHERE (a.task, a.\"offset\") > (?1, ?2) ORDER BY a.task, a.\"offset\" LIMIT ?3",
        )
        .bind(after.task)
        .bind(stored(after.offset.get()))
        .bind(stored(limit as u64))
        .fetch_all(&self.readers)
        .await?;
        let read = |row: &SqliteRow| {
            Ok(StoredActivity {
                place: AuditPlace { task: row.try_get("task")?, offset: offset(row, "offset")? },
                task: word(row, "name")?.ok_or_else(|| foreign("name"))?,
                invocation: word(row, "invocation")?.ok_or_else(|| foreign("invocation"))?,
                kind: word(row, "type")?.ok_or_else(|| foreign("type"))?,
                data: row.try_get("data")?,
                series: row.try_get("series")?,
            })
        };
        rows.iter().map(read).collect()
    }

    pub(super) async fn clean_activities(&self, changed: &[StoredActivity]) -> Result<(), StoreError> {
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        for activity in changed {
            sqlx::query("UPDATE activities SET data = ?3, series = ?4 WHERE task = ?1 AND \"offset\" = ?2")
                .bind(activity.place.task)
                .bind(stored(activity.place.offset.get()))
                .bind(activity.data.clone())
                .bind(activity.series.clone())
                .execute(&mut *transaction)
                .await?;
        }
        note_cleaning(&mut transaction).await?;
        Ok(transaction.commit().await?)
    }

    pub(super) async fn audit_texts(&self, kind: StoredKind, after: i64, limit: usize) -> Result<Vec<StoredTexts>, StoreError> {
        let (key, table) = (kind.key(), kind.table());
        let columns: String = kind.columns().iter().map(|column| format!(", {column}")).collect();
        let names = match kind {
            StoredKind::Task => "name AS of_task, name AS own",
            StoredKind::Run => "(SELECT t.name FROM tasks AS t WHERE t.id = invocations.task) AS of_task, name AS own",
            StoredKind::Reject => "task AS of_task, NULL AS own",
            // No header has a line break in it.
            StoredKind::Stream => {
                "(SELECT t.name FROM tasks AS t WHERE t.id = streams.task) AS of_task, \
                 coalesce(content_type, '') || char(10) || coalesce(seq, '') || char(10) || \
                 coalesce((SELECT group_concat(p.name, char(10)) FROM stream_producers AS p WHERE p.task = streams.task), '') AS own"
            }
        };
        let sql = format!("SELECT {key} AS key, {names}{columns} FROM {table} WHERE {key} > ?1 ORDER BY {key} LIMIT ?2");
        let rows = sqlx::query(AssertSqlSafe(sql)).bind(after).bind(stored(limit as u64)).fetch_all(&self.readers).await?;
        let read = |row: &SqliteRow| {
            let texts = (3..3 + kind.columns().len()).map(|at| row.try_get(at)).collect::<Result<_, _>>()?;
            let own: Option<String> = row.try_get("own")?;
            let names = own.iter().flat_map(|own| own.split('\n')).filter(|name| !name.is_empty()).map(str::to_owned).collect();
            Ok(StoredTexts { key: row.try_get("key")?, task: row.try_get("of_task")?, names, texts })
        };
        rows.iter().map(read).collect()
    }

    /// One process has the file: nobody changes it meanwhile.
    pub(super) async fn clean_texts(&self, kind: StoredKind, changed: &[(StoredTexts, StoredTexts)]) -> Result<(), StoreError> {
        let set: Vec<String> = kind.columns().iter().zip(2..).map(|(column, at)| format!("{column} = ?{at}")).collect();
        let sql = format!("UPDATE {} SET {} WHERE id = ?1", kind.table(), set.join(", "));
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        for (_, after) in changed {
            let mut query = sqlx::query(AssertSqlSafe(sql.clone())).bind(after.key);
            for text in &after.texts {
                query = query.bind(text.clone());
            }
            query.execute(&mut *transaction).await?;
        }
        note_cleaning(&mut transaction).await?;
        Ok(transaction.commit().await?)
    }

    /// What was cleaned is still in the file's free space and in its log; this writes both anew.
    pub(super) async fn forget_old_texts(&self) -> Result<(), StoreError> {
        let mut connection = self.writer.acquire().await?;
        connection.execute("VACUUM").await?;
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").await?;
        Ok(())
    }

    pub(super) async fn cleanings(&self) -> Result<u64, StoreError> {
        let row =
            sqlx::query("SELECT coalesce(max(cleanings), 0) AS cleanings FROM store_identity").fetch_one(&self.readers).await?;
        count(&row, "cleanings")
    }

    pub(super) async fn audit_key(&self, task: &TaskId) -> Result<Option<i64>, StoreError> {
        let query = sqlx::query_scalar("SELECT id FROM tasks WHERE name = ?1").bind(task.as_str().to_owned());
        Ok(query.fetch_optional(&self.readers).await?)
    }

    pub(super) async fn activities_kept(&self) -> Result<u64, StoreError> {
        let row = sqlx::query("SELECT coalesce(sum(head - floor + 1), 0) AS kept FROM tasks").fetch_one(&self.readers).await?;
        count(&row, "kept")
    }
}

async fn note_cleaning(connection: &mut sqlx::SqliteConnection) -> Result<(), StoreError> {
    connection.execute("UPDATE store_identity SET cleanings = cleanings + 1").await?;
    Ok(())
}
