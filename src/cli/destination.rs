//! Where `run` and `publish` deliver: to a hub by HTTP, or over Redis, which needs no way to a hub.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use clap::{ArgMatches, Args, FromArgMatches, error::ErrorKind, parser::ValueSource};

use super::hub_args::HubArgs;
use crate::{
    broker::{AddressError, EnvelopeKey, RedisAddress},
    client::{ClientError, Publisher, RedisPublisher},
    model::TaskId,
};

/// The most bytes that are read of a file with a key.
const KEY_BYTES: u64 = 4_096;

/// The flags of commands that publish.
#[derive(Debug, Clone)]
pub(crate) struct DestinationArgs {
    hub: HubArgs,
    /// Whether the hub was named, by whatever means.
    hub_is_known: bool,
    /// None if activities go to the hub.
    redis: Option<Redis>,
}

#[derive(Debug, Clone)]
struct Redis {
    address: RedisAddress,
    key: Option<EnvelopeKey>,
    flags: RedisFlags,
}

#[derive(Debug, Args)]
struct Flags {
    #[command(flatten)]
    hub: HubArgs,
    #[command(flatten)]
    redis: RedisFlags,
}

#[derive(Clone, Args)]
#[command(next_help_heading = "Redis")]
struct RedisFlags {
    /// Publish over this Redis instead of HTTP: redis://, rediss:// (TLS), redis+sentinel:// or redis+cluster://. A --hub beside it only
    /// says where people watch; a --hub without it wins over the environment's Redis. A URL with a password is better given by the
    /// environment
    #[arg(long = "redis", value_name = "URL", env = "TASKLIGHT_REDIS", hide_env_values = true)]
    url: Option<String>,
    /// What the names of the hubs' channels begin with: their broker.prefix
    #[arg(long = "redis-prefix", value_name = "PREFIX", env = "TASKLIGHT_REDIS_PREFIX", default_value = "tasklight:")]
    prefix: String,
    /// Certificates (PEM) of who may sign Redis's own, if not one of the web's authorities
    #[arg(long = "redis-ca-file", value_name = "FILE", env = "TASKLIGHT_REDIS_CA_FILE")]
    ca_file: Option<PathBuf>,
    /// A file with the key (tle_ID_SECRET) that messages are signed with, where hubs ask for signed envelopes
    #[arg(long = "envelope-key", value_name = "FILE", env = "TASKLIGHT_ENVELOPE_KEY")]
    envelope_key: Option<PathBuf>,
}

impl std::fmt::Debug for RedisFlags {
    /// Without the URL, which may hold a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisFlags").field("prefix", &self.prefix).field("ca_file", &self.ca_file).finish_non_exhaustive()
    }
}

impl RedisFlags {
    /// The address, if one is given. Read here and not by clap, which would show what it could not read.
    fn address(&self) -> Result<Option<RedisAddress>, AddressError> {
        let Some(url) = self.url.as_deref().filter(|url| !url.is_empty()) else { return Ok(None) };
        let address: RedisAddress = url.parse()?;
        self.ca_file.as_deref().map_or(Ok(address.clone()), |path| address.with_authorities(path)).map(Some)
    }
}

/// The key in a file, with blanks around it or without. What is wrong with it is said without it.
fn read_key(path: &Path) -> Result<EnvelopeKey, String> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(KEY_BYTES).read_to_string(&mut text));
    read.map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
    text.trim().parse().map_err(|error| format!("{}: {error}", path.display()))
}

impl FromArgMatches for DestinationArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let Flags { hub, redis: flags } = Flags::from_arg_matches(matches)?;
        let (from_hub, from_redis) = (matches.value_source("hub"), matches.value_source("url"));
        let hub_wins = from_hub == Some(ValueSource::CommandLine) && from_redis != from_hub;
        let address = if hub_wins { Ok(None) } else { flags.address() };
        let address = address.map_err(|error| clap::Error::raw(ErrorKind::ValueValidation, format!("--redis: {error}\n")))?;
        let path = flags.envelope_key.as_deref().filter(|path| address.is_some() && !path.as_os_str().is_empty());
        let key = path.map(read_key).transpose();
        let key = key.map_err(|error| clap::Error::raw(ErrorKind::ValueValidation, format!("--envelope-key: {error}\n")))?;
        let redis = address.map(|address| Redis { address, key, flags });
        Ok(Self { hub, hub_is_known: from_hub != Some(ValueSource::DefaultValue), redis })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for DestinationArgs {
    fn augment_args(command: clap::Command) -> clap::Command {
        Flags::augment_args(command)
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Flags::augment_args_for_update(command)
    }
}

impl DestinationArgs {
    /// Who delivers this task's activities. Begins to connect.
    pub(crate) fn publisher(&self, task: &TaskId) -> Result<Publisher, ClientError> {
        match &self.redis {
            Some(Redis { address, key, flags }) => {
                let publisher = RedisPublisher::new(address, &flags.prefix, task.clone())?;
                let publisher = match key {
                    Some(key) => publisher.sealed_with(key.clone()),
                    None => publisher,
                };
                Ok(Publisher::Redis(Box::new(publisher)))
            }
            None => Ok(Publisher::Hub(self.hub.client()?, task.clone())),
        }
    }

    /// What a person is told at the start: where to watch, or at least where it goes.
    pub(crate) fn announcement(&self, task: &TaskId) -> Result<String, ClientError> {
        match &self.redis {
            Some(redis) if !self.hub_is_known => Ok(format!("publishing to {task} over {}", redis.address)),
            _ => Ok(format!("watch at {}", self.hub.client()?.page_of(task))),
        }
    }

    /// What a command inherits, or must not, so that it delivers to the same place.
    pub(crate) fn environment(&self) -> Vec<(&'static str, Option<String>)> {
        let hub = (self.redis.is_none() || self.hub_is_known).then(|| self.hub.url().to_owned());
        let mut variables = vec![("TASKLIGHT_HUB", hub), ("TASKLIGHT_REDIS", None)];
        if let Some(Redis { flags, .. }) = &self.redis {
            variables[1].1 = flags.url.clone();
            variables.push(("TASKLIGHT_REDIS_PREFIX", Some(flags.prefix.clone())));
            let files = [("TASKLIGHT_REDIS_CA_FILE", &flags.ca_file), ("TASKLIGHT_ENVELOPE_KEY", &flags.envelope_key)];
            variables
                .extend(files.map(|(name, path)| Some((name, Some(path.as_ref()?.display().to_string())))).into_iter().flatten());
        }
        variables
    }

    /// The flags that name the same place. What may be secret is left out of a URL.
    pub(crate) fn flags(&self) -> Vec<String> {
        let Some(Redis { address, flags, .. }) = &self.redis else { return vec!["--hub".to_owned(), self.hub.url().to_owned()] };
        let plain = flags.url.clone().filter(|url| !url.contains(['@', '?']));
        let mut words = vec!["--redis".to_owned(), plain.unwrap_or_else(|| address.to_string())];
        if flags.prefix != "tasklight:" {
            words.extend(["--redis-prefix".to_owned(), flags.prefix.clone()]);
        }
        if let Some(path) = &flags.envelope_key {
            words.extend(["--envelope-key".to_owned(), path.display().to_string()]);
        }
        words
    }
}
