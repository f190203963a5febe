//! Keys that tokens are checked with. Which algorithms a key is good for is decided by the key, never by what a token says of itself: so a public key
//! can't be taken for the secret of an HMAC, and `none` does not exist (RFC 8725 section 3.1).

use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse},
};

/// The shortest secret of an HMAC, in bytes (RFC 7518 section 3.2 for HS256).
pub(crate) const SHORTEST_SECRET: usize = 32;

/// The shortest RSA modulus, in bits.
const SHORTEST_MODULUS: usize = 2_048;

/// A key, and the algorithms that tokens signed with it may have.
#[derive(Debug, Clone)]
pub(super) struct VerifyingKey {
    pub id: Option<String>,
    pub key: DecodingKey,
    pub algorithms: Vec<Algorithm>,
}

/// Why something cannot be used as a key.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyError {
    /// The secret is too short to be safe against guessing.
    #[error("the secret has {0} bytes, and must have at least {SHORTEST_SECRET}: make one with `tasklight token secret`")]
    Short(usize),
    /// Not a public key in PEM form.
    #[error("it is no public key in PEM form (RSA, P-256, P-384 or Ed25519): {0}")]
    Pem(String),
    /// A key that this hub does not use.
    #[error("{0}")]
    Unusable(&'static str),
}

const RSA: [Algorithm; 6] =
    [Algorithm::RS256, Algorithm::RS384, Algorithm::RS512, Algorithm::PS256, Algorithm::PS384, Algorithm::PS512];

impl VerifyingKey {
    /// A secret that whoever makes tokens shares with the hub.
    pub(super) fn secret(secret: &[u8], algorithm: Algorithm) -> Result<Self, KeyError> {
        if secret.len() < SHORTEST_SECRET {
            return Err(KeyError::Short(secret.len()));
        }
        Ok(Self { id: None, key: DecodingKey::from_secret(secret), algorithms: vec![algorithm] })
    }

    /// A public key in PEM form (`BEGIN PUBLIC KEY`); its kind decides the algorithms.
    pub(super) fn pem(text: &str) -> Result<Self, KeyError> {
        if text.contains("PRIVATE KEY") {
            return Err(KeyError::Unusable("it is a private key: give the hub the public one only (openssl pkey -pubout)"));
        }
        let bytes = text.as_bytes();
        if let Ok(key) = DecodingKey::from_rsa_pem(bytes) {
            return Ok(Self { id: None, key, algorithms: RSA.to_vec() });
        }
        if let Ok(key) = DecodingKey::from_ed_pem(bytes) {
            return Ok(Self { id: None, key, algorithms: vec![Algorithm::EdDSA] });
        }
        let key = DecodingKey::from_ec_pem(bytes).map_err(|error| KeyError::Pem(error.to_string()))?;
        // An uncompressed point is one byte and two coordinates (SEC 1 section 2.3.3).
        let algorithm = match key.try_get_as_bytes().map(<[u8]>::len) {
            Ok(65) => Algorithm::ES256,
            Ok(97) => Algorithm::ES384,
            _ => return Err(KeyError::Unusable("of elliptic curves P-256 and P-384 are used")),
        };
        Ok(Self { id: None, key, algorithms: vec![algorithm] })
    }

    /// A key of a JWK set (RFC 7517). Symmetric ones are not taken: a set is public.
    pub(super) fn jwk(jwk: &Jwk) -> Result<Self, KeyError> {
        let common = &jwk.common;
        if common.public_key_use.as_ref().is_some_and(|purpose| *purpose != PublicKeyUse::Signature) {
            return Err(KeyError::Unusable("its use is not sig"));
        }
        if common.key_operations.as_ref().is_some_and(|operations| !operations.contains(&KeyOperations::Verify)) {
            return Err(KeyError::Unusable("its key_ops do not have verify"));
        }
        let possible: &[Algorithm] = match &jwk.algorithm {
            AlgorithmParameters::RSA(parameters) if modulus_bits(&parameters.n) < SHORTEST_MODULUS => {
                return Err(KeyError::Unusable("its modulus is shorter than 2048 bits"));
            }
            AlgorithmParameters::RSA(_) => &RSA,
            AlgorithmParameters::EllipticCurve(parameters) => match parameters.curve {
                EllipticCurve::P256 => &[Algorithm::ES256],
                EllipticCurve::P384 => &[Algorithm::ES384],
                _ => return Err(KeyError::Unusable("of elliptic curves P-256 and P-384 are used")),
            },
            AlgorithmParameters::OctetKeyPair(parameters) if parameters.curve == EllipticCurve::Ed25519 => &[Algorithm::EdDSA],
            AlgorithmParameters::OctetKey(_) => return Err(KeyError::Unusable("it is a secret in a public place")),
            _ => return Err(KeyError::Unusable("its kind is not used here")),
        };
        let algorithms = match common.key_algorithm {
            None => possible.to_vec(),
            Some(named) => possible.iter().copied().filter(|algorithm| KeyAlgorithm::from(*algorithm) == named).collect(),
        };
        if algorithms.is_empty() {
            return Err(KeyError::Unusable("its alg does not go with its kind"));
        }
        let key = DecodingKey::from_jwk(jwk).map_err(|_| KeyError::Unusable("its numbers make no key"))?;
        Ok(Self { id: common.key_id.clone(), key, algorithms })
    }
}

/// The bits of a modulus in base 64 without padding, give or take its leading zeros.
fn modulus_bits(text: &str) -> usize {
    text.trim_end_matches('=').len() * 6
}

#[cfg(test)]
mod tests;
