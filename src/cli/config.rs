//! `tasklight config`: what is in force, and why.

use std::{io::Write, path::PathBuf, process::ExitCode};

use anstyle::{AnsiColor, Style};
use clap::Args;
use serde_json::json;

use crate::config::{Settings, Sources, toml_notation};

/// Flags of `tasklight config`.
#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    /// The configuration file [default: tasklight.toml if it is there]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// One JSON object: key → {value, origin, meaning}
    #[arg(long)]
    json: bool,
    /// Every key with its form, default and meaning, as Markdown: the table of docs/configuration.md
    #[arg(long, conflicts_with_all = ["json", "config"])]
    reference: bool,
}

/// Prints every key with its value, origin and meaning. Passwords are masked.
pub(crate) fn run(args: &ConfigArgs) -> anyhow::Result<ExitCode> {
    if args.reference {
        write!(anstream::stdout().lock(), "{}", Settings::reference_text())?;
        return Ok(ExitCode::SUCCESS);
    }
    let loaded = Settings::load(&Sources { file: args.config.clone(), flags: Vec::new() })?;
    let meanings = Settings::reference();
    let values = loaded.settings.values();
    let origin = |key: &str| loaded.origins.get(key).map_or("default", String::as_str);
    let mut out = anstream::stdout().lock();
    if args.json {
        let all: serde_json::Map<_, _> = values
            .iter()
            .map(|(key, value)| {
                let value: serde_json::Value = serde_json::from_str(value).unwrap_or_else(|_| json!(value));
                (
                    key.clone(),
                    json!({"value": value, "origin": origin(key), "meaning": meanings.get(key).map(|meaning| &meaning.text)}),
                )
            })
            .collect();
        writeln!(out, "{}", serde_json::to_string_pretty(&all)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let (faint, set) = (Style::new().dimmed(), AnsiColor::Green.on_default());
    for (key, value) in &values {
        let origin = origin(key);
        let style = if origin == "default" { faint } else { set };
        let meaning = meanings.get(key).map_or("", |meaning| meaning.text.as_str());
        let value = serde_json::from_str(value).map_or_else(|_| value.clone(), |value| toml_notation(&value));
        writeln!(out, "{key} = {value}  {style}# {origin}{style:#}{faint}: {meaning}{faint:#}")?;
    }
    Ok(ExitCode::SUCCESS)
}
