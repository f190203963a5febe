//! Webhooks: whoever is configured is told by HTTP what becomes of runs, at least once, in order for each run as far as tries allow, by the one node that
//! has the lease.
//!
//! What is to be told is in the store since the commit that it is about (`store::webhooks`), so nobody has to be there when it happens, and neither the writer nor
//! another endpoint ever waits for one that is slow. Where requests may go is decided by address, after names were looked up (`address`).

mod address;
mod event;
mod job;
mod metrics;
mod resolver;
mod secret;
mod sender;
mod worker;

use std::{path::PathBuf, time::Duration};

use reqwest::Url;

use crate::{auth::Pattern, model::Became};

pub(crate) use address::Allowed;
pub(crate) use event::test_event;
pub(crate) use job::Webhooks;
pub(crate) use secret::Secrets;
pub(crate) use sender::{Outcome, Sender};

/// How long a node's wish for moves of runs to be noted holds, if it is not heard of any more.
const WANTED_FOR: Duration = Duration::from_secs(24 * 3_600);

/// Whom to tell, and how.
#[derive(Debug)]
pub(crate) struct WebhookOptions {
    /// Whom; never empty.
    pub endpoints: Vec<Endpoint>,
    /// What the address of a task's page begins with, without a slash at its end; none if pages have no address.
    pub page_url: Option<String>,
    /// How requests are made.
    pub requests: RequestOptions,
    /// The bounds of the wait before the next try.
    pub retry: (Duration, Duration),
    /// After so long a delivery is given up.
    pub give_up_after: Duration,
    /// The most deliveries that wait for one endpoint.
    pub queue: usize,
    /// How often it is looked for runs that do not get on.
    pub stall_interval: Duration,
    /// When they are said to be stalled.
    pub stalled_after: crate::model::StalledAfter,
}

/// How requests are made.
#[derive(Debug, Clone)]
pub(crate) struct RequestOptions {
    /// How long one may take, with its answer.
    pub timeout: Duration,
    /// The longest wait that an answer may ask for.
    pub longest_wait: Duration,
    /// Where they may go beside public addresses.
    pub allowed: Allowed,
    /// Certificates (PEM) that may have signed endpoints' ones, beside the well-known authorities.
    pub ca_file: Option<PathBuf>,
}

/// Someone who is told.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    /// Its name in the store, in logs and in metrics.
    pub name: String,
    /// Where; `https`, or `http` where that is allowed.
    pub url: Url,
    /// What requests are signed with.
    pub secrets: Secrets,
    /// Of what.
    pub on: Vec<Became>,
    /// Of which tasks.
    pub tasks: Vec<Pattern>,
}
