//! What `codex exec --json` printed until the autumn of 2025: `{"id","msg":{"type"}}`. Only what matters of it is understood; the rest is kept.

use serde_json::{Value, json};

use super::{
    Evidence, codex, line,
    scribe::{Called, Scribe},
};

/// What is remembered.
#[derive(Debug, Default)]
pub(super) struct CodexOld {
    /// The last thing the agent said, which the end says again.
    last_message: String,
}

/// Whether this is one of the two lines without a type that such a stream begins with.
pub(super) fn is_head(value: &Value) -> bool {
    value["prompt"].is_string() || value["sandbox"].is_string() && value["model"].is_string()
}

impl CodexOld {
    pub(super) fn line(&mut self, value: &Value, scribe: &mut Scribe) {
        if let Some(prompt) = value["prompt"].as_str() {
            return scribe.message("user", prompt);
        }
        if is_head(value) {
            return scribe.custom("agent.init", json!({"model": value["model"], "cwd": value["workdir"]}));
        }
        let message = &value["msg"];
        match message["type"].as_str().unwrap_or_default() {
            "task_started" => {
                scribe.evidence = Evidence::Unfinished;
                scribe.silent("task_started");
            }
            "agent_message" => {
                self.last_message = message["message"].as_str().unwrap_or_default().to_owned();
                scribe.message("assistant", &self.last_message);
            }
            "agent_reasoning" => scribe.thinking(message["text"].as_str().unwrap_or_default()),
            "exec_command_begin" => {
                let id = message["call_id"].as_str().unwrap_or_default();
                scribe.call(id, "shell", json!({"command": message["command"], "cwd": message["cwd"]}));
            }
            "exec_command_end" => {
                let id = message["call_id"].as_str().unwrap_or_default();
                let text = |name: &str| message[name].as_str().unwrap_or_default();
                let code = message["exit_code"].as_i64();
                let output = format!("{}{}", text("stdout"), text("stderr"));
                let called = Called { name: "shell", input: &Value::Null };
                scribe.result(id, called, output.into(), code != Some(0), json!({"exitCode": code}));
            }
            "token_count" => codex::usage(message.get("info").map_or(message, |info| &info["total_token_usage"]), scribe),
            "error" => {
                let message = message["message"].as_str().unwrap_or("error");
                scribe.error(message, None);
                scribe.failed(message);
            }
            "task_complete" => {
                scribe.evidence = Evidence::Success;
                let last = message["last_agent_message"].as_str().unwrap_or_default();
                if last != self.last_message {
                    scribe.message("assistant", last);
                }
                scribe.silent("task_complete");
            }
            other => scribe.unknown(&format!("msg/{}", line::named(other)), value),
        }
    }
}
