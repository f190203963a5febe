//! What certificates of clients grant: a file that names their subjects. The certificate says who it is, by the word of the authority that signed
//! it; the hub's operator says here what they may do.

use std::{collections::HashMap, fs, io::Read, path::Path, sync::atomic::Ordering};

use serde::Deserialize;

use super::{
    Auth, AuthError, Refusal,
    caller::{Caller, Grants, Means, Subject},
    certificate::Certificate,
    pattern::Pattern,
};

/// The most bytes of such a file, and the most subjects in it.
const FILE_BYTES: u64 = 4 << 20;
const FILE_CLIENTS: usize = 10_000;

/// The name under which everybody else is meant who has a certificate.
const OTHERS: &str = "*";

/// Why a file of grants is not used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GrantsFileError {
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// It is no list of clients.
    #[error("{0}")]
    Form(#[from] toml::de::Error),
    /// One of them makes no sense.
    #[error("client {subject:?}: {what}")]
    Client { subject: String, what: &'static str },
    /// It is too large.
    #[error("it has more than {FILE_BYTES} bytes or {FILE_CLIENTS} clients")]
    Large,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    client: Vec<Client>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Client {
    subject: Subject,
    #[serde(default)]
    read: Vec<Pattern>,
    #[serde(default)]
    publish: Vec<Pattern>,
    #[serde(default)]
    admin: bool,
}

/// What certificates grant, by their subject.
#[derive(Debug, Default)]
pub(crate) struct ClientGrants {
    by_subject: HashMap<Subject, Grants>,
    others: Option<Grants>,
}

impl ClientGrants {
    /// Reads a file of `[[client]]` tables.
    pub(crate) fn read(path: &Path) -> Result<Self, GrantsFileError> {
        let mut text = String::new();
        fs::File::open(path)?.take(FILE_BYTES + 1).read_to_string(&mut text)?;
        if FILE_BYTES < text.len() as u64 {
            return Err(GrantsFileError::Large);
        }
        Self::parse(&text)
    }

    fn parse(text: &str) -> Result<Self, GrantsFileError> {
        let File { client: clients } = toml::from_str(text)?;
        if FILE_CLIENTS < clients.len() {
            return Err(GrantsFileError::Large);
        }
        let mut all = Self { by_subject: HashMap::with_capacity(clients.len()), others: None };
        for Client { subject, read, publish, admin } in clients {
            let bad = |what| Err(GrantsFileError::Client { subject: subject.as_str().to_owned(), what });
            let grants = Grants { read, publish, admin };
            if !grants.is_bounded() {
                return bad("it has too many patterns");
            }
            let known = match subject.as_str() {
                OTHERS => all.others.replace(grants),
                _ => all.by_subject.insert(subject.clone(), grants),
            };
            if known.is_some() {
                return bad("it is there twice");
            }
        }
        Ok(all)
    }

    /// What a certificate of this subject grants; nothing if it is not let in by it.
    pub(super) fn of(&self, subject: &Subject) -> Option<&Grants> {
        self.by_subject.get(subject).or(self.others.as_ref())
    }
}

impl Auth {
    /// Whom the certificate speaks for, which the client showed in its handshake and no token beside it.
    pub(crate) fn check_certificate(&self, certificate: &Certificate) -> Result<Caller, Refusal> {
        if self.open {
            return Ok(self.anybody.clone());
        }
        let subject = certificate.subject.as_ref().ok_or(Refusal::NoGrants)?;
        let grants = self.clients.read().of(subject).cloned().ok_or(Refusal::NoGrants)?;
        let caller = Caller::new(subject.clone(), grants, Means::Certificate).of_token(
            Some(certificate.id.clone()),
            Some(certificate.begins),
            Some(certificate.ends),
        );
        self.still_good(&caller)?;
        Ok(caller)
    }

    /// Whether the file grants to the caller's certificate what it did when it was looked at.
    pub(super) fn still_grants(&self, caller: &Caller) -> bool {
        self.clients.read().of(caller.subject()) == Some(caller.grants())
    }

    /// Where the grants of certificates are.
    pub(crate) fn client_file(&self) -> Option<&Path> {
        self.client_file.as_deref()
    }

    /// Reads the grants of certificates again. If that fails the known ones stay.
    pub(crate) fn reload_clients(&self) -> Result<(), AuthError> {
        let Some(path) = &self.client_file else { return Ok(()) };
        let clients = ClientGrants::read(path).map_err(|error| AuthError::ClientFile(path.clone(), error))?;
        *self.clients.write() = clients.into();
        self.generation.fetch_add(1, Ordering::AcqRel);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(text: &str) -> Subject {
        text.parse().expect("a subject")
    }

    #[test]
    fn a_subject_has_what_its_table_says_and_all_others_what_theirs_says() {
        let text = "[[client]]\nsubject = \"spiffe://ci/agent-7\"\npublish = [\"agent-7-*\"]\n\n[[client]]\nsubject = \"*\"\nread = [\"*\"]\n";
        let clients = ClientGrants::parse(text).expect("read");
        let publish = |name: &str| clients.of(&subject(name)).map(|grants| grants.publish.len());
        assert_eq!((publish("spiffe://ci/agent-7"), publish("spiffe://ci/agent-8")), (Some(1), Some(0)));
        let alone = ClientGrants::parse("[[client]]\nsubject = \"a\"\n").expect("read");
        assert!(alone.of(&subject("a")).is_some() && alone.of(&subject("b")).is_none());
        assert!(ClientGrants::parse("").expect("nobody").of(&subject("a")).is_none());
    }

    #[test]
    fn a_file_with_a_mistake_is_refused() {
        for (text, expected) in [
            ("[[client]]\nsubject = \"a\"\n[[client]]\nsubject = \"a\"\n", "twice"),
            ("[[client]]\nsubject = \"*\"\n[[client]]\nsubject = \"*\"\n", "twice"),
            ("[[client]]\nread = [\"*\"]\n", "missing field"),
            ("[[client]]\nsubject = \"a\"\nraed = [\"*\"]\n", "unknown field"),
            ("[[client]]\nsubject = \"a\"\nread = [\"a b\"]\n", "pattern"),
            ("[[client]]\nsubject = \"\"\n", "characters"),
            ("[[key]]\n", "unknown field"),
        ] {
            let error = ClientGrants::parse(text).expect_err(expected).to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
