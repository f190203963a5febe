//! Publishing: a batch of activities as one request, and what became of each.

use bytes::Bytes;
use reqwest::{Method, StatusCode, header};
use serde::Deserialize;

use super::{Answer, Client, ClientError, error::printable};
use crate::model::{Cursor, EventId, Offset, TaskId};

/// Proof that an activity is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// The activity's idempotency key.
    pub event_id: EventId,
    /// Its place in the log.
    pub offset: Offset,
    /// Where a viewer who has seen it stands.
    pub cursor: Cursor,
    /// Whether it had been stored before.
    pub duplicate: bool,
}

/// Why the hub refused one activity. Sending it again would not help.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, thiserror::Error)]
#[error("{message} ({code}{})", .field.as_ref().map(|field| format!(", field {field}")).unwrap_or_default())]
pub struct Refusal {
    /// The stable code to branch on.
    pub code: String,
    /// The field at fault.
    pub field: Option<String>,
    /// What is wrong and what would be right.
    pub message: String,
}

/// What became of one activity of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "RawResult")]
pub enum ItemResult {
    /// It is stored.
    Stored(Receipt),
    /// It is stored; over Redis it is not said where.
    Acknowledged(EventId),
    /// It was a heartbeat, and is noted.
    Heartbeat,
    /// It is not stored.
    Refused(Refusal),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawResult {
    event_id: Option<EventId>,
    offset: Option<Offset>,
    cursor: Option<Cursor>,
    #[serde(default)]
    duplicate: bool,
    heartbeat: Option<bool>,
    error: Option<Refusal>,
}

impl TryFrom<RawResult> for ItemResult {
    type Error = &'static str;

    fn try_from(raw: RawResult) -> Result<Self, Self::Error> {
        match raw {
            RawResult { error: Some(Refusal { code, field, message }), .. } => Ok(Self::Refused(Refusal {
                code: printable(&code),
                field: field.as_deref().map(printable),
                message: printable(&message),
            })),
            RawResult { event_id: Some(event_id), offset: Some(offset), cursor: Some(cursor), duplicate, .. } => {
                Ok(Self::Stored(Receipt { event_id, offset, cursor, duplicate }))
            }
            RawResult { heartbeat: Some(_), .. } => Ok(Self::Heartbeat),
            _ => Err("a result is a receipt, a heartbeat or an error"),
        }
    }
}

#[derive(Deserialize)]
struct Results {
    results: Vec<ItemResult>,
}

impl Client {
    /// Publishes activities, each a JSON object of DESIGN section 4, in order. Answers after the commit with a result for each. A failed
    /// request may have been stored or not: sent again, activities with an `eventId` are stored once.
    pub async fn publish(&self, task: &TaskId, activities: &[Bytes]) -> Result<Vec<ItemResult>, ClientError> {
        let url = self.url(&["tasks", task.as_str(), "activities"]);
        let request = self.request(Method::POST, url).header(header::CONTENT_TYPE, "application/json");
        let results = read(self.send(request.body(array(activities.iter()))).await?)?;
        if results.len() != activities.len() {
            return Err(ClientError::Answer(format!("{} results for {} activities", results.len(), activities.len())));
        }
        Ok(results)
    }
}

/// Always an array, so that one refused activity by itself is a result like any other and not the request's problem.
pub(super) fn array<'a>(activities: impl Iterator<Item = &'a Bytes> + Clone) -> Vec<u8> {
    let mut body = Vec::with_capacity(activities.clone().map(|text| text.len() + 1).sum::<usize>() + 2);
    body.push(b'[');
    for (index, text) in activities.enumerate() {
        if 0 < index {
            body.push(b',');
        }
        body.extend_from_slice(text);
    }
    body.push(b']');
    body
}

fn read(answer: Answer) -> Result<Vec<ItemResult>, ClientError> {
    let parsed = serde_json::from_slice::<Results>(&answer.body);
    match (answer.status.is_success(), answer.status == StatusCode::UNPROCESSABLE_ENTITY, parsed) {
        // When all of them were refused, the results come with a problem.
        (true, _, Ok(Results { results })) | (_, true, Ok(Results { results })) => Ok(results),
        (true, _, Err(error)) => Err(ClientError::Answer(error.to_string())),
        (false, _, _) => Err(ClientError::Refused(answer.problem())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: StatusCode, body: &'static str) -> Answer {
        Answer { status, retry_after: None, body: body.into() }
    }

    #[test]
    fn each_item_has_its_own_result() {
        let body = r#"{"results":[
            {"eventId":"0190c6a4-7c1e-7000-8000-5f3a9c1e0001","offset":3,"cursor":"5f3a9c1e-3","duplicate":true},
            {"heartbeat":true},
            {"error":{"code":"unknown_type","message":"no such type","field":"type"}}]}"#;
        let results = read(answer(StatusCode::OK, body)).expect("results");
        assert!(matches!(&results[0], ItemResult::Stored(Receipt { duplicate: true, offset, .. }) if offset.get() == 3));
        assert_eq!(results[1], ItemResult::Heartbeat);
        assert!(matches!(&results[2], ItemResult::Refused(r) if r.to_string() == "no such type (unknown_type, field type)"));
    }

    #[test]
    fn results_come_with_the_problem_when_all_were_refused() {
        let body = r#"{"code":"all_refused","detail":"…","results":[{"error":{"code":"a","message":"b","field":null}}]}"#;
        assert_eq!(read(answer(StatusCode::UNPROCESSABLE_ENTITY, body)).expect("results").len(), 1);
        assert!(matches!(read(answer(StatusCode::UNPROCESSABLE_ENTITY, "{}")), Err(ClientError::Refused(_))));
        assert!(matches!(read(answer(StatusCode::OK, "{}")), Err(ClientError::Answer(_))));
    }

    #[test]
    fn a_batch_is_one_array() {
        assert_eq!(array([].iter()), b"[]");
        assert_eq!(array([Bytes::from_static(b"{}"), Bytes::from_static(b"{\"a\":1}")].iter()), b"[{},{\"a\":1}]");
    }
}
