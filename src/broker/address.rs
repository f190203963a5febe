//! Where Redis is, as one URL says it: one server, the master that Sentinels name, or a cluster.

use std::{fmt, path::PathBuf, str::FromStr, time::Duration};

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion, RedisConnectionInfo};

/// The port of a server, and of a Sentinel, that names none.
const PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;

/// Where Redis is. Passwords are in it, and never in its `Debug` or `Display` form.
#[derive(Clone)]
pub struct RedisAddress {
    pub(super) kind: Kind,
    /// The servers or Sentinels named by the URL.
    pub(super) hosts: Vec<(String, u16)>,
    pub(super) tls: bool,
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
    pub(super) sentinel_user: Option<String>,
    pub(super) sentinel_password: Option<String>,
    pub(super) db: i64,
    /// Certificates (PEM) of who may sign the servers' ones; without, the well-known authorities of the web.
    pub(super) authorities: Option<Vec<u8>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Single,
    /// The name under which Sentinels know the master.
    Sentinel(String),
    Cluster,
}

/// Why a URL does not say where Redis is. Shows no part of it that may be a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Another scheme.
    #[error(
        "it starts with redis://, rediss:// (TLS), redis+sentinel:// or redis+cluster://, such as redis://user:password@10.0.0.5:6379/0"
    )]
    Scheme,
    /// No host, or a bad port.
    #[error("{0:?} is not a host with a port, such as 10.0.0.5:6379")]
    Host(String),
    /// The path is not what this kind takes.
    #[error("{0}")]
    Path(&'static str),
    /// An unknown parameter.
    #[error("unknown parameter {0:?}: there are tls, db, sentinel_user and sentinel_password")]
    Parameter(String),
    /// The file of authorities cannot be read.
    #[error("{path} cannot be read: {reason}")]
    Authorities {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
}

impl FromStr for RedisAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (scheme, rest) = text.split_once("://").ok_or(AddressError::Scheme)?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (login, rest) = rest.rsplit_once('@').map_or((None, rest), |(login, rest)| (Some(login), rest));
        let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (kind, port, tls) = match scheme {
            "redis" => (Kind::Single, PORT, false),
            "rediss" => (Kind::Single, PORT, true),
            "redis+sentinel" => (Kind::Sentinel(path.to_owned()), SENTINEL_PORT, false),
            "redis+cluster" => (Kind::Cluster, PORT, false),
            _ => return Err(AddressError::Scheme),
        };
        let (user, password) = match login.map(|login| login.split_once(':').unwrap_or((login, ""))) {
            None => (None, None),
            Some((user, password)) => (decoded(user), decoded(password)),
        };
        let hosts = hosts.split(',').map(|host| host_of(host, port)).collect::<Result<Vec<_>, _>>()?;
        let (sentinel_user, sentinel_password, authorities) = (None, None, None);
        let mut address = Self { kind, hosts, tls, user, password, sentinel_user, sentinel_password, db: 0, authorities };
        address.read_path(path)?;
        for (name, value) in
            query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        {
            match name {
                "tls" => address.tls = value == "true",
                "db" => address.db = value.parse().map_err(|_| AddressError::Path("db is a number"))?,
                "sentinel_user" => address.sentinel_user = decoded(value),
                "sentinel_password" => address.sentinel_password = decoded(value),
                other => return Err(AddressError::Parameter(other.to_owned())),
            }
        }
        Ok(address)
    }
}

impl RedisAddress {
    fn read_path(&mut self, path: &str) -> Result<(), AddressError> {
        match &self.kind {
            Kind::Sentinel(service) if service.is_empty() => {
                Err(AddressError::Path("the path names the master, as in redis+sentinel://10.0.0.5:26379/mymaster"))
            }
            Kind::Sentinel(_) => Ok(()),
            Kind::Cluster if !path.is_empty() => Err(AddressError::Path("a cluster has no databases: leave the path out")),
            Kind::Single if 1 < self.hosts.len() => {
                Err(AddressError::Path("several servers are redis+sentinel:// or redis+cluster://"))
            }
            _ if path.is_empty() => Ok(()),
            _ => {
                self.db = path.parse().map_err(|_| AddressError::Path("the path is the number of a database, as in /0"))?;
                Ok(())
            }
        }
    }

    /// The same, trusting servers whose certificates were signed by one of these (PEM).
    pub fn with_authorities(mut self, path: &std::path::Path) -> Result<Self, AddressError> {
        let read = std::fs::read(path);
        let failed = |error: std::io::Error| AddressError::Authorities { path: path.to_owned(), reason: error.to_string() };
        self.authorities = Some(read.map_err(failed)?);
        Ok(self)
    }

    /// Whether other servers may take over while this runs.
    pub(super) fn may_move(&self) -> bool {
        self.kind != Kind::Single
    }

    /// How to connect to one server of it.
    pub(super) fn server(&self, host: &str, port: u16) -> redis::RedisResult<ConnectionInfo> {
        self.connection(host, port, self.user.as_deref(), self.password.as_deref(), self.db)
    }

    /// How to connect to one of its Sentinels.
    pub(super) fn sentinel(&self, host: &str, port: u16) -> redis::RedisResult<ConnectionInfo> {
        self.connection(host, port, self.sentinel_user.as_deref(), self.sentinel_password.as_deref(), 0)
    }

    fn connection(
        &self,
        host: &str,
        port: u16,
        user: Option<&str>,
        password: Option<&str>,
        db: i64,
    ) -> redis::RedisResult<ConnectionInfo> {
        let addr = if self.tls {
            ConnectionAddr::TcpTls { host: host.to_owned(), port, insecure: false, tls_params: None }
        } else {
            ConnectionAddr::Tcp(host.to_owned(), port)
        };
        let mut redis = RedisConnectionInfo::default().set_protocol(ProtocolVersion::RESP3).set_db(db).set_skip_set_lib_name();
        if let Some(user) = user {
            redis = redis.set_username(user);
        }
        if let Some(password) = password {
            redis = redis.set_password(password);
        }
        let tcp = redis::io::tcp::TcpSettings::default().set_nodelay(true).set_user_timeout(Duration::from_secs(10));
        let info = addr.into_connection_info()?.set_redis_settings(redis).set_tcp_settings(tcp);
        match (&self.authorities, self.tls) {
            (Some(pem), true) => {
                let certificates = redis::TlsCertificates { client_tls: None, root_cert: Some(pem.clone()) };
                Ok(redis::Client::build_with_tls(info, certificates)?.get_connection_info().clone())
            }
            _ => Ok(info),
        }
    }
}

fn host_of(text: &str, port: u16) -> Result<(String, u16), AddressError> {
    let bad = || AddressError::Host(text.to_owned());
    let (host, rest) = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']').ok_or_else(bad)?,
        None => text.find(':').map_or((text, ""), |at| text.split_at(at)),
    };
    let port = match rest.strip_prefix(':') {
        Some(port) => port.parse().map_err(|_| bad())?,
        None if rest.is_empty() => port,
        None => return Err(bad()),
    };
    if host.is_empty() { Err(bad()) } else { Ok((host.to_owned(), port)) }
}

/// Percent-encoding undone; nothing if it is empty.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok()).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (first, hex) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).ok().filter(|text| !text.is_empty())
}

impl fmt::Display for RedisAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, service) = match &self.kind {
            Kind::Single if self.tls => ("rediss", ""),
            Kind::Single => ("redis", ""),
            Kind::Sentinel(service) => ("redis+sentinel", service.as_str()),
            Kind::Cluster => ("redis+cluster", ""),
        };
        let login = if self.password.is_some() { "***@" } else { "" };
        let hosts: Vec<_> = self.hosts.iter().map(|(host, port)| format!("{host}:{port}")).collect();
        write!(f, "{scheme}://{login}{}", hosts.join(","))?;
        if service.is_empty() { Ok(()) } else { write!(f, "/{service}") }
    }
}

impl fmt::Debug for RedisAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> RedisAddress {
        url.parse().unwrap_or_else(|error| panic!("{url}: {error}"))
    }

    #[test]
    fn every_kind_is_read() {
        let single = read("redis://10.0.0.5/2");
        assert_eq!((single.kind.clone(), single.hosts[0].clone(), single.db), (Kind::Single, ("10.0.0.5".into(), 6379), 2));
        let login = read("rediss://app:p%40ss%3Aword@redis.example.com:6390");
        assert_eq!((login.user.as_deref(), login.password.as_deref(), login.tls), (Some("app"), Some("p@ss:word"), true));
        assert_eq!(read("redis://:secret@h").password.as_deref(), Some("secret"));
        let sentinel = read("redis+sentinel://u:p@h1,h2:26380/mymaster?db=3&tls=true&sentinel_password=x");
        assert_eq!(sentinel.kind, Kind::Sentinel("mymaster".to_owned()));
        assert_eq!(sentinel.hosts, [("h1".to_owned(), 26379), ("h2".to_owned(), 26380)]);
        assert_eq!((sentinel.db, sentinel.tls, sentinel.sentinel_password.as_deref()), (3, true, Some("x")));
        assert_eq!(read("redis+cluster://h1:7000,[::1]:7001").hosts[1], ("::1".to_owned(), 7001));
    }

    #[test]
    fn what_is_wrong_is_said_without_the_password() {
        for (url, part) in [
            ("http://h", "redis://"),
            ("redis", "redis://"),
            ("redis://u:secret@", "host"),
            ("redis://u:secret@h:port", "host"),
            ("redis://u:secret@h/zero", "number"),
            ("redis://u:secret@a,b", "several"),
            ("redis+sentinel://u:secret@h", "master"),
            ("redis+cluster://u:secret@h/1", "databases"),
            ("redis://u:secret@h?x=1", "unknown parameter"),
        ] {
            let error = url.parse::<RedisAddress>().expect_err(url).to_string();
            assert!(error.contains(part) && !error.contains("secret"), "{url}: {error}");
        }
        let shown = format!("{0} {0:?}", read("redis+sentinel://u:secret@h/m?sentinel_password=other"));
        assert!(!shown.contains("secret") && !shown.contains("other"), "{shown}");
    }
}
