//! Claude Code's `~/.claude/projects/*/*.jsonl`: the messages of its stream with the time of each, and bookkeeping.

use serde_json::{Value, json};

use super::{SessionEnd, object, title_of, unconfirmed};
use crate::{
    formats::{Draft, Format, Line, Parser, Reader, Tally, claude::prompt_tokens, line, scribe::Usage},
    model::InvocationId,
};

/// Lines that say nothing of what was said or done.
const BOOKKEEPING: [&str; 16] = [
    "agent-name",
    "agent-setting",
    "attachment",
    "bridge-session",
    "file-history-snapshot",
    "frame-link",
    "history-suppression",
    "last-prompt",
    "marble-origami-commit",
    "mode",
    "permission-mode",
    "pr-link",
    "progress",
    "queue-operation",
    "tag",
    "worktree-state",
];

/// The session that a line belongs to.
pub(super) fn session(value: &Value) -> Option<String> {
    let session = value["sessionId"].as_str().filter(|id| !id.is_empty())?;
    let is_message = matches!(value["type"].as_str(), Some("user" | "assistant")) && value["message"].is_object();
    // Sub-agents have files of their own, under the session that they work for.
    let agent = value["agentId"].as_str().filter(|_| value["isSidechain"] == true);
    is_message.then(|| agent.map_or_else(|| session.to_owned(), |agent| format!("{session}/agent-{agent}")))
}

#[derive(Debug)]
pub(super) struct Session {
    reader: Reader,
    title: Option<String>,
    prompt: Option<String>,
    /// Of all messages but the one at hand, of which each line repeats what it has cost so far.
    total: Usage,
    message: (String, Usage),
    /// Whether the file is a sub-agent's as a whole.
    is_side: Option<bool>,
}

impl Session {
    pub(super) fn new(invocation: &InvocationId) -> Self {
        let reader = Reader::new(Format::Claude, invocation).expect("a format that is made of lines");
        Self { reader, title: None, prompt: None, total: Usage::default(), message: Default::default(), is_side: None }
    }

    pub(super) fn line(&mut self, number: u64, line: Line<'_>) -> Vec<Draft> {
        if let Some(value) = object(number, line, &mut self.reader.scribe) {
            self.value(value);
        }
        self.reader.scribe.take()
    }

    fn value(&mut self, mut value: Value) {
        let scribe = &mut self.reader.scribe;
        scribe.time = line::time(&value["timestamp"]);
        if let (None, Some(version)) = (&scribe.version, value["version"].as_str()) {
            scribe.version = Some(version.to_owned());
        }
        let kind = value["type"].as_str().unwrap_or_default().to_owned();
        match kind.as_str() {
            "summary" | "ai-title" | "custom-title" => {
                let title = value["customTitle"].as_str().or(value["aiTitle"].as_str()).or(value["summary"].as_str());
                self.title = title.map(str::to_owned).or(self.title.take());
                return scribe.silent("title");
            }
            "user" => {
                if value["isMeta"] == true || value["isCompactSummary"] == true {
                    value["isSynthetic"] = json!(true);
                } else if let (None, Some(text)) = (&self.prompt, value["message"]["content"].as_str()) {
                    self.prompt = title_of(text);
                }
            }
            "assistant" if value["isApiErrorMessage"] == true => {
                return scribe.error(&line::joined(&value["message"]["content"]), Some("api"));
            }
            "assistant" => self.count(&value["message"]),
            "system" if value["subtype"] == "api_error" => {
                let what =
                    value["error"]["message"].as_str().or(value["content"].as_str()).unwrap_or("the API answered with an error");
                return self.reader.scribe.error(what, Some("api"));
            }
            "system" if value["subtype"] != "compact_boundary" => return scribe.silent("system"),
            other if BOOKKEEPING.contains(&other) => return scribe.silent("bookkeeping"),
            _ => {}
        }
        let side = value["isSidechain"] == true;
        // Sub-agents used to write into the file of their session; what they are told there is not the user's word.
        if side && !*self.is_side.get_or_insert(side) {
            value["parent_tool_use_id"] = json!("sidechain");
        }
        self.is_side.get_or_insert(side);
        if let Parser::Claude(claude) = &mut self.reader.parser {
            claude.line(&value, &mut self.reader.scribe);
        }
    }

    /// Takes what a message has cost so far in the place of what it had before.
    fn count(&mut self, message: &Value) {
        let usage = &message["usage"];
        let number = |name: &str| usage[name].as_u64().unwrap_or_default();
        let now = Usage {
            input: prompt_tokens(usage),
            output: number("output_tokens"),
            cache_read: number("cache_read_input_tokens"),
            cache_write: number("cache_creation_input_tokens"),
            cost: None,
        };
        let id = message["id"].as_str().unwrap_or_default();
        if id.is_empty() || self.message.0 != id {
            add(&mut self.total, self.message.1);
            self.message = (id.to_owned(), now);
        } else if self.message.1.output <= now.output {
            self.message.1 = now;
        }
    }

    pub(super) fn finish(&mut self) -> Vec<Draft> {
        let mut drafts = self.reader.finish();
        add(&mut self.total, std::mem::take(&mut self.message.1));
        if self.total != Usage::default() {
            self.reader.scribe.usage(self.total, Value::Null);
        }
        drafts.extend(self.reader.scribe.take());
        drafts
    }

    pub(super) fn end(&self) -> SessionEnd {
        unconfirmed(self.title.clone().or(self.prompt.clone()))
    }

    pub(super) fn tally(&self) -> &Tally {
        self.reader.tally()
    }
}

fn add(total: &mut Usage, more: Usage) {
    total.input += more.input;
    total.output += more.output;
    total.cache_read += more.cache_read;
    total.cache_write += more.cache_write;
}
