//! What access control keeps in a store, whichever it is.

use super::{Store, StoreError};
use crate::{
    auth::{Revocation, Revoked},
    model::Timestamp,
};

/// A ticket as it is kept: by its hash, so that it cannot be used by whoever reads it here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredTicket {
    /// The SHA-256 of the ticket, in hexadecimal digits.
    pub sha256: String,
    /// Whom it stands for, as JSON.
    pub caller: String,
    /// When it ends.
    pub expires: Timestamp,
}

/// What a row takes back.
pub(super) fn revoked(subject: Option<String>, token: Option<String>) -> Result<Revoked, StoreError> {
    let foreign = || StoreError::Refused("a row of revocations does not say what it is about".to_owned());
    match (subject, token) {
        (Some(subject), None) => subject.parse().map(Revoked::Subject).map_err(|_| foreign()),
        (None, Some(id)) => Ok(Revoked::Token(id)),
        _ => Err(foreign()),
    }
}

impl Store {
    /// Remembers this; says whether there was room for it.
    pub(crate) async fn revoke(&self, revocation: &Revocation) -> Result<bool, StoreError> {
        each!(self, store => store.revoke(revocation).await)
    }

    /// Everything that was taken back and has to be remembered still.
    pub(crate) async fn revocations(&self) -> Result<Vec<Revocation>, StoreError> {
        each!(self, store => store.revocations().await)
    }

    /// Keeps a ticket.
    pub(crate) async fn put_ticket(&self, ticket: &StoredTicket) -> Result<(), StoreError> {
        each!(self, store => store.put_ticket(ticket).await)
    }

    /// Gives the ticket with this hash, to one of all who ask. Whether it has ended is for them to see.
    pub(crate) async fn take_ticket(&self, sha256: &str) -> Result<Option<StoredTicket>, StoreError> {
        each!(self, store => store.take_ticket(sha256).await)
    }
}
