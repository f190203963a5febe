//! Names whose values are secrets, however they are written (`apiKey`, `API_KEY`, `x-api-key`), and the false friends among them.

use std::collections::BTreeSet;

/// The longest name that is looked at; of longer ones, the end.
const NAME_CHARS: usize = 64;

/// What one of these is in every such name, in lower case and without separators. The prefilter looks for them.
pub(super) const STEMS: [&str; 8] = ["pass", "pwd", "secret", "token", "auth", "cookie", "key", "cred"];

/// How sure a name is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Strength {
    /// It names no secret.
    None,
    /// It may name a secret; the value has to look like one.
    Weak,
    /// It names a secret, or a folder.
    Path,
    /// It names a secret.
    Strong,
    /// A header that carries a secret behind the name of a scheme.
    Header,
    /// A header of cookies.
    Cookie,
}

/// Endings of names that are sure.
const STRONG: [&str; 31] = [
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "passkey",
    "secret",
    "apikey",
    "apitoken",
    "secretkey",
    "privatekey",
    "accesskey",
    "secretaccesskey",
    "accesstoken",
    "refreshtoken",
    "idtoken",
    "authtoken",
    "sessiontoken",
    "securitytoken",
    "bearertoken",
    "bottoken",
    "signingkey",
    "encryptionkey",
    "masterkey",
    "accountkey",
    "sharedkey",
    "hmackey",
    "licensekey",
    "deploykey",
    "connectionstringsecret",
    "clientkeydata",
    "subscriptionkey",
];

/// Names, as a whole, that are no secrets although they end so.
const FALSE_FRIENDS: [&str; 37] = [
    "maxtoken",
    "mintoken",
    "pagetoken",
    "nextpagetoken",
    "nexttoken",
    "prevtoken",
    "previouspagetoken",
    "prevpagetoken",
    "continuationtoken",
    "synctoken",
    "nextsynctoken",
    "canceltoken",
    "cancellationtoken",
    "stoptoken",
    "bostoken",
    "eostoken",
    "padtoken",
    "unktoken",
    "septoken",
    "clstoken",
    "masktoken",
    "imagetoken",
    "specialtoken",
    "firsttoken",
    "lasttoken",
    "starttoken",
    "endtoken",
    "currenttoken",
    "unexpectedtoken",
    "idempotencytoken",
    "clienttoken",
    "clientrequesttoken",
    "resumetoken",
    "watchtoken",
    "designtoken",
    "pertoken",
    "timetofirsttoken",
];

/// Exact names, and what they are.
const EXACT: [(&str, Strength); 16] = [
    ("authorization", Strength::Header),
    ("proxyauthorization", Strength::Header),
    ("xauthorization", Strength::Header),
    ("xamzsecuritytoken", Strength::Strong),
    ("cookie", Strength::Cookie),
    ("setcookie", Strength::Cookie),
    ("pwd", Strength::Path),
    ("oldpwd", Strength::Path),
    ("token", Strength::Weak),
    ("auth", Strength::Weak),
    ("pass", Strength::Weak),
    ("cred", Strength::Weak),
    ("creds", Strength::Weak),
    ("credential", Strength::Weak),
    ("credentials", Strength::Weak),
    ("passwordhash", Strength::Weak),
];

/// What stands before `key` and the like, with a blank between, in the names that people write: `API key`.
const ADJECTIVES: [&str; 10] = ["api", "access", "auth", "bearer", "client", "id", "master", "private", "refresh", "secret"];

/// The names in force.
#[derive(Debug)]
pub(super) struct Keys {
    deny: BTreeSet<Vec<u8>>,
    allow: BTreeSet<Vec<u8>>,
    /// A word of each name of `deny`, for the prefilter.
    pub words: Vec<String>,
    off: bool,
}

impl Keys {
    /// These names beside those that are known, and without those. `off` for none at all.
    pub(super) fn new(deny: &[String], allow: &[String], off: bool) -> Self {
        let names = |names: &[String]| names.iter().map(|name| normal(name.as_bytes()).as_slice().to_vec()).collect();
        let words = if off { Vec::new() } else { deny.iter().filter_map(|name| longest_word(name)).collect() };
        Self { deny: names(deny), allow: names(allow), words, off }
    }

    /// Whether no name counts.
    pub(super) fn are_off(&self) -> bool {
        self.off
    }

    /// What a field's whole name says, of which only the last words count: `Your API key`.
    pub(super) fn strength_of_field(&self, name: &[u8]) -> Strength {
        let word = name.iter().rposition(|byte| *byte == b' ').map_or(0, |at| at + 1);
        self.strength(&name[before_adjective(name, word)..])
    }

    /// What the name says of its value.
    pub(super) fn strength(&self, name: &[u8]) -> Strength {
        if self.off || name.len() < 3 {
            return Strength::None;
        }
        let normal = normal(name);
        let normal = normal.as_slice();
        if !self.deny.is_empty() && self.deny.contains(normal) {
            return Strength::Strong;
        }
        let strength = known(normal);
        if strength == Strength::None || (!self.allow.is_empty() && self.allow.contains(normal)) {
            Strength::None
        } else {
            strength
        }
    }
}

/// Where a name begins whose last word begins at `word` in `text`: there, or before the adjective that belongs to it.
pub(super) fn before_adjective(text: &[u8], word: usize) -> usize {
    let Some(before) = text[..word].strip_suffix(b" ") else { return word };
    let length = before.iter().rev().take_while(|byte| byte.is_ascii_alphabetic()).count();
    let adjective = &before[before.len() - length..];
    let known = ADJECTIVES.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(adjective));
    if known { before.len() - length } else { word }
}

fn known(normal: &[u8]) -> Strength {
    if let Some((_, strength)) = EXACT.iter().find(|(name, _)| name.as_bytes() == normal) {
        return *strength;
    }
    let ends = |words: &[&str]| words.iter().any(|word| normal.ends_with(word.as_bytes()));
    if ends(&STRONG) {
        return Strength::Strong;
    }
    if normal.ends_with(b"pwd") {
        return Strength::Path;
    }
    if normal.ends_with(b"token") {
        return if ends(&FALSE_FRIENDS) { Strength::None } else { Strength::Strong };
    }
    if normal.ends_with(b"pass") && !normal.ends_with(b"bypass") && !normal.ends_with(b"compass") {
        return Strength::Weak;
    }
    Strength::None
}

/// A name in lower case and without separators.
struct Normal([u8; NAME_CHARS], usize);

impl Normal {
    fn as_slice(&self) -> &[u8] {
        &self.0[..self.1]
    }
}

fn normal(name: &[u8]) -> Normal {
    let mut normal = Normal([0; NAME_CHARS], 0);
    for byte in &name[name.len().saturating_sub(NAME_CHARS)..] {
        if !matches!(byte, b'_' | b'-' | b'.' | b' ') {
            normal.0[normal.1] = byte.to_ascii_lowercase();
            normal.1 += 1;
        }
    }
    normal
}

/// The longest word of a name, which is in it however its words are joined.
fn longest_word(name: &str) -> Option<String> {
    let mut words = vec![String::new()];
    let mut before = ' ';
    for c in name.chars() {
        let starts = c.is_ascii_uppercase() && !before.is_ascii_uppercase();
        if starts || !c.is_ascii_alphanumeric() {
            words.push(String::new());
        }
        if c.is_ascii_alphanumeric() {
            words.last_mut()?.push(c.to_ascii_lowercase());
        }
        before = c;
    }
    words.into_iter().max_by_key(String::len).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_however_they_are_written() {
        let keys = Keys::new(&["Kunden_Nummer".to_owned()], &["session_token".to_owned()], false);
        for (name, strength) in [
            ("password", Strength::Strong),
            ("DB_PASSWORD", Strength::Strong),
            ("x-api-key", Strength::Strong),
            ("openaiApiKey", Strength::Strong),
            ("client.secret", Strength::Strong),
            ("GITHUB_TOKEN", Strength::Strong),
            ("Authorization", Strength::Header),
            ("Set-Cookie", Strength::Cookie),
            ("token", Strength::Weak),
            ("SMTP_PASS", Strength::Weak),
            ("PWD", Strength::Path),
            ("kundenNummer", Strength::Strong),
            ("sessionToken", Strength::None),
            ("max_tokens", Strength::None),
            ("inputTokens", Strength::None),
            ("token_type", Strength::None),
            ("next_page_token", Strength::None),
            ("eos_token", Strength::None),
            ("idempotency_key", Strength::None),
            ("cache_key", Strength::None),
            ("publicKey", Strength::None),
            ("key", Strength::None),
            ("author", Strength::None),
            ("passed", Strength::None),
            ("secretName", Strength::None),
            ("password_length", Strength::None),
        ] {
            assert_eq!(keys.strength(name.as_bytes()), strength, "{name}");
        }
        assert_eq!(keys.words, ["nummer"]);
        assert_eq!(longest_word("x-CorrelationID").as_deref(), Some("correlation"));
    }

    #[test]
    fn every_known_name_holds_a_stem() {
        for name in STRONG.iter().chain(EXACT.iter().map(|(name, _)| name)) {
            assert!(STEMS.iter().any(|stem| name.contains(stem)), "{name}");
        }
    }
}
