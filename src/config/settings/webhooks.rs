//! Who is told by HTTP what becomes of runs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::config::{Endpoints, Hidden, List, Span, WebUrl};

settings! {
    /// `[webhooks]`
    WebhookSettings {
        /// Whom to tell, each as `[[webhooks.endpoint]]` with `name`, `url`, `secret` or `secret_file`, `on`, `tasks`; JSON in the environment.
        endpoint: Endpoints = Endpoints::default(),
        /// Where people find the page, such as `https://tasklight.example.com`; empty if what is told is to have no link.
        page_url: String = String::new(),
        /// How often it is looked for what happened.
        interval: Span = Span::millis(500),
        /// How often it is looked for runs that are stalled, if anybody wants to hear of them.
        stall_interval: Span = Span::seconds(10),
        /// How long a request may take, with its answer.
        timeout: Span = Span::seconds(10),
        /// The wait after the first failed try; it doubles with each one more.
        retry_first: Span = Span::seconds(1),
        /// The longest such wait, also of those that a webhook asks for.
        retry_most: Span = Span::seconds(600),
        /// An event that was not taken for so long is given up.
        give_up_after: Span = Span::seconds(86_400),
        /// The most events that wait for one webhook; of more the oldest are let go of.
        queue: usize = 10_000,
        /// Allow `http://`, where everybody on the way can read what is told.
        allow_http: bool = false,
        /// Networks that are not public and may be sent to all the same, such as `10.1.0.0/16`.
        allow_private: List = List::default(),
        /// A file of certificates (PEM) that may have signed webhooks' ones, beside the well-known authorities.
        ca_file: String = String::new(),
    }
}

/// `[[webhooks.endpoint]]`: one that is told.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EndpointSettings {
    /// Its name: 1 to 32 letters, digits, `-` and `_`. What waits for it is kept under this name.
    pub name: String,
    /// Where.
    pub url: WebUrl,
    /// What requests are signed with: `whsec_` and base 64; several with blanks between, to change from one to another. Better in a file.
    pub secret: Hidden,
    /// A file with it.
    pub secret_file: String,
    /// Of what: `failed`, `completed`, `cancelled`, `lost`, `stalled`, `running`, `pending`; `failed,lost,stalled` if nothing is said.
    pub on: List,
    /// Of which tasks, as patterns such as `build-*`; of all if nothing is said.
    pub tasks: List,
}
