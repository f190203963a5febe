//! Tickets: random words that stand for a caller, once and for a short while. Any node takes what any node made, because the store keeps them.

use std::time::Duration;

use aws_lc_rs::digest;
use rand::distr::{Alphanumeric, SampleString};
use serde::{Deserialize, Serialize};

use crate::{
    auth::{Caller, Grants, Means, Subject},
    model::Timestamp,
    store::{Store, StoreError, StoredTicket},
};

/// How long a ticket is good for.
const LIFE: Duration = Duration::from_secs(30);

/// The characters of a ticket, of 62 each: 256 bits and more.
const CHARS: usize = 43;

/// Makes and takes tickets.
#[derive(Debug, Clone)]
pub(crate) struct Tickets {
    store: Store,
}

/// A caller as a ticket's row keeps it.
#[derive(Serialize, Deserialize)]
struct Kept {
    subject: Subject,
    grants: Grants,
    means: Means,
    expires: Option<Timestamp>,
    issued: Option<Timestamp>,
    id: Option<String>,
}

impl Tickets {
    /// Of this store.
    pub(crate) fn new(store: Store) -> Self {
        Self { store }
    }

    /// A ticket for this caller, and how long it is good for.
    pub(crate) async fn make(&self, caller: &Caller) -> Result<(String, Duration), StoreError> {
        let ticket = Alphanumeric.sample_string(&mut rand::rng(), CHARS);
        let kept = Kept {
            subject: caller.subject().clone(),
            grants: caller.grants().clone(),
            means: caller.means(),
            expires: caller.expires(),
            issued: caller.issued(),
            id: caller.id().map(str::to_owned),
        };
        let caller = serde_json::to_string(&kept).map_err(|error| StoreError::Refused(error.to_string()))?;
        let expires = Timestamp::now().plus(LIFE);
        self.store.put_ticket(&StoredTicket { sha256: sha256(&ticket), caller, expires }).await?;
        Ok((ticket, LIFE))
    }

    /// Whom the ticket stands for; nothing if it was used, is over, or never was.
    pub(crate) async fn take(&self, ticket: &str) -> Result<Option<Caller>, StoreError> {
        let Some(stored) = self.store.take_ticket(&sha256(ticket)).await? else { return Ok(None) };
        if stored.expires <= Timestamp::now() {
            return Ok(None);
        }
        let kept = serde_json::from_str(&stored.caller);
        let Kept { subject, grants, means, expires, issued, id } =
            kept.map_err(|error| StoreError::Refused(error.to_string()))?;
        Ok(Some(Caller::new(subject, grants, means).of_token(id, issued, expires)))
    }
}

fn sha256(text: &str) -> String {
    let digest = digest::digest(&digest::SHA256, text.as_bytes());
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
