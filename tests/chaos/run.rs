//! What everyone in a run shares: the way to a node, the time, the alarm, the end.

use std::{net::SocketAddr, time::Duration};

use parking_lot::RwLock;
use tokio::{sync::watch, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::{figures::Figures, timeline::Timeline};

/// A run.
pub struct Run {
    /// Where connections go.
    pub nodes: Nodes,
    /// Where Redis is, for agents.
    pub redis: SocketAddr,
    /// What was on when.
    pub timeline: Timeline,
    /// What is counted.
    pub figures: Figures,
    /// Agents finish what they have begun, and end.
    pub quiet: CancellationToken,
    alarm: watch::Sender<Option<String>>,
}

impl Run {
    /// A run that begins now. `alone`: there is one hub only.
    pub fn new(redis: SocketAddr, alone: bool) -> Self {
        Self {
            nodes: Nodes::default(),
            redis,
            timeline: Timeline::start(alone),
            figures: Figures::default(),
            quiet: CancellationToken::new(),
            alarm: watch::Sender::new(None),
        }
    }

    /// Something was seen that must not happen: the run ends at once. The first alarm is the one that is told.
    pub fn alarm(&self, text: impl Into<String>) {
        let during = self.timeline.now().map_or("no fault", |kind| kind.name());
        let text = format!("at {:.3} s, during {during}: {}", self.timeline.elapsed().as_secs_f64(), text.into());
        self.alarm.send_if_modified(|alarm| {
            let first = alarm.is_none();
            alarm.get_or_insert(text);
            first
        });
    }

    /// Waits for an alarm.
    pub async fn alarmed(&self) -> String {
        let mut alarm = self.alarm.subscribe();
        let heard = alarm.wait_for(Option::is_some).await.ok().and_then(|text| text.clone());
        heard.unwrap_or_else(|| "the run has ended".to_owned())
    }

    /// Waits for about `mean`, or until agents are to finish.
    pub async fn pace(&self, mean: Duration) {
        let pause = mean.mul_f64(rand::random_range(0.2..1.8));
        tokio::select! {
            () = sleep(pause) => {}
            () = self.quiet.cancelled() => {}
        }
    }
}

/// A random choice per connection, as by a load balancer that does not know yet who is down.
#[derive(Debug, Default)]
pub struct Nodes {
    listed: RwLock<Vec<SocketAddr>>,
}

impl Nodes {
    /// Connections may go there from now on.
    pub fn list(&self, address: SocketAddr) {
        self.listed.write().push(address);
    }

    /// And no more.
    pub fn strike(&self, address: SocketAddr) {
        self.listed.write().retain(|listed| *listed != address);
    }

    /// Any of them.
    pub fn any(&self) -> SocketAddr {
        let listed = self.listed.read();
        listed[rand::random_range(0..listed.len())]
    }
}
