//! Claude's partial messages: a block's text as it is written, before the line that holds all of it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    claude::prompt_tokens,
    line,
    scribe::{Scribe, Usage},
    series::{Kind, Series},
};

/// The most agents (the first and its sub-agents) that are listened to at once.
const AGENTS: usize = 64;

/// What is being written, by whom.
#[derive(Debug, Default)]
pub(super) struct Partial {
    /// By the tool call that each sub-agent works for; nothing for the first agent.
    agents: BTreeMap<Option<String>, Agent>,
    /// What the answers that have ended used.
    ended: Usage,
}

#[derive(Debug, Default)]
struct Agent {
    open: Option<Series>,
    /// What its present answer has used so far.
    used: Usage,
}

impl Partial {
    /// A `stream_event` line.
    pub(super) fn event(&mut self, value: &Value, scribe: &mut Scribe) {
        if AGENTS <= self.agents.len() && !self.agents.contains_key(&scribe.parent) {
            return scribe.silent("stream_event of too many agents");
        }
        let agent = self.agents.entry(scribe.parent.clone()).or_default();
        let event = &value["event"];
        match event["type"].as_str().unwrap_or_default() {
            "content_block_start" => {
                let kind = match event["content_block"]["type"].as_str() {
                    Some("text") => Kind::Message,
                    Some("thinking") => Kind::Thinking,
                    _ => return scribe.silent("stream_event"),
                };
                agent.open = Some(Series::new(kind, scribe));
            }
            "content_block_delta" => {
                let delta = &event["delta"];
                let text = delta["text"].as_str().or(delta["thinking"].as_str()).unwrap_or_default();
                if let Some(series) = &mut agent.open {
                    series.push(text, scribe);
                }
            }
            "content_block_stop" => {
                // The line that holds all of it has come before, unless this version writes none.
                if let Some(series) = agent.open.take() {
                    series.close(None, scribe);
                }
            }
            "message_delta" => {
                let usage = &event["usage"];
                agent.used =
                    Usage { input: prompt_tokens(usage), output: line::count(&usage["output_tokens"]), ..Usage::default() };
            }
            "message_stop" => {
                let used = agent.used;
                self.agents.remove(&scribe.parent);
                self.ended.add(used);
                if 0 < used.output {
                    scribe.usage(self.ended, json!({"estimated": true}));
                }
            }
            "message_start" | "ping" | "error" => {}
            other => return scribe.unknown(&format!("stream_event/{}", line::named(other)), value),
        }
        scribe.silent("stream_event");
    }

    /// The whole text of a block. Says whether it closed what was being written; then it is told.
    pub(super) fn close(&mut self, kind: Kind, text: &str, scribe: &mut Scribe) -> bool {
        let Some(agent) = self.agents.get_mut(&scribe.parent) else { return false };
        match agent.open.take_if(|series| series.kind() == kind) {
            Some(series) if !text.is_empty() => {
                series.close(Some(text), scribe);
                true
            }
            _ => false,
        }
    }

    /// The end of the stream: what was being written ends as it is.
    pub(super) fn finish(&mut self, scribe: &mut Scribe) {
        for agent in std::mem::take(&mut self.agents).into_values() {
            if let Some(series) = agent.open {
                series.close(None, scribe);
            }
        }
    }
}
