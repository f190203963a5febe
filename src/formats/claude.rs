//! Claude Code's `stream-json`, and Amp's, which is the same but for what it counts.
//!
//! One line for each finished block of an answer; its `usage` is a snapshot from the beginning of the answer and is never summed. With tasks in the
//! background there are several `result` lines: tokens are per turn there, cost and `modelUsage` are of the whole run. A result is not the end.

use serde_json::{Value, json};

use super::{
    Evidence, Format, line,
    partial::Partial,
    scribe::{Called, Scribe, Usage},
    series::Kind,
};

/// By how much the estimate of thinking tokens must have grown to be told again.
const THINKING_STEP: u64 = 250;

/// The most characters of a version.
const VERSION_CHARS: usize = 40;

/// What is remembered.
#[derive(Debug, Default)]
pub(super) struct Claude {
    partial: Partial,
    /// Whether the agent has said anything, so that the result's text is known already.
    has_spoken: bool,
    /// The last estimate of thinking tokens that was told.
    thinking_told: u64,
    /// What Amp's lines add up to.
    amp: Usage,
}

impl Claude {
    pub(super) fn line(&mut self, value: &Value, scribe: &mut Scribe) {
        scribe.time = line::time(&value["timestamp"]);
        scribe.parent = value["parent_tool_use_id"].as_str().map(str::to_owned);
        if value["_dir"] == "out" {
            return scribe.silent("sent to the agent");
        }
        match value["type"].as_str().unwrap_or_default() {
            "system" => self.system(value, scribe),
            "assistant" => self.assistant(value, scribe),
            "user" => user(value, scribe),
            "stream_event" => self.partial.event(value, scribe),
            "result" => self.result(value, scribe),
            "rate_limit_event" => rate_limit(&value["rate_limit_info"], scribe),
            "control_request" => control(&value["request"], value, scribe),
            "control_response" | "control_cancel_request" | "keep_alive" => scribe.silent("control"),
            "tool_progress" => {
                let seconds = value["elapsed_time_seconds"].as_f64().unwrap_or_default();
                let name = value["tool_name"].as_str().unwrap_or("tool");
                scribe.progress(json!({"text": format!("{name} has been running for {seconds:.0} s")}));
            }
            other => scribe.unknown(line::named(other), value),
        }
    }

    pub(super) fn finish(&mut self, scribe: &mut Scribe) {
        self.partial.finish(scribe);
    }

    fn system(&mut self, value: &Value, scribe: &mut Scribe) {
        match value["subtype"].as_str().unwrap_or_default() {
            "init" => {
                if let Some(version) = value["claude_code_version"].as_str() {
                    scribe.version = Some(version.chars().take(VERSION_CHARS).collect());
                }
                let (model, cwd) = (&value["model"], &value["cwd"]);
                let version = scribe.version.clone();
                scribe.custom(
                    "agent.init",
                    json!({"sessionId": value["session_id"], "model": model, "cwd": cwd, "version": version}),
                );
            }
            "thinking_tokens" => {
                let tokens = line::count(&value["estimated_tokens"]);
                if 0 < self.thinking_told && self.thinking_told <= tokens && tokens < self.thinking_told + THINKING_STEP {
                    return scribe.silent("system/thinking_tokens");
                }
                self.thinking_told = tokens;
                scribe.progress(json!({"text": format!("thinking, about {tokens} tokens")}));
            }
            "status" => scribe.silent("system/status"),
            "task_progress" => {
                let text = value["description"].as_str().unwrap_or("a task goes on");
                scribe.progress(json!({"text": text, "taskId": value["task_id"]}));
            }
            "task_started" | "task_updated" | "task_notification" => task(value, scribe),
            "background_tasks_changed" => scribe.silent("system/background_tasks_changed"),
            "hook_started" => scribe.silent("system/hook_started"),
            "hook_response" => hook(value, scribe),
            "api_retry" => {
                let (attempt, most) = (&value["attempt"], &value["max_retries"]);
                scribe.progress(json!({"text": format!("retrying ({attempt} of {most})"), "current": attempt, "total": most}));
            }
            "compact_boundary" => scribe.custom("compacted", json!({"metadata": value["compact_metadata"]})),
            other => scribe.unknown(&format!("system/{}", line::named(other)), value),
        }
    }

    fn assistant(&mut self, value: &Value, scribe: &mut Scribe) {
        let message = &value["message"];
        if scribe.format == Format::Amp {
            self.amp.input = prompt_tokens(&message["usage"]);
            self.amp.output = self.amp.output.saturating_add(line::count(&message["usage"]["output_tokens"]));
        }
        for block in line::items(&message["content"]) {
            match block["type"].as_str().unwrap_or_default() {
                "text" => {
                    let text = block["text"].as_str().unwrap_or_default();
                    self.has_spoken |= !text.is_empty();
                    if !self.partial.close(Kind::Message, text, scribe) {
                        scribe.message("assistant", text);
                    }
                }
                "thinking" => {
                    let text = block["thinking"].as_str().unwrap_or_default();
                    if !self.partial.close(Kind::Thinking, text, scribe) {
                        scribe.thinking(text);
                    }
                }
                "redacted_thinking" => scribe.silent("redacted thinking"),
                "tool_use" | "server_tool_use" => {
                    let (id, name) = (block["id"].as_str().unwrap_or_default(), block["name"].as_str().unwrap_or("tool"));
                    scribe.call(id, name, block["input"].clone());
                }
                "web_search_tool_result" | "tool_result" => tool_result(block, scribe),
                other => scribe.unknown(&format!("assistant/{}", line::named(other)), block),
            }
        }
        if let Some(error) = value["error"].as_str() {
            scribe.error(error, None);
        }
    }

    fn result(&mut self, value: &Value, scribe: &mut Scribe) {
        let text = value["result"].as_str().unwrap_or_default();
        let subtype = value["subtype"].as_str().unwrap_or("no reason");
        let failed = value["is_error"].as_bool().unwrap_or(subtype != "success");
        if failed {
            let errors: Vec<&str> = line::items(&value["errors"]).filter_map(Value::as_str).collect();
            let given = [value["error"].as_str().unwrap_or_default(), &errors.join("; "), text];
            let reason = given.iter().find(|text| !text.is_empty()).map_or(subtype, |text| text);
            scribe.error(reason, Some(subtype).filter(|subtype| *subtype != "success"));
            scribe.failed(reason);
        } else {
            if !self.has_spoken && !text.is_empty() {
                scribe.message("assistant", text);
            }
            scribe.evidence = Evidence::Success;
        }
        let denials = line::items(&value["permission_denials"]).count();
        if 0 < denials {
            scribe.custom("permission_denials", json!({"count": denials, "denials": value["permission_denials"]}));
        }
        let usage = if scribe.format == Format::Amp { self.amp } else { final_usage(value) };
        scribe.usage(usage, json!({"turns": value["num_turns"], "durationMs": value["duration_ms"]}));
    }
}

/// What the run has used: the sum over all models, sub-agents' too, or else what the last turn says.
fn final_usage(value: &Value) -> Usage {
    let cost = value["total_cost_usd"].as_f64();
    let Some(models) = value["modelUsage"].as_object().filter(|models| !models.is_empty()) else {
        let usage = &value["usage"];
        return Usage {
            input: prompt_tokens(usage),
            output: line::count(&usage["output_tokens"]),
            cache_read: line::count(&usage["cache_read_input_tokens"]),
            cache_write: line::count(&usage["cache_creation_input_tokens"]),
            cost,
        };
    };
    let mut all = Usage { cost, ..Usage::default() };
    for model in models.values() {
        let (cache_read, cache_write) =
            (line::count(&model["cacheReadInputTokens"]), line::count(&model["cacheCreationInputTokens"]));
        let input = line::count(&model["inputTokens"]) + cache_read + cache_write;
        all.add(Usage { input, output: line::count(&model["outputTokens"]), cache_read, cache_write, cost: None });
    }
    all
}

/// Everything that was sent to the model, cached or not.
pub(super) fn prompt_tokens(usage: &Value) -> u64 {
    let names = ["input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"];
    names.iter().map(|name| line::count(&usage[*name])).sum()
}

fn user(value: &Value, scribe: &mut Scribe) {
    let content = &value["message"]["content"];
    // What a sub-agent is told, and what the agent tells itself, is not said by the user.
    let aside = scribe.parent.is_some() || value["isReplay"] == true || value["isSynthetic"] == true;
    let say = |text: &str, scribe: &mut Scribe| match aside {
        true => scribe.custom("prompt", json!({"text": text})),
        false => scribe.message("user", text),
    };
    if let Some(text) = content.as_str() {
        return say(text, scribe);
    }
    for block in line::items(content) {
        match block["type"].as_str().unwrap_or_default() {
            "tool_result" => tool_result(block, scribe),
            "text" => say(block["text"].as_str().unwrap_or_default(), scribe),
            other => say(&format!("[{}]", line::named(other)), scribe),
        }
    }
}

fn tool_result(block: &Value, scribe: &mut Scribe) {
    let output = line::joined(&block["content"]);
    let id = block["tool_use_id"].as_str().unwrap_or_default();
    scribe.result(id, Called::UNKNOWN, output.into(), block["is_error"] == true, Value::Null);
}

fn task(value: &Value, scribe: &mut Scribe) {
    let status = match value["subtype"].as_str() {
        Some("task_started") => "started",
        _ => value["patch"]["status"].as_str().or(value["status"].as_str()).unwrap_or("updated"),
    };
    let fields = json!({
        "taskId": value["task_id"],
        "toolCallId": value["tool_use_id"].as_str().map(|id| scribe.call_id(id)),
        "status": status,
        "description": value["description"],
        "summary": value["summary"],
        "kind": value["task_type"],
    });
    scribe.custom("subtask", fields);
}

fn hook(value: &Value, scribe: &mut Scribe) {
    let (hook, code) = (value["hook_name"].as_str().unwrap_or("hook"), value["exit_code"].as_i64().unwrap_or_default());
    if code != 0 {
        let words = value["stderr"].as_str().filter(|text| !text.is_empty()).or(value["output"].as_str()).unwrap_or_default();
        return scribe.error(&format!("hook {hook} ended with exit code {code}: {words}"), Some("hook"));
    }
    scribe.custom("hook", json!({"hook": hook, "event": value["hook_event"], "output": value["output"]}));
}

fn rate_limit(info: &Value, scribe: &mut Scribe) {
    if info["status"] == "allowed" {
        return scribe.silent("rate_limit_event");
    }
    scribe.custom("rate_limit", json!({"status": info["status"], "resetsAt": info["resetsAt"], "kind": info["rateLimitType"]}));
}

fn control(request: &Value, value: &Value, scribe: &mut Scribe) {
    match request["subtype"].as_str().unwrap_or_default() {
        "can_use_tool" => scribe.custom("needs_approval", json!({"tool": request["tool_name"], "input": request["input"]})),
        "hook_callback" | "mcp_message" | "initialize" => scribe.silent("control"),
        other => scribe.unknown(&format!("control_request/{}", line::named(other)), value),
    }
}
