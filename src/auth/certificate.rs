//! What a certificate says of whom it is for and for how long (X.509, RFC 5280), read out of its DER form. Whether it is genuine is not asked
//! here: a client's certificate comes this far once the TLS library has found that the hub's authority signed it.
//!
//! Three fields of it are wanted, which the TLS library reads but does not give; a whole X.509 library for them would be a dozen crates.

use aws_lc_rs::digest;
use jiff::{civil, tz::TimeZone};

use super::caller::Subject;
use crate::model::Timestamp;

/// The tags of DER (X.690) that occur on the way.
mod tag {
    pub(super) const BOOLEAN: u8 = 0x01;
    pub(super) const INTEGER: u8 = 0x02;
    pub(super) const OCTETS: u8 = 0x04;
    pub(super) const OID: u8 = 0x06;
    pub(super) const UTF8: u8 = 0x0c;
    pub(super) const PRINTABLE: u8 = 0x13;
    pub(super) const IA5: u8 = 0x16;
    pub(super) const UTC_TIME: u8 = 0x17;
    pub(super) const TIME: u8 = 0x18;
    pub(super) const SEQUENCE: u8 = 0x30;
    pub(super) const SET: u8 = 0x31;
    pub(super) const VERSION: u8 = 0xa0;
    pub(super) const EXTENSIONS: u8 = 0xa3;
    /// Names of other kinds in a list of names.
    pub(super) const DNS: u8 = 0x82;
    pub(super) const URI: u8 = 0x86;
}

/// 2.5.4.3, the common name.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];

/// 2.5.29.17, the other names.
const OTHER_NAMES: &[u8] = &[0x55, 0x1d, 0x11];

/// A certificate, as far as the hub looks at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Certificate {
    /// Whom it is for: its first URI, else its first DNS name, else its common name. Nothing if it has none, or none that can be a subject.
    pub subject: Option<Subject>,
    /// The SHA-256 of the whole certificate, in 64 hexadecimal digits.
    pub id: String,
    /// From when it is good.
    pub begins: Timestamp,
    /// Until when.
    pub ends: Timestamp,
}

impl Certificate {
    /// Reads it; nothing if it is not of its form.
    pub(crate) fn read(der: &[u8]) -> Option<Self> {
        let mut body = Der(Der(Der(der).take(tag::SEQUENCE)?).take(tag::SEQUENCE)?);
        body.pass(tag::VERSION);
        body.take(tag::INTEGER)?;
        // The algorithm of the signature, and whose it is.
        body.take(tag::SEQUENCE)?;
        body.take(tag::SEQUENCE)?;
        let mut validity = Der(body.take(tag::SEQUENCE)?);
        let (begins, ends) = (validity.time()?, validity.time()?);
        let name = Der(body.take(tag::SEQUENCE)?);
        // The key.
        body.take(tag::SEQUENCE)?;
        let names = body.find(|tag, _| tag == tag::EXTENSIONS).and_then(other_names);
        let other = |kind| names.and_then(|names| Der(names).find(|tag, _| tag == kind)).and_then(text);
        // As for servers: where there are other names, the common name is for people only.
        let subject = other(tag::URI).or_else(|| other(tag::DNS));
        let subject = if names.is_some() { subject } else { common_name(name) };
        let hash = digest::digest(&digest::SHA256, der);
        Some(Self {
            subject: subject.and_then(|text| text.parse().ok()),
            id: hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect(),
            begins,
            ends,
        })
    }
}

/// The list of other names among the extensions.
fn other_names(extensions: &[u8]) -> Option<&[u8]> {
    let mut list = Der(Der(extensions).take(tag::SEQUENCE)?);
    let is_it = |tag: u8, content: &[u8]| tag == tag::SEQUENCE && Der(content).take(tag::OID) == Some(OTHER_NAMES);
    let mut extension = Der(list.find(is_it)?);
    extension.take(tag::OID)?;
    extension.pass(tag::BOOLEAN);
    Der(extension.take(tag::OCTETS)?).take(tag::SEQUENCE)
}

fn common_name(mut name: Der<'_>) -> Option<&str> {
    while let Some(set) = name.take(tag::SET) {
        let mut part = Der(Der(set).take(tag::SEQUENCE)?);
        if part.take(tag::OID)? != COMMON_NAME {
            continue;
        }
        let (kind, content) = part.next()?;
        return matches!(kind, tag::UTF8 | tag::PRINTABLE | tag::IA5).then(|| text(content)).flatten();
    }
    None
}

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

/// What is left of a run of values, each a tag, a length and that many bytes.
#[derive(Clone, Copy)]
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The next value: its tag, and what is in it.
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&[tag, first], rest) = self.0.split_first_chunk()?;
        let (length, rest) = match first {
            short @ 0..=0x7f => (usize::from(short), rest),
            // No certificate needs a longer one, and one without a length is not DER.
            0x81..=0x83 => {
                let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                (bytes.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, content))
    }

    /// What is in the next value, which must be of this kind.
    fn take(&mut self, kind: u8) -> Option<&'a [u8]> {
        self.next().filter(|(tag, _)| *tag == kind).map(|(_, content)| content)
    }

    /// Passes over the next value if it is of this kind.
    fn pass(&mut self, kind: u8) {
        if self.0.first() == Some(&kind) {
            self.next();
        }
    }

    /// What is in the first value that is wanted.
    fn find(&mut self, wanted: impl Fn(u8, &[u8]) -> bool) -> Option<&'a [u8]> {
        while let Some((tag, content)) = self.next() {
            if wanted(tag, content) {
                return Some(content);
            }
        }
        None
    }

    /// A time in either of its two forms, both in UTC and to the second (RFC 5280 section 4.1.2.5).
    fn time(&mut self) -> Option<Timestamp> {
        let (kind, content) = self.next()?;
        let digits = text(content)?.strip_suffix('Z')?;
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let (year, rest) = match (kind, digits.len()) {
            (tag::UTC_TIME, 12) => {
                let year: i16 = digits[..2].parse().ok()?;
                (if year < 50 { 2000 + year } else { 1900 + year }, &digits[2..])
            }
            (tag::TIME, 14) => (digits[..4].parse().ok()?, &digits[4..]),
            _ => return None,
        };
        let two = |at: usize| rest.get(at..at + 2)?.parse::<i8>().ok();
        let time = civil::DateTime::new(year, two(0)?, two(2)?, two(4)?, two(6)?, two(8)?, 0).ok()?;
        let millis = time.to_zoned(TimeZone::UTC).ok()?.timestamp().as_millisecond();
        // What ended before 1970 ended long ago.
        Timestamp::from_millis(u64::try_from(millis).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{CertificateParams, DnType, KeyPair, SanType, date_time_ymd};

    use super::*;

    fn made(name: Option<&str>, others: &[SanType], until: i32) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "Example");
        if let Some(name) = name {
            params.distinguished_name.push(DnType::CommonName, name);
        }
        params.subject_alt_names = others.to_vec();
        params.not_before = date_time_ymd(2001, 2, 3);
        params.not_after = date_time_ymd(until, 12, 31);
        params.self_signed(&KeyPair::generate().expect("a key")).expect("a certificate").der().to_vec()
    }

    fn uri(text: &str) -> SanType {
        SanType::URI(text.try_into().expect("ASCII"))
    }

    fn dns(text: &str) -> SanType {
        SanType::DnsName(text.try_into().expect("ASCII"))
    }

    #[test]
    fn the_subject_is_the_first_uri_else_the_first_dns_name_else_the_common_name() {
        let address = SanType::IpAddress("127.0.0.1".parse().expect("an address"));
        for (name, others, expected) in [
            (Some("agent-7"), vec![], Some("agent-7")),
            (Some("Jürgen"), vec![], Some("Jürgen")),
            (None, vec![], None),
            (Some("agent-7"), vec![dns("a.example")], Some("a.example")),
            (Some("agent-7"), vec![dns("a.example"), uri("spiffe://ci/a"), uri("spiffe://ci/b")], Some("spiffe://ci/a")),
            (Some("agent-7"), vec![address], None),
        ] {
            let read = Certificate::read(&made(name, &others, 2040)).expect("it is one");
            assert_eq!(read.subject.as_ref().map(Subject::as_str), expected, "{name:?} {others:?}");
        }
    }

    #[test]
    fn it_says_from_when_and_until_when_in_both_forms_of_time() {
        for (until, millis) in [(2049, 2_524_521_600_000), (2050, 2_556_057_600_000)] {
            let read = Certificate::read(&made(Some("a"), &[], until)).expect("it is one");
            assert_eq!((read.begins.as_millis(), read.ends.as_millis()), (981_158_400_000, millis), "{until}");
        }
    }

    #[test]
    fn its_name_is_the_hash_of_all_of_it() {
        let [first, second] =
            [made(Some("a"), &[], 2040), made(Some("a"), &[], 2040)].map(|der| Certificate::read(&der).expect("one"));
        assert_ne!(first.id, second.id, "of two keys");
        assert!(first.id.len() == 64 && first.id.bytes().all(|byte| byte.is_ascii_hexdigit()));
    }

    #[test]
    fn one_that_is_cut_is_none() {
        let whole = made(Some("a"), &[uri("spiffe://ci/a")], 2040);
        for length in 0..whole.len() {
            assert_eq!(Certificate::read(&whole[..length]), None, "{length} of {} bytes", whole.len());
        }
    }

    proptest! {
        #[test]
        fn whatever_is_damaged_is_read_or_refused(at in 0..400_usize, byte: u8) {
            let mut der = made(Some("a"), &[uri("spiffe://ci/a"), dns("a.example")], 2040);
            let length = der.len();
            der[at % length] = byte;
            let _ = Certificate::read(&der);
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let _ = Certificate::read(&bytes);
        }
    }
}
