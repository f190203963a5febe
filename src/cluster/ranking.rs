//! Who owns which task: rendezvous hashing (Thaler and Ravishankar, 1998). Every node computes the same ranking from the same members;
//! when one goes, only its tasks move, each to the node that was second for it.

use std::sync::Arc;

use crate::model::TaskId;

/// A node as members know it: its name and, after `#`, a number that is random at each start.
pub type NodeId = Arc<str>;

/// The first and the second node for a task among `nodes`; nothing for places that nobody takes.
pub(super) fn first_two<'a>(task: &TaskId, nodes: impl IntoIterator<Item = &'a NodeId>) -> [Option<&'a NodeId>; 2] {
    let mut best: [Option<(u64, &NodeId)>; 2] = [None, None];
    for node in nodes {
        // The id decides between equal weights, so that all nodes agree.
        let mine = weight(task, node);
        if best[0].is_none_or(|first| first < mine) {
            best = [Some(mine), best[0]];
        } else if best[1].is_none_or(|second| second < mine) {
            best[1] = Some(mine);
        }
    }
    best.map(|place| place.map(|(_, node)| node))
}

/// How much a node is in favour of a task. The same however many others there are.
pub(super) fn weight<'a>(task: &TaskId, node: &'a NodeId) -> (u64, &'a NodeId) {
    (mix(hash(task.as_str().as_bytes()) ^ hash(node.as_bytes())), node)
}

/// FNV-1a, 64 bit: the same on every machine and in every version, which the standard library's hasher does not promise.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// SplitMix64's finalizer: FNV alone leaves similar names with similar weights.
fn mix(mut value: u64) -> u64 {
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(names: &[&str]) -> Vec<NodeId> {
        names.iter().map(|name| NodeId::from(*name)).collect()
    }

    fn tasks() -> impl Iterator<Item = TaskId> {
        (0..4_000).map(|n| format!("build-{n}").parse().expect("valid"))
    }

    #[test]
    fn tasks_are_spread_evenly() {
        let nodes = nodes(&["hub-1#00000001", "hub-2#00000002", "hub-3#00000003", "hub-4#00000004"]);
        for node in &nodes {
            for place in 0..2 {
                let count = tasks().filter(|task| first_two(task, &nodes)[place] == Some(node)).count();
                assert!((850..1_150).contains(&count), "{node} has {count} of 4,000 in place {place}");
            }
        }
    }

    #[test]
    fn when_a_node_goes_its_tasks_move_to_their_second() {
        let all = nodes(&["a", "b", "c"]);
        let rest = nodes(&["a", "c"]);
        for task in tasks() {
            let [before, second] = first_two(&task, &all);
            let after = first_two(&task, &rest)[0];
            let expected = if before == Some(&all[1]) { second } else { before };
            assert_eq!(after, expected);
        }
    }

    #[test]
    fn the_order_in_which_members_are_listed_does_not_matter() {
        let (one, other) = (nodes(&["a", "b", "c"]), nodes(&["c", "a", "b"]));
        for task in tasks() {
            assert_eq!(first_two(&task, &one), first_two(&task, &other));
        }
        assert_eq!(first_two(&"t".parse().expect("valid"), &[]), [None, None]);
        let alone = nodes(&["a"]);
        assert_eq!(first_two(&"t".parse().expect("valid"), &alone), [Some(&alone[0]), None]);
    }
}
