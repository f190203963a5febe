//! `codex exec --json`: threads, turns and items.
//!
//! Usage is of the whole thread and replaces what was said before. An `error` line is no end: the turn may still complete. A turn that was
//! begun and not ended was interrupted.

use serde_json::{Value, json};

use super::{
    Evidence, codex_old, line,
    scribe::{Called, Scribe, Usage},
};

/// What is remembered.
#[derive(Debug, Default)]
pub(super) struct Codex {
    old: codex_old::CodexOld,
}

impl Codex {
    pub(super) fn line(&mut self, value: &Value, scribe: &mut Scribe) {
        scribe.time = line::time(&value["timestamp"]);
        match value["type"].as_str().unwrap_or_default() {
            "thread.started" | "session.created" => {
                scribe.evidence = Evidence::Unfinished;
                let id = value.get("thread_id").or(value.get("session_id"));
                scribe.custom("agent.init", json!({"sessionId": id}));
            }
            "turn.started" => {
                scribe.evidence = Evidence::Unfinished;
                scribe.silent("turn.started");
            }
            "turn.completed" => {
                scribe.evidence = Evidence::Success;
                usage(&value["usage"], scribe);
            }
            "turn.failed" => {
                let message = message_of(value["error"]["message"].as_str().unwrap_or("the turn failed"));
                scribe.error(&message, None);
                scribe.failed(&message);
            }
            "error" => scribe.error(&message_of(value["message"].as_str().unwrap_or("error")), None),
            "item.started" | "item.updated" | "item.completed" => item(value, scribe),
            "" if value["msg"].is_object() || codex_old::is_head(value) => self.old.line(value, scribe),
            other => scribe.unknown(line::named(other), value),
        }
    }
}

pub(super) fn usage(usage: &Value, scribe: &mut Scribe) {
    let count = |name: &str| line::count(&usage[name]);
    let of_thread = Usage {
        input: count("input_tokens"),
        output: count("output_tokens"),
        cache_read: count("cached_input_tokens"),
        cache_write: count("cache_write_input_tokens"),
        cost: None,
    };
    scribe.usage(of_thread, json!({"reasoningTokens": usage["reasoning_output_tokens"]}));
}

/// The words of an error, which are often JSON inside a string.
fn message_of(text: &str) -> String {
    let inner: Option<Value> = serde_json::from_str(text).ok();
    let words = inner.as_ref().and_then(|inner| inner["error"]["message"].as_str().or(inner["message"].as_str()));
    words.unwrap_or(text).to_owned()
}

/// How far an item has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Started,
    Updated,
    Completed,
}

fn item(value: &Value, scribe: &mut Scribe) {
    let item = &value["item"];
    let kind = item["type"].as_str().or(item["item_type"].as_str()).unwrap_or_default();
    let stage = match value["type"].as_str() {
        Some("item.started") => Stage::Started,
        Some("item.updated") => Stage::Updated,
        _ => Stage::Completed,
    };
    let words = || item["text"].as_str().or(item["message"].as_str()).unwrap_or_default();
    match kind {
        "agent_message" | "assistant_message" if stage == Stage::Completed => scribe.message("assistant", words()),
        "reasoning" if stage == Stage::Completed => scribe.thinking(words()),
        "agent_message" | "assistant_message" | "reasoning" => scribe.silent("item not completed"),
        "command_execution" => tool(item, stage, scribe, "shell", json!({"command": item["command"]})),
        "file_change" => tool(item, stage, scribe, "edit", json!({"changes": item["changes"]})),
        "mcp_tool_call" => {
            let name = format!("{}.{}", text_or(&item["server"], "mcp"), text_or(&item["tool"], "tool"));
            tool(item, stage, scribe, &name, item["arguments"].clone());
        }
        "collab_tool_call" => {
            let name = format!("collab.{}", text_or(&item["tool"], "tool"));
            tool(item, stage, scribe, &name, json!({"prompt": item["prompt"], "receivers": item["receiver_thread_ids"]}));
        }
        "web_search" => tool(item, stage, scribe, "web_search", json!({"query": item["query"]})),
        "todo_list" => {
            let done = line::items(&item["items"]).filter(|step| step["completed"] == true).count();
            let total = line::items(&item["items"]).count();
            scribe.progress(json!({"current": done, "total": total}));
            scribe.custom("plan", json!({"planId": item["id"], "items": item["items"]}));
        }
        // A notice, such as of a model's name: the work goes on.
        "error" => scribe.custom("warning", json!({"message": words()})),
        "plan" | "request_user_input" => scribe.custom(&kind.replace("request_user_input", "needs_input"), json!({"item": item})),
        other => scribe.unknown(&format!("item/{}", line::named(other)), value),
    }
}

fn tool(item: &Value, stage: Stage, scribe: &mut Scribe, name: &str, input: Value) {
    let id = item["id"].as_str().unwrap_or_default();
    match stage {
        Stage::Started => scribe.call(id, name, input),
        Stage::Updated => {
            if !scribe.is_open(id) {
                scribe.call(id, name, input);
            }
            scribe.silent("item.updated of a tool");
        }
        Stage::Completed => {
            let status = item["status"].as_str().unwrap_or("completed");
            let more = json!({"exitCode": item["exit_code"], "status": (status != "completed").then_some(status)});
            scribe.result(id, Called { name, input: &input }, output(item), status != "completed", more);
        }
    }
}

/// What a tool gave back, whichever kind it is.
fn output(item: &Value) -> Value {
    if let Some(text) = item["aggregated_output"].as_str() {
        return text.into();
    }
    if let Some(text) = item["error"]["message"].as_str() {
        return text.into();
    }
    if item["result"]["content"].is_array() {
        return line::joined(&item["result"]["content"]).into();
    }
    match (&item["result"], &item["agents_states"]) {
        (Value::Null, Value::Null) => "".into(),
        (Value::Null, states) => states.clone(),
        (result, _) => result.clone(),
    }
}

fn text_or<'a>(value: &'a Value, otherwise: &'a str) -> &'a str {
    value.as_str().unwrap_or(otherwise)
}
