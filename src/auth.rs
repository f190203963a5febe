//! Who may do what: tokens and API keys into callers with grants. Nothing here does what is asked; it only says whether it may be done.
//!
//! A token is checked by keys that the hub was given, or that are published at a URL; what is granted is in the token. So nothing needs to be
//! looked up for a request, and the hub knows no users. Without any key configured everybody may do everything, and the hub only listens on loopback.

mod api_key;
mod caller;
mod certificate;
mod client_grants;
mod jwks;
mod key;
mod pattern;
mod revocation;
mod secret;
mod token;

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::RwLock;

use crate::model::Timestamp;

pub(crate) use api_key::{ApiKeys, KeyFileError, generate as generate_key};
pub use caller::{Caller, Grants, Subject};
pub(crate) use caller::{Means, Right};
pub(crate) use certificate::Certificate;
pub(crate) use client_grants::{ClientGrants, GrantsFileError};
pub(crate) use jwks::{Jwks, JwksOptions};
pub(crate) use key::KeyError;
pub use pattern::Pattern;
pub(crate) use revocation::{MOST_REVOCATIONS, Revocation, Revocations, Revoked};
pub(crate) use secret::Secret;
pub(crate) use token::Expected;

use key::VerifyingKey;

/// Why somebody is not let in. None of them names the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// There is no token.
    #[error("a token is needed: Authorization: Bearer TOKEN")]
    Missing,
    /// It was good once.
    #[error("the token has expired: get a new one")]
    Expired,
    /// It is no good.
    #[error("the token is not accepted: {0}")]
    Invalid(&'static str),
    /// It was taken back.
    #[error("the token was revoked")]
    Revoked,
    /// A certificate that is good, and nothing that says what it grants.
    #[error("the certificate is good, but tls.client_grants does not name its subject: name it, or show a token")]
    NoGrants,
    /// Whether it is good cannot be told now.
    #[error("the keys that tokens are checked with cannot be fetched: try again")]
    Unavailable,
}

impl Refusal {
    /// The same in the words of a close frame.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::Missing => "no token has come: send one in the handshake or as the first message",
            Self::Expired => "the token has expired: come back with a new one",
            Self::Invalid(_) => "the token is not accepted",
            Self::Revoked => "the token was revoked",
            Self::NoGrants => "the certificate grants nothing",
            Self::Unavailable => "the keys that tokens are checked with cannot be fetched",
        }
    }

    /// The stable code that clients branch on.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::Missing => "token_missing",
            Self::Expired => "token_expired",
            Self::Invalid(_) => "token_invalid",
            Self::Revoked => "token_revoked",
            Self::NoGrants => "certificate_unknown",
            Self::Unavailable => "keys_unavailable",
        }
    }
}

/// What tokens are checked with, as configured. It holds a secret and is not to be printed.
#[derive(Default)]
pub(crate) struct AuthOptions {
    /// A secret shared with whoever makes tokens, and its algorithm's name (HS256, HS384, HS512).
    pub secret: Option<(Vec<u8>, String)>,
    /// Public keys in PEM form, each with what it is called in errors.
    pub public_keys: Vec<(String, String)>,
    /// Published keys.
    pub jwks: Option<JwksOptions>,
    /// What claims must be.
    pub expected: Expected,
    /// A file of API keys.
    pub key_file: Option<PathBuf>,
    /// A file of what certificates of clients grant.
    pub client_file: Option<PathBuf>,
}

/// Why the configured keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AuthError {
    /// A key makes no sense.
    #[error("{0}: {1}")]
    Key(String, KeyError),
    /// Not an algorithm for secrets.
    #[error("auth.hmac_algorithm is HS256, HS384 or HS512")]
    Algorithm,
    /// The file of API keys is not used.
    #[error("auth.key_file = {0}: {1}")]
    KeyFile(PathBuf, KeyFileError),
    /// The file of what certificates grant is not used.
    #[error("tls.client_grants = {0}: {1}")]
    ClientFile(PathBuf, GrantsFileError),
    /// The client of the published keys cannot be made.
    #[error("auth.jwks_url: {0}")]
    Jwks(#[from] reqwest::Error),
}

/// How many keys of a JWK set can be used; nothing if it is none.
pub(crate) fn usable_keys(set: &[u8]) -> Option<usize> {
    jwks::keys_in_set(set).ok().map(|keys| keys.len())
}

/// Checks tokens.
#[derive(Debug)]
pub(crate) struct Auth {
    open: bool,
    /// Who everybody is then: one for all, because each session keeps its caller.
    anybody: Caller,
    keys: Vec<VerifyingKey>,
    jwks: Option<Jwks>,
    expected: Expected,
    key_file: Option<PathBuf>,
    api_keys: RwLock<Arc<ApiKeys>>,
    client_file: Option<PathBuf>,
    clients: RwLock<Arc<ClientGrants>>,
    revocations: RwLock<Arc<Revocations>>,
    /// Counts changes of what is above.
    generation: AtomicU64,
}

impl Auth {
    /// What the options say. Without any key everybody is let in.
    pub(crate) fn new(options: AuthOptions) -> Result<Self, AuthError> {
        let mut keys = Vec::new();
        if let Some((secret, algorithm)) = &options.secret {
            let algorithm = match algorithm.as_str() {
                "HS256" => jsonwebtoken::Algorithm::HS256,
                "HS384" => jsonwebtoken::Algorithm::HS384,
                "HS512" => jsonwebtoken::Algorithm::HS512,
                _ => return Err(AuthError::Algorithm),
            };
            let key = VerifyingKey::secret(secret, algorithm);
            keys.push(key.map_err(|error| AuthError::Key("auth.hmac_secret".to_owned(), error))?);
        }
        for (name, text) in &options.public_keys {
            keys.push(VerifyingKey::pem(text).map_err(|error| AuthError::Key(name.clone(), error))?);
        }
        let jwks = options.jwks.map(Jwks::new).transpose()?;
        let api_keys =
            options.key_file.as_ref().map(|path| ApiKeys::read(path).map_err(|error| AuthError::KeyFile(path.clone(), error)));
        let api_keys = api_keys.transpose()?;
        let client_file = options.client_file;
        let clients =
            client_file.as_ref().map(|path| ClientGrants::read(path).map_err(|error| AuthError::ClientFile(path.clone(), error)));
        let clients = clients.transpose()?;
        Ok(Self {
            anybody: Caller::anybody(),
            open: keys.is_empty() && jwks.is_none() && api_keys.is_none() && clients.is_none(),
            keys,
            jwks,
            expected: options.expected,
            key_file: options.key_file,
            api_keys: RwLock::new(Arc::new(api_keys.unwrap_or_default())),
            client_file,
            clients: RwLock::new(Arc::new(clients.unwrap_or_default())),
            revocations: RwLock::default(),
            generation: AtomicU64::default(),
        })
    }

    /// Whether everybody is let in.
    pub(crate) fn is_open(&self) -> bool {
        self.open
    }

    /// Whom the token speaks for.
    pub(crate) async fn check(&self, token: Option<&str>) -> Result<Caller, Refusal> {
        if self.open {
            return Ok(self.anybody.clone());
        }
        let token = token.ok_or(Refusal::Missing)?;
        if token::LONGEST < token.len() {
            return Err(Refusal::Invalid("it is too long"));
        }
        let caller = if token.starts_with(api_key::PREFIX) {
            self.api_keys.read().find(token).ok_or(Refusal::Invalid("this key is not known"))?
        } else {
            self.check_jwt(token).await?
        };
        self.still_good(&caller)?;
        Ok(caller)
    }

    async fn check_jwt(&self, token: &str) -> Result<Caller, Refusal> {
        let id = token::key_id(token)?;
        let mut refusal = Refusal::Invalid("no key of this hub has signed it");
        if !self.keys.is_empty() {
            match token::verify(token, &self.keys, &self.expected) {
                Ok(caller) => return Ok(caller),
                Err(error) => refusal = error,
            }
        }
        let Some(jwks) = &self.jwks else { return Err(refusal) };
        let keys = jwks.find(id.as_deref()).await.map_err(|_| Refusal::Unavailable)?;
        if keys.is_empty() {
            return Err(refusal);
        }
        token::verify(token, &keys, &self.expected)
    }

    /// Whether what was good when it was checked is so now.
    pub(crate) fn still_good(&self, caller: &Caller) -> Result<(), Refusal> {
        if self.revocations.read().has(caller) {
            return Err(Refusal::Revoked);
        }
        let is_known = match caller.means() {
            Means::Key => caller.id().is_some_and(|id| self.api_keys.read().has(id)),
            Means::Certificate => self.still_grants(caller),
            Means::Open | Means::Token | Means::Envelope => true,
        };
        if !is_known {
            return Err(Refusal::Revoked);
        }
        // No other clock has set it.
        let is_exact = matches!(caller.means(), Means::Key | Means::Certificate);
        match caller.expires() {
            Some(at) if is_exact && at <= Timestamp::now() => Err(Refusal::Expired),
            Some(at) if at <= Timestamp::now().minus(self.leeway()) => Err(Refusal::Expired),
            _ => Ok(()),
        }
    }

    /// What was taken back, from now on. Says whether that is news.
    pub(crate) fn set_revocations(&self, revocations: Revocations) -> bool {
        let mut known = self.revocations.write();
        let news = **known != revocations;
        *known = Arc::new(revocations);
        if news {
            self.generation.fetch_add(1, Ordering::AcqRel);
        }
        news
    }

    /// A number that grows whenever something that was good may no longer be.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// How much clocks may differ.
    pub(crate) fn leeway(&self) -> Duration {
        Duration::from_secs(self.expected.leeway_seconds)
    }

    /// Where API keys are.
    pub(crate) fn key_file(&self) -> Option<&std::path::Path> {
        self.key_file.as_deref()
    }

    /// Reads the file of API keys again. If that fails the known ones stay.
    pub(crate) fn reload_keys(&self) -> Result<(), AuthError> {
        let Some(path) = &self.key_file else { return Ok(()) };
        let keys = ApiKeys::read(path).map_err(|error| AuthError::KeyFile(path.clone(), error))?;
        *self.api_keys.write() = Arc::new(keys);
        self.generation.fetch_add(1, Ordering::AcqRel);
        Ok(())
    }
}
