//! What a session may see, and for how long: the caller whom it was opened by, renewed in place by a new token of the same subject, ended when the
//! token ends or is taken back.

use std::sync::Arc;

use tokio::time::{Duration, Instant};

use crate::{
    auth::{Auth, Caller, Refusal, Right},
    limits::{AddressSeat, Draw, Limits, SubjectSeat, TooManySessions},
    model::{TaskId, Timestamp},
};

/// Why a session may not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Denied {
    /// No token has come in time, or it is no longer good: get a new one and come back.
    Unauthorized(Refusal),
    /// The new token speaks for somebody else.
    OtherSubject,
    /// The subject, known only now, has as many sessions as it may.
    TooManySessions,
}

impl Denied {
    /// As it is counted.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Unauthorized(refusal) => refusal.code(),
            Self::OtherSubject => "other_subject",
            Self::TooManySessions => "too_many_sessions",
        }
    }
}

/// Whom a session is for.
#[derive(Debug)]
pub(crate) struct Access {
    auth: Arc<Auth>,
    caller: Option<Caller>,
    limits: Arc<Limits>,
    /// What the session counts as, while it is open.
    seats: (Option<SubjectSeat>, Option<Arc<AddressSeat>>),
    /// When it ends, or when a token has to have come.
    due: Option<Instant>,
    /// Which revocations were looked at last for this caller; none yet.
    seen: Option<u64>,
}

impl Access {
    /// For this caller, unless it has as many sessions as it may; or for whoever shows a token within `patience`.
    pub(crate) fn new(
        auth: Arc<Auth>,
        limits: Arc<Limits>,
        caller: Option<Caller>,
        patience: Duration,
    ) -> Result<Self, TooManySessions> {
        let seat = caller.as_ref().map(|caller| limits.subjects.sit(caller)).transpose()?;
        let due = match &caller {
            Some(caller) => ends(&auth, caller),
            None => Some(Instant::now() + patience),
        };
        // The caller was checked a moment ago; what was taken back since is seen with the first delivery.
        Ok(Self { auth, caller, limits, seats: (seat, None), due, seen: None })
    }

    /// The same; it also counts against the address behind a proxy.
    pub(crate) fn with_seat(mut self, seat: Option<Arc<AddressSeat>>) -> Self {
        self.seats.1 = seat;
        self
    }

    /// For anybody.
    #[cfg(test)]
    pub(super) fn open() -> Self {
        use prometheus_client::metrics::gauge::Gauge;

        use crate::limits::{LimitOptions, Memory, Reached};

        let auth = Auth::new(crate::auth::AuthOptions::default()).expect("nothing is configured");
        let limits = Limits::new(LimitOptions::default(), Memory::new(0, Gauge::default()), Reached::default());
        Self::new(Arc::new(auth), Arc::new(limits), Some(Caller::anybody()), Duration::ZERO).expect("anybody may")
    }

    pub(super) fn auth(&self) -> &Arc<Auth> {
        &self.auth
    }

    /// Who it is, once that is known.
    pub(super) fn caller(&self) -> Option<&Caller> {
        self.caller.as_ref()
    }

    /// Whether this task may be seen.
    pub(super) fn may_read(&self, task: &TaskId) -> bool {
        self.caller.as_ref().is_some_and(|caller| caller.may(Right::Read, task))
    }

    /// Draws once from what the subject may have; gives how long to wait for it.
    pub(crate) fn draw(&self, what: Draw) -> Duration {
        self.caller.as_ref().map_or(Duration::ZERO, |caller| self.limits.subjects.draw(caller, what, 1))
    }

    /// Whether nothing new is to be begun.
    pub(super) fn is_short_of_memory(&self) -> bool {
        self.limits.memory.is_over()
    }

    /// When the session has to be looked at.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Takes a token that was found good. What was granted before and is not now may no longer be seen.
    pub(super) fn renew(&mut self, caller: Caller) -> Result<(), Denied> {
        if self.caller.as_ref().is_some_and(|known| known.subject() != caller.subject()) {
            return Err(Denied::OtherSubject);
        }
        if self.caller.is_none() {
            let seat = self.limits.subjects.sit(&caller).map_err(|_| Denied::TooManySessions)?;
            self.seats.0 = Some(seat);
        }
        self.due = ends(&self.auth, &caller);
        self.caller = Some(caller);
        self.seen = None;
        Ok(())
    }

    /// Whether it may go on as far as revocations say: asked with every delivery, so without looking at the clock.
    pub(crate) fn check(&mut self) -> Result<(), Denied> {
        let generation = self.auth.generation();
        if self.seen != Some(generation) {
            if let Some(caller) = &self.caller {
                self.auth.still_good(caller).map_err(Denied::Unauthorized)?;
            }
            // Of the revocations that there were before it was judged: it stays refused however often it is asked.
            self.seen = Some(generation);
        }
        Ok(())
    }

    /// Whether it may go on at this time; to be asked when [`Access::due`] has come.
    pub(crate) fn check_time(&self) -> Result<(), Denied> {
        if self.due.is_none_or(|due| Instant::now() < due) {
            return Ok(());
        }
        let refusal = if self.caller.is_some() { Refusal::Expired } else { Refusal::Missing };
        Err(Denied::Unauthorized(refusal))
    }
}

/// When the caller's token ends, by this process's clock. An open session gets no leeway: its client knows when to come with a new one.
fn ends(auth: &Auth, caller: &Caller) -> Option<Instant> {
    let left = caller.expires()?.as_millis().saturating_sub(Timestamp::now().as_millis());
    // A token that was let in within the leeway has that long.
    let left = if left == 0 { auth.leeway() } else { Duration::from_millis(left) };
    // What ends in a thousand years has no `Instant`.
    Instant::now().checked_add(left)
}

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::gauge::Gauge;

    use super::*;
    use crate::{
        auth::{AuthOptions, Grants, Means, Revocation, Revoked},
        limits::{LimitOptions, Memory, Reached},
    };

    fn caller(token: &str) -> Caller {
        let caller = Caller::new("ann".parse().expect("a subject"), Grants::all(), Means::Token);
        caller.of_token(Some(token.to_owned()), None, None)
    }

    /// Where this token was taken back.
    fn revoking(token: &str) -> Arc<Auth> {
        let secret = Some((vec![b'x'; 32], "HS256".to_owned()));
        let auth = Auth::new(AuthOptions { secret, ..AuthOptions::default() }).expect("a key");
        let revocation = Revocation { revoked: Revoked::Token(token.to_owned()), at: Timestamp::now(), until: None };
        assert!(auth.set_revocations([revocation].into_iter().collect()), "it is news");
        Arc::new(auth)
    }

    fn session(auth: Arc<Auth>, caller: Caller) -> Access {
        let limits = Limits::new(LimitOptions::default(), Memory::new(0, Gauge::default()), Reached::default());
        Access::new(auth, Arc::new(limits), Some(caller), Duration::ZERO).expect("there is room")
    }

    const REVOKED: Result<(), Denied> = Err(Denied::Unauthorized(Refusal::Revoked));

    #[test]
    fn what_is_taken_back_between_the_check_and_the_session_is_seen() {
        let mut access = session(revoking("t1"), caller("t1"));
        assert_eq!(access.check(), REVOKED);
    }

    #[test]
    fn what_is_taken_back_while_a_new_token_is_looked_at_is_seen() {
        let mut access = session(revoking("t2"), caller("t1"));
        assert_eq!(access.check(), Ok(()), "the first one is good");
        access.renew(caller("t2")).expect("the same subject");
        assert_eq!(access.check(), REVOKED);
    }
}
