//! What may happen next, and how often it does.

use std::time::Duration;

use super::world::{Broken, World};
use crate::{
    model::{Offset, Timestamp},
    store::{
        TaskChange,
        gated::{FAILS_WITHIN, Leave},
    },
};

/// How often in a hundred steps time passes by itself.
const SMALL_TIMES: [u64; 3] = [5, 15, 40];
const LARGE_TIMES: [u64; 2] = [500, 3_100];

/// One thing that can happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Do {
    Publish,
    Resend,
    Store,
    Hint,
    Fulfil,
    Reconnect,
    Turn,
    Read,
    Connect,
    Leave,
    Subscribe,
    Beat,
    Alive,
    Pass,
    Change,
    Job,
    Kill,
    Start,
    Stop,
}

impl World<'_> {
    /// Chooses what happens next, and does it.
    pub(super) async fn step(&mut self) -> Result<(), Broken> {
        let next = self.choose();
        match next {
            Do::Publish | Do::Resend => self.publish(next == Do::Resend),
            Do::Store => self.use_store().await?,
            Do::Hint => self.move_hint(),
            Do::Fulfil => {
                let wishes = self.wishes();
                let wish = self.chance.of(&wishes);
                self.trace.note(|| format!("redis: n{} {} {}", wish.0, if wish.2 { "hears" } else { "does not hear" }, wish.1));
                self.fulfil(wish);
            }
            Do::Reconnect => {
                let number = self.chance.index(self.nodes.len());
                self.trace.note(|| format!("n{number} connects to redis anew"));
                self.reconnect(number);
            }
            Do::Turn | Do::Read | Do::Connect | Do::Leave | Do::Subscribe | Do::Beat => self.move_viewer(next)?,
            Do::Alive => self.beat(),
            Do::Pass => {
                let times: &[u64] = if self.chance.percent(60) { &SMALL_TIMES } else { &LARGE_TIMES };
                let time = Duration::from_millis(self.chance.of(times));
                self.trace.note(|| format!("{time:?} pass"));
                self.pass(time).await;
            }
            Do::Change => self.change(),
            Do::Job => self.job(),
            Do::Kill | Do::Stop | Do::Start => self.move_node(next).await?,
        }
        self.settle().await?;
        self.finish_leaving().await
    }

    fn choose(&mut self) -> Do {
        let open = self.open_nodes().len() as u64;
        let some = |weight: u64, is: bool| if is { weight } else { 0 };
        let tickets = self.tickets().len() as u64;
        let connected = self.viewers.iter().filter(|viewer| viewer.connection.is_some()).count();
        let connections = || self.viewers.iter().filter_map(|viewer| viewer.connection.as_ref());
        let awake = connections().any(|connection| connection.is_awake());
        let unread = connections().any(|connection| connection.has_unread());
        let is_shared = 1 < self.shape.nodes;
        let weights = [
            (some(14, open != 0), Do::Publish),
            (some(3, open != 0), Do::Resend),
            (30.min(12 * tickets), Do::Store),
            (20.min(8 * self.hints() as u64), Do::Hint),
            (some(12, !self.wishes().is_empty()), Do::Fulfil),
            (some(1, is_shared), Do::Reconnect),
            (some(24, awake), Do::Turn),
            (some(18, unread), Do::Read),
            (some(8, open != 0 && connected < self.viewers.len()), Do::Connect),
            (some(2, connected != 0), Do::Leave),
            (some(6, connected != 0), Do::Subscribe),
            (some(1, connected != 0), Do::Beat),
            (some(1, open != 0), Do::Alive),
            (6, Do::Pass),
            (some(3, self.shape.changes && open != 0), Do::Change),
            (some(3, open != 0), Do::Job),
            (some(1, self.shape.deaths && open != 0), Do::Kill),
            (some(1, self.shape.deaths && open != 0), Do::Stop),
            (some(8, !self.missing_nodes().is_empty()), Do::Start),
        ];
        self.chance.weighed(&weights)
    }

    fn publish(&mut self, again: bool) {
        let nodes = self.open_nodes();
        let number = self.chance.of(&nodes);
        let task = self.task();
        let known = self.publishers.sent_to(&task);
        let count = 1 + self.chance.index(4);
        let items: Vec<usize> = if again && !known.is_empty() {
            (0..count).map(|_| self.chance.of(&known)).collect()
        } else {
            (0..count).map(|_| self.publishers.make(&task, &mut self.chance)).collect()
        };
        self.trace.note(|| format!("n{number} is sent {items:?} for {task}"));
        self.send(number, items);
    }

    pub(super) fn send(&mut self, number: usize, items: Vec<usize>) {
        if let Some(node) = self.nodes[number].as_ref() {
            self.publishers.send(items, &node.writer, node.birth);
        }
    }

    async fn use_store(&mut self) -> Result<(), Broken> {
        let tickets = self.tickets();
        let ticket = self.chance.of(&tickets);
        let fails = self.chance.percent(self.shape.failure);
        let instructions = 1 + i32::try_from(self.chance.below(FAILS_WITHIN.unsigned_abs().into())).unwrap_or_default();
        let leave = if fails { Leave::Fail(instructions) } else { Leave::Go };
        let place = tickets.iter().position(|other| *other == ticket).unwrap_or_default();
        self.trace.note(|| format!("n{} {:?}, {place} of {}: {leave:?}", ticket.0, ticket.2, tickets.len()));
        self.let_go(ticket, leave).await
    }

    fn move_hint(&mut self) {
        let hints = self.hints();
        // Mostly in order, as Redis has it.
        let index = if self.chance.percent(70) { 0 } else { self.chance.index(hints) };
        let times = match self.chance.below(100) {
            lost if lost < self.shape.loss => 0,
            twice if 90 <= twice => 2,
            _ => 1,
        };
        self.trace.note(|| format!("hint {index} of {hints} arrives {times} times"));
        self.deliver(index, times);
    }

    fn move_viewer(&mut self, next: Do) -> Result<(), Broken> {
        let socket = self.shape.socket;
        let fits = |viewer: &super::viewer::Viewer| match (next, &viewer.connection) {
            (Do::Connect, connection) => connection.is_none(),
            (Do::Turn, Some(connection)) => connection.is_awake(),
            (Do::Read, Some(connection)) => connection.has_unread(),
            (_, connection) => connection.is_some(),
        };
        let some: Vec<usize> = (0..self.viewers.len()).filter(|number| fits(&self.viewers[*number])).collect();
        let viewer = self.chance.of(&some);
        let bytes = self.chance.of(&[1, 50, 400, 1_000_000]);
        self.trace.note(|| format!("v{viewer} {next:?} {}", if next == Do::Read { bytes } else { 0 }));
        match next {
            Do::Connect => {
                let nodes = self.open_nodes();
                let number = self.chance.of(&nodes);
                self.connect(viewer, number);
            }
            Do::Subscribe => {
                let task = self.task();
                self.subscribe(viewer, &task);
            }
            Do::Leave => self.viewers[viewer].connection = None,
            Do::Read => self.read(viewer, bytes)?,
            _ => {
                let Some(connection) = &mut self.viewers[viewer].connection else { return Ok(()) };
                if next == Do::Beat {
                    connection.session.heartbeat();
                    connection.wake();
                } else {
                    connection.turn(socket);
                }
            }
        }
        Ok(())
    }

    fn beat(&mut self) {
        let (nodes, task) = (self.open_nodes(), self.task());
        let number = self.chance.of(&nodes);
        self.trace.note(|| format!("n{number} hears a heartbeat of {task}"));
        if let Some(node) = self.nodes[number].as_ref() {
            let at = Timestamp::from_millis(1_700_000_000_000).unwrap_or_default();
            node.writer.heartbeat(task, "r".parse().expect("valid"), at);
        }
    }

    fn change(&mut self) {
        let (nodes, task) = (self.open_nodes(), self.task());
        let number = self.chance.of(&nodes);
        let what = self.chance.weighed(&[(4, "deleted"), (4, "trimmed"), (2, "put"), (1, "given another life")]);
        let head = self.book.living(&task).map_or(0, |life| life.head);
        let floor = Offset::new(1 + self.chance.below(head + 1)).unwrap_or_default();
        self.trace.note(|| format!("n{number}: {task} is {what} ({floor})"));
        let Some(node) = self.nodes[number].as_ref() else { return };
        let (writer, store) = (node.writer.clone(), node.store.clone());
        tokio::spawn(async move {
            // What it says is of no interest here: what it did is seen in the store.
            match what {
                "deleted" => drop(writer.delete_task(task).await),
                "trimmed" => drop(writer.trim(task, floor).await),
                "put" => drop(writer.put_task(task, TaskChange::default()).await),
                _ => drop(store.renew_epochs().await),
            }
        });
    }

    fn job(&mut self) {
        let nodes = self.open_nodes();
        let number = self.chance.of(&nodes);
        let retains = self.shape.changes && self.chance.percent(60);
        self.trace.note(|| format!("n{number} {}", if retains { "retains" } else { "reconciles" }));
        if let Some(node) = self.node(number) {
            if retains { node.retain(&self.shape) } else { node.reconcile() }
        }
    }

    async fn move_node(&mut self, next: Do) -> Result<(), Broken> {
        let some = if next == Do::Start { self.missing_nodes() } else { self.open_nodes() };
        let number = self.chance.of(&some);
        self.trace.note(|| format!("n{number} {next:?}"));
        match next {
            Do::Start => self.start(number),
            Do::Kill => self.kill(number).await?,
            _ => self.stop(number),
        }
        Ok(())
    }

    /// A node takes nothing more, and tells its viewers where to go on.
    fn stop(&mut self, number: usize) {
        let Some(node) = self.nodes[number].as_mut() else { return };
        node.leaves = true;
        node.writer.close();
        let birth = node.birth;
        let connections = self.viewers.iter_mut().filter_map(|viewer| viewer.connection.as_mut());
        for connection in connections.filter(|connection| connection.birth == birth) {
            connection.session.drain(Duration::from_secs(1));
            connection.wake();
        }
    }

    /// Nodes that leave go once everything that they took is committed.
    pub(super) async fn finish_leaving(&mut self) -> Result<(), Broken> {
        for number in 0..self.nodes.len() {
            let done = self.node(number).is_some_and(|node| node.leaves && node.is_flushed());
            if done {
                self.trace.note(|| format!("n{number} has gone"));
                self.kill(number).await?;
            }
        }
        Ok(())
    }
}
