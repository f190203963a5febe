//! Which format a command or a line is in, and what would make an agent write one.

use serde_json::Value;

use super::{ABOUT, Format};

/// What is advised for a command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advice {
    /// What it will print.
    pub format: Format,
    /// The command line with the flags in it; the same if nothing has to be added.
    pub command: Vec<String>,
    /// The flags that were added.
    pub added: Vec<&'static str>,
}

/// What a known agent's command line would print, and what to add so that it does. Nothing for other programs, and for agents that are
/// started to talk with a person or told to print something else.
pub fn advise(command: &[String]) -> Option<Advice> {
    let program = command.first()?.rsplit('/').next()?;
    let words: Vec<&str> = command[1..].iter().map(String::as_str).take_while(|word| *word != "--").collect();
    let has = |names: &[&str]| words.iter().any(|word| names.iter().any(|name| is_flag(word, name)));
    let verb = |names: &[&str]| words.iter().position(|word| names.contains(word)).map(|at| at + 2);
    // Behind the verb, or else behind the program's name: before anything that could be a prompt.
    let (format, at, has_output) = match program {
        "claude" if has(&["-p", "--print"]) => (Format::Claude, 1, has(&["--output-format"])),
        "codex" => (Format::Codex, verb(&["exec", "e"])?, has(&["--json", "--experimental-json"])),
        "gemini" if has(&["-p", "--prompt"]) => (Format::Gemini, 1, has(&["-o", "--output-format"])),
        "opencode" => (Format::Opencode, verb(&["run"])?, has(&["--format"])),
        "cursor-agent" if has(&["-p", "--print"]) => (Format::Cursor, 1, has(&["--output-format"])),
        "amp" if has(&["-x", "--execute"]) => (Format::Amp, 1, has(&["--stream-json"])),
        "goose" => (Format::Goose, verb(&["run"])?, has(&["--output-format"])),
        _ => return None,
    };
    let flags = ABOUT.iter().find(|about| about.format == format).map_or(&[][..], |about| about.flags);
    if has_output {
        let as_wanted = flags.len() == 1 || names_value(&words, flags[0], flags[1]) || names_value(&words, "-o", flags[1]);
        return as_wanted.then(|| Advice { format, command: command.to_vec(), added: Vec::new() });
    }
    let mut with = command.to_vec();
    let added: Vec<&'static str> = flags.iter().copied().filter(|flag| !flag.starts_with("--verbose") || !has(&[flag])).collect();
    with.splice(at..at, added.iter().map(|flag| (*flag).to_owned()));
    Some(Advice { format, command: with, added })
}

/// Whether `word` is this flag, by itself or with its value behind `=`.
fn is_flag(word: &str, name: &str) -> bool {
    word == name || word.strip_prefix(name).is_some_and(|rest| rest.starts_with('='))
}

fn names_value(words: &[&str], flag: &str, value: &str) -> bool {
    let joined = format!("{flag}={value}");
    words.contains(&joined.as_str()) || words.windows(2).any(|pair| pair == [flag, value])
}

/// The format that a stream with this line in it is in, if the line gives it away.
pub fn of_line(value: &Value) -> Option<Format> {
    let has = |name: &str| value.get(name).is_some();
    match value["type"].as_str() {
        Some("thread.started") => Some(Format::Codex),
        Some("init") if has("timestamp") && has("session_id") => Some(Format::Gemini),
        Some("step_start" | "text" | "tool_use" | "step_finish") if has("sessionID") && has("part") => Some(Format::Opencode),
        Some("system") if value["subtype"] == "init" => {
            if value["session_id"].as_str().is_some_and(|id| id.starts_with("T-")) {
                return Some(Format::Amp);
            }
            match (has("claude_code_version") || has("tools"), has("apiKeySource") && has("model")) {
                (true, _) => Some(Format::Claude),
                (false, true) => Some(Format::Cursor),
                (false, false) => None,
            }
        }
        // Hooks are told of before the beginning.
        Some("system") if has("hook_event") && has("session_id") => Some(Format::Claude),
        Some("message") if value["message"]["content"].is_array() && value["message"]["role"].is_string() => Some(Format::Goose),
        Some("complete") if has("total_tokens") => Some(Format::Goose),
        None if has("id") && value["msg"]["type"].is_string() => Some(Format::Codex),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn agents_are_told_to_talk_json_and_others_are_left_alone() {
        for (command, format, with) in [
            ("claude -p hi", Format::Claude, "claude --output-format stream-json --verbose -p hi"),
            (
                "/usr/bin/claude --verbose --print hi",
                Format::Claude,
                "/usr/bin/claude --output-format stream-json --verbose --print hi",
            ),
            (
                "claude -p hi --output-format=stream-json --verbose",
                Format::Claude,
                "claude -p hi --output-format=stream-json --verbose",
            ),
            ("codex exec hi", Format::Codex, "codex exec --json hi"),
            ("codex -m gpt exec --json hi", Format::Codex, "codex -m gpt exec --json hi"),
            ("gemini -p hi", Format::Gemini, "gemini --output-format stream-json -p hi"),
            ("gemini -p hi -o stream-json", Format::Gemini, "gemini -p hi -o stream-json"),
            ("opencode run hi", Format::Opencode, "opencode run --format json hi"),
            ("cursor-agent -p hi", Format::Cursor, "cursor-agent --output-format stream-json -p hi"),
            ("amp -x hi", Format::Amp, "amp --stream-json -x hi"),
            ("goose run -t hi", Format::Goose, "goose run --output-format stream-json -t hi"),
        ] {
            let advice = advise(&words(command)).expect(command);
            assert_eq!((advice.format, advice.command), (format, words(with)), "{command}");
        }
        for command in [
            "claude",
            "claude hi",
            "claude -p hi --output-format text",
            "claude -- -p",
            "codex",
            "codex resume",
            "gemini",
            "gemini -p hi -o json",
            "opencode",
            "opencode serve",
            "cursor-agent",
            "amp",
            "goose session",
            "make -p",
            "agent -p hi",
        ] {
            assert_eq!(advise(&words(command)), None, "{command}");
        }
    }

    #[test]
    fn first_lines_give_the_format_away() {
        for (line, format) in [
            (r#"{"type":"thread.started","thread_id":"1"}"#, Some(Format::Codex)),
            (r#"{"id":"1","msg":{"type":"task_started"}}"#, Some(Format::Codex)),
            (r#"{"type":"init","session_id":"a","model":"m","timestamp":"2026-01-15T10:00:00Z"}"#, Some(Format::Gemini)),
            (r#"{"type":"step_start","timestamp":1,"sessionID":"s","part":{}}"#, Some(Format::Opencode)),
            (r#"{"type":"system","subtype":"init","session_id":"a","tools":[]}"#, Some(Format::Claude)),
            (r#"{"type":"system","subtype":"hook_started","hook_event":"SessionStart","session_id":"a"}"#, Some(Format::Claude)),
            (r#"{"type":"system","subtype":"init","session_id":"T-1","tools":[]}"#, Some(Format::Amp)),
            (r#"{"type":"system","subtype":"init","apiKeySource":"login","model":"Auto"}"#, Some(Format::Cursor)),
            (r#"{"type":"message","message":{"role":"assistant","content":[]}}"#, Some(Format::Goose)),
            (r#"{"type":"message","role":"user"}"#, None),
            (r#"{"type":"text","text":"a log line"}"#, None),
            (r#"{"level":"info","msg":"a log line"}"#, None),
            (r#"{"id":1,"msg":"a log line"}"#, None),
            ("[1]", None),
        ] {
            assert_eq!(of_line(&serde_json::from_str(line).expect("JSON")), format, "{line}");
        }
    }
}
