//! Authorities and what they sign, made for a test.

use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, SanType, date_time_ymd};

/// A certificate and its key.
pub struct Pair {
    pub cert: String,
    pub key: String,
}

/// Who signs.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub pem: String,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name = named(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// A hub's certificate.
    pub fn server(&self) -> Pair {
        let address = SanType::IpAddress("127.0.0.1".parse().expect("an address"));
        self.signed("hub", vec![SanType::DnsName("localhost".try_into().expect("ASCII")), address], Duration::from_secs(86_400))
    }

    /// A client's certificate with this common name.
    pub fn client(&self, name: &str) -> Pair {
        self.signed(name, Vec::new(), Duration::from_secs(86_400))
    }

    /// The same, which ends in so long.
    pub fn client_for(&self, name: &str, life: Duration) -> Pair {
        self.signed(name, Vec::new(), life)
    }

    /// A client's certificate with this URI, and a common name that says nothing.
    pub fn client_of(&self, uri: &str) -> Pair {
        self.signed("nobody", vec![SanType::URI(uri.try_into().expect("ASCII"))], Duration::from_secs(86_400))
    }

    fn signed(&self, name: &str, others: Vec<SanType>, life: Duration) -> Pair {
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("after 1970");
        let mut params = CertificateParams::default();
        params.distinguished_name = named(name);
        params.subject_alt_names = others;
        // Signed a while ago, by a clock that may be ahead.
        params.not_before = date_time_ymd(1970, 1, 1) + now.saturating_sub(Duration::from_secs(60));
        params.not_after = date_time_ymd(1970, 1, 1) + (now + life);
        let key = KeyPair::generate().expect("a key");
        let cert = params.signed_by(&key, &self.issuer).expect("a certificate");
        Pair { cert: cert.pem(), key: key.serialize_pem() }
    }
}

fn named(name: &str) -> DistinguishedName {
    let mut all = DistinguishedName::new();
    all.push(DnType::CommonName, name);
    all
}
