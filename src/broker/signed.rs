//! Signed envelopes: whose words a message on a task's channel is, where one user of Redis serves many agents and Redis cannot tell.
//!
//! `{"signed": {"key": ID, "at": MILLISECONDS, "body": TEXT, "mac": HEX}}`, in which the text is what would have been published, and `mac` is the
//! HMAC-SHA256 (RFC 2104) of the lines `tasklight-envelope-1`, channel, id and time, each ended by a line feed, and the text. None of the lines can
//! hold a line feed, so that no two envelopes have the same bytes to sign. The channel is in it so that nothing can be said again elsewhere, the
//! time so that it cannot be said again later.

use std::{borrow::Cow, fmt, str::FromStr};

use aws_lc_rs::{constant_time::verify_slices_are_equal, hmac};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::model::Timestamp;

/// What every key begins with.
const PREFIX: &str = "tle_";

/// The most characters of a key's id, and the bounds of its secret's.
const ID_CHARS: usize = 32;
const SECRET_CHARS: std::ops::RangeInclusive<usize> = 32..=128;

/// What the signed bytes begin with. It changes with the form.
const FORM: &str = "tasklight-envelope-1";

/// A secret that an agent shares with the hubs, and the public name of it: `tle_ID_SECRET`.
#[derive(Clone)]
pub struct EnvelopeKey {
    id: String,
    secret: hmac::Key,
}

/// The text is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key is tle_ID_SECRET, with 1 to 32 letters and digits for the id and 32 to 128 for the secret")]
pub struct InvalidEnvelopeKey;

impl FromStr for EnvelopeKey {
    type Err = InvalidEnvelopeKey;

    fn from_str(text: &str) -> Result<Self, InvalidEnvelopeKey> {
        let (id, secret) = text.strip_prefix(PREFIX).and_then(|rest| rest.split_once('_')).ok_or(InvalidEnvelopeKey)?;
        let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let fits = (1..=ID_CHARS).contains(&id.len()) && SECRET_CHARS.contains(&secret.len()) && plain(id) && plain(secret);
        if !fits {
            return Err(InvalidEnvelopeKey);
        }
        Ok(Self { id: id.to_owned(), secret: hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()) })
    }
}

impl fmt::Debug for EnvelopeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnvelopeKey").field("id", &self.id).field("secret", &"[redacted]").finish()
    }
}

impl EnvelopeKey {
    /// Its public name.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The envelope around `body`, to be published on `channel`.
    pub fn seal(&self, channel: &str, at: Timestamp, body: &str) -> Bytes {
        let mac = self.mac(channel, at, body);
        let mac: String = mac.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        let signed = Signed { key: self.id.as_str().into(), at, body: body.into(), mac: mac.into() };
        serde_json::to_vec(&Outer { signed }).expect("an envelope is JSON").into()
    }

    fn mac(&self, channel: &str, at: Timestamp, body: &str) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.secret);
        for line in [FORM, channel, &self.id, &at.as_millis().to_string()] {
            context.update(line.as_bytes());
            context.update(b"\n");
        }
        context.update(body.as_bytes());
        context.sign()
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Outer<'a> {
    #[serde(borrow)]
    signed: Signed<'a>,
}

/// An envelope that nobody has checked yet.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signed<'a> {
    /// Whose it claims to be.
    #[serde(borrow)]
    pub key: Cow<'a, str>,
    /// When it claims to have been sealed, by the agent's clock.
    pub at: Timestamp,
    /// What was to be said.
    #[serde(borrow)]
    pub body: Cow<'a, str>,
    #[serde(borrow)]
    mac: Cow<'a, str>,
}

impl<'a> Signed<'a> {
    /// Whether a message claims to be an envelope: an object whose first field is `signed`. Activities have no such field.
    pub fn is_claimed(message: &[u8]) -> bool {
        let inside = message.trim_ascii().strip_prefix(b"{");
        inside.is_some_and(|inside| inside.trim_ascii_start().starts_with(b"\"signed\""))
    }

    /// Reads an envelope.
    pub fn read(message: &'a [u8]) -> Option<Self> {
        serde_json::from_slice::<Outer<'a>>(message).ok().map(|outer| outer.signed)
    }

    /// Whether this key sealed it for this channel.
    pub fn is_by(&self, key: &EnvelopeKey, channel: &str) -> bool {
        let Some(mac) = from_hex(&self.mac) else { return false };
        self.key == key.id && verify_slices_are_equal(key.mac(channel, self.at, &self.body).as_ref(), &mac).is_ok()
    }
}

/// The 32 bytes that 64 lower-case digits stand for: one form only.
fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if text.len() != 64 || !text.bytes().all(digit) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "tle_agent7_000102030405060708090a0b0c0d0e0f";
    const CHANNEL: &str = "tasklight:task:agent-7-build";

    fn key() -> EnvelopeKey {
        KEY.parse().expect("a key")
    }

    fn at() -> Timestamp {
        Timestamp::from_millis(1_764_000_000_123).expect("a time")
    }

    #[test]
    fn what_was_sealed_is_known_by_its_key_channel_time_and_text() {
        let body = "{\"text\": \"a \\\"word\\\"\\n\u{fc}\"}";
        let sealed = key().seal(CHANNEL, at(), body);
        assert!(Signed::is_claimed(&sealed) && Signed::is_claimed(b" \n{ \"signed\" : 1}") && !Signed::is_claimed(b"{}"));
        let signed = Signed::read(&sealed).expect("an envelope");
        assert_eq!((&*signed.key, signed.at, &*signed.body), ("agent7", at(), body));
        assert!(signed.is_by(&key(), CHANNEL));
        let other: EnvelopeKey = "tle_agent8_000102030405060708090a0b0c0d0e0f".parse().expect("a key");
        let same_name: EnvelopeKey = "tle_agent7_100102030405060708090a0b0c0d0e0f".parse().expect("a key");
        for (key, channel) in [(&other, CHANNEL), (&same_name, CHANNEL), (&key(), "tasklight:task:agent-7-buil")] {
            assert!(!signed.is_by(key, channel));
        }
        let text = String::from_utf8(sealed.to_vec()).expect("UTF-8");
        for (from, to) in [("0123", "0124"), ("word", "Word"), ("agent7", "agent8"), ("\"mac\":\"", "\"mac\":\"0")] {
            let forged = text.replacen(from, to, 1);
            assert_ne!(forged, text);
            assert!(!Signed::read(forged.as_bytes()).expect("an envelope").is_by(&key(), CHANNEL), "{forged}");
        }
    }

    #[test]
    fn the_example_of_the_protocol_is_true() {
        let document = include_str!("../../docs/protocol.md");
        let body =
            r#"{"invocationId":"run-7","type":"message","data":{"text":"hi"},"eventId":"0190c6a4-7c1e-7000-8000-5f3a9c1e0001"}"#;
        let sealed = String::from_utf8(key().seal(CHANNEL, at(), body).to_vec()).expect("UTF-8");
        let signed: serde_json::Value = serde_json::from_str(&sealed).expect("JSON");
        let mac = signed["signed"]["mac"].as_str().expect("a text");
        assert!(document.contains(KEY) && document.contains(mac), "docs/protocol.md must show {sealed}");
    }

    /// The list that every client shares; see sdk/conformance/README.md.
    #[test]
    fn every_client_seals_alike_and_the_hub_agrees() {
        #[derive(Deserialize)]
        struct List {
            version: u32,
            envelopes: Vec<Vector>,
            no_keys: Vec<String>,
        }
        #[derive(Deserialize)]
        struct Vector {
            name: String,
            key: String,
            channel: String,
            at: Timestamp,
            body: String,
            mac: String,
        }
        let list: List = serde_json::from_str(include_str!("../../sdk/conformance/envelopes.json")).expect("the list");
        assert_eq!(list.version, 1);
        for Vector { name, key, channel, at, body, mac } in list.envelopes {
            let key: EnvelopeKey = key.parse().expect("a key");
            let sealed = key.seal(&channel, at, &body);
            let signed = Signed::read(&sealed).expect("an envelope");
            assert_eq!((&*signed.mac, &*signed.body, signed.at), (&*mac, &*body, at), "{name}");
            assert!(signed.is_by(&key, &channel), "{name}");
        }
        for text in list.no_keys {
            assert!(text.parse::<EnvelopeKey>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_envelope_is_not_read() {
        let mac = "0".repeat(64);
        let with = |fields: &str| format!("{{\"signed\":{{{fields}}}}}");
        let whole = format!("\"key\":\"k\",\"at\":1,\"body\":\"\",\"mac\":\"{mac}\"");
        assert!(Signed::read(with(&whole).as_bytes()).is_some());
        for text in [
            with(&whole.replace("\"at\":1,", "")),
            with(&whole.replace("\"at\":1", "\"at\":-1")),
            with(&whole.replace("\"at\":1", "\"at\":\"1\"")),
            with(&format!("{whole},\"at\":2")),
            with(&format!("{whole},\"alg\":\"none\"")),
            with(&whole).replace("}}", "},\"x\":1}"),
            "{\"signed\":[]}".to_owned(),
            "[]".to_owned(),
        ] {
            assert!(Signed::read(text.as_bytes()).is_none(), "{text}");
        }
        assert_eq!(from_hex(&"0A".repeat(32)), None, "one form only");
    }

    #[test]
    fn a_key_is_one_line_of_plain_characters_and_is_not_shown() {
        assert!(!format!("{:?}", key()).contains("0001020304"));
        let secret = "a".repeat(32);
        for text in [
            "",
            "tle_a",
            "tle__aaaa",
            &format!("tlk_a_{secret}"),
            &format!("tle_a.b_{secret}"),
            &format!("tle_a_{secret}\n"),
            &format!("tle_a_{}", "a".repeat(31)),
            &format!("tle_{secret}a_{secret}"),
        ] {
            assert!(text.parse::<EnvelopeKey>().is_err(), "{text:?}");
        }
    }
}
