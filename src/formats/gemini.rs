//! Gemini CLI's `stream-json`: a type and a time on every line.
//!
//! Its `output_tokens` leave the thinking out, so what came back is the total less what was sent.

use serde_json::{Value, json};

use super::{
    Evidence, line,
    scribe::{Called, Scribe, Usage},
    series::{Kind, Series},
};

/// What is remembered.
#[derive(Debug, Default)]
pub(super) struct Gemini {
    /// What the agent is saying.
    open: Option<Series>,
}

/// What an exit code of Gemini CLI says, beyond that it failed.
pub fn meaning_of_exit(code: u8) -> Option<&'static str> {
    Some(match code {
        41 => "authentication failed",
        42 => "the input cannot be used",
        44 => "the sandbox failed",
        52 => "the configuration cannot be used",
        53 => "the limit of turns was reached",
        54 => "a tool failed for good",
        55 => "the workspace is not trusted",
        130 => "cancelled",
        _ => return None,
    })
}

impl Gemini {
    pub(super) fn line(&mut self, value: &Value, scribe: &mut Scribe) {
        scribe.time = line::time(&value["timestamp"]);
        let kind = value["type"].as_str().unwrap_or_default();
        if kind == "message" && value["role"] == "assistant" && value["delta"] == true {
            let series = self.open.get_or_insert_with(|| Series::new(Kind::Message, scribe));
            series.push(value["content"].as_str().unwrap_or_default(), scribe);
            return scribe.silent("message joined to others");
        }
        self.finish(scribe);
        match kind {
            "init" => {
                scribe.custom("agent.init", json!({"sessionId": value["session_id"], "model": value["model"]}));
            }
            "message" => {
                scribe.message(value["role"].as_str().unwrap_or("assistant"), value["content"].as_str().unwrap_or_default());
            }
            "tool_use" => {
                let (id, name) = (value["tool_id"].as_str().unwrap_or_default(), value["tool_name"].as_str().unwrap_or("tool"));
                scribe.call(id, name, value["parameters"].clone());
            }
            "tool_result" => {
                let output = value["output"].as_str().or(value["error"]["message"].as_str()).unwrap_or_default();
                let id = value["tool_id"].as_str().unwrap_or_default();
                scribe.result(id, Called::UNKNOWN, output.into(), value["status"] == "error", Value::Null);
            }
            "error" => {
                let message = value["message"].as_str().unwrap_or("error");
                match value["severity"].as_str() {
                    Some("warning") => scribe.custom("warning", json!({"message": message})),
                    _ => scribe.error(message, None),
                }
            }
            "result" => result(value, scribe),
            other => scribe.unknown(line::named(other), value),
        }
    }

    /// What the agent was saying has ended.
    pub(super) fn finish(&mut self, scribe: &mut Scribe) {
        if let Some(series) = self.open.take() {
            series.close(None, scribe);
        }
    }
}

fn result(value: &Value, scribe: &mut Scribe) {
    if value["status"] == "success" {
        scribe.evidence = Evidence::Success;
    } else {
        let last = scribe.last_error.clone().unwrap_or_else(|| "the agent said that it failed".to_owned());
        let reason = value["error"]["message"].as_str().map_or(last, str::to_owned);
        scribe.error(&reason, value["error"]["type"].as_str());
        scribe.failed(&reason);
    }
    let stats = &value["stats"];
    let count = |name: &str| line::count(&stats[name]);
    let input = count("input_tokens");
    let output = stats["total_tokens"].as_u64().map_or(count("output_tokens"), |total| total.saturating_sub(input));
    let usage = Usage { input, output, cache_read: count("cached"), ..Usage::default() };
    scribe.usage(usage, json!({"durationMs": stats["duration_ms"], "toolCalls": stats["tool_calls"]}));
}
