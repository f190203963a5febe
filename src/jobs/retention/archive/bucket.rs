//! Archives in a bucket of an S3-compatible server: put there in one request, fetched again and compared.

use std::{fmt, path::Path, time::Duration};

use aws_lc_rs::digest::{Context, SHA256};
use reqwest::{Body, Client, Response, header};
use rusty_s3::{Credentials, S3Action, UrlStyle};
use tokio::fs::File;
use tokio_util::io::ReaderStream;

use super::{ArchiveError, failed};

/// How long a signed request is good for, and how long it may take.
const PATIENCE: Duration = Duration::from_secs(900);

/// How long connecting may take, and how long nothing may come.
const CONNECT: Duration = Duration::from_secs(10);
const SILENCE: Duration = Duration::from_secs(60);

/// The most of an error's text that is looked at.
const ERROR_BYTES: usize = 4_096;

/// A bucket, and what its objects' keys begin with.
#[derive(Clone)]
pub(crate) struct Bucket {
    bucket: rusty_s3::Bucket,
    credentials: Credentials,
    prefix: String,
    client: Client,
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bucket({}/{})", self.bucket.name(), self.prefix)
    }
}

impl Bucket {
    /// `BUCKET/PREFIX`, with the credentials of the environment.
    pub(super) fn parse(place: &str, endpoint: &str, region: &str) -> Result<Self, String> {
        let (name, prefix) = place.split_once('/').unwrap_or((place, ""));
        let prefix = prefix.trim_matches('/').to_owned();
        let (endpoint, style) = match endpoint {
            "" => (format!("https://s3.{region}.amazonaws.com"), UrlStyle::VirtualHost),
            other => (other.to_owned(), UrlStyle::Path),
        };
        let endpoint = endpoint.parse().map_err(|_| format!("retention.archive_endpoint = {endpoint:?} is no URL"))?;
        if name.is_empty() {
            return Err("the name of the bucket is missing".to_owned());
        }
        let bucket = rusty_s3::Bucket::new(endpoint, style, name.to_owned(), region.to_owned());
        let bucket = bucket.map_err(|error| format!("retention.archive_endpoint cannot be used: {error}"))?;
        let missing = "a bucket needs AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment";
        let credentials = Credentials::from_env().ok_or(missing)?;
        let client = Client::builder().connect_timeout(CONNECT).read_timeout(SILENCE).timeout(PATIENCE).build();
        let client = client.map_err(|error| format!("no client can be made: {error}"))?;
        Ok(Self { bucket, credentials, prefix, client })
    }

    /// Puts the file there, and sees that what is there is the file.
    pub(super) async fn keep(&self, path: &str, file: &Path, sha256: &[u8]) -> Result<(), ArchiveError> {
        let key = if self.prefix.is_empty() { path.to_owned() } else { format!("{}/{path}", self.prefix) };
        let url = self.bucket.put_object(Some(&self.credentials), &key).sign(PATIENCE);
        let body = File::open(file).await.map_err(failed(file))?;
        let length = body.metadata().await.map_err(failed(file))?.len();
        let put = self.client.put(url).header(header::CONTENT_LENGTH, length).body(Body::wrap_stream(ReaderStream::new(body)));
        answered("PUT", put.send().await).await?;
        let url = self.bucket.get_object(Some(&self.credentials), &key).sign(PATIENCE);
        let mut there = answered("GET", self.client.get(url).send().await).await?;
        let mut context = Context::new(&SHA256);
        while let Some(chunk) = there.chunk().await.map_err(unanswered)? {
            context.update(&chunk);
        }
        if context.finish().as_ref() != sha256 {
            return Err(ArchiveError::Server(format!("{key} is not what was put there")));
        }
        Ok(())
    }
}

/// A signed URL lets whoever has it in: it is not shown.
fn unanswered(error: reqwest::Error) -> ArchiveError {
    let error = error.without_url();
    let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
    ArchiveError::Server(format!("{error}{cause}"))
}

async fn answered(what: &str, answer: reqwest::Result<Response>) -> Result<Response, ArchiveError> {
    let answer = answer.map_err(unanswered)?;
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    let text = answer.text().await.unwrap_or_default();
    let text: String = text.chars().take(ERROR_BYTES).collect();
    let code = text.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>")).map_or("", |(code, _)| code);
    Err(ArchiveError::Server(format!("{what} was answered with {status} {code}").trim_end().to_owned()))
}
