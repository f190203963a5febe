//! The flag that says what a stream is written in.

use std::str::FromStr;

use crate::{
    formats::{Choice, Format},
    model::Invalid,
};

/// As `--format` takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FormatChoice(pub Choice);

impl FromStr for FormatChoice {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text == "auto" {
            return Ok(Self(Choice::Auto));
        }
        text.parse::<Format>()
            .map(|format| Self(Choice::Known(format)))
            .map_err(|error| Invalid::new(format!("{error}, or auto; `tasklight formats` says what each is")))
    }
}
