//! Hooks of Claude Code: what each event becomes. The payloads are described at https://code.claude.com/docs/en/hooks.
//!
//! A session is an invocation; in somebody else's invocation (a session inside of `tasklight run`) it does not speak of its status. A tool's
//! call and result have the `toolCallId` and the `eventId` that they have in the session's stream of JSON: told twice, or by both, they are stored once.
//! Everything else gets a new one, because the same words may well be said twice (`yes`, `go on`).

use serde_json::{Map, Value, json};

use super::{Draft, Hook, HookPlace, missing};
use crate::{
    formats::{project_task, tool_call_id, tool_event_id},
    ingest::Rejected,
    model::InvocationId,
};

/// What runs are said to be of.
const AGENT: &str = "claude";

/// Reads a payload.
pub(crate) fn read(payload: &[u8], place: HookPlace) -> Result<Hook, Rejected> {
    let fields: Map<String, Value> = serde_json::from_slice(payload)
        .map_err(|_| Rejected::new("invalid_json", Some("body"), "a hook's payload is a JSON object"))?;
    let text = |name: &str| fields.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let session = text("session_id").ok_or_else(|| missing("session_id"))?;
    let event = text("hook_event_name").ok_or_else(|| missing("hook_event_name"))?;
    let guest = place.invocation.is_some();
    let invocation: InvocationId = match place.invocation {
        Some(invocation) => invocation,
        None => session
            .parse()
            .map_err(|error| Rejected::new("invalid_invocation_id", Some("session_id"), format!("session_id: {error}")))?,
    };
    let task = place.task.or_else(|| project_task(text("cwd"), text("transcript_path"), session));
    let task = task.ok_or_else(|| Rejected::new("missing_field", Some("task"), "name the task: ?task=NAME"))?;
    let activities: Vec<String> = drafts(&fields, session, event, &invocation)
        .into_iter()
        .map(|mut draft| {
            note_subagent(&mut draft.data, &fields);
            if guest && draft.kind == "status" {
                draft.kind = "custom";
                draft.data["name"] = json!("session");
            }
            draft.into_json(&invocation)
        })
        .collect();
    Ok(Hook { task, body: format!("[{}]", activities.join(",")).into() })
}

fn drafts(fields: &Map<String, Value>, session: &str, event: &str, invocation: &InvocationId) -> Vec<Draft> {
    let text = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default();
    let value = |name: &str| fields.get(name).cloned().unwrap_or_default();
    let use_id = text("tool_use_id");
    let id = (!use_id.is_empty()).then(|| tool_call_id(invocation, use_id));
    let of_tool = |kind, data| {
        let what = if kind == "custom" { event } else { kind };
        vec![Draft { kind, event_id: id.as_deref().map(|id| tool_event_id(id, what)), data }]
    };
    match event {
        "PreToolUse" => of_tool("tool_call", json!({"toolCallId": id, "name": text("tool_name"), "input": value("tool_input")})),
        "PostToolUse" => {
            let output = output_of(&value("tool_response"));
            of_tool("tool_result", json!({"toolCallId": id, "name": text("tool_name"), "output": output}))
        }
        "PostToolUseFailure" => {
            let mut data =
                json!({"toolCallId": id, "name": text("tool_name"), "output": output_of(&value("error")), "isError": true});
            if value("is_interrupt") == true {
                data["interrupted"] = json!(true);
            }
            of_tool("tool_result", data)
        }
        "SessionStart" => {
            let data = json!({"status": "running", "agent": AGENT, "source": value("source"), "model": value("model"), "cwd": value("cwd")});
            vec![Draft::new("status", data)]
        }
        // The first thing that is heard of most sessions, because their start cannot be sent by HTTP.
        "UserPromptSubmit" => vec![
            Draft::new("status", json!({"status": "running", "agent": AGENT, "reason": ""})),
            Draft::new("message", json!({"role": "user", "text": text("prompt")})),
        ],
        "Stop" => vec![Draft::new("status", json!({"status": "running", "agent": AGENT, "reason": "waiting for a prompt"}))],
        "SessionEnd" => {
            let reason = format!("session ended: {}", if text("reason").is_empty() { "no reason given" } else { text("reason") });
            vec![Draft::new("status", json!({"status": "completed", "agent": AGENT, "reason": reason}))]
        }
        "StopFailure" => {
            let what = output_of(&value("error"));
            vec![Draft::new("error", json!({"message": what, "code": "agent_stopped", "details": value("error_details")}))]
        }
        "PermissionRequest" => of_tool(
            "custom",
            json!({"name": "needs_approval", "toolCallId": id, "tool": text("tool_name"), "input": value("tool_input")}),
        ),
        "Notification" => {
            let name = if text("notification_type") == "permission_prompt" { "needs_approval" } else { "notification" };
            let data =
                json!({"name": name, "text": text("message"), "title": value("title"), "about": value("notification_type")});
            vec![Draft::new("custom", data)]
        }
        "PreCompact" | "PostCompact" => {
            let name = if event == "PreCompact" { "compacting" } else { "compacted" };
            vec![Draft::new("custom", json!({"name": name, "trigger": value("trigger")}))]
        }
        "SubagentStart" | "SubagentStop" => {
            let state = if event == "SubagentStart" { "started" } else { "stopped" };
            vec![Draft::new(
                "custom",
                json!({"name": "subagent", "state": state, "parent": session, "text": value("last_assistant_message")}),
            )]
        }
        _ => of_tool(
            "custom",
            json!({"name": "unknown", "line": format!("hook/{event}"), "agent": AGENT, "toolCallId": id, "raw": rest_of(fields)}),
        ),
    }
}

/// What an unknown event says, without what is said of every event.
fn rest_of(fields: &Map<String, Value>) -> Map<String, Value> {
    const KNOWN: [&str; 5] = ["session_id", "hook_event_name", "transcript_path", "agent_id", "agent_type"];
    fields.iter().filter(|(name, _)| !KNOWN.contains(&name.as_str())).map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Says in which sub-agent it happened, and leaves out what the payload did not say.
fn note_subagent(data: &mut Value, fields: &Map<String, Value>) {
    let Value::Object(data) = data else { return };
    for (name, from) in [("agentId", "agent_id"), ("agentType", "agent_type")] {
        if let Some(value) = fields.get(from).filter(|value| value.is_string()) {
            data.insert(name.to_owned(), value.clone());
        }
    }
    data.retain(|_, value| !value.is_null());
}

/// A tool's answer as text, where its form is one of those that are known; else as it is.
fn output_of(response: &Value) -> Value {
    let texts = |list: &Vec<Value>| {
        let text = |item: &Value| match item.get("text").and_then(Value::as_str) {
            Some(text) => text.to_owned(),
            None => format!("[{}]", item.get("type").and_then(Value::as_str).unwrap_or("value")),
        };
        list.iter().map(text).collect::<Vec<_>>().join("\n")
    };
    match response {
        Value::Array(list) if list.iter().all(|item| item.get("type").is_some_and(Value::is_string)) => texts(list).into(),
        Value::Object(fields) => {
            let part = |name: &str| fields.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
            if fields.contains_key("stdout") || fields.contains_key("stderr") {
                return [part("stdout"), part("stderr")].into_iter().flatten().collect::<Vec<_>>().join("\n").into();
            }
            if let Some(file) = fields.get("file").and_then(|file| file.get("content")).filter(|content| content.is_string()) {
                return file.clone();
            }
            match fields.get("content") {
                Some(Value::Array(list)) if list.iter().all(Value::is_object) && fields.len() <= 2 => texts(list).into(),
                _ => response.clone(),
            }
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn activities(payload: &Value) -> Vec<Value> {
        let hook = read(payload.to_string().as_bytes(), HookPlace::default()).expect("it is understood");
        assert_eq!(hook.task.as_str(), "web");
        serde_json::from_slice(&hook.body).expect("an array")
    }

    fn payload(event: &str, more: &Value) -> Value {
        let mut all = json!({"session_id": "s1", "cwd": "/work/web", "hook_event_name": event});
        for (name, value) in more.as_object().into_iter().flatten() {
            all[name] = value.clone();
        }
        all
    }

    #[test]
    fn every_known_event_becomes_what_it_means() {
        let tool = json!({"tool_name": "Bash", "tool_input": {"command": "ls"}, "tool_use_id": "t1"});
        for (event, more, kind, data) in [
            ("PreToolUse", tool.clone(), "tool_call", json!({"toolCallId": "s1:t1", "name": "Bash", "input": {"command": "ls"}})),
            (
                "PostToolUse",
                json!({"tool_name": "Bash", "tool_use_id": "t1", "tool_response": {"stdout": "a", "stderr": "b", "interrupted": false}}),
                "tool_result",
                json!({"toolCallId": "s1:t1", "name": "Bash", "output": "a\nb"}),
            ),
            (
                "PostToolUseFailure",
                json!({"tool_name": "Bash", "tool_use_id": "t1", "error": "exit 1", "is_interrupt": true, "agent_id": "a1"}),
                "tool_result",
                json!({"toolCallId": "s1:t1", "name": "Bash", "output": "exit 1", "isError": true, "interrupted": true, "agentId": "a1"}),
            ),
            (
                "SessionEnd",
                json!({"reason": "logout"}),
                "status",
                json!({"status": "completed", "agent": "claude", "reason": "session ended: logout"}),
            ),
            ("Stop", json!({}), "status", json!({"status": "running", "agent": "claude", "reason": "waiting for a prompt"})),
            (
                "SessionStart",
                json!({"source": "startup", "model": "m"}),
                "status",
                json!({"status": "running", "agent": "claude", "source": "startup", "model": "m", "cwd": "/work/web"}),
            ),
            (
                "Notification",
                json!({"message": "may I?", "notification_type": "permission_prompt"}),
                "custom",
                json!({"name": "needs_approval", "text": "may I?", "about": "permission_prompt"}),
            ),
            (
                "PermissionRequest",
                tool,
                "custom",
                json!({"name": "needs_approval", "toolCallId": "s1:t1", "tool": "Bash", "input": {"command": "ls"}}),
            ),
            (
                "SubagentStop",
                json!({"agent_id": "a1", "agent_type": "Explore"}),
                "custom",
                json!({"name": "subagent", "state": "stopped", "parent": "s1", "agentId": "a1", "agentType": "Explore"}),
            ),
            ("PreCompact", json!({"trigger": "auto"}), "custom", json!({"name": "compacting", "trigger": "auto"})),
            ("StopFailure", json!({"error": "rate_limit"}), "error", json!({"message": "rate_limit", "code": "agent_stopped"})),
            (
                "Tomorrow",
                json!({"x": [1]}),
                "custom",
                json!({"name": "unknown", "line": "hook/Tomorrow", "agent": "claude", "raw": {"cwd": "/work/web", "x": [1]}}),
            ),
        ] {
            let all = activities(&payload(event, &more));
            assert_eq!((all.len(), &all[0]["type"], &all[0]["data"]), (1, &json!(kind), &data), "{event}");
            assert_eq!(all[0]["invocationId"], "s1", "{event}");
        }
        let all = activities(&payload("UserPromptSubmit", &json!({"prompt": "go on"})));
        assert_eq!((all.len(), &all[1]["data"]), (2, &json!({"role": "user", "text": "go on"})));
    }

    #[test]
    fn in_a_run_of_somebody_else_a_session_does_not_say_how_that_stands() {
        let place = HookPlace { task: "t".parse().ok(), invocation: "run-7".parse().ok() };
        let hook = read(payload("SessionEnd", &json!({})).to_string().as_bytes(), place).expect("it is understood");
        let all: Vec<Value> = serde_json::from_slice(&hook.body).expect("an array");
        assert_eq!((hook.task.as_str(), &all[0]["invocationId"], &all[0]["type"]), ("t", &json!("run-7"), &json!("custom")));
        assert_eq!((&all[0]["data"]["name"], &all[0]["data"]["status"]), (&json!("session"), &json!("completed")));
    }

    #[test]
    fn what_names_a_tool_use_has_the_same_event_id_again_and_nothing_else_has() {
        let id = |event: &str, more: Value| activities(&payload(event, &more))[0]["eventId"].clone();
        let pre = id("PreToolUse", json!({"tool_use_id": "t1"}));
        assert!(pre.is_string());
        assert_eq!(pre, id("PreToolUse", json!({"tool_use_id": "t1", "tool_name": "other"})));
        for other in [id("PostToolUse", json!({"tool_use_id": "t1"})), id("PreToolUse", json!({"tool_use_id": "t2"}))] {
            assert_ne!(pre, other);
        }
        assert!(id("PreToolUse", json!({})).is_null() && id("Stop", json!({})).is_null());
    }

    #[test]
    fn answers_of_tools_become_text_where_their_form_is_known() {
        for (response, output) in [
            (json!("plain"), json!("plain")),
            (json!({"stdout": "", "stderr": "no"}), json!("no")),
            (json!([{"type": "text", "text": "a"}, {"type": "image"}]), json!("a\n[image]")),
            (json!({"content": [{"type": "text", "text": "a"}]}), json!("a")),
            (json!({"type": "text", "file": {"filePath": "/x", "content": "body"}}), json!("body")),
            (json!({"filePath": "/x", "structuredPatch": [1]}), json!({"filePath": "/x", "structuredPatch": [1]})),
            (json!(["a", "b"]), json!(["a", "b"])),
        ] {
            assert_eq!(output_of(&response), output);
        }
    }

    #[test]
    fn what_is_no_payload_is_refused_by_name() {
        for (payload, field) in [
            (json!([]), "body"),
            (json!({"hook_event_name": "Stop"}), "session_id"),
            (json!({"session_id": "s"}), "hook_event_name"),
            (json!({"session_id": "a\nb", "hook_event_name": "Stop"}), "session_id"),
        ] {
            let refused = read(payload.to_string().as_bytes(), HookPlace::default()).expect_err("it is none");
            assert_eq!(refused.field.as_deref(), Some(field));
        }
    }
}
