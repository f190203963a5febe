//! What is kept no longer.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Deserializer, Serialize, de};

use crate::config::{Size, Span};

settings! {
    /// `[retention]`
    RetentionSettings {
        /// Activities that the hub took longer ago than this are removed; `0s`: never.
        max_age: Span = Span::seconds(0),
        /// The most activities that are kept of a task, the newest; 0: all.
        max_activities: usize = 0,
        /// The most bytes of payloads that are kept of a task, the newest; 0: all.
        max_bytes: Size = Size::kibibytes(0),
        /// A task of whose runs none is open is deleted so long after its last activity; `0s`: never.
        finished_max_age: Span = Span::seconds(0),
        /// For tasks with a label: tables with `label` and any of the four above in their place. The first that fits a task counts.
        rules: RetentionRules = RetentionRules::default(),
        /// Where activities are written to before they are removed: `file:///PATH` or `s3://BUCKET/PREFIX`; empty: nowhere.
        archive: String = String::new(),
        /// The URL of an S3-compatible server; empty for Amazon's in the region.
        archive_endpoint: String = String::new(),
        /// The region of the bucket.
        archive_region: String = "us-east-1".to_owned(),
        /// A file with the bucket's credentials, as AWS's tools keep them (`[default]` with `aws_access_key_id` and `aws_secret_access_key`); empty: the environment.
        archive_credentials_file: String = String::new(),
        /// How often all tasks are looked at.
        interval: Span = Span::seconds(600),
        /// The most activities that are removed in one transaction.
        bite: usize = 2_000,
        /// The share of the time that removing may take, in percent; for the rest it pauses.
        busy_percent: usize = 25,
    }
}

/// What holds for tasks with a label, in the place of what holds for all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetentionRule {
    /// `name=value`, or `name` for any value.
    pub label: String,
    /// In the place of `retention.max_age`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age: Option<Span>,
    /// In the place of `retention.max_activities`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_activities: Option<usize>,
    /// In the place of `retention.max_bytes`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<Size>,
    /// In the place of `retention.finished_max_age`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_max_age: Option<Span>,
}

/// Rules in their order: an array of tables, or, where only a text can be given, that array in TOML's notation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct RetentionRules(pub Vec<RetentionRule>);

impl<'de> Deserialize<'de> for RetentionRules {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Rules;
        impl<'de> de::Visitor<'de> for Rules {
            type Value = RetentionRules;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of tables such as {label = \"kind=ci\", max_age = \"7d\"}")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<RetentionRules, E> {
                #[derive(Deserialize)]
                struct Document {
                    rules: Vec<RetentionRule>,
                }
                if text.trim().is_empty() {
                    return Ok(RetentionRules::default());
                }
                let Document { rules } = toml::from_str(&format!("rules = {text}")).map_err(|error| {
                    E::custom(format!("{} (it is written [{{label = \"kind=ci\", max_age = \"7d\"}}])", error.message()))
                })?;
                Ok(RetentionRules(rules))
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut sequence: A) -> Result<RetentionRules, A::Error> {
                let mut rules = Vec::new();
                while let Some(rule) = sequence.next_element()? {
                    rules.push(rule);
                }
                Ok(RetentionRules(rules))
            }
        }
        deserializer.deserialize_any(Rules)
    }
}
