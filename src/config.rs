//! Configuration: defaults, then `tasklight.toml`, then `TASKLIGHT__…` environment variables, then flags; each later one wins. Every key
//! is known; an unknown one or a bad value stops the start and names itself and where it came from.

mod access;
mod check;
mod options;
mod reference;
mod retention;
mod settings;
mod tls;
mod url_file;
mod values;
mod webhooks;

use std::{collections::BTreeMap, path::PathBuf};

use config::{Config, Environment, File, FileFormat};
pub use settings::{
    AuditSettings, AuthSettings, BrokerSettings, ClusterSettings, EndpointSettings, HttpSettings, HubSettings, IngestSettings,
    LimitSettings, LogSettings, Meaning, NodeSettings, ReconcilerSettings, RedactSettings, RetentionRule, RetentionRules,
    RetentionSettings, SessionSettings, Settings, StoreSettings, TelemetrySettings, TlsSettings, WebhookSettings, WriterSettings,
};
pub(crate) use values::toml_notation;
pub use values::{Hidden, List, Size, Span};
pub use webhooks::{Endpoints, WebUrl};

/// The file that is read when it is there and no other is named.
pub const DEFAULT_FILE: &str = "tasklight.toml";

/// The prefix of environment variables: `TASKLIGHT__STORE__URL` sets `store.url`.
const ENVIRONMENT: &str = "TASKLIGHT";

/// Why a configuration cannot be used; the text names the key and where it came from.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A key that does not exist.
    #[error("unknown key {key} in {origin}{hint}")]
    UnknownKey {
        /// The key.
        key: String,
        /// Where it came from.
        origin: String,
        /// A key that may have been meant.
        hint: String,
    },
    /// A value of the wrong form.
    #[error("{0}")]
    BadValue(String),
    /// A file that cannot be read.
    #[error("{0}")]
    Unreadable(String),
}

/// Where values come from beside the defaults.
#[derive(Debug, Default)]
pub struct Sources {
    /// The file named on the command line, which must exist; without one, [`DEFAULT_FILE`] is read if it exists.
    pub file: Option<PathBuf>,
    /// Values given as flags, by key.
    pub flags: Vec<(&'static str, String)>,
}

/// A configuration, and where each of its values came from.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The values.
    pub settings: Settings,
    /// Where each key's value came from: `default`, a file, `environment` or `flag`.
    pub origins: BTreeMap<String, String>,
}

impl Settings {
    /// Reads all sources and checks every value.
    pub fn load(sources: &Sources) -> Result<Loaded, ConfigError> {
        Self::of_layers(url_file::read(layers(sources)?)?)
    }

    /// As if `text` were all of a file, and there were nothing beside it.
    pub(crate) fn from_text(text: &str) -> Result<Self, ConfigError> {
        let layer = Config::builder().add_source(File::from_str(text, FileFormat::Toml)).build();
        let layer = layer.map_err(|error| ConfigError::Unreadable(error.to_string()))?;
        Self::of_layers(vec![("text".to_owned(), layer)]).map(|loaded| loaded.settings)
    }

    fn of_layers(layers: Vec<(String, Config)>) -> Result<Loaded, ConfigError> {
        let defaults = Config::try_from(&Self::default()).map_err(|error| ConfigError::BadValue(error.to_string()))?;
        let known = keys();
        let mut origins: BTreeMap<String, String> = known.iter().map(|key| (key.clone(), "default".to_owned())).collect();
        let mut builder = Config::builder().add_source(defaults);
        for (origin, layer) in layers {
            for key in flatten(&layer).into_keys() {
                if !known.contains(&key) {
                    let hint = hint(&key, &known);
                    return Err(ConfigError::UnknownKey { key, origin, hint });
                }
                origins.insert(key, origin.clone());
            }
            builder = builder.add_source(layer);
        }
        let merged = builder.build().map_err(|error| ConfigError::BadValue(error.to_string()))?;
        let settings: Self = merged.try_deserialize().map_err(|error| bad_value(&error, &origins))?;
        settings.validate()?;
        Ok(Loaded { settings, origins })
    }

    /// The keys whose values are others than in `other`.
    pub(crate) fn changed(&self, other: &Self) -> Vec<String> {
        let [own, others] =
            [self, other].map(|settings| Config::try_from(settings).map(|config| flatten(&config)).unwrap_or_default());
        keys().into_iter().filter(|key| own.get(key) != others.get(key)).collect()
    }

    /// The effective values as JSON, by key, with passwords in URLs masked.
    pub fn values(&self) -> BTreeMap<String, String> {
        let set = Config::try_from(self).map(|config| flatten(&config)).unwrap_or_default();
        // An empty list has no leaf.
        let value = |key: &String| set.get(key).map_or_else(|| "[]".to_owned(), |value| values::masked(value).to_string());
        keys().into_iter().map(|key| (key.clone(), value(&key))).collect()
    }
}

/// The sources that are there, weakest first, each with its name.
fn layers(sources: &Sources) -> Result<Vec<(String, Config)>, ConfigError> {
    let mut layers = Vec::new();
    let file = match &sources.file {
        Some(path) => Some((path.clone(), true)),
        None => std::path::Path::new(DEFAULT_FILE).exists().then(|| (DEFAULT_FILE.into(), false)),
    };
    if let Some((path, _)) = file {
        let source = File::from(path.as_path()).format(FileFormat::Toml).required(true);
        let layer = Config::builder().add_source(source).build();
        layers.push((path.display().to_string(), layer.map_err(|error| ConfigError::Unreadable(error.to_string()))?));
    }
    let environment = Environment::with_prefix(ENVIRONMENT).prefix_separator("__").separator("__");
    let layer = Config::builder().add_source(environment).build();
    layers.push(("environment".to_owned(), layer.map_err(|error| ConfigError::Unreadable(error.to_string()))?));
    let mut flags = Config::builder();
    for (key, value) in &sources.flags {
        flags = flags.set_override(*key, value.as_str()).map_err(|error| ConfigError::BadValue(error.to_string()))?;
    }
    layers.push(("flag".to_owned(), flags.build().map_err(|error| ConfigError::BadValue(error.to_string()))?));
    Ok(layers)
}

/// Every key that has a value of its own, in order.
fn keys() -> Vec<String> {
    let all: Vec<String> = Settings::reference().into_keys().collect();
    let is_section = |key: &str| all.iter().any(|other| other.strip_prefix(key).is_some_and(|rest| rest.starts_with('.')));
    all.iter().filter(|key| !is_section(key)).cloned().collect()
}

/// All leaves, by dotted key.
fn flatten(config: &Config) -> BTreeMap<String, serde_json::Value> {
    fn walk(prefix: &str, value: serde_json::Value, into: &mut BTreeMap<String, serde_json::Value>) {
        match value {
            serde_json::Value::Object(fields) => {
                for (name, value) in fields {
                    let key = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
                    walk(&key, value, into);
                }
            }
            leaf => drop(into.insert(prefix.to_owned(), leaf)),
        }
    }
    let mut leaves = BTreeMap::new();
    if let Ok(tree) = config.clone().try_deserialize::<serde_json::Value>() {
        walk("", tree, &mut leaves);
    }
    leaves.remove("");
    leaves
}

fn hint(key: &str, known: &[String]) -> String {
    let last = key.rsplit('.').next().unwrap_or(key);
    let close = known.iter().find(|known| known.rsplit('.').next() == Some(last) || known.starts_with(&format!("{key}.")));
    match close {
        Some(known) => format!("; did you mean {known}?"),
        None => "; `tasklight config` lists them all".to_owned(),
    }
}

fn bad_value(error: &config::ConfigError, origins: &BTreeMap<String, String>) -> ConfigError {
    let text = error.to_string();
    let key = origins.keys().filter(|key| text.contains(&format!("`{key}`"))).max_by_key(|key| key.len());
    match key.and_then(|key| origins.get(key)) {
        Some(origin) => ConfigError::BadValue(format!("{text} (set by {origin})")),
        None => ConfigError::BadValue(text),
    }
}
