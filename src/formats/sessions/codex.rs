//! Codex's `~/.codex/sessions/**/rollout-*.jsonl`: what was sent to the model and came back (`response_item`), and what was shown (`event_msg`).
//!
//! Most things that are said are in the file twice, once as either, in any order. Each is told once; what is only there once, too.

use serde_json::{Value, json};

use super::{SessionEnd, SessionHead, object, title_of, unconfirmed};
use crate::{
    formats::{
        Draft, Format, Line, Tally, line,
        scribe::{Called, Scribe, Usage},
    },
    model::{InvocationId, Status},
};

/// How many things that were said once may wait for the second time.
const WAITING: usize = 64;

/// Events that say what an item says, or nothing that is worth showing.
const SILENT: [&str; 22] = [
    "agent_message_delta",
    "agent_reasoning_delta",
    "agent_reasoning_raw_content",
    "agent_reasoning_section_break",
    "exec_command_begin",
    "exec_command_end",
    "exec_command_output_delta",
    "item_completed",
    "item_started",
    "mcp_tool_call_begin",
    "mcp_tool_call_end",
    "patch_apply_begin",
    "patch_apply_end",
    "plan_update",
    "session_configured",
    "task_started",
    "thread_name_updated",
    "thread_settings_applied",
    "turn_diff",
    "turn_started",
    "view_image_tool_call",
    "web_search_end",
];

pub(super) fn head(value: &Value) -> Option<SessionHead> {
    if value["type"] != "session_meta" {
        return None;
    }
    let meta = &value["payload"];
    let session = meta["id"].as_str().filter(|id| !id.is_empty())?.to_owned();
    Some(SessionHead { agent: Format::Codex, session, cwd: meta["cwd"].as_str().map(str::to_owned) })
}

/// Where something that was said stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    Item,
    Event,
}

#[derive(Debug)]
pub(super) struct Session {
    scribe: Scribe,
    /// What was told, from one of its two places.
    waiting: Vec<(From, &'static str, String)>,
    has_begun: bool,
    usage: Option<(Usage, Value)>,
    prompt: Option<String>,
    end: Option<(Status, String)>,
}

impl Session {
    pub(super) fn new(invocation: &InvocationId) -> Self {
        let scribe = Scribe::new(Format::Codex, invocation.clone());
        Self { scribe, waiting: Vec::new(), has_begun: false, usage: None, prompt: None, end: None }
    }

    pub(super) fn line(&mut self, number: u64, line: Line<'_>) -> Vec<Draft> {
        if let Some(value) = object(number, line, &mut self.scribe) {
            self.scribe.time = line::time(&value["timestamp"]);
            let payload = &value["payload"];
            match value["type"].as_str().unwrap_or_default() {
                "session_meta" => self.meta(payload),
                "turn_context" => self.scribe.silent("turn_context"),
                "response_item" => self.item(payload, &value),
                "event_msg" => self.event(payload, &value),
                "compacted" => self.scribe.custom("compacted", json!({"text": payload["message"]})),
                other => self.scribe.unknown(line::named(other), &value),
            }
        }
        self.scribe.take()
    }

    /// Sessions that were taken up again, or forked, have the old one's first line as well.
    fn meta(&mut self, meta: &Value) {
        if std::mem::replace(&mut self.has_begun, true) {
            return self.scribe.silent("session_meta again");
        }
        self.scribe.version = meta["cli_version"].as_str().map(str::to_owned);
        let fields = json!({"sessionId": meta["id"], "cwd": meta["cwd"], "version": meta["cli_version"], "git": meta["git"]});
        self.scribe.custom("agent.init", fields);
    }

    fn item(&mut self, item: &Value, line: &Value) {
        let id = item["call_id"].as_str().or(item["id"].as_str()).unwrap_or_default();
        let name = item["name"].as_str().unwrap_or("tool");
        match item["type"].as_str().unwrap_or_default() {
            "message" => self.message(item),
            "reasoning" => {
                let text = line::joined(&item["summary"]);
                self.say(From::Item, "thinking", &text);
            }
            "function_call" => {
                let arguments = item["arguments"].as_str().unwrap_or_default();
                self.scribe.call(id, name, serde_json::from_str(arguments).unwrap_or_else(|_| arguments.into()));
            }
            "custom_tool_call" => self.scribe.call(id, name, item["input"].clone()),
            "local_shell_call" => self.scribe.call(id, "shell", item["action"].clone()),
            "function_call_output" | "custom_tool_call_output" | "local_shell_call_output" => self.output(id, &item["output"]),
            "web_search_call" => self.scribe.custom("web_search", json!({"action": item["action"], "status": item["status"]})),
            "ghost_snapshot" | "other" => self.scribe.silent("bookkeeping"),
            "compaction" | "compaction_summary" | "context_compaction" => self.scribe.silent("compaction"),
            other => self.scribe.unknown(&format!("response_item/{}", line::named(other)), line),
        }
    }

    fn message(&mut self, item: &Value) {
        let text = line::joined(&item["content"]);
        match item["role"].as_str() {
            Some("assistant") => self.say(From::Item, "assistant", &text),
            // What stands around prompts: instructions, where it works.
            Some("user") if text.starts_with('<') || text.starts_with("# AGENTS.md") => self.scribe.silent("context"),
            Some("user") => self.say(From::Item, "user", &text),
            _ => self.scribe.silent("instructions"),
        }
    }

    /// Output is text, or JSON in a text that holds it, or blocks.
    fn output(&mut self, id: &str, output: &Value) {
        let inner: Option<Value> = output.as_str().and_then(|text| serde_json::from_str(text).ok()).filter(Value::is_object);
        let code = inner.as_ref().and_then(|inner| inner["metadata"]["exit_code"].as_i64()).unwrap_or_default();
        let text = match &inner {
            Some(inner) if inner["output"].is_string() => inner["output"].clone(),
            _ if output["content"].is_string() => output["content"].clone(),
            _ => line::joined(output).into(),
        };
        let failed = code != 0 || output["success"] == false;
        self.scribe.result(id, Called::UNKNOWN, text, failed, Value::Null);
    }

    fn event(&mut self, event: &Value, line: &Value) {
        let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
        match event["type"].as_str().unwrap_or_default() {
            "user_message" => {
                self.end = None;
                self.say(From::Event, "user", &text("message"));
            }
            "agent_message" => self.say(From::Event, "assistant", &text("message")),
            "agent_reasoning" => self.say(From::Event, "thinking", &text("text")),
            "token_count" => self.tokens(&event["info"]),
            "task_complete" | "turn_complete" => {
                self.end = Some((Status::Completed, "imported; its last turn was finished".to_owned()));
                self.scribe.silent("turn complete");
            }
            "turn_aborted" => {
                self.end = Some((Status::Cancelled, format!("turn aborted: {}", text("reason"))));
                self.scribe.custom("turn_aborted", json!({"reason": event["reason"]}));
            }
            "error" | "stream_error" => {
                self.end = Some((Status::Failed, text("message")));
                self.scribe.error(&text("message"), None);
            }
            "context_compacted" | "entered_review_mode" | "exited_review_mode" | "warning" | "background_event" => {
                let name = text("type");
                self.scribe.custom(&name, json!({"text": event["message"]}));
            }
            other if SILENT.contains(&other) => self.scribe.silent("event of an item"),
            other => self.scribe.unknown(&format!("event_msg/{}", line::named(other)), line),
        }
    }

    /// Totals of the whole thread; the input includes what was cached, the output the reasoning.
    fn tokens(&mut self, info: &Value) {
        self.scribe.silent("token_count");
        let total = &info["total_token_usage"];
        if !total.is_object() {
            return;
        }
        let number = |name: &str| total[name].as_u64().unwrap_or_default();
        let usage = Usage {
            input: number("input_tokens"),
            output: number("output_tokens"),
            cache_read: number("cached_input_tokens"),
            cache_write: number("cache_write_input_tokens"),
            cost: None,
        };
        self.usage = Some((usage, json!({"reasoningTokens": total["reasoning_output_tokens"]})));
    }

    /// Tells it, unless it was told from its other place.
    fn say(&mut self, from: From, role: &'static str, text: &str) {
        let text = text.trim();
        let twin = self.waiting.iter().position(|(other, who, said)| *other != from && *who == role && said == text);
        if let Some(twin) = twin {
            self.waiting.remove(twin);
            return self.scribe.silent("said twice");
        }
        if WAITING <= self.waiting.len() {
            self.waiting.remove(0);
        }
        self.waiting.push((from, role, text.to_owned()));
        if role == "user" && self.prompt.is_none() {
            self.prompt = title_of(text);
        }
        match role {
            "thinking" => self.scribe.thinking(text),
            role => self.scribe.message(role, text),
        }
    }

    pub(super) fn finish(&mut self) -> Vec<Draft> {
        self.scribe.begin_end();
        self.scribe.no_results();
        if let Some((usage, more)) = self.usage.take() {
            self.scribe.usage(usage, more);
        }
        self.scribe.take()
    }

    pub(super) fn end(&self) -> SessionEnd {
        match &self.end {
            Some((status, reason)) => SessionEnd { status: *status, reason: reason.clone(), title: self.prompt.clone() },
            None => unconfirmed(self.prompt.clone()),
        }
    }

    pub(super) fn tally(&self) -> &Tally {
        &self.scribe.tally
    }
}
