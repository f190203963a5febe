//! Whom a client trusts to be the hub, and the certificate that it shows of itself.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use reqwest::{Certificate, ClientBuilder, Identity};

use super::{ClientError, error};

/// The most bytes of such a file.
const FILE_BYTES: u64 = 1 << 20;

/// Files of certificates and keys, each PEM, for hubs whose authority is not a well-known one, or that ask for a certificate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// Who may have signed the hub's certificate; then nobody else may.
    pub ca: Option<PathBuf>,
    /// The certificate to show, and those between it and its authority.
    pub cert: Option<PathBuf>,
    /// Its key.
    pub key: Option<PathBuf>,
}

impl TlsFiles {
    /// The builder of a client that does so. The error names the file.
    pub(super) fn apply(&self, mut builder: ClientBuilder) -> Result<ClientBuilder, ClientError> {
        if let Some(path) = &self.ca {
            let all = Certificate::from_pem_bundle(&read(path)?).map_err(|error| bad(path, &error::innermost(&error)))?;
            if all.is_empty() {
                return Err(bad(path, "it has no certificate (PEM)"));
            }
            builder = builder.tls_certs_only(all);
        }
        match (&self.cert, &self.key) {
            (None, None) => Ok(builder),
            (Some(cert), Some(key)) => {
                let mut pem = read(cert)?;
                pem.push(b'\n');
                pem.extend_from_slice(&read(key)?);
                let identity = Identity::from_pem(&pem);
                let both = format!("{} and {}: no certificate with its key (PEM)", cert.display(), key.display());
                identity.map(|identity| builder.identity(identity)).map_err(|_| ClientError::Setup(both))
            }
            (Some(path), None) => Err(bad(path, "the key of this certificate is not given (--key)")),
            (None, Some(path)) => Err(bad(path, "the certificate of this key is not given (--cert)")),
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, ClientError> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(FILE_BYTES).read_to_end(&mut bytes));
    read.map_err(|error| bad(path, &format!("it cannot be read: {error}")))?;
    Ok(bytes)
}

fn bad(path: &Path, what: &str) -> ClientError {
    ClientError::Setup(format!("{}: {what}", path.display()))
}
