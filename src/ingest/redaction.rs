//! Where secrets leave what publishers send: before anything is queued, stored, shown, answered or logged.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::RwLock;
use prometheus_client::metrics::{counter::Counter, family::Family};
use serde_json::value::RawValue;

use super::Rejected;
use crate::{
    metrics::RuleLabel,
    model::{ActivityType, Data, InvocationId, TaskId},
    redact::{Carry, CarryLimits, Redacted, Redactor},
};

/// What comes before a payload's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Before {
    /// The end of the piece before it, if it says that it is a piece.
    Pieces,
    /// Nothing, or it was looked at together with that already ([`Redaction::piece`]).
    Nothing,
}

/// The rules in force, what is remembered of text that comes in pieces, and how often each rule found something.
#[derive(Debug)]
pub struct Redaction {
    redactor: RwLock<Option<Arc<Redactor>>>,
    carry: Carry,
    hits: Family<RuleLabel, Counter>,
}

impl Redaction {
    /// By these rules; by none, everything stays as it is.
    pub(crate) fn new(redactor: Option<Redactor>, carry: CarryLimits, hits: Family<RuleLabel, Counter>) -> Self {
        Self { redactor: RwLock::new(redactor.map(Arc::new)), carry: Carry::new(carry), hits }
    }

    /// Goes by these rules from now on.
    pub(crate) fn replace(&self, redactor: Option<Redactor>) {
        *self.redactor.write() = redactor.map(Arc::new);
    }

    /// The rules in force.
    fn redactor(&self) -> Option<Arc<Redactor>> {
        self.redactor.read().clone()
    }

    /// That which finds nothing.
    pub(crate) fn off() -> Self {
        Self::new(None, CarryLimits { streams: 0, bytes: 0 }, Family::default())
    }

    /// An activity's payload without its secrets. Without any, it is the same bytes.
    pub(super) fn data(&self, task: &TaskId, invocation: &InvocationId, kind: ActivityType, data: Data, before: Before) -> Data {
        let Some(redactor) = self.redactor() else { return data };
        let scope = || format!("{}\n{}", task.as_str(), invocation.as_str());
        let redacted = match before {
            Before::Pieces => redactor.payload(data.as_bytes(), kind == ActivityType::Output, scope, &self.carry),
            Before::Nothing => redactor.json(data.as_bytes()),
        };
        let Some(redacted) = redacted else { return data };
        let text = self.count(&redactor, redacted).into();
        // What stood between characters still does; if it did not, nothing would be shown rather than too much.
        Data::from_checked(text).unwrap_or_else(Data::empty)
    }

    /// The next piece of a run's standard output, before it is cut into payloads, without its secrets; nor what is left of one that began before it.
    pub(super) fn piece(&self, task: &TaskId, run: &str, text: String) -> String {
        let Some(redactor) = self.redactor() else { return text };
        // As the payloads of the same output are called.
        let stream = format!("{}\n{run}\n\"stdout\"", task.as_str());
        match redactor.piece(&stream, text.as_bytes(), &self.carry) {
            Some(redacted) => String::from_utf8_lossy(&self.count(&redactor, redacted)).into_owned(),
            None => text,
        }
    }

    /// A JSON value without its secrets. Without any, or if it is no JSON, it is the same bytes.
    pub(crate) fn json(&self, text: Bytes) -> Bytes {
        let Some(redactor) = self.redactor() else { return text };
        if serde_json::from_slice::<&RawValue>(&text).is_err() {
            return text;
        }
        match redactor.json(&text) {
            Some(redacted) => self.count(&redactor, redacted).into(),
            None => text,
        }
    }

    /// What a person wrote, without secrets.
    pub(crate) fn text(&self, text: String) -> String {
        let Some((redactor, redacted)) = self.redactor().and_then(|redactor| Some((redactor.clone(), redactor.text(&text)?)))
        else {
            return text;
        };
        self.count(&redactor, redacted)
    }

    /// The value of what has a name, such as a label, without secrets.
    pub(crate) fn named(&self, name: &str, value: String) -> String {
        let redacted = self.redactor().and_then(|redactor| Some((redactor.clone(), redactor.named(name, &value)?)));
        let Some((redactor, redacted)) = redacted else { return value };
        self.count(&redactor, redacted)
    }

    /// Refuses an id that holds a secret: it is shown wherever its invocation is, and what is put in its place would name another one.
    pub(super) fn id(&self, id: &InvocationId) -> Result<(), Rejected> {
        let Some(redactor) = self.redactor() else { return Ok(()) };
        let Some(found) = redactor.text(id.as_str()) else { return Ok(()) };
        let rule = found.rules.first().map_or("", |rule| redactor.id(*rule));
        self.count(&redactor, found);
        let message =
            format!("invocationId looks like a secret (rule {rule}), and an id is shown to everyone: choose another one");
        Err(Rejected { code: "secret_in_id", field: Some("invocationId".to_owned()), message })
    }

    /// A refusal without secrets: it may name a field as it was sent.
    pub(super) fn rejected(&self, rejected: Rejected) -> Rejected {
        Rejected { field: rejected.field.map(|field| self.text(field)), message: self.text(rejected.message), ..rejected }
    }

    fn count<T>(&self, redactor: &Redactor, redacted: Redacted<T>) -> T {
        for rule in redacted.rules {
            self.hits.get_or_create(&RuleLabel { rule: redactor.id(rule).to_owned() }).inc();
        }
        redacted.text
    }
}
