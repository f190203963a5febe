//! Certificates and keys out of their files, into what handshakes are made with.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    RootCertStore, ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{NoServerSessionStorage, WebPkiClientVerifier, danger::ClientCertVerifier},
    sign::CertifiedKey,
    version::{TLS12, TLS13},
};

use super::{ClientAuth, TlsOptions};
use crate::auth::Certificate;

/// The most bytes of a file: a list of all the world's authorities has a quarter of a megabyte.
const FILE_BYTES: u64 = 1 << 20;

/// A file that is no good.
#[derive(Debug, thiserror::Error)]
#[error("{key} = {}: {what}", .file.display())]
pub(crate) struct TlsError {
    key: &'static str,
    file: PathBuf,
    what: String,
}

/// One of the files, by the key that names it.
struct Named<'a> {
    key: &'static str,
    file: &'a Path,
}

impl Named<'_> {
    fn bad(&self, what: impl Into<String>) -> TlsError {
        TlsError { key: self.key, file: self.file.to_owned(), what: what.into() }
    }

    fn read(&self) -> Result<Vec<u8>, TlsError> {
        let mut bytes = Vec::new();
        let read = fs::File::open(self.file).and_then(|file| file.take(FILE_BYTES + 1).read_to_end(&mut bytes));
        read.map_err(|error| self.bad(format!("it cannot be read: {error}")))?;
        if FILE_BYTES < bytes.len() as u64 {
            return Err(self.bad(format!("it has more than {FILE_BYTES} bytes")));
        }
        Ok(bytes)
    }

    /// All certificates in it, at least one.
    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let bytes = self.read()?;
        let all = CertificateDer::pem_slice_iter(&bytes).collect::<Result<Vec<_>, _>>();
        let all = all.map_err(|error| self.bad(format!("it is no PEM: {error}")))?;
        if all.is_empty() { Err(self.bad("it has no certificate (PEM: -----BEGIN CERTIFICATE-----)")) } else { Ok(all) }
    }
}

/// What the files make of handshakes, and the hub's own certificate.
pub(super) fn load(options: &TlsOptions) -> Result<(ServerConfig, Certificate), TlsError> {
    // Named here and not installed for the process, which a library has no right to.
    let provider = Arc::new(aws_lc_rs::default_provider());
    let certificate = Named { key: "tls.cert_file", file: &options.cert_file };
    let chain = certificate.certificates()?;
    let own = chain.first().and_then(|der| Certificate::read(der));
    let own = own.ok_or_else(|| certificate.bad("its first certificate is not of the form of X.509"))?;
    let key = Named { key: "tls.key_file", file: &options.key_file };
    let secret = PrivateKeyDer::from_pem_slice(&key.read()?)
        .map_err(|_| key.bad("it has no private key that can be read (PEM, PKCS #8, PKCS #1 or SEC 1, without a password)"))?;
    let pair = CertifiedKey::from_der(chain, secret, &provider).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => key.bad("it is not the key of the certificate in tls.cert_file"),
        error => key.bad(format!("it cannot be used: {error}")),
    })?;
    let clients = client_verifier(&options.client_auth, &provider)?;
    let versions: &[_] = if options.only_13 { &[&TLS13] } else { &[&TLS13, &TLS12] };
    let config = ServerConfig::builder_with_provider(provider).with_protocol_versions(versions);
    let config = config.map_err(|error| certificate.bad(format!("it cannot be used: {error}")))?;
    let mut config =
        config.with_client_cert_verifier(clients).with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(pair)));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // Each connection is a handshake of its own: what was looked at once is not believed later on the strength of a ticket.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok((config, own))
}

fn client_verifier(auth: &ClientAuth, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let (ClientAuth::Optional(file) | ClientAuth::Required(file)) = auth else {
        return Ok(WebPkiClientVerifier::no_client_auth());
    };
    let named = Named { key: "tls.client_ca_file", file };
    let mut roots = RootCertStore::empty();
    for (number, der) in named.certificates()?.into_iter().enumerate() {
        roots.add(der).map_err(|error| named.bad(format!("its certificate {} cannot be used: {error}", number + 1)))?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    let verifier = if matches!(auth, ClientAuth::Optional(_)) { verifier.allow_unauthenticated() } else { verifier };
    verifier.build().map_err(|error| named.bad(error.to_string()))
}
