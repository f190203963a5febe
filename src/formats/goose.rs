//! Goose's `stream-json`: messages with blocks in them, notices of its extensions, and `complete`.
//!
//! A provider that streams makes several messages with one id out of one text; they are joined.

use serde_json::{Value, json};

use super::{
    Evidence, line,
    scribe::{Called, Scribe, Usage},
    series::{Kind, Series},
};

/// What is remembered.
#[derive(Debug, Default)]
pub(super) struct Goose {
    /// The text that is being said, and its message's id.
    open: Option<(String, Series)>,
}

impl Goose {
    pub(super) fn line(&mut self, value: &Value, scribe: &mut Scribe) {
        let kind = value["type"].as_str().unwrap_or_default();
        if kind != "message" {
            self.finish(scribe);
        }
        match kind {
            "message" => self.message(&value["message"], scribe),
            "notification" => notification(value, scribe),
            "model_change" => scribe.custom("model", json!({"model": value["model"], "mode": value["mode"]})),
            "error" => {
                let error = &value["error"];
                let reason = error.as_str().or(error["message"].as_str()).unwrap_or("the agent said that it failed");
                scribe.error(reason, None);
                scribe.failed(reason);
            }
            "complete" => complete(value, scribe),
            other => scribe.unknown(line::named(other), value),
        }
    }

    /// What was being said has ended.
    pub(super) fn finish(&mut self, scribe: &mut Scribe) {
        if let Some((_, series)) = self.open.take() {
            series.close(None, scribe);
        }
    }

    fn message(&mut self, message: &Value, scribe: &mut Scribe) {
        scribe.time = message["created"]
            .as_u64()
            .map(|seconds| json!(seconds.saturating_mul(1_000)))
            .and_then(|millis| line::time(&millis));
        let role = message["role"].as_str().unwrap_or("assistant");
        for block in line::items(&message["content"]) {
            let text = block["text"].as_str().or(block["thinking"].as_str()).unwrap_or_default();
            match block["type"].as_str().unwrap_or_default() {
                "text" if role == "assistant" => self.say(message["id"].as_str(), Kind::Message, text, scribe),
                "thinking" => self.say(message["id"].as_str(), Kind::Thinking, text, scribe),
                "text" => scribe.message(role, text),
                "toolRequest" => {
                    self.finish(scribe);
                    let call = value_of(&block["toolCall"]);
                    let (id, name) = (block["id"].as_str().unwrap_or_default(), call["name"].as_str().unwrap_or("tool"));
                    scribe.call(id, name, call["arguments"].clone());
                }
                "toolResponse" => {
                    self.finish(scribe);
                    let result = value_of(&block["toolResult"]);
                    let is_error = block["toolResult"]["status"] == "error" || result["isError"] == true;
                    let content = if result["content"].is_array() { &result["content"] } else { result };
                    let output = block["toolResult"]["error"].as_str().map_or_else(|| line::joined(content), str::to_owned);
                    scribe.result(
                        block["id"].as_str().unwrap_or_default(),
                        Called::UNKNOWN,
                        output.into(),
                        is_error,
                        Value::Null,
                    );
                }
                "redactedThinking" => scribe.silent("redacted thinking"),
                "toolConfirmationRequest" => {
                    scribe.custom("needs_approval", json!({"tool": block["toolName"], "input": block["arguments"]}))
                }
                other => scribe.unknown(&format!("message/{}", line::named(other)), block),
            }
        }
    }

    /// Text of a message; with an id, more of it may follow.
    fn say(&mut self, id: Option<&str>, kind: Kind, text: &str, scribe: &mut Scribe) {
        let same = self.open.as_ref().is_some_and(|(open, series)| Some(open.as_str()) == id && series.kind() == kind);
        if !same {
            self.finish(scribe);
        }
        match (id, kind) {
            (Some(id), _) => {
                let (_, series) = self.open.get_or_insert_with(|| (id.to_owned(), Series::new(kind, scribe)));
                series.push(text, scribe);
                scribe.silent("message joined to others");
            }
            (None, Kind::Message) => scribe.message("assistant", text),
            (None, Kind::Thinking) => scribe.thinking(text),
        }
    }
}

/// What a result holds: some versions wrap it into status and value.
fn value_of(result: &Value) -> &Value {
    if result["value"].is_null() { result } else { &result["value"] }
}

fn notification(value: &Value, scribe: &mut Scribe) {
    let (log, progress) = (&value["log"], &value["progress"]);
    if progress.is_object() || value["progress"].is_number() {
        let of = |name: &str| progress.get(name).or(value.get(name)).cloned().unwrap_or_default();
        let current = if progress.is_number() { progress.clone() } else { of("progress") };
        return scribe.progress(json!({"current": current, "total": of("total"), "text": of("message")}));
    }
    scribe.custom(
        "notification",
        json!({"extension": value["extension_id"], "message": log.get("message").unwrap_or(&value["message"])}),
    );
}

fn complete(value: &Value, scribe: &mut Scribe) {
    if !matches!(scribe.evidence, Evidence::Failure(_)) {
        scribe.evidence = Evidence::Success;
    }
    if value["input_tokens"].is_null() && value["output_tokens"].is_null() {
        // Only a total, and in older versions only of the last turn: no figure that could be compared.
        return scribe.custom("complete", json!({"totalTokens": value["total_tokens"]}));
    }
    let (input, output) = (line::count(&value["input_tokens"]), line::count(&value["output_tokens"]));
    let usage = Usage { input, output, ..Usage::default() };
    scribe.usage(usage, json!({"totalTokens": value["total_tokens"]}));
}
