//! What ownership asks for, done: a few commands and letters for however many tasks it was about.

use std::collections::{BTreeMap, HashMap};

use super::Tools;
use crate::{
    cluster::{Act, CONTROL_TASKS, Control, Move, NodeId},
    model::TaskId,
};

/// What is said to one node about many tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Word {
    Holding,
    Flush,
}

/// Does what ownership asks for.
pub(super) fn run(acts: Vec<Act>, tools: &Tools) {
    let redis = &tools.redis;
    let names = &redis.names;
    let (mut ready, mut marked) = (Vec::new(), Vec::new());
    let mut told: BTreeMap<NodeId, Vec<TaskId>> = BTreeMap::new();
    let mut words: BTreeMap<(Word, NodeId), Vec<(TaskId, u64)>> = BTreeMap::new();
    // Of a channel that is let go and taken again only the last word counts.
    let mut wanted: HashMap<String, bool> = HashMap::new();
    for act in acts {
        tracing::trace!(?act);
        match act {
            Act::Subscribe(task) => wanted.extend([(names.task(&task), true), (names.ack(&task), true)]),
            Act::Unsubscribe(task) => wanted.extend([(names.task(&task), false), (names.ack(&task), false)]),
            Act::HearAcks(task) => drop(wanted.insert(names.ack(&task), true)),
            Act::IgnoreAcks(task) => drop(wanted.insert(names.ack(&task), false)),
            Act::Ready(task, false) => ready.push(task),
            Act::Ready(task, true) => marked.push(task),
            Act::Tell(task, to) => told.entry(to).or_default().push(task),
            Act::Holding(task, to, since) => {
                let millis = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
                words.entry((Word::Holding, to)).or_default().push((task, millis));
            }
            Act::Flush(task, to, early) => words.entry((Word::Flush, to)).or_default().push((task, early)),
            Act::Mark(task, mark) => drop(redis.letters.send(names.task(&task), mark.encode())),
            Act::Release(task, to, took) => drop(tools.queue.release(&task, &to, took)),
            Act::Moved(Move::Gained) => drop(tools.metrics.moves.gained.inc()),
            Act::Moved(Move::Lost) => drop(tools.metrics.moves.lost.inc()),
            Act::Append(task, activities) => {
                tools.metrics.accepted.redis.inc_by(activities.len() as u64);
                let lost = tools.queue.append(&task, activities, &tools.beat.lease);
                if lost != 0 {
                    tools.metrics.channel.overflowed.inc_by(lost as u64);
                    tracing::error!(task.id = %task, activities = lost, "no room for activities that came over Redis");
                }
            }
        }
    }
    let (on, off): (Vec<_>, Vec<_>) = wanted.into_iter().partition(|(_, subscribe)| *subscribe);
    if !off.is_empty() {
        redis.ingest.unsubscribe(off.into_iter().map(|(channel, _)| channel).collect::<Vec<_>>());
    }
    if !on.is_empty() {
        redis.ingest.subscribe(on.into_iter().map(|(channel, _)| channel).collect::<Vec<_>>());
    }
    for (tasks, marked) in [(ready, false), (marked, true)] {
        for tasks in tasks.chunks(CONTROL_TASKS).map(<[_]>::to_vec) {
            let message = Control::Ready { from: redis.node.clone(), marked, tasks };
            redis.letters.send(names.cluster(), message.encode());
        }
    }
    for (to, tasks) in told {
        for tasks in tasks.chunks(CONTROL_TASKS).map(<[_]>::to_vec) {
            let message = Control::Tell { from: redis.node.clone(), tasks };
            redis.letters.send(names.node(&to), message.encode());
        }
    }
    for ((word, to), tasks) in words {
        for tasks in tasks.chunks(CONTROL_TASKS).map(<[_]>::to_vec) {
            let from = redis.node.clone();
            let message = match word {
                Word::Holding => Control::Holding { from, tasks },
                Word::Flush => Control::Flush { from, tasks },
            };
            redis.letters.send(names.node(&to), message.encode());
        }
    }
}
