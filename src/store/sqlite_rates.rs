//! How busy tasks were, counted by SQLite.

use sqlx::{AssertSqlSafe, Row, sqlite::SqliteRow};

use crate::model::{Rate, RateSpan, TaskId};

use super::{
    StoreError,
    rates::{Counted, bounds, rates},
    sqlite::{SqliteStore, TASK, foreign, number, stored, word},
};

impl SqliteStore {
    pub(super) async fn rates(&self, tasks: &[TaskId], span: RateSpan) -> Result<Vec<Rate>, StoreError> {
        let wanted = serde_json::to_string(tasks).map_err(|error| StoreError::Refused(error.to_string()))?;
        // Offsets have no holes: the newest are those from here on, and the key finds them.
        let sql = AssertSqlSafe(format!(
            "SELECT log.name, log.listed_at >= ?2 AS recent, log.floor > 1 AS trimmed, \
               CASE WHEN a.received_at < ?3 THEN -1 ELSE (a.received_at - ?3) / ?4 END AS minute, \
               count(a.\"offset\") AS activities, min(a.\"offset\") AS first \
             FROM (SELECT {TASK} FROM json_each(?1) AS wanted CROSS JOIN tasks ON tasks.name = wanted.value) AS log \
             LEFT JOIN activities AS a ON log.listed_at >= ?2 AND a.task = log.id AND a.\"offset\" > log.log_head - ?5 \
             GROUP BY log.name, minute"
        ));
        let mut query = sqlx::query(sql).bind(wanted);
        for bound in bounds(span) {
            query = query.bind(stored(bound));
        }
        let rows = query.fetch_all(&self.readers).await?;
        Ok(rates(rows.iter().map(counted).collect::<Result<Vec<_>, _>>()?))
    }
}

fn counted(row: &SqliteRow) -> Result<Counted, StoreError> {
    let activities = number(row, "activities")?.unwrap_or_default();
    let minute: Option<i64> = row.try_get("minute")?;
    Ok(Counted {
        task: word(row, "name")?.ok_or_else(|| foreign("name"))?,
        recent: row.try_get("recent")?,
        trimmed: row.try_get("trimmed")?,
        minute: minute.filter(|_| activities != 0),
        activities,
        first: number(row, "first")?.unwrap_or_default(),
    })
}
