//! Archives in a bucket of an S3-compatible server: put there in one request, fetched again and compared.

use std::{collections::HashMap, fmt, fs, path::Path, time::Duration};

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

/// The credentials under `[default]` in a file of AWS's tools. Errors name the file and what is missing, and nothing that is in it.
fn read(file: &str) -> Result<Credentials, String> {
    let bad = |what: String| format!("retention.archive_credentials_file = {file:?} {what}");
    let text = fs::read_to_string(file).map_err(|error| bad(format!("cannot be read: {error}")))?;
    let mut named = HashMap::new();
    let mut section = "";
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(['#', ';'])) {
        match line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(name) => section = name.trim(),
            None if section == "default" => {
                let (name, value) = line.split_once('=').ok_or_else(|| bad("has a line without =".to_owned()))?;
                named.insert(name.trim(), value.trim());
            }
            None => {}
        }
    }
    let value = |name: &str| named.get(name).copied().filter(|value| !value.is_empty());
    let needed = |name: &str| value(name).ok_or_else(|| bad(format!("has no {name} under [default]")));
    let (key, secret) = (needed("aws_access_key_id")?, needed("aws_secret_access_key")?);
    Ok(match value("aws_session_token") {
        Some(token) => Credentials::new_with_token(key, secret, token),
        None => Credentials::new(key, secret),
    })
}

impl Bucket {
    /// `BUCKET/PREFIX`, with the credentials of a file, or without one of the environment.
    pub(super) fn parse(place: &str, endpoint: &str, region: &str, credentials: &str) -> Result<Self, String> {
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
        let credentials = match credentials {
            "" => Credentials::from_env().ok_or(
                "a bucket needs credentials: name a file in retention.archive_credentials_file, or set AWS_ACCESS_KEY_ID and \
                 AWS_SECRET_ACCESS_KEY in the environment",
            )?,
            file => read(file)?,
        };
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

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<Credentials, String> {
        let file = tempfile::NamedTempFile::new().expect("a file");
        fs::write(file.path(), text).expect("it is written");
        read(&file.path().display().to_string())
    }

    #[test]
    fn credentials_are_read_as_the_tools_write_them() {
        let text = "# mine\n[other]\naws_access_key_id = no\n\n[default]\naws_access_key_id = AKIA1\naws_secret_access_key=a=b\n";
        let read = read_text(text).expect("they are there");
        assert_eq!((read.key(), read.secret(), read.token()), ("AKIA1", "a=b", None));
        let read = read_text(&format!("{text}aws_session_token = t\n")).expect("they are there");
        assert_eq!(read.token(), Some("t"));
    }

    #[test]
    fn what_is_missing_is_named_and_nothing_that_is_there() {
        for (text, words) in [
            ("", "no aws_access_key_id"),
            ("[default]\naws_access_key_id = SECRET1\n", "no aws_secret_access_key"),
            ("[default]\nSECRET1\n", "a line without ="),
            ("[mine]\naws_access_key_id = SECRET1\naws_secret_access_key = SECRET1\n", "no aws_access_key_id"),
        ] {
            let error = read_text(text).expect_err("it is refused");
            assert!(error.contains(words) && !error.contains("SECRET1"), "{error}");
        }
        assert!(read("/nowhere/credentials").expect_err("it is not there").contains("cannot be read"));
    }
}
