//! Listing, showing and deleting tasks.

use std::collections::BTreeMap;

use bytes::Bytes;
use reqwest::{Method, Url};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use super::{Client, ClientError};
use crate::model::{Invocation, InvocationId, Reject, Status, TaskId, TaskSummary};

/// Which tasks to list.
#[derive(Debug, Clone, Default)]
pub struct TasksWanted {
    /// Only those in this status.
    pub status: Option<Status>,
    /// Only those with all these labels, each `name=value` or `name` for any value.
    pub labels: Vec<String>,
    /// Only those whose id or title contains this.
    pub text: Option<String>,
    /// At most so many in one page.
    pub limit: usize,
    /// Go on from here: an earlier page's `next`.
    pub page: Option<String>,
}

/// A page of the list of tasks.
#[derive(Debug, Deserialize)]
pub struct TaskPage {
    /// The tasks, newest activity first.
    pub tasks: Vec<TaskSummary>,
    /// Where the next page begins, if there is one.
    pub next: Option<String>,
}

/// Which tokens to take back: either a subject's, or one.
#[derive(Debug, Clone, Default)]
pub struct RevokeWanted {
    /// All of this subject.
    pub subject: Option<String>,
    /// The one of this name.
    pub token_id: Option<String>,
    /// For how long it has to be remembered; for ever if nothing is said.
    pub life: Option<std::time::Duration>,
}

/// A task with its runs.
#[derive(Debug, Serialize)]
pub struct TaskDetails {
    /// The task as lists show it.
    #[serde(flatten)]
    pub summary: TaskSummary,
    /// Its runs, newest first.
    #[serde(rename = "invocations")]
    pub runs: Vec<Invocation>,
    /// Its last activity as published by the hub.
    #[serde(rename = "lastActivity")]
    pub last_activity: Option<Box<RawValue>>,
}

impl Client {
    /// One page of the list of tasks.
    pub async fn tasks(&self, wanted: &TasksWanted) -> Result<TaskPage, ClientError> {
        let mut url = self.url(&["tasks"]);
        {
            let mut query = url.query_pairs_mut();
            query.append_pair("limit", &wanted.limit.to_string());
            let status = wanted.status.map(Status::as_str).map(|status| ("status", status));
            let labels = wanted.labels.iter().map(|label| ("label", label.as_str()));
            let text = wanted.text.as_deref().map(|text| ("q", text));
            let page = wanted.page.as_deref().map(|page| ("page", page));
            query.extend_pairs(status.into_iter().chain(labels).chain(text).chain(page));
        }
        read(&self.call(Method::GET, url).await?)
    }

    /// One task with its runs.
    pub async fn task(&self, task: &TaskId) -> Result<TaskDetails, ClientError> {
        // Flattening and raw JSON do not go together in one pass.
        #[derive(Deserialize)]
        struct Rest {
            #[serde(rename = "invocations")]
            runs: Vec<Invocation>,
            #[serde(rename = "lastActivity")]
            last_activity: Option<Box<RawValue>>,
        }
        let body = self.call(Method::GET, self.url(&["tasks", task.as_str()])).await?;
        let Rest { runs, last_activity } = read(&body)?;
        Ok(TaskDetails { summary: read(&body)?, runs, last_activity })
    }

    /// One run; nothing if there is no such run, or no such task.
    pub async fn invocation(&self, task: &TaskId, invocation: &InvocationId) -> Result<Option<Invocation>, ClientError> {
        let url = self.url(&["tasks", task.as_str(), "invocations", invocation.as_str()]);
        match self.call(Method::GET, url).await {
            Ok(body) => read(&body).map(Some),
            Err(ClientError::Refused(problem)) if problem.status == 404 => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What was refused of what came over Redis for a task, newest first, at most 100.
    pub async fn rejects(&self, task: &TaskId, limit: u8) -> Result<Vec<Reject>, ClientError> {
        #[derive(Deserialize)]
        struct Rejects {
            rejects: Vec<Reject>,
        }
        let mut url = self.url(&["tasks", task.as_str(), "rejects"]);
        url.query_pairs_mut().append_pair("limit", &limit.to_string());
        let Rejects { rejects } = read(&self.call(Method::GET, url).await?)?;
        Ok(rejects)
    }

    /// Creates the task if it is not there, with this title and these labels; one that is there gets them, too.
    pub async fn put_task(
        &self,
        task: &TaskId,
        title: Option<&str>,
        labels: &BTreeMap<String, String>,
    ) -> Result<(), ClientError> {
        let mut body = serde_json::json!({"labels": labels});
        if let Some(title) = title {
            body["title"] = title.into();
        }
        let request = self.request(Method::PUT, self.url(&["tasks", task.as_str()])).json(&body);
        self.send(request).await?.success().map(drop)
    }

    /// Deletes a task and everything below it.
    pub async fn delete_task(&self, task: &TaskId) -> Result<(), ClientError> {
        self.call(Method::DELETE, self.url(&["tasks", task.as_str()])).await.map(drop)
    }

    /// Takes tokens back, at every node.
    pub async fn revoke(&self, wanted: &RevokeWanted) -> Result<(), ClientError> {
        let body = serde_json::json!({"subject": wanted.subject, "tokenId": wanted.token_id,
            "forMs": wanted.life.map(|life| u64::try_from(life.as_millis()).unwrap_or(u64::MAX))});
        let url = self.url(&["admin", "revoke"]);
        self.send(self.request(Method::POST, url).json(&body)).await?.success().map(drop)
    }

    async fn call(&self, method: Method, url: Url) -> Result<Bytes, ClientError> {
        self.send(self.request(method, url)).await?.success()
    }
}

fn read<T: DeserializeOwned>(body: &Bytes) -> Result<T, ClientError> {
    serde_json::from_slice(body).map_err(|error| ClientError::Answer(error.to_string()))
}
