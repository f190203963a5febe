//! Our hooks in the text of Claude Code's settings: put in and taken out, and nothing else of the text is touched.
//!
//! The text is edited, not written anew: what is not ours keeps its bytes, its order, and fields that nobody here knows. Ours are told by
//! their address, so that they are found again whichever hub they name.

use serde_json::{Value, value::RawValue};

use crate::model::Fields;

/// What the address of each of our hooks has in it.
const OURS: &str = "/v1/hooks/claude";

/// Why a text cannot be edited.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum SettingsError {
    /// It is not JSON.
    #[error("it is not a JSON object ({0}); mend it first, nothing was changed")]
    NotJson(String),
    /// A part of it has another form than Claude Code's settings have.
    #[error("{0} is not {1}; mend it first, nothing was changed")]
    OtherForm(String, &'static str),
}

/// The text with `hook` (a JSON object) in each of `events`, in place of any of ours that were there.
pub(super) fn install(text: &str, events: &[&str], hook: &Value) -> Result<String, SettingsError> {
    let text = if text.trim().is_empty() { "{}\n" } else { text };
    let mut hooks = Hooks::read(text)?;
    hooks.take_out();
    let group = format!("{{\"hooks\": [{hook}]}}");
    for event in events {
        hooks.of(event).push(group.clone());
    }
    Ok(replace(text, Some(&hooks.render()))?.unwrap_or_else(|| text.to_owned()))
}

/// The text without any of ours. Nothing if there are none.
pub(super) fn remove(text: &str) -> Result<Option<String>, SettingsError> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    let mut hooks = Hooks::read(text)?;
    if !hooks.take_out() {
        return Ok(None);
    }
    hooks.events.retain(|event| !event.groups.is_empty() || event.was_empty);
    let rest = if hooks.events.is_empty() { None } else { Some(hooks.render()) };
    replace(text, rest.as_deref())
}

/// The events that ours are in, and their addresses, each once.
pub(super) fn installed(text: &str) -> Result<Vec<(String, String)>, SettingsError> {
    let mut found = Vec::new();
    if text.trim().is_empty() {
        return Ok(found);
    }
    for event in Hooks::read(text)?.events {
        for group in &event.groups {
            let group: Value = serde_json::from_str(group).unwrap_or_default();
            let hooks = group["hooks"].as_array().into_iter().flatten();
            found.extend(hooks.filter(|hook| is_ours(hook)).map(|hook| (event.name.clone(), address(hook).to_owned())));
        }
    }
    Ok(found)
}

fn address(hook: &Value) -> &str {
    hook["url"].as_str().unwrap_or_default()
}

fn is_ours(hook: &Value) -> bool {
    hook["type"] == "http" && address(hook).contains(OURS)
}

/// The value of `hooks`.
struct Hooks {
    events: Vec<Event>,
}

/// One event and its groups of hooks, each as it is written.
struct Event {
    name: String,
    groups: Vec<String>,
    was_empty: bool,
}

impl Hooks {
    fn read(text: &str) -> Result<Self, SettingsError> {
        let Some(raw) = root(text)?.0.into_iter().find(|(name, _)| name == "hooks").map(|(_, value)| value) else {
            return Ok(Self { events: Vec::new() });
        };
        let form = |part: &str, form| SettingsError::OtherForm(part.to_owned(), form);
        let fields: Fields<'_> = serde_json::from_str(raw.get()).map_err(|_| form("hooks", "an object"))?;
        let event = |(name, value): (std::borrow::Cow<'_, str>, &RawValue)| {
            let groups: Vec<&RawValue> =
                serde_json::from_str(value.get()).map_err(|_| form(&format!("hooks.{name}"), "an array"))?;
            let groups: Vec<String> = groups.into_iter().map(|group| group.get().to_owned()).collect();
            Ok(Event { name: name.into_owned(), was_empty: groups.is_empty(), groups })
        };
        Ok(Self { events: fields.0.into_iter().map(event).collect::<Result<_, _>>()? })
    }

    /// Removes ours; says whether there were any.
    fn take_out(&mut self) -> bool {
        let mut any = false;
        for event in &mut self.events {
            event.groups = std::mem::take(&mut event.groups)
                .into_iter()
                .filter_map(|group| match without_ours(&group) {
                    None => Some(group),
                    Some(rest) => {
                        any = true;
                        rest
                    }
                })
                .collect();
        }
        any
    }

    fn of(&mut self, name: &str) -> &mut Vec<String> {
        let index = self.events.iter().position(|event| event.name == name).unwrap_or_else(|| {
            self.events.push(Event { name: name.to_owned(), groups: Vec::new(), was_empty: false });
            self.events.len() - 1
        });
        &mut self.events[index].groups
    }

    /// As people write it, one level deep in its file.
    fn render(&self) -> String {
        let event = |event: &Event| {
            let name = Value::from(event.name.as_str());
            if event.groups.is_empty() {
                return format!("    {name}: []");
            }
            let groups: Vec<String> = event.groups.iter().map(|group| format!("      {group}")).collect();
            format!("    {name}: [\n{}\n    ]", groups.join(",\n"))
        };
        let events: Vec<String> = self.events.iter().map(event).collect();
        format!("{{\n{}\n  }}", events.join(",\n"))
    }
}

/// A group without ours: nothing if it has none of them, and no group if it had nothing else.
fn without_ours(group: &str) -> Option<Option<String>> {
    let Fields(fields) = serde_json::from_str(group).ok()?;
    let (_, list) = fields.iter().find(|(name, _)| name == "hooks")?;
    let hooks: Vec<&RawValue> = serde_json::from_str(list.get()).ok()?;
    let ours = |hook: &&RawValue| serde_json::from_str::<Value>(hook.get()).is_ok_and(|hook| is_ours(&hook));
    let theirs: Vec<&str> = hooks.iter().filter(|hook| !ours(hook)).map(|hook| hook.get()).collect();
    if theirs.len() == hooks.len() {
        return None;
    }
    if theirs.is_empty() {
        return Some(None);
    }
    let place = place_of(group, list);
    Some(Some(format!("{}[{}]{}", &group[..place.start], theirs.join(", "), &group[place.end..])))
}

fn root(text: &str) -> Result<Fields<'_>, SettingsError> {
    serde_json::from_str(text).map_err(|error| SettingsError::NotJson(error.to_string()))
}

/// Where a value stands in the text that it was read from.
fn place_of(text: &str, value: &RawValue) -> std::ops::Range<usize> {
    let start = value.get().as_ptr() as usize - text.as_ptr() as usize;
    start..start + value.get().len()
}

/// The text with this value of `hooks`, or without any. Nothing if that is how it is.
fn replace(text: &str, hooks: Option<&str>) -> Result<Option<String>, SettingsError> {
    let Fields(fields) = root(text)?;
    let at = fields.iter().position(|(name, _)| name == "hooks");
    let places: Vec<_> = fields.iter().map(|(_, value)| place_of(text, value)).collect();
    let open = text.find('{').map_or(0, |at| at + 1);
    let spliced = |range: std::ops::Range<usize>, with: &str| format!("{}{with}{}", &text[..range.start], &text[range.end..]);
    let edited = match (at, hooks) {
        (None, None) => return Ok(None),
        (Some(at), Some(hooks)) => spliced(places[at].clone(), hooks),
        (None, Some(hooks)) => match places.last() {
            Some(last) => spliced(last.end..last.end, &format!(",\n  \"hooks\": {hooks}")),
            None => {
                let close = text.rfind('}').unwrap_or(text.len());
                spliced(open..close, &format!("\n  \"hooks\": {hooks}\n"))
            }
        },
        (Some(0), None) => match places.get(1) {
            // From its name to the name of the next.
            Some(_) => spliced(next_name(text, open)..next_name(text, places[0].end), ""),
            None => spliced(open..text.rfind('}').unwrap_or(text.len()), ""),
        },
        (Some(at), None) => spliced(places[at - 1].end..places[at].end, ""),
    };
    Ok((edited != text).then_some(edited))
}

/// Where the next name begins: only blanks and a comma stand before it.
fn next_name(text: &str, from: usize) -> usize {
    text[from..].find('"').map_or(from, |at| from + at)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const EVENTS: [&str; 2] = ["PreToolUse", "Stop"];

    fn hook() -> Value {
        json!({"type": "http", "url": "http://127.0.0.1:8080/v1/hooks/claude?task=web", "timeout": 5})
    }

    #[test]
    fn what_was_put_in_can_be_taken_out_and_leaves_no_trace() {
        for text in [
            "{\n  \"model\": \"opus\",\n  \"zeta\": 1.50,\n  \"alpha\": {\"b\":1,   \"a\":2}\n}\n",
            "{\"model\":\"opus\"}",
            "{\n  \"hooks\": {\n    \"Stop\": [\n      {\"hooks\": [ {\"type\": \"command\", \"command\": \"x\"} ]}\n    ]\n  },\n  \"model\": \"a\"\n}",
            "{\n  \"a\": 1,\n  \"hooks\": {\n    \"PreToolUse\": [\n      {\"matcher\": \"Bash\", \"new\": [1], \"hooks\": []}\n    ]\n  },\n  \"b\": 2\n}",
            "{}",
        ] {
            let with = install(text, &EVENTS, &hook()).expect(text);
            let value: Value = serde_json::from_str(&with).expect(&with);
            for event in EVENTS {
                let groups = value["hooks"][event].as_array().expect(event);
                assert_eq!(groups.last().expect("a group")["hooks"], json!([hook()]), "{with}");
            }
            assert_eq!(install(&with, &EVENTS, &hook()).expect("again"), with, "no doubles");
            assert_eq!(remove(&with).expect("removed").as_deref(), Some(text));
            assert_eq!(installed(&with).expect("read").len(), 2);
        }
        let with = install("", &EVENTS, &hook()).expect("of nothing");
        assert_eq!(remove(&with).expect("removed").as_deref(), Some("{}\n"));
    }

    #[test]
    fn another_address_takes_the_place_of_the_old_one_and_neighbours_stay() {
        let old = json!({"type": "http", "url": "http://old/v1/hooks/claude"});
        let theirs = json!({"type": "command", "command": "x", "unknown": 1});
        let text = json!({"hooks": {"Stop": [{"matcher": "*", "hooks": [theirs, old]}], "Other": []}}).to_string();
        let with = install(&text, &EVENTS, &hook()).expect("installed");
        let value: Value = serde_json::from_str(&with).expect("JSON");
        assert_eq!(value["hooks"]["Stop"], json!([{"matcher": "*", "hooks": [theirs]}, {"hooks": [hook()]}]));
        let value: Value = serde_json::from_str(&remove(&with).expect("removed").expect("changed")).expect("JSON");
        assert_eq!(value, json!({"hooks": {"Stop": [{"matcher": "*", "hooks": [theirs]}], "Other": []}}));
    }

    #[test]
    fn what_has_another_form_is_left_alone() {
        for text in ["[]", "{", "// {}", "{\"hooks\": []}", "{\"hooks\": {\"Stop\": {}}}"] {
            assert!(install(text, &EVENTS, &hook()).is_err(), "{text}");
            assert!(remove(text).is_err(), "{text}");
        }
        assert_eq!(remove("{\"a\": 1}"), Ok(None));
        let others = "{\"hooks\": {\"Stop\": [{\"hooks\": [{\"type\": \"http\", \"url\": \"http://x/hook\"}]}]}}";
        assert_eq!(remove(others), Ok(None));
    }
}
