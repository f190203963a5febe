//! Some nodes around a store and a Redis, publishers and viewers, and the one who chooses what happens next.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::{
    book::Book, carrier::Carried, chance::Chance, lies::Lie, node::Node, publisher::Publishers, quiet::Quiet, shape::Shape,
    trace::Trace, viewer::Viewer,
};
use crate::{
    metrics::Metrics,
    model::{ActivityType, Offset, TaskId},
    store::gated::{Database, Leave, Onlooker, Side, Ticket},
};

/// How much more than its bound a session's queue may hold: one turn's last frame, and what is said about subscriptions.
const OVERSHOOT: usize = 4_000;

/// Which story is told.
#[derive(Debug, Clone, Copy)]
pub(super) struct Play {
    pub(super) seed: u64,
    /// Only its first so many steps.
    pub(super) steps: Option<usize>,
    pub(super) lie: Option<Lie>,
}

/// How a rule was broken, in words.
pub(super) type Broken = String;

pub(super) struct World<'a> {
    pub(super) shape: Shape,
    pub(super) chance: Chance,
    pub(super) trace: Trace,
    pub(super) database: &'a Database<'a>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) quiet: Quiet,
    pub(super) onlooker: Onlooker,
    pub(super) book: Book,
    pub(super) nodes: Vec<Option<Node>>,
    pub(super) births: u64,
    pub(super) carried: Vec<Carried>,
    pub(super) viewers: Vec<Viewer>,
    pub(super) publishers: Publishers,
    /// What is made wrong, to see that it is found.
    pub(super) lie: Option<Lie>,
    /// Something failed lately: whoever waits a while by chance may still do so.
    pub(super) jitters: bool,
}

impl<'a> World<'a> {
    pub(super) async fn new(play: Play, database: &'a Database<'a>, metrics: Arc<Metrics>, quiet: Quiet) -> Self {
        let Play { seed, steps, lie } = play;
        let mut chance = Chance::new(seed);
        let mut shape = Shape::draw(&mut chance);
        shape.steps = steps.unwrap_or(shape.steps);
        let (nodes, viewers) = ((0..shape.nodes).map(|_| None).collect(), (0..shape.viewers).map(|_| Viewer::new()).collect());
        let trace = Trace::default();
        let onlooker = database.onlooker().await;
        let (book, publishers, carried) = (Book::default(), Publishers::new(lie == Some(Lie::Misleads)), Vec::new());
        Self {
            shape,
            chance,
            trace,
            database,
            metrics,
            quiet,
            onlooker,
            book,
            nodes,
            births: 0,
            carried,
            viewers,
            publishers,
            lie,
            jitters: false,
        }
    }

    pub(super) fn task(&mut self) -> TaskId {
        format!("t{}", self.chance.index(self.shape.tasks)).parse().expect("valid")
    }

    /// The nodes that take requests.
    pub(super) fn open_nodes(&self) -> Vec<usize> {
        let open = |node: &Option<Node>| node.as_ref().is_some_and(|node| !node.leaves);
        self.nodes.iter().enumerate().filter(|(_, node)| open(node)).map(|(number, _)| number).collect()
    }

    pub(super) fn missing_nodes(&self) -> Vec<usize> {
        self.nodes.iter().enumerate().filter(|(_, node)| node.is_none()).map(|(number, _)| number).collect()
    }

    pub(super) fn node(&self, number: usize) -> Option<&Node> {
        self.nodes.get(number).and_then(Option::as_ref)
    }

    pub(super) fn start(&mut self, number: usize) {
        self.births += 1;
        let node = Node::start(self.database, &self.shape, &self.metrics, self.births);
        self.quiet.watch(node.gate.clone());
        self.nodes[number] = Some(node);
    }

    /// A node is gone, and with it everything that it had in memory.
    pub(super) async fn kill(&mut self, number: usize) -> Result<(), Broken> {
        let Some(node) = self.nodes[number].take() else { return Ok(()) };
        let birth = node.birth;
        node.end();
        self.publishers.forget(birth);
        self.carried.retain(|carried| carried.birth != birth);
        for viewer in &mut self.viewers {
            viewer.connection.take_if(|connection| connection.birth == birth);
        }
        self.onlooker.end_leases().await.map_err(|error| error.to_string())
    }

    /// Who waits for the store: of which node, for what.
    pub(super) fn tickets(&self) -> Vec<(usize, Ticket, Side)> {
        let of = |(number, node): (usize, &Option<Node>)| {
            let waiting = node.as_ref().map(|node| node.gate.waiting()).unwrap_or_default();
            waiting.into_iter().map(move |(ticket, side)| (number, ticket, side))
        };
        self.nodes.iter().enumerate().flat_map(of).collect()
    }

    /// Lets one use of the store happen.
    pub(super) async fn let_go(&mut self, (number, ticket, side): (usize, Ticket, Side), leave: Leave) -> Result<(), Broken> {
        self.jitters |= leave != Leave::Go;
        if let Some(node) = self.node(number) {
            node.gate.let_go(ticket, leave);
        }
        self.settle().await?;
        if side == Side::Writes { self.look().await } else { Ok(()) }
    }

    /// Reads what was committed.
    async fn look(&mut self) -> Result<(), Broken> {
        let logs = self.onlooker.logs().await.map_err(|error| error.to_string())?;
        let mut unread = BTreeMap::new();
        for (task, state) in &logs {
            if let Some(after) = self.book.unread(task, *state) {
                unread.insert(task.clone(), self.onlooker.rows(task, after).await.map_err(|error| error.to_string())?);
            }
        }
        self.book.note(&logs, unread)?;
        let heads: Vec<_> = logs.iter().map(|(task, state)| format!("{task} {}..{}", state.floor, state.head)).collect();
        self.trace.note(|| format!("  stored: {}", heads.join(", ")));
        self.hear_answers()
    }

    fn hear_answers(&mut self) -> Result<(), Broken> {
        for words in self.publishers.hear(&self.book)? {
            self.trace.note(|| format!("  {words}"));
        }
        Ok(())
    }

    /// Waits until nothing moves, and looks whether all bounds hold.
    pub(super) async fn settle(&mut self) -> Result<(), Broken> {
        self.quiet.comes().await;
        self.carry();
        for node in self.nodes.iter().flatten() {
            node.hub.check_rings()?;
        }
        self.viewers.iter().filter_map(|viewer| viewer.connection.as_ref()).try_for_each(|connection| {
            let (_, bytes) = connection.session.queued();
            if self.shape.session.queue_bytes + OVERSHOOT < bytes {
                return Err(format!("a session's queue holds {bytes} bytes"));
            }
            Ok(())
        })
    }

    /// Time passes. After a failure so much that whoever waits a while by chance is done with it, so that chance plays no part.
    pub(super) async fn pass(&mut self, time: Duration) {
        const JITTER: Duration = Duration::from_millis(3_100);
        let time = if self.jitters { time.max(JITTER) } else { time };
        self.jitters &= time < JITTER;
        tokio::time::advance(time).await;
    }

    /// Whether all is as it must be once nothing moves any more: see [`super::finish`].
    pub(super) async fn check(&mut self) -> Result<(), Broken> {
        self.look().await?;
        for (task, _) in self.onlooker.logs().await.map_err(|error| error.to_string())? {
            let all = self.onlooker.rows(&task, Offset::ZERO).await.map_err(|error| error.to_string())?;
            self.book.compare(&task, &all)?;
            if let Some(seen) = all.iter().find(|seen| !self.publishers.is_known(seen.event, kind_of(&seen.kind))) {
                return Err(format!("{task}: nobody published what is at {}", seen.offset));
            }
        }
        self.publishers.check(&self.book)
    }

    /// What keeps it from being at rest, if anything does.
    pub(super) fn unrest(&self) -> Option<String> {
        if self.publishers.waits() {
            return Some("a request is not answered".to_owned());
        }
        for (number, node) in self.nodes.iter().enumerate() {
            let Some(node) = node else { return Some(format!("n{number} is away")) };
            for (task, view) in node.hub.views() {
                let life = |epoch| self.book.number(&task, epoch);
                let truth = self.book.living(&task).map(|it| (life(it.epoch), it.floor, it.head));
                let thought = view.map(|view| view.map(|state| (life(state.epoch), state.floor.get(), state.head.get())));
                if thought.as_ref() != Some(&truth) {
                    return Some(format!("n{number} thinks that {task} stands at {thought:?}; it stands at {truth:?}"));
                }
            }
        }
        for (number, viewer) in self.viewers.iter().enumerate() {
            let Some(connection) = &viewer.connection else { return Some(format!("v{number} is away")) };
            if connection.has_unread() || connection.is_awake() {
                return Some(format!("v{number} is still at work"));
            }
            if let Some(wrong) = viewer.watchers.values().find_map(|watcher| watcher.rests(&self.book).err()) {
                return Some(format!("v{number}: {wrong}"));
            }
            if let Some((task, lag)) = connection.session.lags().into_iter().find(|(_, lag)| *lag != 0) {
                return Some(format!("v{number} is behind the head of {task} by {lag}"));
            }
        }
        None
    }
}

fn kind_of(text: &str) -> ActivityType {
    text.parse().expect("a stored type")
}
