//! The signatures that Project Wycheproof has collected against libraries, good ones and attacks, each checked by the key that it comes with as this hub
//! would take it. Its tokens are not in the crate; `tests/it/access/forged.rs` has those of this hub.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, crypto};
use wycheproof::{
    TestResult, ecdsa, eddsa,
    mac::{self, TestName::*},
    rsa_pkcs1_verify as pkcs1, rsa_pss_verify as pss,
};

use super::{KeyError, SHORTEST_SECRET, VerifyingKey};

/// What became of the signatures of one algorithm.
#[derive(Debug, Default)]
struct Tried {
    good: usize,
    bad: usize,
    wrong: Vec<String>,
}

impl Tried {
    /// Checks a signature as a token's is checked.
    fn judge(
        &mut self,
        key: &VerifyingKey,
        algorithm: Algorithm,
        (message, signature): (&[u8], &[u8]),
        must: TestResult,
        what: String,
    ) {
        assert!(key.algorithms.contains(&algorithm), "{what}: {:?}", key.algorithms);
        let is_taken = crypto::verify(&URL_SAFE_NO_PAD.encode(signature), message, &key.key, algorithm).unwrap_or(false);
        match must {
            TestResult::Valid => self.good += 1,
            TestResult::Invalid => self.bad += 1,
            // What may be taken or not, such as an encoding that is old.
            TestResult::Acceptable => return,
        }
        if is_taken != (must == TestResult::Valid) {
            self.wrong.push(format!("{algorithm:?}, {what}"));
        }
    }

    /// All were as they must be, and there were these many good and bad ones at least.
    fn assert_right(&self, good: usize, bad: usize) {
        assert!(self.wrong.is_empty(), "{:#?}", self.wrong);
        assert!(good <= self.good && bad <= self.bad, "the set must not have become empty: {} and {}", self.good, self.bad);
    }
}

/// Goes through the tests of a set of public keys in PEM form.
macro_rules! judge_all {
    ($tried:ident, $module:ident, $name:ident, $algorithm:expr) => {
        for group in $module::TestSet::load($module::TestName::$name).expect("the set").test_groups {
            let key = VerifyingKey::pem(&group.pem).expect("a key that this hub takes");
            for test in group.tests {
                let what = format!("{} {}: {}", stringify!($name), test.tc_id, test.comment);
                $tried.judge(&key, $algorithm, (&test.msg, &test.sig), test.result, what);
            }
        }
    };
}

#[test]
fn signatures_of_curves_are_taken_if_they_are_good_and_refused_if_they_are_forged() {
    let mut tried = Tried::default();
    judge_all!(tried, ecdsa, EcdsaSecp256r1Sha256P1363, Algorithm::ES256);
    judge_all!(tried, ecdsa, EcdsaSecp384r1Sha384P1363, Algorithm::ES384);
    judge_all!(tried, eddsa, Ed25519, Algorithm::EdDSA);
    tried.assert_right(454, 239);
}

#[test]
fn signatures_of_rsa_are_taken_if_they_are_good_and_refused_if_they_are_forged() {
    let mut tried = Tried::default();
    judge_all!(tried, pkcs1, Rsa2048Sha256, Algorithm::RS256);
    judge_all!(tried, pkcs1, Rsa3072Sha256, Algorithm::RS256);
    judge_all!(tried, pkcs1, Rsa4096Sha256, Algorithm::RS256);
    judge_all!(tried, pkcs1, Rsa2048Sha384, Algorithm::RS384);
    judge_all!(tried, pkcs1, Rsa2048Sha512, Algorithm::RS512);
    judge_all!(tried, pss, RsaPss2048Sha256Mgf1SaltLen32, Algorithm::PS256);
    judge_all!(tried, pss, RsaPss3072Sha256Mgf1SaltLen32, Algorithm::PS256);
    judge_all!(tried, pss, RsaPss2048Sha384Mgf1SaltLen48, Algorithm::PS384);
    judge_all!(tried, pss, RsaPss4096Sha512Mgf1SaltLen64, Algorithm::PS512);
    tried.assert_right(392, 1_432);
}

#[test]
fn codes_of_a_secret_are_taken_if_they_are_good_and_whole() {
    let mut tried = Tried::default();
    for (name, algorithm, bits) in
        [(HmacSha256, Algorithm::HS256, 256), (HmacSha384, Algorithm::HS384, 384), (HmacSha512, Algorithm::HS512, 512)]
    {
        for group in mac::TestSet::load(name).expect("the set").test_groups {
            for test in group.tests {
                let key = match VerifyingKey::secret(&test.key, algorithm) {
                    Err(KeyError::Short(_)) if test.key.len() < SHORTEST_SECRET => continue,
                    key => key.expect("it is long enough"),
                };
                // One that was cut is good for its set; a token's is whole (RFC 7518 section 3.2).
                let must = if group.tag_size < bits { TestResult::Invalid } else { test.result };
                tried.judge(&key, algorithm, (&test.msg, &test.tag), must, format!("{name:?} {}: {}", test.tc_id, test.comment));
            }
        }
    }
    tried.assert_right(93, 417);
}
