//! What a load needs that no machine here carries: nodes, shards of Redis, and where one Postgres ends. Pure arithmetic on measured costs.

use super::{
    costs::{Account, Costs},
    scene::Scene,
};

/// What one machine is given.
#[derive(Debug, Clone)]
pub struct Machines {
    /// Cores of a node, and the share of them that may be used: the rest is for those who come back at once, and for a node's death.
    pub node_cores: f64,
    pub busy: f64,
    /// Connections of a node (`http.connections`).
    pub sockets: f64,
    pub node_gib: f64,
    /// Of each viewer, of a ring that is full (`hub.ring_bytes`), and of an open task that a node owns or stands by for.
    pub viewer_bytes: f64,
    pub ring_bytes: f64,
    pub task_bytes: f64,
    /// What a write costs more to a socket that nobody has touched for seconds than to one of few, and an idle viewer; in seconds a second.
    pub cold_write: f64,
    pub idle_viewer: f64,
    pub postgres_cores: f64,
    pub row_bytes: f64,
}

/// What a load needs.
#[derive(Debug, Clone)]
pub struct Need {
    /// Nodes, by what each of them runs out of.
    pub by_cpu: usize,
    pub by_sockets: usize,
    pub by_memory: usize,
    /// The load on so many nodes as all of these want.
    pub scene: Scene,
    pub hub_cores: f64,
    pub hub_gib: f64,
    pub redis_cores: f64,
    pub redis_in: f64,
    pub redis_out: f64,
    pub postgres_cores: f64,
    pub commits: f64,
    pub wal: f64,
    /// How many activities a second would be the most for one Postgres, from so many nodes.
    pub postgres_ends: f64,
    /// Rows and indexes of a day, in bytes.
    pub a_day: f64,
}

const GIB: f64 = 1024.0 * 1024.0 * 1024.0;
const DAY: f64 = 86_400.0;

/// More activities a second than anybody has, and how often the distance to the most that fits is halved.
const MOST_RATE: f64 = 1e9;
const HALVINGS: usize = 60;

/// More nodes than anybody has.
const MOST_NODES: usize = 100_000;

impl Need {
    /// Shards of Redis, none of them busier than a node may be.
    pub fn shards(&self, machines: &Machines) -> usize {
        (self.redis_cores / machines.busy).ceil() as usize
    }
}

/// The least nodes that carry this load. `placed` says how its viewers are placed on so many nodes.
pub fn need(load: &Scene, placed: impl Fn(Scene) -> Scene, costs: &[Costs], machines: &Machines) -> Need {
    let on = |nodes: usize| placed(Scene { nodes, ..*load });
    let cost = |account: Account, scene: &Scene| {
        costs.iter().find(|costs| costs.account == account).map_or(0.0, |costs| costs.predict(scene))
    };
    let (viewers, tasks) = (load.viewers * load.tasks as f64, load.tasks as f64);
    let memory = |scene: &Scene| {
        viewers * machines.viewer_bytes + tasks * scene.watching * machines.ring_bytes + 2.0 * tasks * machines.task_bytes
    };
    let cores =
        |scene: &Scene| cost(Account::Hubs, scene) + scene.writes() * machines.cold_write + viewers * machines.idle_viewer;
    let least = |fits: &dyn Fn(&Scene, f64) -> bool| {
        // Where a node more brings more work than it takes there is no such number.
        (1..MOST_NODES).find(|nodes| fits(&on(*nodes), *nodes as f64)).unwrap_or(MOST_NODES)
    };
    let by_cpu = least(&|scene, nodes| cores(scene) <= nodes * machines.node_cores * machines.busy);
    let by_sockets = least(&|_, nodes| viewers <= nodes * machines.sockets * machines.busy);
    let by_memory = least(&|scene, nodes| memory(scene) <= nodes * machines.node_gib * GIB * machines.busy);
    let postgres_cores = |rate: f64, scene: &Scene| cost(Account::Postgres, &Scene { rate, ..*scene });
    let scene = on(by_cpu.max(by_sockets).max(by_memory));
    Need {
        by_cpu,
        by_sockets,
        by_memory,
        scene,
        hub_cores: cores(&scene),
        hub_gib: memory(&scene) / GIB,
        redis_cores: cost(Account::Redis, &scene),
        redis_in: cost(Account::RedisIn, &scene),
        redis_out: cost(Account::RedisOut, &scene),
        postgres_cores: postgres_cores(scene.rate, &scene),
        postgres_ends: (0..HALVINGS)
            .fold((0.0, MOST_RATE), |(fits, not), _| {
                let middle = f64::midpoint(fits, not);
                if postgres_cores(middle, &scene) <= machines.postgres_cores * machines.busy {
                    (middle, not)
                } else {
                    (fits, middle)
                }
            })
            .0,
        commits: cost(Account::Commits, &scene),
        wal: cost(Account::Wal, &scene),
        a_day: scene.rate * machines.row_bytes * DAY,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{costs::ACCOUNTS, scene::Way};

    const MACHINES: Machines = Machines {
        node_cores: 4.0,
        busy: 0.5,
        sockets: 20_000.0,
        node_gib: 16.0,
        viewer_bytes: 4_096.0,
        ring_bytes: 65_536.0,
        task_bytes: 2_048.0,
        cold_write: 5e-6,
        idle_viewer: 1e-6,
        postgres_cores: 16.0,
        row_bytes: 530.0,
    };

    const LOAD: Scene = Scene {
        nodes: 1,
        tasks: 100_000,
        rate: 100_000.0,
        batch: 1.0,
        way: Way::Redis,
        viewers: 10.0,
        watching: 1.0,
        commit: 0.001,
    };

    /// A write to a viewer costs 15 µs, a hint 10 µs where it is heard, those of a commit 10 µs of Redis for each node that hears them, a row 20 µs of Postgres, nothing else anything.
    fn costs() -> Vec<Costs> {
        let of = |account: Account, name: &str| match (account, name) {
            (Account::Hubs, "a write to a viewer") => 15e-6,
            (Account::Postgres, "an activity") => 20e-6,
            (Account::Hubs, "a hint heard") | (Account::Redis, "its hints heard by a node") => 10e-6,
            _ => 0.0,
        };
        let all = |account: Account| account.causes(&LOAD).into_iter().map(move |(name, _)| of(account, name)).collect();
        ACCOUNTS.into_iter().map(|account| Costs { account, of_each: all(account) }).collect()
    }

    #[test]
    fn a_load_needs_as_many_nodes_as_what_each_runs_out_of_says() {
        let together = need(&LOAD, |scene| scene, &costs(), &MACHINES);
        // 1,000,000 writes, as many viewers and 100,000 hints: 22 cores of two a node; a million viewers of 10,000 a node; 3.8 + 6.1 + 0.4 GiB of 8 a node.
        assert_eq!((together.by_cpu, together.by_sockets, together.by_memory), (11, 100, 2));
        assert_eq!((together.scene.nodes, together.shards(&MACHINES)), (100, 2));
        assert!((together.postgres_ends - 400_000.0).abs() < 1.0, "eight cores, 20 µs each: {}", together.postgres_ends);
        assert!((together.hub_cores - 22.0).abs() < 1e-6 && (together.hub_gib - 10.3).abs() < 0.1, "{together:?}");
        assert!((together.a_day / 1e12 - 4.6).abs() < 0.1, "{}", together.a_day);
    }

    #[test]
    fn viewers_of_a_task_on_many_nodes_cost_a_hint_and_a_ring_on_each() {
        let spread = need(&LOAD, Scene::spread, &costs(), &MACHINES);
        let hints = 100_000.0 * spread.scene.watching;
        assert!(9.0 < spread.scene.watching && spread.scene.watching < 10.0, "{}", spread.scene.watching);
        assert!((spread.hub_cores - (21.0 + hints * 10e-6)).abs() < 1e-6, "{}", spread.hub_cores);
        assert!((spread.redis_cores - spread.scene.commits() * spread.scene.watching * 10e-6).abs() < 1e-6);
        assert!(60.0 < spread.hub_gib, "rings: {}", spread.hub_gib);
    }
}
