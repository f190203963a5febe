//! Placeholders and matching, as sdk/conformance/README.md has them.

use std::collections::HashMap;

use regex::Regex;
use serde_json::Value;

/// The values of placeholders in one scenario.
#[derive(Debug, Clone)]
pub struct Names {
    values: HashMap<String, Value>,
    placeholder: Regex,
}

impl Names {
    pub fn new(values: impl IntoIterator<Item = (&'static str, Value)>) -> Self {
        let values = values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Self { values, placeholder: Regex::new(r"\$\{([a-z][a-zA-Z0-9]*|\*)\}").expect("a pattern") }
    }

    /// The same with one more.
    pub fn with(&self, name: &str, value: Value) -> Self {
        let mut names = self.clone();
        names.values.insert(name.to_owned(), value);
        names
    }

    /// What is sent, with every placeholder replaced.
    pub fn filled(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.filled_text(text)),
            Value::Array(items) => items.iter().map(|item| self.filled(item)).collect(),
            Value::Object(fields) => match (fields.get("$repeat"), fields.get("times")) {
                (Some(Value::String(text)), Some(times)) => {
                    text.repeat(times.as_u64().and_then(|times| times.try_into().ok()).expect("a count")).into()
                }
                _ => fields.iter().map(|(name, field)| (name.clone(), self.filled(field))).collect(),
            },
            other => other.clone(),
        }
    }

    pub fn filled_text(&self, text: &str) -> String {
        let value = |found: &regex::Captures<'_>| plain(self.values.get(&found[1]).expect("a placeholder with a value"));
        self.placeholder.replace_all(text, value).into_owned()
    }

    /// Says where what was found is not what is wanted. Remembers what placeholders took.
    pub fn check(&mut self, wanted: &Value, found: &Value, place: &str) -> Result<(), String> {
        match (wanted, found) {
            (Value::String(text), found) => self.check_text(text, found, place),
            (Value::Array(wanted), Value::Array(found)) => {
                if wanted.len() != found.len() {
                    return Err(format!("{place}: {} for {}", found.len(), wanted.len()));
                }
                let mut pairs = wanted.iter().zip(found).enumerate();
                pairs.try_for_each(|(index, (wanted, found))| self.check(wanted, found, &format!("{place}[{index}]")))
            }
            (Value::Object(wanted), Value::Object(found)) => wanted.iter().try_for_each(|(name, field)| {
                let value = found.get(name).unwrap_or(&Value::Null);
                self.check(field, value, &format!("{place}.{name}"))
            }),
            (wanted, found) if wanted == found => Ok(()),
            (wanted, found) => Err(format!("{place}: {found}, not {wanted}")),
        }
    }

    fn check_text(&mut self, wanted: &str, found: &Value, place: &str) -> Result<(), String> {
        let bad = || format!("{place}: {found}, not {wanted:?}");
        if let Some(whole) = self.placeholder.captures(wanted).filter(|whole| whole[0] == *wanted) {
            if &whole[1] == "*" {
                return if found.is_null() { Err(bad()) } else { Ok(()) };
            }
            let value = self.values.entry(whole[1].to_owned()).or_insert_with(|| found.clone());
            return if value == found { Ok(()) } else { Err(bad()) };
        }
        let (mut pattern, mut unknown, mut end) = ("(?s)^".to_owned(), None, 0);
        for place in self.placeholder.captures_iter(wanted) {
            let whole = place.get(0).expect("a match");
            pattern += &regex::escape(&wanted[end..whole.start()]);
            end = whole.end();
            match self.values.get(&place[1]) {
                Some(value) => pattern += &regex::escape(&plain(value)),
                None if unknown.is_none() => {
                    pattern += "(.+)";
                    unknown = Some(place[1].to_owned());
                }
                None => return Err(format!("{wanted}: more than one name is without a value")),
            }
        }
        pattern += &regex::escape(&wanted[end..]);
        pattern += "$";
        let pattern = Regex::new(&pattern).expect("a pattern");
        let captures = found.as_str().and_then(|found| pattern.captures(found)).ok_or_else(bad)?;
        if let Some(name) = unknown.filter(|name| name != "*") {
            self.values.insert(name, captures[1].into());
        }
        Ok(())
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
