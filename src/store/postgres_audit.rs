//! Stored texts in Postgres, read in pages and changed in their place while hubs go on.
//!
//! Activities are never changed by anybody else. Rows of runs are: a hub reads, changes and writes them under the lock of their task's row, and so does this;
//! rows of tasks and what was refused change in single statements. A text is only replaced if it still says what was looked at.

use sqlx::{AssertSqlSafe, Connection, PgConnection, Row, postgres::PgRow};

use super::{
    AuditPlace, StoreError, StoredActivity, StoredKind, StoredTexts,
    postgres::{PostgresStore, count, foreign, offset, stored, word},
};
use crate::model::TaskId;

impl PostgresStore {
    pub(super) async fn audit_activities(&self, after: AuditPlace, limit: usize) -> Result<Vec<StoredActivity>, StoreError> {
        let query = sqlx::query(
            "SELECT a.task, a.\"offset\", a.type, a.data, a.series, tasks.name, invocations.name AS invocation FROM \
             (SELECT * FROM activities WHERE (task, \"offset\") > ($1, $2) ORDER BY task, \"offset\" LIMIT $3) AS a \
             JOIN tasks ON tasks.id = a.task JOIN invocations ON invocations.id = a.invocation ORDER BY a.task, a.\"offset\"",
        )
        .bind(after.task)
        .bind(stored(after.offset.get()))
        .bind(stored(limit as u64));
        let rows = self.within(async { Ok(query.fetch_all(&self.readers).await?) }).await?;
        let read = |row: &PgRow| {
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
        self.write(async |connection: &mut PgConnection| {
            let mut transaction = connection.begin().await?;
            sqlx::query(
                "UPDATE activities AS a SET data = n.data, series = n.series \
                 FROM unnest($1::int8[], $2::int8[], $3::text[], $4::text[]) AS n(task, at, data, series) \
                 WHERE a.task = n.task AND a.\"offset\" = n.at",
            )
            .bind(changed.iter().map(|activity| activity.place.task).collect::<Vec<_>>())
            .bind(changed.iter().map(|activity| stored(activity.place.offset.get())).collect::<Vec<_>>())
            .bind(changed.iter().map(|activity| activity.data.as_str()).collect::<Vec<_>>())
            .bind(changed.iter().map(|activity| activity.series.as_deref()).collect::<Vec<_>>())
            .execute(&mut *transaction)
            .await?;
            note_cleaning(&mut transaction).await?;
            Ok(transaction.commit().await?)
        })
        .await
    }

    pub(super) async fn audit_texts(&self, kind: StoredKind, after: i64, limit: usize) -> Result<Vec<StoredTexts>, StoreError> {
        let (key, table) = (kind.key(), kind.table());
        let columns: String = kind.columns().iter().map(|column| format!(", {column}::text")).collect();
        let names = match kind {
            StoredKind::Task => "name AS of_task, name AS own",
            StoredKind::Run => "(SELECT t.name FROM tasks AS t WHERE t.id = invocations.task) AS of_task, name AS own",
            StoredKind::Reject => "task AS of_task, NULL::text AS own",
            // No header has a line break in it.
            StoredKind::Stream => {
                "(SELECT t.name FROM tasks AS t WHERE t.id = streams.task) AS of_task, \
                 coalesce(content_type, '') || chr(10) || coalesce(seq, '') || chr(10) || \
                 coalesce((SELECT string_agg(p.name, chr(10)) FROM stream_producers AS p WHERE p.task = streams.task), '') AS own"
            }
        };
        let sql = format!("SELECT {key} AS key, {names}{columns} FROM {table} WHERE {key} > $1 ORDER BY {key} LIMIT $2");
        let query = sqlx::query(AssertSqlSafe(sql)).bind(after).bind(stored(limit as u64));
        let rows = self.within(async { Ok(query.fetch_all(&self.readers).await?) }).await?;
        let read = |row: &PgRow| {
            let texts = (3..3 + kind.columns().len()).map(|at| row.try_get(at)).collect::<Result<_, _>>()?;
            let own: Option<String> = row.try_get("own")?;
            let names = own.iter().flat_map(|own| own.split('\n')).filter(|name| !name.is_empty()).map(str::to_owned).collect();
            Ok(StoredTexts { key: row.try_get("key")?, task: row.try_get("of_task")?, names, texts })
        };
        rows.iter().map(read).collect()
    }

    pub(super) async fn clean_texts(&self, kind: StoredKind, changed: &[(StoredTexts, StoredTexts)]) -> Result<(), StoreError> {
        let columns = kind.columns();
        let cast = |column: &str| if column == "labels" { "::jsonb" } else { "" };
        // Each column by itself: what a hub has changed meanwhile it has looked at.
        let set = |(column, at): (&&str, usize)| {
            let (new, old, cast) = (at + 2, at + 2 + columns.len(), cast(column));
            format!(
                "{column} = CASE WHEN {column}::text IS NOT DISTINCT FROM ${old}::text THEN ${new}::text{cast} ELSE {column} END"
            )
        };
        let set: Vec<String> = columns.iter().zip(0..).map(set).collect();
        let sql = format!("UPDATE {} SET {} WHERE id = $1", kind.table(), set.join(", "));
        self.write(async |connection: &mut PgConnection| {
            let mut transaction = connection.begin().await?;
            if kind == StoredKind::Run {
                // In the order in which hubs lock them.
                let mut tasks: Vec<&str> = changed.iter().map(|(before, _)| before.task.as_str()).collect();
                tasks.sort_unstable();
                tasks.dedup();
                sqlx::query("SELECT 1 FROM tasks WHERE name = ANY($1) ORDER BY name COLLATE \"C\" FOR NO KEY UPDATE")
                    .bind(&tasks)
                    .execute(&mut *transaction)
                    .await?;
                // What hubs remember of the runs is no longer so.
                sqlx::query("UPDATE tasks SET cleanings = cleanings + 1 WHERE name = ANY($1)")
                    .bind(&tasks)
                    .execute(&mut *transaction)
                    .await?;
            }
            for (before, after) in changed {
                let mut query = sqlx::query(AssertSqlSafe(sql.clone())).bind(after.key);
                for text in after.texts.iter().chain(&before.texts) {
                    query = query.bind(text.as_deref());
                }
                query.execute(&mut *transaction).await?;
            }
            note_cleaning(&mut transaction).await?;
            Ok(transaction.commit().await?)
        })
        .await
    }

    pub(super) async fn cleanings(&self) -> Result<u64, StoreError> {
        let query = sqlx::query("SELECT coalesce(max(cleanings), 0) AS cleanings FROM store_identity");
        let row = self.within(async { Ok(query.fetch_one(&self.readers).await?) }).await?;
        count(&row, "cleanings")
    }

    pub(super) async fn audit_key(&self, task: &TaskId) -> Result<Option<i64>, StoreError> {
        let query = sqlx::query_scalar("SELECT id FROM tasks WHERE name = $1").bind(task.as_str());
        self.within(async { Ok(query.fetch_optional(&self.readers).await?) }).await
    }

    pub(super) async fn activities_kept(&self) -> Result<u64, StoreError> {
        let query = sqlx::query("SELECT coalesce(sum(head - floor + 1), 0)::int8 AS kept FROM tasks");
        let row = self.within(async { Ok(query.fetch_one(&self.readers).await?) }).await?;
        count(&row, "kept")
    }
}

async fn note_cleaning(connection: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query("UPDATE store_identity SET cleanings = cleanings + 1, written = pg_current_xact_id()::xid")
        .execute(connection)
        .await?;
    Ok(())
}
