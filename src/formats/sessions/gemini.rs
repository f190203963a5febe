//! Gemini CLI's `~/.gemini/tmp/*/chats/session-*.json`: one document with all messages; in newer versions a first line about the session and then a message a
//! line, where what is said again under the same id takes the place of what was said before.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::{SessionEnd, SessionHead, title_of, unconfirmed};
use crate::{
    formats::{
        Draft, Format, Line, Tally, line,
        scribe::{Called, Scribe, Usage},
    },
    model::InvocationId,
};

/// The most bytes of a document that is read.
const MOST_BYTES: usize = 64 << 20;

/// How many bytes of a document are looked at for what names the session.
const LOOK_BYTES: usize = 8 * 1024;

pub(super) fn head(text: &str) -> Option<SessionHead> {
    let begins: String = text.trim_start().chars().take(LOOK_BYTES).collect();
    if !begins.starts_with('{') {
        return None;
    }
    let field = |name: &str| {
        let (_, rest) = begins.split_once(&format!("\"{name}\""))?;
        let (_, rest) = rest.trim_start().strip_prefix(':')?.split_once('"')?;
        Some(rest.split_once('"')?.0.to_owned()).filter(|value| !value.is_empty())
    };
    field("projectHash")?;
    Some(SessionHead { agent: Format::Gemini, session: field("sessionId")?, cwd: None })
}

#[derive(Debug)]
pub(super) struct Session {
    scribe: Scribe,
    /// The document so far; lines of it, or of messages.
    text: Vec<u8>,
    too_long: u64,
    usage: Usage,
    prompt: Option<String>,
}

impl Session {
    pub(super) fn new(invocation: &InvocationId) -> Self {
        let scribe = Scribe::new(Format::Gemini, invocation.clone());
        Self { scribe, text: Vec::new(), too_long: 0, usage: Usage::default(), prompt: None }
    }

    /// Keeps the line: what it means is only known at the end.
    pub(super) fn line(&mut self, line: Line<'_>) -> Vec<Draft> {
        match line {
            Line::Whole(bytes) if self.text.len() + bytes.len() < MOST_BYTES => {
                self.text.extend_from_slice(bytes);
                self.text.push(b'\n');
            }
            Line::Whole(bytes) => self.too_long += bytes.len() as u64,
            Line::Long { bytes, .. } => self.too_long += bytes,
        }
        Vec::new()
    }

    pub(super) fn finish(&mut self) -> Vec<Draft> {
        let text = std::mem::take(&mut self.text);
        let mut drafts = Vec::new();
        let mut number = 0;
        for message in messages(&text) {
            number += 1;
            self.scribe.begin(number);
            self.scribe.time = line::time(&message["timestamp"]);
            self.message(&message);
            drafts.extend(self.scribe.take());
        }
        if 0 < self.too_long || (number == 0 && !text.trim_ascii().is_empty()) {
            self.scribe.begin(number + 1);
            let head = String::from_utf8_lossy(&text[..text.len().min(1_024)]).into_owned();
            self.scribe.too_long(&head, self.too_long + text.len() as u64);
        }
        self.scribe.begin_end();
        self.scribe.no_results();
        if self.usage != Usage::default() {
            self.scribe.usage(self.usage, Value::Null);
        }
        drafts.extend(self.scribe.take());
        drafts
    }

    fn message(&mut self, message: &Value) {
        let text = line::joined(&message["content"]);
        match message["type"].as_str().unwrap_or_default() {
            "user" => {
                self.prompt = self.prompt.take().or_else(|| title_of(&text));
                self.scribe.message("user", &text);
            }
            "gemini" | "model" => {
                for thought in line::items(&message["thoughts"]) {
                    let words = ["subject", "description"].map(|name| thought[name].as_str().unwrap_or_default());
                    self.scribe.thinking(words.join("\n").trim());
                }
                self.scribe.message("assistant", &text);
                line::items(&message["toolCalls"]).for_each(|call| self.call(call));
                self.count(&message["tokens"]);
            }
            "error" => self.scribe.error(&text, None),
            "info" | "warning" => self.scribe.custom("notice", json!({"text": text})),
            other => self.scribe.unknown(line::named(other), message),
        }
    }

    fn call(&mut self, call: &Value) {
        let (id, name) = (call["id"].as_str().unwrap_or_default(), call["name"].as_str().unwrap_or("tool"));
        self.scribe.call(id, name, call["args"].clone());
        if let Some(time) = line::time(&call["timestamp"]) {
            self.scribe.time = Some(time);
        }
        let status = call["status"].as_str().unwrap_or_default();
        if matches!(status, "success" | "error" | "cancelled") {
            let more = json!({"cancelled": (status == "cancelled").then_some(true)});
            self.scribe.result(id, Called::UNKNOWN, output_of(call), status == "error", more);
        }
    }

    /// Each message is a request of its own; what it cost is added.
    fn count(&mut self, tokens: &Value) {
        let number = |name: &str| tokens[name].as_u64().unwrap_or_default();
        self.usage.input += number("input");
        self.usage.output += number("total").saturating_sub(number("input")).max(number("output"));
        self.usage.cache_read += number("cached");
    }

    pub(super) fn end(&self) -> SessionEnd {
        unconfirmed(self.prompt.clone())
    }

    pub(super) fn tally(&self) -> &Tally {
        &self.scribe.tally
    }
}

/// What a tool gave back: as it was shown, else as it was told to the model.
fn output_of(call: &Value) -> Value {
    if call["resultDisplay"].is_string() {
        return call["resultDisplay"].clone();
    }
    let response = |part: &Value| part["functionResponse"]["response"]["output"].as_str().map(str::to_owned);
    let texts: Vec<String> = line::items(&call["result"]).filter_map(response).collect();
    if texts.is_empty() { call["result"].clone() } else { texts.join("\n").into() }
}

/// The messages of a document, or of lines.
fn messages(text: &[u8]) -> Vec<Value> {
    if let Ok(mut document) = serde_json::from_slice::<Value>(text)
        && let Value::Array(messages) = document["messages"].take()
    {
        return messages;
    }
    let (mut all, mut places) = (Vec::<Value>::new(), HashMap::new());
    for value in text.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice::<Value>(line).ok()) {
        let Some(id) = value["id"].as_str().filter(|_| value["type"].is_string()) else { continue };
        match places.get(id) {
            Some(place) => all[*place] = value,
            None => {
                places.insert(id.to_owned(), all.len());
                all.push(value);
            }
        }
    }
    all
}
