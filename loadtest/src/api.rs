//! The hub's API for what need not be cheap: one request, its answer as JSON, and an error if it is no success.

use anyhow::{Context, ensure};
use reqwest::{Client, Method};
use serde_json::Value;

/// A hub's API.
#[derive(Debug, Clone)]
pub struct Api {
    client: Client,
    base: String,
}

impl Api {
    pub fn of(address: &str) -> Self {
        Self { client: Client::new(), base: format!("http://{address}") }
    }

    pub async fn get(&self, path: &str) -> anyhow::Result<Value> {
        let (status, answer) = self.ask(Method::GET, path, "").await?;
        ensure!(status.is_success(), "GET {path}: {status} {answer}");
        Ok(answer)
    }

    pub async fn post(&self, path: &str, body: &str) -> anyhow::Result<Value> {
        let (status, answer) = self.ask(Method::POST, path, body).await?;
        ensure!(status.is_success(), "POST {path}: {status} {answer}");
        Ok(answer)
    }

    pub async fn patch(&self, path: &str, body: &str) -> anyhow::Result<()> {
        let (status, answer) = self.ask(Method::PATCH, path, body).await?;
        ensure!(status.is_success(), "PATCH {path}: {status} {answer}");
        Ok(())
    }

    pub async fn delete(&self, path: &str) -> anyhow::Result<()> {
        let (status, answer) = self.ask(Method::DELETE, path, "").await?;
        ensure!(status.is_success(), "DELETE {path}: {status} {answer}");
        Ok(())
    }

    /// Whatever the answer is.
    pub async fn ask(&self, method: Method, path: &str, body: &str) -> anyhow::Result<(reqwest::StatusCode, Value)> {
        let request = self.client.request(method, format!("{}{path}", self.base)).body(body.to_owned());
        let answer = request.send().await.with_context(|| path.to_owned())?;
        let (status, text) = (answer.status(), answer.text().await?);
        let value =
            if text.is_empty() { Value::Null } else { serde_json::from_str(&text).with_context(|| format!("{path}: {text}"))? };
        Ok((status, value))
    }
}
