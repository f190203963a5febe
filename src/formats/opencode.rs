//! `opencode run --format json`: finished parts of an answer, a step at a time.
//!
//! Usage is per step, so the sum is told. A tool is heard of only when it has ended. A last step that ended with tool calls means that the
//! stream was cut, whatever the exit code.

use serde_json::{Value, json};

use super::{
    Evidence, line,
    scribe::{Called, Scribe, Usage},
};

/// What is remembered.
#[derive(Debug, Default)]
pub(super) struct Opencode {
    has_begun: bool,
    used: Usage,
}

impl Opencode {
    pub(super) fn line(&mut self, value: &Value, scribe: &mut Scribe) {
        scribe.time = line::time(&value["timestamp"]);
        let part = &value["part"];
        let text = part["text"].as_str().unwrap_or_default();
        match value["type"].as_str().unwrap_or_default() {
            "step_start" => {
                scribe.evidence = Evidence::Unfinished;
                if std::mem::replace(&mut self.has_begun, true) {
                    return scribe.silent("step_start");
                }
                scribe.custom("agent.init", json!({"sessionId": value["sessionID"]}));
            }
            "text" => scribe.message("assistant", text),
            "reasoning" => scribe.thinking(text),
            "tool_use" => tool(part, scribe),
            "step_finish" => self.step(part, scribe),
            "error" => {
                let error = &value["error"];
                let name = error["name"].as_str().unwrap_or("error");
                let message = error["data"]["message"].as_str().unwrap_or(name);
                scribe.error(message, Some(name));
                scribe.failed(message);
            }
            "done" => {
                scribe.evidence = Evidence::Success;
                let rejected = line::items(&value["rejected"]).count();
                if 0 < rejected {
                    scribe.custom("permission_denials", json!({"count": rejected, "denials": value["rejected"]}));
                }
                scribe.silent("done");
            }
            other => scribe.unknown(line::named(other), value),
        }
    }

    fn step(&mut self, part: &Value, scribe: &mut Scribe) {
        let tokens = &part["tokens"];
        let (cache_read, cache_write) = (line::count(&tokens["cache"]["read"]), line::count(&tokens["cache"]["write"]));
        self.used.add(Usage {
            input: line::count(&tokens["input"]) + cache_read + cache_write,
            output: line::count(&tokens["output"]) + line::count(&tokens["reasoning"]),
            cache_read,
            cache_write,
            cost: part["cost"].as_f64(),
        });
        scribe.usage(self.used, Value::Null);
        scribe.evidence = if part["reason"] == "tool-calls" { Evidence::Unfinished } else { Evidence::Success };
    }
}

fn tool(part: &Value, scribe: &mut Scribe) {
    let (id, state) = (part["callID"].as_str().unwrap_or_default(), &part["state"]);
    let ended = scribe.time;
    scribe.time = line::time(&state["time"]["start"]).or(ended);
    scribe.call(id, part["tool"].as_str().unwrap_or("tool"), state["input"].clone());
    scribe.time = line::time(&state["time"]["end"]).or(ended);
    let failed = state["status"] == "error";
    let output = if failed { &state["error"] } else { &state["output"] };
    scribe.result(
        id,
        Called::UNKNOWN,
        output.clone(),
        failed,
        json!({"title": state["title"], "exitCode": state["metadata"]["exit"]}),
    );
}
