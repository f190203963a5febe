//! PUBLISH with an `eventId`, and nothing more is waited for than that somebody hears it.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use tokio::time::{Instant, sleep};

use super::{Activity, FINISH_PATIENCE, Invocation, wire};
use crate::{
    checker::{Proof, Publication},
    run::Run,
};

/// Publishes until the run gets quiet, then finishes.
pub(super) async fn publish(run: Arc<Run>, mut invocation: Invocation, pause: Duration) -> Result<Publication> {
    let mut wire = wire::Wire::new(&run);
    while !run.quiet.is_cancelled() {
        for activity in invocation.next(1) {
            let Some(receivers) = deliver(&run, &mut wire, invocation.task(), &activity).await else { break };
            invocation.prove(&activity, Proof::Counted { receivers, excused: None }, &run, &run.figures.forget);
        }
        run.pace(pause).await;
    }
    // Only now is it known which faults were on for how long.
    for sent in &mut invocation.publication.sent {
        if let Proof::Counted { excused, .. } = &mut sent.proof {
            sent.out_of_turn = run.timeline.out_of_turn(sent.at_ms);
            *excused = run.timeline.excuse(sent.at_ms);
            if excused.is_none()
                && let Some(kind) = run.timeline.hub_failing(sent.at_ms)
            {
                run.figures.tried(kind);
            }
        }
    }
    Ok(invocation.publication)
}

/// One activity, again and again until somebody hears it; the next one waits. After an error it is not known whether somebody did, and
/// the same activity is published again: it has an `eventId`. None if that does not end.
async fn deliver(run: &Run, wire: &mut wire::Wire, task: &str, activity: &Activity) -> Option<u32> {
    let figures = &run.figures.forget;
    let body = activity.body.to_string();
    let mut attempts = 0_u32;
    let mut quiet_since = None;
    loop {
        figures.sent.one();
        if attempts != 0 {
            figures.again.one();
        }
        attempts += 1;
        match wire.publish(task, &body).await {
            Ok(0) => {
                figures.untaken.one();
                // If it does not get through, the next round says it again.
                let _ = wire.announce(task).await;
            }
            Ok(receivers) => return Some(receivers),
            Err(_) => {}
        }
        if run.quiet.is_cancelled() && FINISH_PATIENCE < quiet_since.get_or_insert_with(Instant::now).elapsed() {
            let Activity { event, number, .. } = activity;
            run.anomaly(format!(
                "task {task}: nobody heard number {number} event {event} in {attempts} attempts, although all is well again"
            ));
            return None;
        }
        sleep(wire::AGAIN.mul_f64(rand::random_range(0.2..1.8))).await;
    }
}
