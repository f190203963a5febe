//! Keys that are published at a URL as a JWK set (RFC 7517 section 5), and change there now and then.
//!
//! They are fetched when a token names a key that is not known, but no more often than once in a while, one fetch at a time for all who wait, and
//! again after a while so that a key that was taken back is not believed for ever. If that fails what is known stays good for some time.

use std::{sync::Arc, time::Duration};

use futures_util::StreamExt;
use jsonwebtoken::jwk::JwkSet;
use parking_lot::Mutex;
use reqwest::{Client, Url, redirect::Policy};
use tokio::{sync::Mutex as AsyncMutex, time::Instant};

use super::key::VerifyingKey;

/// The most bytes of a set.
const SET_BYTES: usize = 256 * 1024;

/// The most keys of a set.
const SET_KEYS: usize = 128;

/// Where keys are, and how often they are looked for.
#[derive(Debug, Clone)]
pub(crate) struct JwksOptions {
    /// `https`, or `http` on loopback.
    pub url: Url,
    /// How long a fetch may take.
    pub timeout: Duration,
    /// After so long what is known is fetched again.
    pub refresh: Duration,
    /// No sooner than this after a fetch is there another one, whatever tokens name.
    pub cooldown: Duration,
    /// For so long after the last fetch that went well keys are good while fetching fails.
    pub stale: Duration,
}

/// The keys of a set.
#[derive(Debug)]
pub(crate) struct Jwks {
    options: JwksOptions,
    client: Client,
    known: Mutex<Known>,
    fetching: AsyncMutex<()>,
}

#[derive(Debug, Default)]
struct Known {
    keys: Arc<Vec<VerifyingKey>>,
    /// When a fetch went well.
    fetched: Option<Instant>,
    /// When one was begun.
    tried: Option<Instant>,
}

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
#[error("the keys cannot be fetched")]
pub(super) struct Unreachable;

impl Jwks {
    /// Keys that are fetched when they are first asked for.
    pub(crate) fn new(options: JwksOptions) -> Result<Self, reqwest::Error> {
        // A redirect could lead anywhere, to a place without TLS for one.
        let client = Client::builder().redirect(Policy::none()).timeout(options.timeout).no_proxy().build()?;
        Ok(Self { options, client, known: Mutex::default(), fetching: AsyncMutex::default() })
    }

    /// The keys that a token may be signed with: the one of this id, or all where the token names none.
    pub(super) async fn find(&self, id: Option<&str>) -> Result<Vec<VerifyingKey>, Unreachable> {
        let fits = |keys: &[VerifyingKey]| -> Vec<VerifyingKey> {
            keys.iter().filter(|key| id.is_none() || key.id.as_deref() == id).cloned().collect()
        };
        let found = fits(&self.usable());
        if !found.is_empty() && !self.is_old() {
            return Ok(found);
        }
        self.fetch().await;
        let known = self.usable();
        let found = fits(&known);
        if found.is_empty() && known.is_empty() { Err(Unreachable) } else { Ok(found) }
    }

    /// The keys that are known and not too old to be believed.
    fn usable(&self) -> Arc<Vec<VerifyingKey>> {
        let known = self.known.lock();
        let good = known.fetched.is_some_and(|at| at.elapsed() < self.options.refresh + self.options.stale);
        if good { known.keys.clone() } else { Arc::default() }
    }

    fn is_old(&self) -> bool {
        self.known.lock().fetched.is_none_or(|at| self.options.refresh <= at.elapsed())
    }

    /// Fetches them, unless that was tried a short while ago, also by whoever was waited for here.
    async fn fetch(&self) {
        let _alone = self.fetching.lock().await;
        {
            let mut known = self.known.lock();
            if known.tried.is_some_and(|at| at.elapsed() < self.options.cooldown) {
                return;
            }
            known.tried = Some(Instant::now());
        }
        match self.read().await {
            Ok(keys) => {
                let mut known = self.known.lock();
                known.keys = Arc::new(keys);
                known.fetched = Some(Instant::now());
            }
            Err(error) => {
                tracing::warn!(url = %self.options.url, %error, "the keys of tokens could not be fetched; what is known stays good for a while")
            }
        }
    }

    async fn read(&self) -> Result<Vec<VerifyingKey>, Trouble> {
        let answer = self.client.get(self.options.url.clone()).header("accept", "application/json").send().await?;
        if !answer.status().is_success() {
            return Err(Trouble::Status(answer.status().as_u16()));
        }
        let mut body = Vec::new();
        let mut pieces = answer.bytes_stream();
        while let Some(piece) = pieces.next().await {
            body.extend_from_slice(&piece?);
            if SET_BYTES < body.len() {
                return Err(Trouble::Large);
            }
        }
        keys_in_set(&body)
    }
}

/// The keys of a JWK set that can be used.
pub(super) fn keys_in_set(text: &[u8]) -> Result<Vec<VerifyingKey>, Trouble> {
    let set: JwkSet = serde_json::from_slice(text).map_err(Trouble::Form)?;
    if SET_KEYS < set.keys.len() {
        return Err(Trouble::Many);
    }
    let keys = set.keys.iter().filter_map(|jwk| match VerifyingKey::jwk(jwk) {
        Ok(key) => Some(key),
        Err(error) => {
            tracing::warn!(kid = jwk.common.key_id, %error, "a key of the set is not used");
            None
        }
    });
    Ok(keys.collect())
}

/// Why a set could not be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error("{0}")]
    Http(#[from] reqwest::Error),
    #[error("the answer is {0}")]
    Status(u16),
    #[error("the set is larger than {SET_BYTES} bytes")]
    Large,
    #[error("the set has more than {SET_KEYS} keys")]
    Many,
    #[error("it is no JWK set: {0}")]
    Form(serde_json::Error),
}
