//! What access control makes of the values.

use std::{fs, path::Path};

use super::{ConfigError, Settings};
use crate::auth::{AuthOptions, Expected, JwksOptions};

/// The most bytes of a file with a key.
const KEY_BYTES: usize = 64 * 1024;

/// The most that clocks may differ.
const MOST_LEEWAY_SECONDS: u64 = 30;

impl Settings {
    /// Whether any key is configured, or what certificates grant, so that tokens are asked for of whoever has no certificate.
    pub(crate) fn asks_for_tokens(&self) -> bool {
        let auth = &self.auth;
        let named = [auth.hmac_secret.reveal(), &auth.hmac_secret_file, &auth.jwks_url, &auth.key_file, &self.tls.client_grants];
        named.iter().any(|text| !text.is_empty()) || !auth.public_keys.words().is_empty()
    }

    /// Whether the log tells who did what.
    pub(crate) fn keeps_trail(&self) -> bool {
        match self.audit.trail.as_str() {
            "auto" => self.asks_for_tokens(),
            word => word == "on",
        }
    }

    /// Refuses what makes no sense.
    pub(super) fn validate_auth(&self) -> Result<(), ConfigError> {
        let (auth, bad) = (&self.auth, |text: &str| Err(ConfigError::BadValue(text.to_owned())));
        if !auth.hmac_secret.reveal().is_empty() && !auth.hmac_secret_file.is_empty() {
            return bad("auth.hmac_secret and auth.hmac_secret_file are both given: leave one out");
        }
        if MOST_LEEWAY_SECONDS < auth.leeway.get().as_secs() {
            return bad("auth.leeway is at most 30s");
        }
        if auth.jwks_stale.get().is_zero() || auth.jwks_cooldown.get().is_zero() {
            return bad("auth.jwks_stale and auth.jwks_cooldown must not be 0");
        }
        self.jwks_options().map(drop)
    }

    /// What tokens are checked with; reads the files that are named.
    pub(crate) fn auth_options(&self) -> Result<AuthOptions, ConfigError> {
        let auth = &self.auth;
        let secret = match (auth.hmac_secret.reveal(), auth.hmac_secret_file.as_str()) {
            ("", "") => None,
            ("", file) => Some(read("auth.hmac_secret_file", file)?.trim().as_bytes().to_vec()),
            (secret, _) => Some(secret.as_bytes().to_vec()),
        };
        let public_keys = auth.public_keys.words().iter().map(|file| {
            let text = read("auth.public_keys", file)?;
            Ok((format!("auth.public_keys: {file}"), text))
        });
        let given = |text: &String| (!text.is_empty()).then(|| text.clone());
        Ok(AuthOptions {
            secret: secret.map(|secret| (secret, auth.hmac_algorithm.clone())),
            public_keys: public_keys.collect::<Result<_, ConfigError>>()?,
            jwks: self.jwks_options()?,
            expected: Expected {
                issuer: given(&auth.issuer),
                audience: given(&auth.audience),
                leeway_seconds: auth.leeway.get().as_secs(),
            },
            key_file: given(&auth.key_file).map(Into::into),
            client_file: given(&self.tls.client_grants).map(Into::into),
        })
    }

    fn jwks_options(&self) -> Result<Option<JwksOptions>, ConfigError> {
        let auth = &self.auth;
        if auth.jwks_url.is_empty() {
            return Ok(None);
        }
        let bad = |what: &str| ConfigError::BadValue(format!("auth.jwks_url = {:?} {what}", auth.jwks_url));
        let url: reqwest::Url = auth.jwks_url.parse().map_err(|_| bad("is no URL"))?;
        let loopback = match url.host_str() {
            Some("localhost") => true,
            Some(host) => host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback()),
            None => false,
        };
        if url.scheme() != "https" && !(url.scheme() == "http" && loopback) {
            return Err(bad("must be https://, or http:// on loopback: whoever can change keys on the way can make tokens"));
        }
        Ok(Some(JwksOptions {
            url,
            timeout: auth.jwks_timeout.get(),
            refresh: auth.jwks_refresh.get(),
            cooldown: auth.jwks_cooldown.get(),
            stale: auth.jwks_stale.get(),
        }))
    }
}

/// The text of a file that `key` names, if it is no longer than a key may be.
pub(super) fn read(key: &str, file: &str) -> Result<String, ConfigError> {
    let text = fs::read_to_string(Path::new(file))
        .map_err(|error| ConfigError::Unreadable(format!("{key}: {file} cannot be read: {error}")))?;
    if KEY_BYTES < text.len() {
        return Err(ConfigError::Unreadable(format!("{key}: {file} has more than {KEY_BYTES} bytes: is it the right one?")));
    }
    Ok(text)
}
