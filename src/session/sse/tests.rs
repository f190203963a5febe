//! A stream without its socket: what it does with what comes too late.

use std::task::Waker;

use super::*;
use crate::{
    auth::Refusal,
    config::Settings,
    hub::{Otherwise, Start},
    model::{Filter, Offset},
    session::tests::{full_hub, task},
    store::ReadAfter,
};

#[tokio::test]
async fn what_is_read_for_a_stream_whose_token_was_taken_back_does_not_take_it_up_again() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let mut settings = Settings::default();
    settings.store.url = format!("sqlite://{}", folder.path().join("log.db").display());
    let (hub, metrics) = full_hub(&settings).await;
    let start = Start { after: None, otherwise: Otherwise::Beginning };
    let session = SseSession {
        task: task(),
        follower: hub.follow(&task(), start, Filter::default()),
        hub: hub.clone(),
        options: Arc::new(settings.session_options()),
        metrics,
        ending: Arc::default(),
        access: Access::open(),
    };
    let mut streaming = Streaming::new(session, Arc::default(), Relay::default(), true);
    let range = ReadAfter { after: Offset::ZERO, limit: 1, bytes: 1, window: 1, filter: Filter::default() };
    let page = hub.read(&task(), &range).await.expect("a page");
    streaming.deny(Denied::Unauthorized(Refusal::Revoked));
    streaming.mail.arrived.push((0, Arrival::Page(Ok(page))));
    let context = Context::from_waker(Waker::noop());
    // Emptying a mailbox changes places with it: what is here now comes the second time.
    for _ in 0..2 {
        streaming.hear(&context).expect("the node goes on");
        streaming.pump();
        assert!(matches!(streaming.phase, Phase::Ended) && streaming.outbox.is_empty(), "nothing more is sent");
    }
}
