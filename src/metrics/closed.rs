//! Labels whose values are a closed set: every series is there from the start, at zero, so that a first time is seen as a change.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

use super::Code;

/// Why activities, bodies and announcements are refused: the stable codes that publishers see.
pub(super) const REJECTED: [&str; 27] = [
    "activity_too_large",
    "duplicate_field",
    "empty_body",
    "envelope_forbidden",
    "envelope_invalid",
    "envelope_missing",
    "envelope_stale",
    "invalid_announcement",
    "invalid_event_id",
    "invalid_invocation_id",
    "invalid_json",
    "invalid_series_id",
    "invalid_task_id",
    "invalid_timestamp",
    "message_too_large",
    "missing_field",
    "number_too_long",
    "secret_in_id",
    "status_transition",
    "task_mismatch",
    "too_deep",
    "too_many_activities",
    "unknown_field",
    "unknown_status",
    "unknown_type",
    "unstorable",
    "wrong_type",
];

/// Why the hub closes sessions.
pub(super) const CLOSED: [&str; 18] = [
    "certificate_unknown",
    "drain",
    "keys_unavailable",
    "malformed",
    "message_timeout",
    "not_utf8",
    "other_subject",
    "policy",
    "silent",
    "token_expired",
    "token_invalid",
    "token_missing",
    "token_revoked",
    "too_big",
    "too_many_fragments",
    "too_many_frames",
    "too_many_sessions",
    "too_slow",
];

/// A counter for each of `codes`, at zero.
pub(super) fn by_code(codes: &[&'static str]) -> Family<Code, Counter> {
    let family = Family::<Code, Counter>::default();
    for code in codes {
        let _at_zero = family.get_or_create(&Code { code });
    }
    family
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Via {
    via: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Change {
    change: &'static str,
}

/// Activities that were found good and went on to the writer, by their way in.
#[derive(Debug)]
pub(crate) struct Accepted {
    /// By a request to `/v1/tasks/{id}/activities`.
    pub http: Counter,
    /// By hooks of agents.
    pub hook: Counter,
    /// Over Redis, at the node that owns the task.
    pub redis: Counter,
}

/// How subscriptions with a cursor began.
#[derive(Debug)]
pub(crate) struct Resumes {
    /// The cursor was continued.
    pub recovered: Counter,
    /// The log lives another life, or has less than the cursor says: it started over.
    pub reset: Counter,
    /// What comes after the cursor is no longer kept: a gap that the viewer was told of.
    pub truncated: Counter,
}

/// How the ingest of tasks changed hands.
#[derive(Debug, Clone)]
pub(crate) struct Moves {
    /// This node became the owner.
    pub gained: Counter,
    /// This node ceased to be the owner.
    pub lost: Counter,
}

impl Accepted {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let family = Family::<Via, Counter>::default();
        registry.register(
            "activities_accepted",
            "Activities found good and given to the writer, by their way in",
            family.clone(),
        );
        let of = |via| family.get_or_create(&Via { via }).clone();
        Self { http: of("http"), hook: of("hook"), redis: of("redis") }
    }
}

impl Resumes {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let family = Family::<Outcome, Counter>::default();
        registry.register(
            "hub_resumes",
            "Subscriptions that came with a cursor, by whether it could be continued",
            family.clone(),
        );
        let of = |outcome| family.get_or_create(&Outcome { outcome }).clone();
        Self { recovered: of("recovered"), reset: of("reset"), truncated: of("truncated") }
    }
}

impl Moves {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let family = Family::<Change, Counter>::default();
        registry.register("cluster_ownership_moves", "Tasks whose ingest this node took over or gave up", family.clone());
        let of = |change| family.get_or_create(&Change { change }).clone();
        Self { gained: of("gained"), lost: of("lost") }
    }
}
