//! Looks at what was taken back, at this node and at others, and at the files of API keys and of what certificates grant; and has open sessions look again.

use std::{sync::Arc, time::Duration};

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::{
    auth::Auth,
    stamp::Stamp,
    store::{Store, StoreError},
};

/// Keeps a node's [`Auth`] true.
#[derive(Clone)]
pub(crate) struct Guard {
    auth: Arc<Auth>,
    store: Store,
    /// Told when something that was good may no longer be.
    changed: Arc<dyn Fn() + Send + Sync>,
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guard").finish_non_exhaustive()
    }
}

impl Guard {
    /// `changed` is called whenever open sessions have to look at their access again.
    pub(crate) fn new(auth: Arc<Auth>, store: Store, changed: impl Fn() + Send + Sync + 'static) -> Self {
        Self { auth, store, changed: Arc::new(changed) }
    }

    /// Reads what was taken back.
    pub(crate) async fn look(&self) -> Result<(), StoreError> {
        let revocations = self.store.revocations().await?.into_iter().collect();
        if self.auth.set_revocations(revocations) {
            (self.changed)();
        }
        Ok(())
    }

    /// Does so again and again until `stop`, and reads those files when they have changed.
    pub(crate) async fn run(self, every: Duration, stop: CancellationToken) {
        if self.auth.is_open() {
            return;
        }
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // Also what has changed since the keys were read at the start.
        let (mut stamp, mut clients) = (Stamp::default(), Stamp::default());
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = stop.cancelled() => return,
            }
            if let Err(error) = self.look().await {
                tracing::debug!(%error, "what was revoked could not be read; trying again");
            }
            if self.auth.key_file().is_some_and(|file| stamp.changes(file)) {
                match self.auth.reload_keys() {
                    Ok(()) => (self.changed)(),
                    Err(error) => {
                        tracing::error!(%error, "the file of API keys has changed and cannot be read: the keys from before stay good")
                    }
                }
            }
            if self.auth.client_file().is_some_and(|file| clients.changes(file)) {
                match self.auth.reload_clients() {
                    Ok(()) => (self.changed)(),
                    Err(error) => tracing::error!(
                        %error,
                        "what certificates grant has changed and cannot be read: what they granted before stays so"
                    ),
                }
            }
        }
    }
}
