//! How busy tasks were, counted by Postgres.

use sqlx::{AssertSqlSafe, Row, postgres::PgRow};

use crate::model::{Rate, RateSpan, TaskId};

use super::{
    StoreError,
    postgres::{PostgresStore, foreign, names, number, stored, word},
    postgres_read::HEAD,
    rates::{Counted, bounds, rates},
};

impl PostgresStore {
    pub(super) async fn rates(&self, tasks: &[TaskId], span: RateSpan) -> Result<Vec<Rate>, StoreError> {
        // Offsets have no holes: the newest are those from here on, and the index finds them.
        let sql = AssertSqlSafe(format!(
            "SELECT log.name, log.recent, log.floor > 1 AS trimmed, page.minute, page.activities, page.first \
             FROM (SELECT tasks.id, tasks.name, tasks.floor, tasks.listed_at >= $2 AS recent, {HEAD} FROM tasks \
               WHERE tasks.name = ANY($1) OFFSET 0) AS log \
             LEFT JOIN LATERAL (SELECT CASE WHEN a.received_at < $3 THEN -1 ELSE (a.received_at - $3) / $4 END AS minute, \
               count(*) AS activities, min(a.\"offset\") AS first FROM activities AS a \
               WHERE log.recent AND a.task = log.id AND a.\"offset\" > log.head - $5 GROUP BY 1) AS page ON true"
        ));
        let mut query = sqlx::query(sql).bind(names(tasks));
        for bound in bounds(span) {
            query = query.bind(stored(bound));
        }
        let rows = self.within(async { Ok(query.fetch_all(&self.readers).await?) }).await?;
        Ok(rates(rows.iter().map(counted).collect::<Result<Vec<_>, _>>()?))
    }
}

fn counted(row: &PgRow) -> Result<Counted, StoreError> {
    Ok(Counted {
        task: word(row, "name")?.ok_or_else(|| foreign("name"))?,
        recent: row.try_get("recent")?,
        trimmed: row.try_get("trimmed")?,
        minute: row.try_get("minute")?,
        activities: number(row, "activities")?.unwrap_or_default(),
        first: number(row, "first")?.unwrap_or_default(),
    })
}
