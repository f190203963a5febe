//! Whom a session is for: the token that it was opened with, a new one in its place, and what the new one does not grant.

use tokio::time::Instant;

use super::{Entry, Phase, Session, Subscription, access::Denied, entry, protocol::ServerMessage};
use crate::{
    auth::{Caller, Refusal},
    model::TaskId,
};

impl Session {
    /// Whether messages are taken now.
    pub(crate) fn may_receive(&self) -> bool {
        self.checking.is_none() && self.pace.pause().is_none()
    }

    /// Why the session may not go on, if that is so by now.
    pub(crate) fn denied(&mut self) -> Option<Denied> {
        self.denied.or_else(|| self.access.check().err())
    }

    /// Why it may not go on any longer; to be asked when [`Session::access_due`] has come.
    pub(crate) fn is_over(&self) -> Option<Denied> {
        self.access.check_time().err()
    }

    /// When its token ends, or has to have come.
    pub(crate) fn access_due(&self) -> Option<Instant> {
        self.access.due()
    }

    /// A token was looked at.
    pub(super) fn authenticated(&mut self, checked: Result<Caller, Refusal>) {
        self.checking = None;
        match checked {
            Ok(caller) => match self.access.renew(caller) {
                Ok(()) => self.stop_what_is_forbidden(),
                Err(denied) => self.denied = Some(denied),
            },
            // That is no fault of the token's: what was granted stays so until it ends.
            Err(Refusal::Unavailable) => {
                let refusal = Refusal::Unavailable;
                self.say(&ServerMessage::error(refusal.code(), &refusal.to_string(), None));
            }
            Err(refusal) => self.denied = Some(Denied::Unauthorized(refusal)),
        }
    }

    /// Ends the subscriptions that the renewed token does not grant.
    fn stop_what_is_forbidden(&mut self) {
        let forbidden: Vec<TaskId> = self.tasks.keys().filter(|task| !self.access.may_read(task)).cloned().collect();
        for task in &forbidden {
            self.drop_task(task);
            self.say(&ServerMessage::Unsubscribed { task, reason: "forbidden" });
        }
        let list = self.list.and_then(|slot| entry(&mut self.slots, slot).map(|entry| (slot, entry)));
        if let Some((slot, Entry { subscription: Subscription::List(follower), phase })) = list {
            follower.start_over();
            if matches!(phase, Phase::Asleep) {
                *phase = Phase::Ready;
                self.ready.push_back(slot);
            }
        }
    }

    /// Whether there is such a task is not said, and not looked up.
    pub(super) fn forbid(&mut self, task: Option<&TaskId>) {
        let (code, message) = match self.access.caller() {
            Some(_) => ("forbidden", "the token does not grant this task to be read"),
            None => ("token_missing", "send {\"op\":\"auth\",\"token\":…} first"),
        };
        self.say(&ServerMessage::error(code, message, task));
    }
}
