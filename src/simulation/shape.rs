//! The bounds that a simulation runs with, small enough for each of them to be reached.

use std::time::Duration;

use super::chance::Chance;
use crate::{config::Settings, hub::HubOptions, jobs::retention::Policy, session::SessionOptions, writer::WriterOptions};

/// What is fixed for one seed.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    pub(super) nodes: usize,
    pub(super) tasks: usize,
    pub(super) viewers: usize,
    pub(super) steps: usize,
    pub(super) hub: HubOptions,
    pub(super) writer: WriterOptions,
    pub(super) session: SessionOptions,
    pub(super) keeps: Policy,
    pub(super) bite: u64,
    /// How many bytes a viewer's socket holds unread.
    pub(super) socket: usize,
    /// How often in a hundred a hint is lost on its way.
    pub(super) loss: u64,
    /// How often in a hundred the store fails.
    pub(super) failure: u64,
    /// Whether nodes die.
    pub(super) deaths: bool,
    /// Whether logs are deleted, trimmed and renewed.
    pub(super) changes: bool,
}

impl Shape {
    pub(super) fn draw(chance: &mut Chance) -> Self {
        let settings = Settings::default();
        let hub = HubOptions {
            ring_activities: chance.of(&[1, 2, 4, 16, 1_000]),
            ring_bytes: chance.of(&[500, 1_200, 4_000, 1_000_000]),
            linger: chance.of(&[Duration::ZERO, Duration::from_secs(86_400)]),
            resync_interval: Duration::from_secs(3),
            cold_reads: chance.of(&[1, 2, 4]),
            page_activities: chance.of(&[1, 2, 3, 8, 50]),
            page_bytes: chance.of(&[60, 400, 1_000_000]),
            list_interval: Duration::from_secs(3),
        };
        let writer = WriterOptions {
            lanes: 1,
            queue_activities: chance.of(&[2, 5, 100]),
            queue_bytes: chance.of(&[600, 100_000]),
            batch_activities: chance.of(&[1, 3, 100]),
            admit_timeout: Duration::from_secs(30),
            commit_timeout: chance.of(&[Duration::from_secs(4), Duration::from_secs(600)]),
            heartbeat_interval: Duration::from_secs(3),
            heartbeats: 100,
        };
        let session = SessionOptions {
            queue_frames: chance.of(&[1, 3, 256]),
            queue_bytes: chance.of(&[300, 1_500, 262_144]),
            ..settings.session_options()
        };
        let keeps = Policy {
            max_activities: chance.of(&[Some(1), Some(3), Some(8), None]),
            finished_max_age: chance.of(&[Some(Duration::from_secs(3_600)), None, None]),
            ..Policy::default()
        };
        Self {
            nodes: chance.of(&[1, 2, 2, 3]),
            tasks: chance.of(&[1, 1, 2, 3]),
            viewers: chance.of(&[1, 2, 3, 4]),
            steps: chance.of(&[40, 80, 100, 200]),
            hub,
            writer,
            session,
            keeps,
            bite: chance.of(&[1, 2, 100]),
            socket: chance.of(&[40, 300, 2_000, 100_000]),
            loss: chance.of(&[0, 10, 50]),
            failure: chance.of(&[0, 0, 5, 20]),
            deaths: chance.percent(50),
            changes: chance.percent(60),
        }
    }
}
