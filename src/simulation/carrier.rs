//! Redis: who is subscribed to what, and messages on their way, which arrive when and if chance lets them.

use bytes::Bytes;

use super::{
    lies::{Lie, forge},
    node::Node,
    world::World,
};
use crate::broker::LinkEvent;

/// A message on its way from Redis to a node.
pub(super) struct Carried {
    pub(super) to: usize,
    pub(super) birth: u64,
    channel: String,
    payload: Bytes,
}

impl World<'_> {
    /// Takes what nodes said, and puts it on its way to those who are subscribed at this moment.
    pub(super) fn carry(&mut self) {
        let mut said = Vec::new();
        for node in self.nodes.iter_mut().flatten() {
            let Some(redis) = &mut node.redis else { continue };
            said.extend(std::iter::from_fn(|| redis.hints.next()));
            // Announcements give tasks an owner; here everything comes by HTTP.
            while redis.letters.next().is_some() {}
        }
        for (channel, payload) in said {
            for (to, node) in self.nodes.iter().enumerate() {
                if let Some(node) = node.as_ref().filter(|node| node.subscribed.contains(&channel)) {
                    let (channel, payload) = (channel.clone(), payload.clone());
                    self.carried.push(Carried { to, birth: node.birth, channel, payload });
                }
            }
        }
    }

    pub(super) fn hints(&self) -> usize {
        self.carried.len()
    }

    /// A hint arrives, or it does not, or twice.
    pub(super) fn deliver(&mut self, index: usize, times: usize) {
        if index < self.carried.len() {
            let mut hint = self.carried.remove(index);
            if self.lie == Some(Lie::Forges) && self.chance.percent(20) {
                hint.payload = forge(&hint.payload);
            }
            if times == 2 {
                let (channel, payload) = (hint.channel.clone(), hint.payload.clone());
                self.carried.push(Carried { channel, payload, ..hint });
            }
            if let Some(redis) = self.node(hint.to).and_then(|node| node.redis.as_ref()).filter(|_| times != 0) {
                redis.redis.feed.hear(LinkEvent::Message { channel: hint.channel, payload: hint.payload });
            }
        }
    }

    /// The subscriptions that nodes want and Redis does not know yet, or the other way round.
    pub(super) fn wishes(&self) -> Vec<(usize, String, bool)> {
        let of = |(number, node): (usize, &Option<Node>)| {
            let node = node.as_ref().and_then(|node| Some((node.redis.as_ref()?.redis.feed.wanted(), node.subscribed.clone())));
            let (wanted, has) = node.unwrap_or_default();
            let more: Vec<_> = wanted.difference(&has).map(|channel| (number, channel.clone(), true)).collect();
            let less: Vec<_> = has.difference(&wanted).map(|channel| (number, channel.clone(), false)).collect();
            [more, less].concat()
        };
        self.nodes.iter().enumerate().flat_map(of).collect()
    }

    /// Redis does what was asked of it.
    pub(super) fn fulfil(&mut self, (number, channel, on): (usize, String, bool)) {
        let Some(node) = self.nodes[number].as_mut() else { return };
        if !on {
            node.subscribed.remove(&channel);
            return;
        }
        node.subscribed.insert(channel.clone());
        if let Some(redis) = &node.redis {
            redis.redis.feed.hear(LinkEvent::Subscribed(channel));
        }
    }

    /// A node's connection to Redis breaks and is made anew: all that was on its way is lost, and all subscriptions.
    pub(super) fn reconnect(&mut self, number: usize) {
        self.carried.retain(|carried| carried.to != number);
        let Some(node) = self.nodes[number].as_mut() else { return };
        node.subscribed.clear();
        if let Some(redis) = &node.redis {
            redis.redis.feed.hear(LinkEvent::Down { lane: 0 });
            redis.redis.feed.hear(LinkEvent::Live { lane: 0 });
        }
    }
}
