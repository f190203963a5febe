//! API keys: long random words for agents, of which only hashes are kept. A key is `tlk_ID_SECRET`; its id says where to look, and is no secret.
//!
//! The secret is 256 random bits, so that a plain SHA-256 cannot be guessed back: the slow hashes of passwords would only slow down the hub.

use std::{collections::HashMap, fs, io::Read, path::Path};

use aws_lc_rs::{constant_time::verify_slices_are_equal, digest};
use rand::distr::{Alphanumeric, SampleString};
use serde::{Deserialize, Serialize};

use super::{
    caller::{Caller, Grants, Means, Subject},
    pattern::Pattern,
};
use crate::model::Timestamp;

/// What every key begins with, so that scanners for secrets know it.
pub(crate) const PREFIX: &str = "tlk_";

/// The characters of a key's id, and of its secret (of 62 each: 256 bits and more).
const ID_CHARS: usize = 8;
const SECRET_CHARS: usize = 43;

/// The most bytes of a file of keys, and the most keys in it.
const FILE_BYTES: u64 = 4 << 20;
const FILE_KEYS: usize = 10_000;

/// A key as it is kept: everything but the key.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StoredKey {
    /// Its public name.
    pub id: String,
    /// The SHA-256 of the whole key, in hexadecimal digits.
    pub sha256: String,
    /// Whom it speaks for.
    pub subject: Subject,
    /// The tasks that may be seen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub read: Vec<Pattern>,
    /// The tasks that may be published to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub publish: Vec<Pattern>,
    /// Whether tasks may be deleted and tokens revoked.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub admin: bool,
    /// When it ends, in epoch milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
}

impl StoredKey {
    /// The same as a table of a file of keys.
    pub(crate) fn table(&self) -> String {
        // A struct of texts, lists and a number is TOML.
        let text = toml::to_string(self).unwrap_or_default();
        format!("[[key]]\n{text}\n")
    }
}

/// Why a file of keys is not used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyFileError {
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// It is no list of keys.
    #[error("{0}")]
    Form(#[from] toml::de::Error),
    /// One of its keys makes no sense.
    #[error("key {id:?}: {what}")]
    Key { id: String, what: &'static str },
    /// It is too large.
    #[error("it has more than {FILE_BYTES} bytes or {FILE_KEYS} keys")]
    Large,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    key: Vec<StoredKey>,
}

/// The keys that are known.
#[derive(Debug, Default)]
pub(crate) struct ApiKeys {
    by_id: HashMap<String, (Vec<u8>, Caller)>,
}

impl ApiKeys {
    /// Reads a file of `[[key]]` tables, as `tasklight token key` prints them.
    pub(crate) fn read(path: &Path) -> Result<Self, KeyFileError> {
        let mut text = String::new();
        fs::File::open(path)?.take(FILE_BYTES + 1).read_to_string(&mut text)?;
        if FILE_BYTES < text.len() as u64 {
            return Err(KeyFileError::Large);
        }
        Self::parse(&text)
    }

    /// Reads the text of such a file.
    pub(crate) fn parse(text: &str) -> Result<Self, KeyFileError> {
        let File { key: keys } = toml::from_str(text)?;
        if FILE_KEYS < keys.len() {
            return Err(KeyFileError::Large);
        }
        let mut by_id = HashMap::with_capacity(keys.len());
        for key in keys {
            let bad = |what| Err(KeyFileError::Key { id: key.id.clone(), what });
            let grants = Grants { read: key.read, publish: key.publish, admin: key.admin };
            if key.id.is_empty() || !key.id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
                return bad("its id is not of letters and digits");
            }
            if !grants.is_bounded() {
                return bad("it has too many patterns");
            }
            let Some(hash) = from_hex(&key.sha256) else { return bad("its sha256 is not of 64 hexadecimal digits") };
            let caller = Caller::new(key.subject, grants, Means::Key).of_token(Some(key.id.clone()), None, key.expires);
            if by_id.insert(key.id.clone(), (hash, caller)).is_some() {
                return bad("there is another one with this id");
            }
        }
        Ok(Self { by_id })
    }

    /// Whether there is a key of this id.
    pub(super) fn has(&self, id: &str) -> bool {
        self.by_id.contains_key(id)
    }

    /// Whom this key speaks for, if it is one of them. Whether it has ended is for the caller of this to see.
    pub(super) fn find(&self, key: &str) -> Option<Caller> {
        let (id, _) = key.strip_prefix(PREFIX)?.split_once('_')?;
        let (hash, caller) = self.by_id.get(id)?;
        verify_slices_are_equal(hash, &sha256(key)).ok().map(|()| caller.clone())
    }
}

/// A new key, and what is kept of it.
pub(crate) fn generate(subject: Subject, grants: Grants, expires: Option<Timestamp>) -> (String, StoredKey) {
    let mut random = rand::rng();
    let id = Alphanumeric.sample_string(&mut random, ID_CHARS);
    let secret = Alphanumeric.sample_string(&mut random, SECRET_CHARS);
    let key = format!("{PREFIX}{id}_{secret}");
    let Grants { read, publish, admin } = grants;
    let stored = StoredKey { id, sha256: to_hex(&sha256(&key)), subject, read, publish, admin, expires };
    (key, stored)
}

fn sha256(text: &str) -> Vec<u8> {
    digest::digest(&digest::SHA256, text.as_bytes()).as_ref().to_vec()
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grants() -> Grants {
        Grants { publish: vec!["agent-7-*".parse().expect("a pattern")], ..Grants::default() }
    }

    #[test]
    fn a_key_is_known_by_its_hash_and_no_other_one_is() {
        let (key, stored) = generate("agent-7".parse().expect("a subject"), grants(), None);
        let text = stored.table();
        let secret = key.rsplit('_').next().expect("three parts");
        assert!(!text.contains(secret), "the file does not have the key");
        let keys = ApiKeys::parse(&text).expect("read");
        assert_eq!(keys.find(&key).expect("known").subject().as_str(), "agent-7");
        let (other, _) = generate("agent-7".parse().expect("a subject"), grants(), None);
        let forged = format!("{PREFIX}{}_{}", stored.id, "A".repeat(SECRET_CHARS));
        for wrong in [other.as_str(), &forged, "", "tlk_", &key[..key.len() - 1], &format!("{key}x"), &key.to_uppercase()] {
            assert!(keys.find(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn a_file_with_a_mistake_is_refused_by_the_name_of_the_key() {
        let (_, stored) = generate("a".parse().expect("a subject"), grants(), None);
        let good = stored.table();
        for (text, expected) in [
            (format!("{good}{good}"), "another one"),
            (good.replace(&stored.sha256, "abc"), "64 hexadecimal"),
            (good.replace("publish", "pubish"), "unknown field"),
            (good.replace("agent-7-*", "agent 7"), "pattern"),
            (good.replace(&stored.id, "a-b"), "letters and digits"),
        ] {
            let error = ApiKeys::parse(&text).expect_err(expected).to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
