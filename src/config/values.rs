//! The forms of values: durations as `30s`, sizes as `64KiB`, lists as arrays or with commas.

use std::{fmt, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A duration, written `250ms`, `30s`, `5m`, `1h 30m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span(Duration);

/// The longest one, a hundred years: what is added to the time of day must still be a time.
const LONGEST: Duration = Duration::from_secs(100 * 366 * 24 * 3_600);

impl Span {
    pub(super) const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    pub(super) const fn millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    /// The duration.
    pub fn get(self) -> Duration {
        self.0
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = humantime::format_duration(self.0).to_string();
        f.write_str(&text)
    }
}

impl std::str::FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let span = humantime::parse_duration(text).map_err(|_| format!("{text:?} is not a duration such as 250ms, 30s or 5m"))?;
        if LONGEST < span { Err(format!("{text:?} is longer than a hundred years")) } else { Ok(Self(span)) }
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// A number of bytes, written `64KiB`, `4MiB`, `1GiB` or as a plain number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(usize);

/// The units, largest first.
const UNITS: [(&str, usize); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

impl Size {
    pub(super) const fn kibibytes(count: usize) -> Self {
        Self(count << 10)
    }

    pub(super) const fn mebibytes(count: usize) -> Self {
        Self(count << 20)
    }

    /// The number of bytes.
    pub fn bytes(self) -> usize {
        self.0
    }

    fn parse(text: &str) -> Option<Self> {
        let (number, unit) = UNITS.iter().find_map(|(name, unit)| Some((text.strip_suffix(name)?, *unit))).unwrap_or((text, 1));
        number.trim().parse::<usize>().ok()?.checked_mul(unit).map(Self)
    }
}

impl std::str::FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::parse(text).ok_or_else(|| format!("{text:?} is not a size such as 64KiB or 4MiB"))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0");
        }
        let (name, unit) = UNITS.into_iter().find(|(_, unit)| self.0.is_multiple_of(*unit)).unwrap_or(("B", 1));
        write!(f, "{}{name}", self.0 / unit)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// Several words, as an array or separated by commas.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct List(Vec<String>);

impl List {
    /// The words.
    pub fn words(&self) -> &[String] {
        &self.0
    }
}

impl<'de> Deserialize<'de> for List {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Words;
        impl<'de> de::Visitor<'de> for Words {
            type Value = List;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of words, or words separated by commas")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<List, E> {
                let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
                Ok(List(words.map(str::to_owned).collect()))
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut sequence: A) -> Result<List, A::Error> {
                let mut words = Vec::new();
                while let Some(word) = sequence.next_element()? {
                    words.push(word);
                }
                Ok(List(words))
            }
        }
        deserializer.deserialize_any(Words)
    }
}

/// A secret: shown nowhere, not even where the configuration is shown.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Hidden(String);

impl Hidden {
    /// The secret; empty if there is none.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "" } else { "[redacted]" })
    }
}

macro_rules! serialize_as_text {
    ($($name:ty),*) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    )*};
}
serialize_as_text!(Span, Size, Hidden);

/// A value in TOML's notation: as JSON writes it, but for objects, which are inline tables.
pub(crate) fn toml_notation(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Array(items) => format!("[{}]", items.iter().map(toml_notation).collect::<Vec<_>>().join(",")),
        serde_json::Value::Object(fields) => {
            let fields: Vec<_> = fields.iter().map(|(name, value)| format!("{name} = {}", toml_notation(value))).collect();
            format!("{{ {} }}", fields.join(", "))
        }
        plain => plain.to_string(),
    }
}

/// The value with the passwords of a URL in it replaced: that of its login, and those among its parameters.
pub(super) fn masked(value: &serde_json::Value) -> serde_json::Value {
    let serde_json::Value::String(text) = value else { return value.clone() };
    let Some((scheme, rest)) = text.split_once("://") else { return value.clone() };
    let (login, rest) = rest.rsplit_once('@').map_or((None, rest), |(login, rest)| (Some(login), rest));
    let login = login.map(|login| format!("{}:[redacted]@", login.split_once(':').map_or(login, |(user, _)| user)));
    let rest = match rest.split_once('?') {
        Some((place, parameters)) => {
            let parameters: Vec<_> = parameters.split('&').map(masked_parameter).collect();
            format!("{place}?{}", parameters.join("&"))
        }
        None => rest.to_owned(),
    };
    serde_json::Value::String(format!("{scheme}://{}{rest}", login.unwrap_or_default()))
}

fn masked_parameter(parameter: &str) -> String {
    match parameter.split_once('=') {
        Some((name, _)) if name.ends_with("password") => format!("{name}=[redacted]"),
        _ => parameter.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_back_what_they_write() {
        for (text, bytes, written) in [
            ("0", 0, "0"),
            ("64KiB", 65_536, "64KiB"),
            ("4 MiB", 4 << 20, "4MiB"),
            ("1000", 1_000, "1000B"),
            ("2048B", 2_048, "2KiB"),
        ] {
            let size: Size = text.parse().expect(text);
            assert_eq!((size.bytes(), size.to_string().as_str()), (bytes, written));
        }
        for bad in ["", "KiB", "64kb", "-1", "1.5MiB", "99999999999GiB"] {
            assert!(bad.parse::<Size>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn tables_in_lists_are_written_so_that_toml_reads_them() {
        let value = serde_json::json!([{"name": "a \"b\"", "on": ["lost", "failed"]}, {}, 7, true]);
        let written = toml_notation(&value);
        assert_eq!(written, r#"[{ name = "a \"b\"", on = ["lost","failed"] },{  },7,true]"#);
        let read: toml::Table = format!("x = {written}").parse().expect("TOML");
        assert_eq!(serde_json::to_value(&read["x"]).expect("JSON"), value);
    }

    #[test]
    fn passwords_in_urls_are_masked() {
        let masked = |text: &str| masked(&text.into());
        assert_eq!(masked("postgres://me:hunter2@db/tasks"), "postgres://me:[redacted]@db/tasks");
        assert_eq!(masked("sqlite://data/a.db"), "sqlite://data/a.db");
        let sentinel = "redis+sentinel://hub:a@10.0.0.5/main?tls=true&sentinel_user=s&sentinel_password=b";
        let shown = "redis+sentinel://hub:[redacted]@10.0.0.5/main?tls=true&sentinel_user=s&sentinel_password=[redacted]";
        assert_eq!(masked(sentinel), shown);
        assert_eq!(masked("postgres://db/x?password=hunter2"), "postgres://db/x?password=[redacted]");
    }
}
