//! What requests are signed with, as Standard Webhooks 1.0.0 describes it (standardwebhooks.com): `v1,` and the base 64 of HMAC-SHA256 over the event's id, the
//! time of the try and the body.

use std::fmt;

use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::STANDARD};

/// How a secret begins where it is written down.
const PREFIX: &str = "whsec_";

/// The bytes of a secret.
const BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// The most secrets of an endpoint at once: the old one and the new one, and some more.
const MOST: usize = 4;

/// The secrets of an endpoint. All of them sign, so that a receiver can change from one to the next. Shown nowhere.
#[derive(Clone)]
pub(crate) struct Secrets(Vec<hmac::Key>);

/// Why a text is no secret. It is not in this text.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("is {PREFIX} and the base 64 of {} to {} bytes, or up to {MOST} of them with blanks between; `echo {PREFIX}$(openssl rand -base64 32)` makes one", BYTES.start(), BYTES.end())]
pub(crate) struct NoSecret;

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl Secrets {
    /// Reads one secret, or several with blanks between them.
    pub(crate) fn parse(text: &str) -> Result<Self, NoSecret> {
        let key = |word: &str| {
            let bytes = STANDARD.decode(word.strip_prefix(PREFIX).ok_or(NoSecret)?).map_err(|_| NoSecret)?;
            if BYTES.contains(&bytes.len()) { Ok(hmac::Key::new(hmac::HMAC_SHA256, &bytes)) } else { Err(NoSecret) }
        };
        let keys: Vec<_> = text.split_whitespace().map(key).collect::<Result<_, _>>()?;
        if (1..=MOST).contains(&keys.len()) { Ok(Self(keys)) } else { Err(NoSecret) }
    }

    /// The header `webhook-signature`.
    pub(super) fn sign(&self, id: &str, seconds: u64, body: &str) -> String {
        let signed = format!("{id}.{seconds}.{body}");
        let signature = |key| format!("v1,{}", STANDARD.encode(hmac::sign(key, signed.as_bytes())));
        self.0.iter().map(signature).collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_signs_as_the_standards_own_example_is_signed() {
        // The example of the specification's libraries.
        let secrets = Secrets::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("a secret");
        let signed = secrets.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn several_secrets_sign_side_by_side() {
        let one = |byte: u8| format!("whsec_{}", STANDARD.encode([byte; 32]));
        let both = Secrets::parse(&format!("{} {}\n", one(1), one(2))).expect("two").sign("a", 1, "{}");
        let each = [1, 2].map(|byte| Secrets::parse(&one(byte)).expect("one").sign("a", 1, "{}"));
        assert_eq!(both, each.join(" "));
        assert_eq!(format!("{:?}", Secrets::parse(&one(1))), "Ok([redacted])");
    }

    #[test]
    fn what_is_no_secret_is_refused_without_being_repeated() {
        let short = format!("whsec_{}", STANDARD.encode([7; 23]));
        let long = format!("whsec_{}", STANDARD.encode([7; 65]));
        let many = [format!("whsec_{}", STANDARD.encode([7; 32])).as_str(); 5].join(" ");
        for text in ["", "hunter2", "whsec_", "whsec_hunter2", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", &short, &long, &many] {
            let error = Secrets::parse(text).expect_err(text).to_string();
            assert!(!error.contains("hunter2") && error.contains("openssl"), "{error}");
        }
    }
}
