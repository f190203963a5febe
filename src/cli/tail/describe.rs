//! An activity in a few words: what a person reading along wants to know of each type.

use anstyle::{AnsiColor, Style};
use serde_json::{Map, Value};

/// The most characters of a payload that is shown as JSON.
const JSON_CHARS: usize = 300;

/// The most lines of a tool's result.
const RESULT_LINES: usize = 20;

/// An activity's words: a label and a text, each in its style. The text may have several lines.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Description {
    pub label: String,
    pub label_style: Style,
    pub text: String,
    pub text_style: Style,
}

impl Description {
    fn new(label: impl Into<String>, label_style: Style, text: impl Into<String>) -> Self {
        Self { label: label.into(), label_style, text: text.into(), text_style: Style::new() }
    }

    fn text_style(self, text_style: Style) -> Self {
        Self { text_style, ..self }
    }
}

/// Describes a payload. Fields of other forms than expected are shown as they are.
pub(super) fn describe(kind: &str, data: &Map<String, Value>) -> Description {
    let colour = |colour: AnsiColor| colour.on_default();
    let faint = Style::new().dimmed();
    match kind {
        "status" => status(data),
        "message" => {
            let role = text(data, "role").unwrap_or_else(|| "message".to_owned());
            let style = if role == "user" { colour(AnsiColor::Green) } else { colour(AnsiColor::Cyan) };
            Description::new(role, style.bold(), text(data, "text").unwrap_or_else(|| json(data)))
        }
        "thinking" => {
            Description::new("thinking", faint, text(data, "text").unwrap_or_else(|| json(data))).text_style(faint.italic())
        }
        "tool_call" => {
            let name = text(data, "name").unwrap_or_else(|| "tool".to_owned());
            let input = data.get("input").map(|input| shortened(&input.to_string())).unwrap_or_default();
            Description::new(format!("→ {name}"), colour(AnsiColor::Blue).bold(), input)
        }
        "tool_result" => tool_result(data),
        "progress" => Description::new("progress", colour(AnsiColor::Blue), progress(data)),
        "error" => {
            let code = text(data, "code").map(|code| format!(" ({code})")).unwrap_or_default();
            let words = text(data, "message").unwrap_or_else(|| json(data));
            let red = colour(AnsiColor::Red);
            Description::new("error", red.bold(), words + &code).text_style(red)
        }
        "usage" => Description::new("usage", faint, usage(data)).text_style(faint),
        "custom" => {
            let name = text(data, "name").unwrap_or_else(|| kind.to_owned());
            let rest: Map<String, Value> =
                data.iter().filter(|(field, _)| *field != "name").map(|(field, value)| (field.clone(), value.clone())).collect();
            Description::new(shortened(&name), colour(AnsiColor::Magenta), json(&rest))
        }
        other => Description::new(other, colour(AnsiColor::Magenta), json(data)),
    }
}

fn status(data: &Map<String, Value>) -> Description {
    let word = text(data, "status").unwrap_or_default();
    let (mark, colour) = match word.as_str() {
        "running" => ("▶", AnsiColor::Blue),
        "completed" => ("✔", AnsiColor::Green),
        "failed" => ("✘", AnsiColor::Red),
        "cancelled" => ("■", AnsiColor::Yellow),
        "lost" => ("?", AnsiColor::Magenta),
        _ => ("•", AnsiColor::White),
    };
    let exit = data.get("exitCode").filter(|code| !code.is_null()).map(|code| format!("exit code {code}"));
    let agent = text(data, "agent").map(|agent| format!("({agent})"));
    let words: Vec<String> = [text(data, "title"), agent, exit, text(data, "reason")].into_iter().flatten().collect();
    Description::new(format!("{mark} {word}"), colour.on_default().bold(), words.join(" · "))
}

fn tool_result(data: &Map<String, Value>) -> Description {
    let output = match data.get("output") {
        Some(Value::String(output)) => output.clone(),
        Some(other) => shortened(&other.to_string()),
        None => json(data),
    };
    let mut lines = output.trim_end().lines();
    let mut shown = lines.by_ref().take(RESULT_LINES).collect::<Vec<_>>().join("\n");
    match lines.count() {
        0 => {}
        more => shown.push_str(&format!("\n… {more} more lines (--json shows all)")),
    }
    if data.get("isError").and_then(Value::as_bool).unwrap_or(false) {
        let red = AnsiColor::Red.on_default();
        return Description::new("← error", red.bold(), shown).text_style(red);
    }
    Description::new("←", AnsiColor::Blue.on_default(), shown).text_style(Style::new().dimmed())
}

fn progress(data: &Map<String, Value>) -> String {
    let percent = data.get("percent").and_then(Value::as_f64).map(|percent| format!("{percent:.0}%"));
    let count = match (data.get("current"), data.get("total")) {
        (Some(current), Some(total)) => Some(format!("{current}/{total}")),
        (Some(current), None) => Some(current.to_string()),
        _ => None,
    };
    let words: Vec<String> = [percent, count, text(data, "text")].into_iter().flatten().collect();
    if words.is_empty() { json(data) } else { words.join(" ") }
}

fn usage(data: &Map<String, Value>) -> String {
    let words = data.iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| match (name.as_str(), value) {
        ("inputTokens", value) => format!("{value} tokens in"),
        ("outputTokens", value) => format!("{value} tokens out"),
        ("costUsd", value) => format!("${value}"),
        (name, value) => format!("{name} {value}"),
    });
    shortened(&words.collect::<Vec<_>>().join(" · "))
}

fn text(data: &Map<String, Value>, name: &str) -> Option<String> {
    match data.get(name)? {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

fn json(data: &Map<String, Value>) -> String {
    shortened(&serde_json::to_string(data).unwrap_or_default())
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(JSON_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(kind: &str, data: &str) -> String {
        let data = serde_json::from_str(data).expect("an object");
        let Description { label, text, .. } = describe(kind, &data);
        format!("{label}|{text}")
    }

    #[test]
    fn each_type_is_said_in_its_own_words() {
        for (kind, data, words) in [
            ("status", r#"{"status":"failed","exitCode":2,"reason":"no rule"}"#, "✘ failed|exit code 2 · no rule"),
            ("status", r#"{"status":"running","agent":"make","title":"make -j4"}"#, "▶ running|make -j4 · (make)"),
            ("message", r#"{"role":"assistant","text":"hi\nyou"}"#, "assistant|hi\nyou"),
            ("message", r#"{"other":1}"#, r#"message|{"other":1}"#),
            ("tool_call", r#"{"name":"bash","input":{"command":"make"}}"#, r#"→ bash|{"command":"make"}"#),
            ("tool_result", r#"{"output":"a\nb\n"}"#, "←|a\nb"),
            ("tool_result", r#"{"output":{"a":1},"isError":true}"#, r#"← error|{"a":1}"#),
            ("progress", r#"{"percent":41.7,"current":3,"total":7,"text":"linking"}"#, "progress|42% 3/7 linking"),
            ("error", r#"{"message":"boom","code":"E1"}"#, "error|boom (E1)"),
            ("usage", r#"{"inputTokens":12,"costUsd":0.5}"#, "usage|$0.5 · 12 tokens in"),
            ("custom", r#"{"name":"hook","a":1}"#, r#"hook|{"a":1}"#),
            ("custom", r#"{"a":1}"#, r#"custom|{"a":1}"#),
            ("brand_new", r#"{"a":[1]}"#, r#"brand_new|{"a":[1]}"#),
        ] {
            assert_eq!(described(kind, data), words);
        }
    }

    #[test]
    fn long_payloads_are_cut() {
        let lines = "x\n".repeat(RESULT_LINES + 5);
        let data = serde_json::json!({"output": lines}).to_string();
        assert!(described("tool_result", &data).ends_with("… 5 more lines (--json shows all)"));
        let data = serde_json::json!({"name": "t", "input": "é".repeat(1_000)}).to_string();
        assert!(described("tool_call", &data).chars().count() < JSON_CHARS + 10);
    }
}
