//! A viewer by Server-Sent Events: one task, `Last-Event-ID` as its cursor.

use futures_util::StreamExt;
use tokio::time::{Instant, timeout, timeout_at};

use super::{CONNECT_TIMEOUT, LEAVE_TIMEOUT, Left, SILENCE, Viewer};

/// Connects to any node, reads for a while and goes.
pub(super) async fn stay(viewer: &mut Viewer) -> Left {
    let Some((task, place)) = viewer.places.iter().next() else { return Left::Gladly };
    let task = task.clone();
    // A client of its own: its connection ends with it, and nothing is kept for the next one.
    let url = format!("http://{}/v1/tasks/{task}/stream", viewer.run.nodes.any());
    let mut request = reqwest::Client::new().get(url);
    if let Some(cursor) = &place.cursor {
        request = request.header("last-event-id", cursor);
    }
    let answered = timeout(CONNECT_TIMEOUT, request.send()).await;
    let Some(answer) = answered.ok().and_then(Result::ok).filter(|answer| answer.status() == 200) else {
        viewer.run.figures.refused.one();
        return Left::InVain;
    };
    viewer.run.figures.connections.one();
    let mut bytes = answer.bytes_stream();
    let mut until = viewer.until();
    let mut heard = Instant::now();
    let mut waiting = Vec::new();
    loop {
        let Ok(next) = timeout_at(until.min(heard + SILENCE), bytes.next()).await else {
            if heard + SILENCE <= Instant::now() {
                viewer.run.figures.silent.one();
                return Left::InVain;
            }
            return Left::Gladly;
        };
        let Some(Ok(chunk)) = next else { return Left::InVain };
        heard = Instant::now();
        waiting.extend_from_slice(&chunk);
        // An event ends with an empty line. What has not ended when the connection does was never received.
        while let Some(end) = waiting.windows(2).position(|two| two == b"\n\n") {
            let event: Vec<u8> = waiting.drain(..end + 2).collect();
            if take_event(viewer, &task, &String::from_utf8_lossy(&event)) {
                until = until.min(Instant::now() + LEAVE_TIMEOUT);
            }
        }
        if viewer.has_all() {
            return Left::Gladly;
        }
    }
}

/// Takes one event. Whether the viewer should go elsewhere.
fn take_event(viewer: &mut Viewer, task: &str, event: &str) -> bool {
    let field = |name| event.lines().find_map(|line| line.strip_prefix(name)).map(str::trim_start);
    let Some(data) = field("data:") else { return false };
    let go = viewer.take(data, |run| &run.figures.sse);
    if field("event:").is_none() {
        let cursor = viewer.places.get(task).and_then(|place| place.cursor.as_deref());
        if field("id:") != cursor {
            viewer.run.anomaly(format!("viewer {} got an event whose id is not its cursor: {event}", viewer.name));
        }
    }
    go
}
