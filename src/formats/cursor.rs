//! Cursor's `stream-json`.
//!
//! With partial output each `assistant` line is a piece of what is being said, and a last one repeats all of it; without, each is a message of its own.
//! Which of the two it is shows with the second of them: therefore one is held until the next line.

use serde_json::{Map, Value, json};

use super::{
    Evidence, line,
    scribe::{Called, Scribe, Usage},
    series::{Kind, Series},
};

/// Fields of a tool's input and result that say again what stands elsewhere.
const NOISE: [&str; 5] = ["parsingResult", "simpleCommands", "afterFullFileContent", "interleavedOutput", "toolCallId"];

/// What is remembered.
#[derive(Debug, Default)]
pub(super) struct Cursor {
    thinking: Option<Series>,
    saying: Saying,
}

/// What the agent is saying.
#[derive(Debug, Default)]
enum Saying {
    #[default]
    Nothing,
    /// One line of it.
    Held(String),
    /// Several lines of it.
    Joined(Series),
}

impl Cursor {
    pub(super) fn line(&mut self, value: &Value, scribe: &mut Scribe) {
        scribe.time = line::time(&value["timestamp_ms"]);
        let (kind, subtype) = (value["type"].as_str().unwrap_or_default(), value["subtype"].as_str().unwrap_or_default());
        if kind == "assistant" {
            return self.assistant(&line::joined(&value["message"]["content"]), scribe);
        }
        self.said(scribe);
        match (kind, subtype) {
            ("system", "init") => {
                scribe.custom(
                    "agent.init",
                    json!({"sessionId": value["session_id"], "model": value["model"], "cwd": value["cwd"]}),
                );
            }
            ("user", _) => scribe.message("user", &line::joined(&value["message"]["content"])),
            ("thinking", "delta") => {
                let series = self.thinking.get_or_insert_with(|| Series::new(Kind::Thinking, scribe));
                series.push(value["text"].as_str().unwrap_or_default(), scribe);
                scribe.silent("thinking joined to others");
            }
            ("thinking", "completed") => {
                if let Some(series) = self.thinking.take() {
                    series.close(None, scribe);
                }
                scribe.silent("thinking/completed");
            }
            ("tool_call", "started" | "completed") => tool(value, subtype == "completed", scribe),
            ("interaction_query", _) => {
                scribe.custom("needs_approval", json!({"query": value.get("request").or(value.get("query"))}))
            }
            ("result", _) => result(value, scribe),
            (kind, "") => scribe.unknown(line::named(kind), value),
            (kind, subtype) => scribe.unknown(&format!("{}/{subtype}", line::named(kind)), value),
        }
    }

    pub(super) fn finish(&mut self, scribe: &mut Scribe) {
        self.said(scribe);
        if let Some(series) = self.thinking.take() {
            series.close(None, scribe);
        }
    }

    fn assistant(&mut self, text: &str, scribe: &mut Scribe) {
        self.saying = match std::mem::take(&mut self.saying) {
            Saying::Nothing => Saying::Held(text.to_owned()),
            Saying::Held(first) if first == text => Saying::Held(first),
            Saying::Held(first) => {
                let mut series = Series::new(Kind::Message, scribe);
                series.push(&first, scribe);
                series.push(text, scribe);
                Saying::Joined(series)
            }
            Saying::Joined(series) if series.whole() == Some(text) => Saying::Joined(series),
            Saying::Joined(mut series) => {
                series.push(text, scribe);
                Saying::Joined(series)
            }
        };
        scribe.silent("assistant, told with the next line");
    }

    /// What the agent was saying has ended.
    fn said(&mut self, scribe: &mut Scribe) {
        match std::mem::take(&mut self.saying) {
            Saying::Nothing => {}
            Saying::Held(text) => scribe.message("assistant", &text),
            Saying::Joined(series) => series.close(None, scribe),
        }
    }
}

fn tool(value: &Value, completed: bool, scribe: &mut Scribe) {
    let call = &value["tool_call"];
    let id = value["call_id"].as_str().or(call["toolCallId"].as_str()).unwrap_or_default();
    let found =
        call.as_object().and_then(|fields| fields.iter().find_map(|(key, tool)| Some((key.strip_suffix("ToolCall")?, tool))));
    let Some((name, tool)) = found else { return scribe.unknown("tool_call without a tool", value) };
    let args = &tool["args"];
    let (name, input) = if name == "mcp" {
        let of = |field: &str| args[field].as_str().unwrap_or_default();
        (format!("{}.{}", of("providerIdentifier"), of("toolName")), args["args"].clone())
    } else {
        (name.to_owned(), without_noise(args))
    };
    if !completed {
        return scribe.call(id, &name, input);
    }
    // Beside the outcome there may be flags.
    let outcomes = || tool["result"].as_object().into_iter().flatten().filter(|(_, outcome)| outcome.is_object());
    let outcome = outcomes().find(|(how, _)| *how == "success").or_else(|| outcomes().next());
    let (how, result) = outcome.map_or(("no result", &Value::Null), |(how, result)| (how.as_str(), result));
    let is_error = how != "success";
    let more = json!({"exitCode": result["exitCode"], "status": is_error.then_some(how)});
    scribe.result(id, Called { name: &name, input: &input }, output(result), is_error, more);
}

/// What a tool gave back, in as few words as say it.
fn output(result: &Value) -> Value {
    let text = |name: &str| result[name].as_str().unwrap_or_default();
    if result["stdout"].is_string() {
        return format!("{}{}", text("stdout"), text("stderr")).into();
    }
    if result["diffString"].is_string() {
        return text("diffString").into();
    }
    if result["content"].is_array() {
        return line::joined(&result["content"]).into();
    }
    match result.as_str() {
        Some(text) => text.into(),
        None => without_noise(result),
    }
}

fn without_noise(value: &Value) -> Value {
    let Value::Object(fields) = value else { return value.clone() };
    let kept = fields.iter().filter(|(name, _)| !NOISE.contains(&name.as_str()));
    kept.map(|(name, value)| (name.clone(), value.clone())).collect::<Map<_, _>>().into()
}

fn result(value: &Value, scribe: &mut Scribe) {
    if value["is_error"] == true || value["subtype"] != "success" {
        let reason = value["result"].as_str().or(value["subtype"].as_str()).unwrap_or("the agent said that it failed");
        scribe.error(reason, None);
        scribe.failed(reason);
    } else {
        scribe.evidence = Evidence::Success;
    }
    if value["usage"].is_object() {
        let count = |name: &str| line::count(&value["usage"][name]);
        let usage = Usage {
            input: count("inputTokens"),
            output: count("outputTokens"),
            cache_read: count("cacheReadTokens"),
            cache_write: count("cacheWriteTokens"),
            cost: None,
        };
        return scribe.usage(usage, json!({"durationMs": value["duration_ms"]}));
    }
    scribe.silent("result without usage");
}
