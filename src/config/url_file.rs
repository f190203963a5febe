//! URLs with passwords in them, read from files: an environment is seen by whoever may look at the process or its container.

use config::Config;

use super::{ConfigError, access};

/// The keys that can be in a file, each with the key that names it.
const KEYS: [(&str, &str); 2] = [("store.url", "store.url_file"), ("broker.url", "broker.url_file")];

/// The same sources, with what is in the files that they name right behind them. As everywhere the later source wins; one that gives both
/// the URL and a file with it is refused.
pub(super) fn read(mut layers: Vec<(String, Config)>) -> Result<Vec<(String, Config)>, ConfigError> {
    for (key, file_key) in KEYS {
        let named = |layer: &Config| layer.get_string(file_key).ok();
        let given = |layer: &Config| layer.get_string(key).is_ok_and(|url| !url.is_empty());
        let Some(last) = layers.iter().rposition(|(_, layer)| named(layer).is_some() || given(layer)) else { continue };
        let (origin, layer) = &layers[last];
        let Some(file) = named(layer).filter(|file| !file.is_empty()) else { continue };
        if given(layer) {
            return Err(ConfigError::BadValue(format!("{key} and {file_key} are both given by {origin}: leave one out")));
        }
        let text = access::read(file_key, &file)?;
        let url = text.trim();
        // What is in the file is not shown: it may be a password alone.
        if !url.contains("://") {
            return Err(ConfigError::BadValue(format!("{file_key}: there is no URL in {file}")));
        }
        let found = Config::builder().set_override(key, url).and_then(|builder| builder.build());
        let found = found.map_err(|error| ConfigError::BadValue(error.to_string()))?;
        layers.insert(last + 1, (file, found));
    }
    Ok(layers)
}
