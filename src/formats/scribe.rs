//! What a parser writes with: drafts of the line at hand, and what is remembered of all lines whatever the format.

use serde_json::{Map, Value, json};

use super::{
    Draft, Format,
    calls::Calls,
    identity::{Place, tool_call_id},
    tally::Tally,
};
use crate::model::{ActivityType, InvocationId, Timestamp};

/// The most characters of a reason.
const REASON_CHARS: usize = 500;

/// The block of a notice; no line has as many activities.
const NOTICE_BLOCK: u32 = u32::MAX - 1;

/// How an agent's work ended, as far as it said.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Evidence {
    /// It said nothing of it.
    #[default]
    None,
    /// It had begun something and has not said that it was done.
    Unfinished,
    /// It said that it was done.
    Success,
    /// It said that it failed, and why.
    Failure(String),
}

/// Tokens and cost of the whole run so far.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Usage {
    /// Everything that was sent to the model, whether or not it was cached.
    pub input: u64,
    /// Everything that came back, with the reasoning.
    pub output: u64,
    /// How much of the input came from a cache.
    pub cache_read: u64,
    /// How much of the input was written to a cache.
    pub cache_write: u64,
    /// What it cost, if the agent says so.
    pub cost: Option<f64>,
}

impl Usage {
    /// So much more of everything.
    pub(super) fn add(&mut self, more: Self) {
        self.input = self.input.saturating_add(more.input);
        self.output = self.output.saturating_add(more.output);
        self.cache_read = self.cache_read.saturating_add(more.cache_read);
        self.cache_write = self.cache_write.saturating_add(more.cache_write);
        self.cost = match (self.cost, more.cost) {
            (Some(cost), Some(more)) => Some(cost + more),
            (cost, more) => cost.or(more),
        };
    }
}

/// How a line is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Account {
    /// Nothing was said of it yet.
    Open,
    /// It is counted.
    Done,
}

/// Drafts activities.
#[derive(Debug)]
pub(super) struct Scribe {
    pub format: Format,
    pub evidence: Evidence,
    pub last_error: Option<String>,
    /// Whether nothing was said since that error.
    error_is_latest: bool,
    pub version: Option<String>,
    pub tally: Tally,
    /// The agent's own time of the line at hand.
    pub time: Option<Timestamp>,
    /// The tool call of the agent that the line at hand belongs to, if it is a sub-agent's.
    pub parent: Option<String>,
    invocation: InvocationId,
    calls: Calls,
    place: Place,
    account: Account,
    /// The name under which the line at hand is counted if nothing is drafted of it.
    silence: Option<&'static str>,
    drafts: Vec<Draft>,
}

impl Scribe {
    pub(super) fn new(format: Format, invocation: InvocationId) -> Self {
        Self {
            format,
            evidence: Evidence::None,
            last_error: None,
            error_is_latest: false,
            version: None,
            tally: Tally::default(),
            time: None,
            parent: None,
            invocation,
            calls: Calls::default(),
            place: Place::Line(0, 0),
            account: Account::Done,
            silence: None,
            drafts: Vec::new(),
        }
    }

    /// The line with this number is at hand.
    pub(super) fn begin(&mut self, number: u64) {
        self.place = Place::Line(number, 0);
        self.tally.lines += 1;
        (self.account, self.silence) = (Account::Open, None);
        (self.time, self.parent) = (None, None);
    }

    /// The end is at hand.
    pub(super) fn begin_end(&mut self) {
        let (Place::Line(lines, _) | Place::End(lines, _)) = self.place;
        self.place = Place::End(lines, 0);
        (self.time, self.parent) = (None, None);
    }

    /// What was drafted of the line at hand.
    pub(super) fn take(&mut self) -> Vec<Draft> {
        if self.account == Account::Open {
            self.account = Account::Done;
            match self.drafts.is_empty() {
                true => self.tally.silent(self.silence.unwrap_or("nothing to show")),
                false => self.tally.told += 1,
            }
        }
        std::mem::take(&mut self.drafts)
    }

    /// A tool call's id as it is published.
    pub(super) fn call_id(&self, source: &str) -> String {
        tool_call_id(&self.invocation, source)
    }

    /// A word that is unique to the place at hand.
    pub(super) fn place_word(&self) -> String {
        match self.place {
            Place::Line(line, block) => format!("{line}.{block}"),
            Place::End(lines, block) => format!("{lines}.end.{block}"),
        }
    }

    /// Drafts an activity.
    pub(super) fn draft(&mut self, kind: ActivityType, data: Value) {
        let mut data = match data {
            Value::Object(data) => data,
            other => Map::from_iter([("value".to_owned(), other)]),
        };
        if let Some(parent) = &self.parent {
            data.insert("parentToolCallId".to_owned(), tool_call_id(&self.invocation, parent).into());
        }
        self.error_is_latest = kind == ActivityType::Error;
        self.tally.activity(kind);
        self.drafts.push(Draft { kind, data, time: self.time, place: self.place, hooked: false });
        let (Place::Line(_, block) | Place::End(_, block)) = &mut self.place;
        *block += 1;
    }

    /// Something said by or to the agent; nothing if it is empty.
    pub(super) fn message(&mut self, role: &str, text: &str) {
        if text.is_empty() {
            return self.silent("empty message");
        }
        self.draft(ActivityType::Message, json!({"role": role, "text": text}));
    }

    /// The agent's reasoning; nothing if it is empty.
    pub(super) fn thinking(&mut self, text: &str) {
        if text.is_empty() {
            return self.silent("empty thinking");
        }
        self.draft(ActivityType::Thinking, json!({"text": text}));
    }

    /// A tool was called.
    pub(super) fn call(&mut self, id: &str, name: &str, input: Value) {
        if !self.calls.open(id, name) {
            return self.silent("tool call again");
        }
        let is_first = !self.calls.has_ended(id);
        let id = tool_call_id(&self.invocation, id);
        self.draft(ActivityType::ToolCall, json!({"toolCallId": id, "name": name, "input": input}));
        self.note_hooked(is_first);
    }

    /// Claude Code's hooks tell of the same uses of tools, by the same ids. An id that is used again is told by its place, or it would be taken for the first.
    fn note_hooked(&mut self, is_first: bool) {
        if let Some(draft) = self.drafts.last_mut() {
            draft.hooked = is_first && self.format == Format::Claude;
        }
    }

    /// Whether a call is waiting for its result.
    pub(super) fn is_open(&self, id: &str) -> bool {
        self.calls.is_open(id)
    }

    /// What a tool gave back. If nobody called it, the call is said first, as far as it is known.
    pub(super) fn result(&mut self, id: &str, called: Called<'_>, output: Value, is_error: bool, more: Value) {
        let is_first = !self.calls.has_ended(id);
        if !self.calls.is_open(id) {
            self.call(id, called.name, called.input.clone());
        }
        self.calls.close(id);
        let mut data = json!({"toolCallId": tool_call_id(&self.invocation, id), "output": output});
        if is_error {
            data["isError"] = true.into();
        }
        if let (Value::Object(data), Value::Object(more)) = (&mut data, more) {
            data.extend(more.into_iter().filter(|(_, value)| !value.is_null()));
        }
        self.draft(ActivityType::ToolResult, data);
        self.note_hooked(is_first);
    }

    /// Something of the agent's own, under a name.
    pub(super) fn custom(&mut self, name: &str, fields: Value) {
        let mut data = json!({"name": name});
        if let (Value::Object(data), Value::Object(fields)) = (&mut data, fields) {
            data.extend(fields.into_iter().filter(|(_, value)| !value.is_null()));
        }
        self.draft(ActivityType::Custom, data);
    }

    /// Something went wrong; said twice in a row it is said once.
    pub(super) fn error(&mut self, message: &str, code: Option<&str>) {
        let again = self.error_is_latest && self.last_error.as_deref() == Some(&*shortened(message));
        if again {
            return self.silent("error again");
        }
        self.last_error = Some(shortened(message));
        let mut data = json!({"message": message});
        if let Some(code) = code {
            data["code"] = code.into();
        }
        self.draft(ActivityType::Error, data);
    }

    /// How far something has come.
    pub(super) fn progress(&mut self, data: Value) {
        self.draft(ActivityType::Progress, data);
    }

    /// Tokens and cost of the whole run so far: it replaces what was said before.
    pub(super) fn usage(&mut self, usage: Usage, more: Value) {
        let mut data = json!({"inputTokens": usage.input, "outputTokens": usage.output});
        if let Value::Object(data) = &mut data {
            for (name, count) in [("cacheReadTokens", usage.cache_read), ("cacheWriteTokens", usage.cache_write)] {
                if 0 < count {
                    data.insert(name.to_owned(), count.into());
                }
            }
            data.extend(usage.cost.filter(|cost| cost.is_finite()).map(|cost| ("costUsd".to_owned(), cost.into())));
            if let Value::Object(more) = more {
                data.extend(more.into_iter().filter(|(_, value)| !value.is_null()));
            }
        }
        self.draft(ActivityType::Usage, data);
    }

    /// The agent said that its work failed.
    pub(super) fn failed(&mut self, reason: &str) {
        self.evidence = Evidence::Failure(shortened(reason));
    }

    /// If nothing is drafted of the line at hand, that is because everything worth showing is said elsewhere.
    pub(super) fn silent(&mut self, name: &'static str) {
        self.silence.get_or_insert(name);
    }

    /// The line at hand is blank.
    pub(super) fn blank(&mut self) {
        self.tally.blank += 1;
        self.account = Account::Done;
    }

    /// The line at hand is no JSON: it is shown as it is.
    pub(super) fn text(&mut self, line: &str) {
        if self.account == Account::Open {
            self.tally.text += 1;
            self.account = Account::Done;
        }
        self.draft(ActivityType::Output, json!({"stream": "stdout", "text": format!("{line}\n")}));
    }

    /// Words that stood before the line's JSON. Their place is the last of the line, so that the JSON has the same one with them and without.
    pub(super) fn notice(&mut self, text: &str) {
        let before = self.place;
        if let Place::Line(line, _) = before {
            self.place = Place::Line(line, NOTICE_BLOCK);
        }
        self.draft(ActivityType::Output, json!({"stream": "stdout", "text": format!("{}\n", text.trim_end())}));
        self.place = before;
    }

    /// The line at hand is of no known type or form: it is kept whole, and counted.
    pub(super) fn unknown(&mut self, name: &str, raw: &Value) {
        if self.account == Account::Open {
            self.tally.unknown(name);
            self.account = Account::Done;
        }
        let (agent, version) = (self.format.as_str(), self.version.clone());
        self.custom("unknown", json!({"line": name, "agent": agent, "version": version, "raw": raw}));
    }

    /// The line at hand is too long to be read.
    pub(super) fn too_long(&mut self, head: &str, bytes: u64) {
        self.tally.too_long += 1;
        self.account = Account::Done;
        self.custom("line_too_long", json!({"truncated": true, "originalBytes": bytes, "head": head}));
    }

    /// Says which calls never got a result.
    pub(super) fn no_results(&mut self) {
        for (id, name) in self.calls.take() {
            let id = tool_call_id(&self.invocation, &id);
            self.custom("no_result", json!({"toolCallId": id, "tool": name}));
        }
    }
}

/// A tool call as its result tells of it, for when nobody told of it before.
#[derive(Debug, Clone, Copy)]
pub(super) struct Called<'a> {
    pub name: &'a str,
    pub input: &'a Value,
}

impl Called<'_> {
    /// Nothing is known of it.
    pub(super) const UNKNOWN: Called<'static> = Called { name: "tool", input: &Value::Null };
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(REASON_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
