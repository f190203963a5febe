//! What TLS makes of the values.

use std::time::Duration;

use super::{ConfigError, Settings};
use crate::tls::{ClientAuth, TlsOptions};

impl Settings {
    /// Refuses what makes no sense.
    pub(super) fn validate_tls(&self) -> Result<(), ConfigError> {
        let (tls, bad) = (&self.tls, |text: String| Err(ConfigError::BadValue(text)));
        if tls.cert_file.is_empty() != tls.key_file.is_empty() {
            return bad("tls.cert_file and tls.key_file belong together: give both, or neither".to_owned());
        }
        if !matches!(tls.client_auth.as_str(), "off" | "optional" | "required") {
            return bad(format!("tls.client_auth = {:?} must be off, optional or required", tls.client_auth));
        }
        if !matches!(tls.min_version.as_str(), "1.2" | "1.3") {
            return bad(format!("tls.min_version = {:?} must be 1.2 or 1.3", tls.min_version));
        }
        let asks = tls.client_auth != "off";
        if asks && tls.cert_file.is_empty() {
            return bad(format!("tls.client_auth = {:?} needs tls.cert_file and tls.key_file", tls.client_auth));
        }
        for (key, file, needed) in
            [("tls.client_ca_file", &tls.client_ca_file, true), ("tls.client_grants", &tls.client_grants, false)]
        {
            if !asks && !file.is_empty() {
                return bad(format!(
                    "{key} is given, but no certificates are asked for: say tls.client_auth = optional or required"
                ));
            }
            if asks && needed && file.is_empty() {
                return bad(format!("tls.client_auth = {:?} needs {key}", tls.client_auth));
            }
        }
        if self.tls_options().is_none() && !tls.hsts.get().is_zero() {
            return bad("tls.hsts needs tls.cert_file: a hub without TLS must not ask for it".to_owned());
        }
        for (key, span) in [("tls.handshake_timeout", tls.handshake_timeout), ("tls.reload_interval", tls.reload_interval)] {
            if span.get() < Duration::from_millis(10) {
                return bad(format!("{key} must be at least 10ms"));
            }
        }
        Ok(())
    }

    /// How the hub speaks TLS; nothing if it does not.
    pub(crate) fn tls_options(&self) -> Option<TlsOptions> {
        let tls = &self.tls;
        if tls.cert_file.is_empty() {
            return None;
        }
        let authorities = || tls.client_ca_file.as_str().into();
        Some(TlsOptions {
            cert_file: tls.cert_file.as_str().into(),
            key_file: tls.key_file.as_str().into(),
            client_auth: match tls.client_auth.as_str() {
                "required" => ClientAuth::Required(authorities()),
                "optional" => ClientAuth::Optional(authorities()),
                _ => ClientAuth::Off,
            },
            only_13: tls.min_version == "1.3",
            handshake_timeout: tls.handshake_timeout.get(),
            reload_interval: tls.reload_interval.get(),
        })
    }
}
