//! Whether a message over Redis comes from whom it may come from, where agents seal what they publish.
//!
//! A sealed message is believed if a key of this hub has sealed it for this very channel within a few minutes, and if the key may publish to the task.
//! Within these minutes it can be said again by whoever has heard it, which changes nothing: every activity in it must have an `eventId`, and the
//! store takes each once. The file of keys is read again when it changes; subjects and keys that were revoked are heard no more.

use std::{
    collections::HashMap,
    fs, io,
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use parking_lot::RwLock;
use serde::Deserialize;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::{Body, Item, Rejected};
use crate::{
    auth::{Auth, Caller, Pattern, Right, Subject},
    broker::{EnvelopeKey, Signed},
    model::{TaskId, Timestamp},
    stamp::Stamp,
};

/// The most bytes of a file of keys, and the most keys in it.
const FILE_BYTES: u64 = 4 << 20;
const FILE_KEYS: usize = 10_000;

/// How often the file is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// What is asked of messages over Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sealing {
    /// They are as they are; a sealed one is not understood.
    Off,
    /// Sealed ones are checked; others are taken as they are, while agents learn to seal.
    Accepted,
    /// Others are refused.
    Required,
}

/// How it is asked.
#[derive(Debug, Clone)]
pub(crate) struct EnvelopeOptions {
    /// What is asked.
    pub sealing: Sealing,
    /// How far an envelope's time may be from now.
    pub window: Duration,
    /// Where the keys are; empty if nothing is asked.
    pub key_file: PathBuf,
}

/// Why a file of keys is not used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EnvelopeKeyError {
    /// It cannot be read.
    #[error("ingest.envelope_keys = {0}: it cannot be read: {1}")]
    Io(PathBuf, io::Error),
    /// It is no list of keys.
    #[error("ingest.envelope_keys = {0}: {1}")]
    Form(PathBuf, String),
}

/// A key as it is written. It holds the secret itself, because it must be known here to check with.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredKey {
    key: String,
    subject: Subject,
    publish: Vec<Pattern>,
    expires: Option<Timestamp>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    key: Vec<StoredKey>,
}

type Keys = HashMap<String, (EnvelopeKey, Caller)>;

/// Opens envelopes.
#[derive(Debug)]
pub(crate) struct Envelopes {
    options: EnvelopeOptions,
    keys: RwLock<Arc<Keys>>,
    auth: Arc<Auth>,
}

/// What was in an envelope, or was sent without one where that is allowed.
#[derive(Debug)]
pub(super) struct Opened {
    /// The activities.
    pub body: Bytes,
    /// Whose key sealed it, if it was.
    pub by: Option<Arc<str>>,
}

/// A message that is not taken.
#[derive(Debug)]
pub(super) struct Unopened {
    /// Why.
    pub rejected: Rejected,
    /// What it was about, as it claims.
    pub body: Bytes,
}

impl Envelopes {
    /// Reads the keys.
    pub(crate) fn new(options: EnvelopeOptions, auth: Arc<Auth>) -> Result<Self, EnvelopeKeyError> {
        let keys = if options.sealing == Sealing::Off { Keys::default() } else { read(&options.key_file)? };
        Ok(Self { options, keys: RwLock::new(Arc::new(keys)), auth })
    }

    /// What `message` says on `channel`, which is the task's.
    pub(super) fn open(&self, task: &TaskId, channel: &str, message: &Bytes, now: Timestamp) -> Result<Opened, Unopened> {
        let unopened = |code, text: &str, body: &[u8]| {
            let rejected = Rejected::new(code, Some("signed"), text);
            Unopened { rejected, body: Bytes::copy_from_slice(body) }
        };
        match self.options.sealing {
            Sealing::Off => return Ok(Opened { body: message.clone(), by: None }),
            Sealing::Accepted if !Signed::is_claimed(message) => return Ok(Opened { body: message.clone(), by: None }),
            Sealing::Required if !Signed::is_claimed(message) => {
                let text = "this hub takes signed envelopes only: give the agent a key (--envelope-key)";
                return Err(unopened("envelope_missing", text, message));
            }
            Sealing::Accepted | Sealing::Required => {}
        }
        let Some(signed) = Signed::read(message) else {
            let text = "an envelope is {\"signed\": {\"key\": text, \"at\": milliseconds, \"body\": text, \"mac\": 64 hexadecimal digits}}";
            return Err(unopened("envelope_invalid", text, message));
        };
        let refuse = |code, text: &str| Err(unopened(code, text, signed.body.as_bytes()));
        let keys = self.keys.read().clone();
        let Some((_, caller)) = keys.get(&*signed.key).filter(|(key, _)| signed.is_by(key, channel)) else {
            return refuse("envelope_invalid", "no key of this hub has sealed it for this channel");
        };
        if signed.at < now.minus(self.options.window) || now.plus(self.options.window) < signed.at {
            let text =
                format!("it was sealed more than {} s away from now: is the agent's clock right?", self.options.window.as_secs());
            return refuse("envelope_stale", &text);
        }
        if self.auth.still_good(caller).is_err() {
            return refuse("envelope_forbidden", "the key has ended or was revoked");
        }
        if !caller.may(Right::Publish, task) {
            return refuse("envelope_forbidden", "the key does not grant publishing to this task");
        }
        Ok(Opened { body: signed.body.into_owned().into(), by: Some(caller.subject().shared()) })
    }

    /// Reads the file of keys whenever it has changed, until `stop`.
    pub(super) async fn watch(self: Arc<Self>, stop: CancellationToken) {
        if self.options.sealing == Sealing::Off {
            return;
        }
        let mut ticks = interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // Also what has changed since the keys were read at the start.
        let mut stamp = Stamp::default();
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = stop.cancelled() => return,
            }
            if stamp.changes(&self.options.key_file) {
                match read(&self.options.key_file) {
                    Ok(keys) => *self.keys.write() = Arc::new(keys),
                    Err(error) => {
                        tracing::error!(%error, "the file of envelope keys cannot be read: the keys from before stay good")
                    }
                }
            }
        }
    }
}

impl Opened {
    /// What was sealed must say of each activity which one it is, or it could be said again.
    pub(super) fn check(&self, body: &mut Body) {
        if self.by.is_none() {
            return;
        }
        for item in &mut body.items {
            if matches!(item, Ok(Item::Activity(activity)) if !activity.event_id_given) {
                let text = "eventId is required in an envelope";
                *item = Err(Rejected::new("missing_field", Some("eventId"), text));
            }
        }
    }
}

fn read(path: &Path) -> Result<Keys, EnvelopeKeyError> {
    let mut text = String::new();
    let file = fs::File::open(path).and_then(|file| file.take(FILE_BYTES + 1).read_to_string(&mut text));
    file.map_err(|error| EnvelopeKeyError::Io(path.to_owned(), error))?;
    parse(&text).map_err(|what| EnvelopeKeyError::Form(path.to_owned(), what))
}

/// Reads the text of a file of keys. What is said of a bad one names no secret.
pub(crate) fn parse(text: &str) -> Result<Keys, String> {
    if FILE_BYTES < text.len() as u64 {
        return Err(format!("it has more than {FILE_BYTES} bytes"));
    }
    // The error of a TOML parser shows the line, and with it the key.
    let File { key: stored } = toml::from_str(text).map_err(|error| {
        let line = text[..error.span().map_or(0, |span| span.start)].matches('\n').count() + 1;
        format!("line {line}: it is no [[key]] with key, subject, publish and perhaps expires")
    })?;
    if FILE_KEYS < stored.len() {
        return Err(format!("it has more than {FILE_KEYS} keys"));
    }
    let mut keys = Keys::with_capacity(stored.len());
    for (index, StoredKey { key, subject, publish, expires }) in stored.into_iter().enumerate() {
        let bad = |what: &str| format!("key {}, of {subject}: {what}", index + 1);
        let key: EnvelopeKey = key.parse().map_err(|error: crate::broker::InvalidEnvelopeKey| bad(&error.to_string()))?;
        let caller =
            Caller::of_envelopes(key.id(), subject.clone(), publish, expires).ok_or_else(|| bad("it has too many patterns"))?;
        if keys.contains_key(key.id()) {
            return Err(bad("there is another one with this id"));
        }
        keys.insert(key.id().to_owned(), (key, caller));
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::AuthOptions;

    const KEY: &str = "tle_a7_000102030405060708090a0b0c0d0e0f";
    const CHANNEL: &str = "tasklight:task:agent-7-build";
    const EVENT: &str = r#"{"invocationId":"r","type":"custom","eventId":"0190c6a4-7c1e-7000-8000-5f3a9c1e0001"}"#;

    fn now() -> Timestamp {
        Timestamp::from_millis(1_764_000_000_000).expect("a time")
    }

    fn envelopes(sealing: Sealing, keys: &str) -> Envelopes {
        let auth = Arc::new(Auth::new(AuthOptions::default()).expect("no keys at all"));
        let options = EnvelopeOptions { sealing, window: Duration::from_secs(60), key_file: PathBuf::new() };
        Envelopes { options, keys: RwLock::new(Arc::new(parse(keys).expect("keys"))), auth }
    }

    fn known() -> String {
        format!("[[key]]\nkey = \"{KEY}\"\nsubject = \"agent-7\"\npublish = [\"agent-7-*\"]\n")
    }

    fn code(envelopes: &Envelopes, task: &str, channel: &str, message: &Bytes) -> Option<&'static str> {
        envelopes.open(&task.parse().expect("an id"), channel, message, now()).err().map(|unopened| unopened.rejected.code)
    }

    #[test]
    fn who_may_say_what_where_and_when() {
        let envelopes = envelopes(Sealing::Required, &known());
        let key: EnvelopeKey = KEY.parse().expect("a key");
        let stranger: EnvelopeKey = KEY.replace("a7", "a8").parse().expect("a key");
        let later = |seconds| now().plus(Duration::from_secs(seconds));
        let earlier = |seconds| now().minus(Duration::from_secs(seconds));
        let other = "tasklight:task:agent-8-build";
        for (sealed, task, channel, expected) in [
            (key.seal(CHANNEL, now(), EVENT), "agent-7-build", CHANNEL, None),
            (key.seal(CHANNEL, later(60), EVENT), "agent-7-build", CHANNEL, None),
            (key.seal(CHANNEL, earlier(60), EVENT), "agent-7-build", CHANNEL, None),
            (key.seal(CHANNEL, later(61), EVENT), "agent-7-build", CHANNEL, Some("envelope_stale")),
            (key.seal(CHANNEL, earlier(61), EVENT), "agent-7-build", CHANNEL, Some("envelope_stale")),
            (key.seal(other, now(), EVENT), "agent-8-build", other, Some("envelope_forbidden")),
            (key.seal(CHANNEL, now(), EVENT), "agent-7-other", "tasklight:task:agent-7-other", Some("envelope_invalid")),
            (key.seal("staging:task:agent-7-build", now(), EVENT), "agent-7-build", CHANNEL, Some("envelope_invalid")),
            (stranger.seal(CHANNEL, now(), EVENT), "agent-7-build", CHANNEL, Some("envelope_invalid")),
            (Bytes::from_static(EVENT.as_bytes()), "agent-7-build", CHANNEL, Some("envelope_missing")),
            (Bytes::from_static(b"{\"signed\":{}}"), "agent-7-build", CHANNEL, Some("envelope_invalid")),
        ] {
            assert_eq!(code(&envelopes, task, channel, &sealed), expected, "{task} {sealed:?}");
        }
    }

    #[test]
    fn what_is_asked_depends_on_the_mode() {
        let (open, sealed) =
            (Bytes::from_static(EVENT.as_bytes()), KEY.parse::<EnvelopeKey>().expect("a key").seal(CHANNEL, now(), EVENT));
        let forged = Bytes::from(String::from_utf8(sealed.to_vec()).expect("UTF-8").replace("custom", "output"));
        let of = |sealing, message| code(&envelopes(sealing, &known()), "agent-7-build", CHANNEL, message);
        assert_eq!([&open, &sealed, &forged].map(|message| of(Sealing::Off, message)), [None; 3]);
        assert_eq!(
            [&open, &sealed, &forged].map(|message| of(Sealing::Accepted, message)),
            [None, None, Some("envelope_invalid")]
        );
        let off =
            envelopes(Sealing::Off, &known()).open(&"t".parse().expect("an id"), CHANNEL, &sealed, now()).expect("as it is");
        assert_eq!(off.body, sealed, "an envelope is not looked into");
    }

    #[test]
    fn a_key_that_has_ended_is_heard_no_more() {
        let envelopes = envelopes(Sealing::Required, &format!("{}expires = 1\n", known()));
        let sealed = KEY.parse::<EnvelopeKey>().expect("a key").seal(CHANNEL, now(), EVENT);
        assert_eq!(code(&envelopes, "agent-7-build", CHANNEL, &sealed), Some("envelope_forbidden"));
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said_without_its_secrets() {
        let secret = &KEY[7..];
        for text in [
            known().replace("subject", "subjekt"),
            known().replace("tle_a7_", "tle_a7"),
            known().replace("agent-7-*", "agent 7"),
            format!("{}{}", known(), known()),
            format!("{}key = 1", known()),
        ] {
            let error = parse(&text).expect_err(&text);
            assert!(!error.contains(secret) && error.contains("key"), "{error}");
        }
    }
}
