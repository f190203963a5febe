//! Who is there: a key in Redis in which every node notes, by Redis's clock, when it was last alive. No clock of a node counts.
//!
//! A node that was not heard of for `member_timeout` is no member. It learns so from Redis when it comes back, whatever kept it away (a
//! stopped process, a cut link, a Redis that was emptied), and must clean up before it joins again. Between beats it knows by its own
//! monotonic clock for how long the last beat surely counts: its lease.
//!
//! A Redis that comes back empty has forgotten all members at once. The key says since when it exists; a node that finds another one than
//! the one it is noted in, while its lease still holds, is noted again without having been away, and goes on counting the others until they
//! have had time to do the same. So the tasks stay where they are.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use super::ranking::NodeId;

/// How a member stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// May own tasks.
    Able,
    /// Alive, but is to own nothing: its queue is full, it is stopping, or its subscriptions do not deliver.
    Unable,
}

impl Standing {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Able => "able",
            Self::Unable => "unable",
        }
    }
}

/// The members as Redis had them at the last beat, this node among them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Members {
    /// All who are alive, by name.
    pub alive: Vec<NodeId>,
    /// Those of them that may own tasks.
    pub able: Vec<NodeId>,
}

/// What a beat came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Beat {
    /// Noted, in the key that exists since then.
    Counted(Members, Since),
    /// Not noted: this node was no member (any more).
    Lapsed,
}

/// Since when the key with the members exists, as Redis says.
pub(crate) type Since = String;

/// The script of a beat. KEYS: nodes. ARGV: node, standing, timeout in ms, "1" to join, and, from a node whose lease holds, the key in which it
/// was noted. Answers `{counted, since, node, standing, node, …}`.
pub(crate) const BEAT: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local timeout = tonumber(ARGV[3])
local all = redis.call('HGETALL', KEYS[1])
local members = {}
local since = redis.call('HGET', KEYS[1], '#since')
local forgotten = ARGV[5] ~= '' and ARGV[5] ~= since
local counted = ARGV[4] == '1' or forgotten
for i = 1, #all, 2 do
  local at, standing = string.match(all[i + 1], '^(%d+) (%a+)$')
  if all[i] == '#since' then
  elseif not at or now - tonumber(at) > timeout then
    redis.call('HDEL', KEYS[1], all[i])
  elseif all[i] == ARGV[1] then
    counted = true
  else
    members[#members + 1] = all[i]
    members[#members + 1] = standing
  end
end
if not counted then return {'0'} end
if not since then
  since = string.format('%d', now)
  redis.call('HSET', KEYS[1], '#since', since)
end
redis.call('HSET', KEYS[1], ARGV[1], string.format('%d %s', now, ARGV[2]))
redis.call('PEXPIRE', KEYS[1], timeout * 2)
table.insert(members, 1, ARGV[2])
table.insert(members, 1, ARGV[1])
table.insert(members, 1, since)
table.insert(members, 1, '1')
return members
";

/// The script of leaving. KEYS: nodes. ARGV: node.
pub(crate) const LEAVE: &str = "return redis.call('HDEL', KEYS[1], ARGV[1])";

impl Beat {
    /// Reads the script's answer.
    pub(crate) fn read(answer: redis::Value) -> Option<Self> {
        let words: Vec<String> = redis::from_redis_value(answer).ok()?;
        let (counted, rest) = words.split_first()?;
        if counted != "1" {
            return Some(Self::Lapsed);
        }
        let (since, rest) = rest.split_first()?;
        let mut pairs: Vec<_> = rest.chunks_exact(2).collect();
        pairs.sort_unstable();
        let mut members = Members::default();
        for pair in pairs {
            let node = NodeId::from(pair[0].as_str());
            if pair[1] == Standing::Able.as_str() {
                members.able.push(node.clone());
            }
            members.alive.push(node);
        }
        Some(Self::Counted(members, since.clone()))
    }
}

impl Members {
    /// These and those.
    pub(crate) fn and(&self, others: &Self) -> Self {
        let union = |mine: &[NodeId], theirs: &[NodeId]| {
            let mut all: Vec<_> = mine.iter().chain(theirs).cloned().collect();
            all.sort_unstable();
            all.dedup();
            all
        };
        // Who is there now says for itself whether it is able.
        let absent: Vec<_> = others.able.iter().filter(|node| !self.alive.contains(node)).cloned().collect();
        Self { alive: union(&self.alive, &others.alive), able: union(&self.able, &absent) }
    }
}

/// For how long this node surely still counts as a member. Handles are cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lease {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    until: Option<Instant>,
    /// How often this node has cleaned up because it was no member.
    lapses: u64,
}

/// One membership of this node, from when it joined until it lapses: what was taken in it is nobody's in the next.
#[derive(Debug, Clone)]
pub(crate) struct Term {
    lease: Lease,
    lapses: u64,
}

impl Lease {
    /// A beat that was sent at `sent` counted.
    pub(crate) fn renew(&self, sent: Instant, timeout: Duration) {
        self.inner.lock().until = Some(sent + timeout);
    }

    /// This node is no member.
    pub(crate) fn end(&self) {
        self.inner.lock().until = None;
    }

    /// This node cleans up, before it joins again: no earlier [`Term`] holds any more, however soon that is.
    pub(crate) fn clean_up(&self) {
        self.inner.lock().lapses += 1;
    }

    /// The membership as it is now.
    pub(crate) fn term(&self) -> Term {
        Term { lease: self.clone(), lapses: self.inner.lock().lapses }
    }

    /// Whether this node is a member right now.
    pub(crate) fn holds(&self) -> bool {
        self.inner.lock().holds()
    }
}

impl Inner {
    fn holds(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() < until)
    }
}

impl Term {
    /// Whether this node is a member right now, and was all along.
    pub(crate) fn holds(&self) -> bool {
        let inner = self.lease.inner.lock();
        inner.lapses == self.lapses && inner.holds()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(words: &[&str]) -> redis::Value {
        redis::Value::Array(words.iter().map(|word| redis::Value::BulkString(word.as_bytes().to_vec())).collect())
    }

    #[test]
    fn an_answer_is_read_in_one_order_on_all_nodes() {
        let Some(Beat::Counted(members, since)) = Beat::read(answer(&["1", "17", "b#2", "able", "c#3", "unable", "a#1", "able"]))
        else {
            panic!("it counted")
        };
        let names = |nodes: &[NodeId]| nodes.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(
            (names(&members.alive), names(&members.able)),
            (vec!["a#1".to_owned(), "b#2".to_owned(), "c#3".to_owned()], vec!["a#1".to_owned(), "b#2".to_owned()],)
        );
        assert_eq!(since, "17");
        assert_eq!(Beat::read(answer(&["0"])), Some(Beat::Lapsed));
        assert_eq!(Beat::read(redis::Value::Nil), None);
    }

    #[test]
    fn forgotten_members_count_until_they_speak_for_themselves() {
        let members = |alive: &[&str], able: &[&str]| Members {
            alive: alive.iter().map(|node| NodeId::from(*node)).collect(),
            able: able.iter().map(|node| NodeId::from(*node)).collect(),
        };
        let (now, forgotten) = (members(&["b", "c"], &["c"]), members(&["a", "b"], &["a", "b"]));
        assert_eq!(now.and(&forgotten), members(&["a", "b", "c"], &["a", "c"]));
    }

    #[test]
    fn a_lease_ends_by_itself() {
        let lease = Lease::default();
        assert!(!lease.holds());
        lease.renew(Instant::now(), Duration::from_secs(60));
        assert!(lease.holds());
        lease.renew(Instant::now(), Duration::ZERO);
        assert!(!lease.holds());
        lease.renew(Instant::now(), Duration::from_secs(60));
        lease.end();
        assert!(!lease.holds());
    }

    /// Found by `tests/model`: while the store is slow, a node can lapse and join again, and others have taken the same in between.
    #[test]
    fn what_was_taken_before_a_lapse_is_not_this_nodes_after_it() {
        let lease = Lease::default();
        lease.renew(Instant::now(), Duration::from_secs(60));
        let taken = lease.term();
        lease.renew(Instant::now(), Duration::from_secs(60));
        assert!(taken.holds(), "the same membership");
        lease.end();
        assert!(!taken.holds());
        lease.clean_up();
        lease.renew(Instant::now(), Duration::from_secs(60));
        assert!(!taken.holds() && lease.term().holds());
    }
}
