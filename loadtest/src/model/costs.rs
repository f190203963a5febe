//! What each thing costs, found from measured runs: the least squares of relative errors, no cost below nothing. Pure arithmetic.

use super::scene::{Scene, Way};

/// What is accounted for, each a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Account {
    /// Cores of all hubs together.
    Hubs,
    /// Cores of Redis.
    Redis,
    RedisIn,
    RedisOut,
    /// Cores of Postgres.
    Postgres,
    Commits,
    Wal,
}

pub const ACCOUNTS: [Account; 7] =
    [Account::Hubs, Account::Redis, Account::RedisIn, Account::RedisOut, Account::Postgres, Account::Commits, Account::Wal];

impl Account {
    pub fn name(self) -> &'static str {
        match self {
            Self::Hubs => "hubs' CPU",
            Self::Redis => "Redis's CPU",
            Self::RedisIn => "bytes into Redis",
            Self::RedisOut => "bytes out of Redis",
            Self::Postgres => "Postgres's CPU",
            Self::Commits => "commits",
            Self::Wal => "WAL",
        }
    }

    /// What it depends on: the name of each cost, and how often a second it is due.
    pub fn causes(self, scene: &Scene) -> Vec<(&'static str, f64)> {
        let nodes = ("a node", scene.nodes as f64);
        let commits = ("a commit", scene.commits());
        let activities = ("an activity", scene.rate);
        let requests = if scene.way == Way::Http { scene.messages() } else { 0.0 };
        let twice = |bytes: f64| scene.published() * bytes + scene.heard_twice() * bytes;
        match self {
            Self::Hubs => vec![
                nodes,
                ("a message taken over Redis", scene.published()),
                ("a message held by a standby", scene.heard_twice()),
                ("a request", requests),
                activities,
                commits,
                ("a hint heard", scene.hints()),
                ("a write to a viewer", scene.writes()),
            ],
            // What a commit says of all its tasks comes in one write, and what nodes hear of it goes out in one.
            Self::Redis => vec![
                nodes,
                ("a message of an agent", scene.published()),
                ("the same for a standby", scene.heard_twice()),
                commits,
                ("its acks", if scene.way == Way::Redis { commits.1 } else { 0.0 }),
                ("its hints heard by a node", commits.1 * scene.watching),
                activities,
            ],
            Self::RedisIn => vec![
                nodes,
                ("a message and its ack", scene.published()),
                ("an activity in a message", scene.published() * scene.batch),
                ("a hint", scene.messages()),
                ("an activity in a hint", scene.rate),
            ],
            Self::RedisOut => vec![
                nodes,
                ("a message given to a node", twice(1.0)),
                ("an activity in it", twice(scene.batch)),
                ("an ack heard by a standby", scene.heard_twice()),
                ("a hint given to a node", scene.hints()),
                ("an activity in it", scene.hints() * scene.batch),
            ],
            Self::Postgres => vec![nodes, commits, activities],
            Self::Commits => vec![commits],
            Self::Wal => vec![nodes, commits, activities],
        }
    }
}

/// One account's costs: of each cause, as often as [`Account::causes`] says.
#[derive(Debug, Clone)]
pub struct Costs {
    pub account: Account,
    pub of_each: Vec<f64>,
}

impl Costs {
    /// The costs that explain these runs best.
    pub fn fit(account: Account, runs: &[(Scene, f64)]) -> Self {
        let rows: Vec<(Vec<f64>, f64)> = runs
            .iter()
            .filter(|(_, measured)| 0.0 < *measured)
            .map(|(scene, measured)| {
                let causes = account.causes(scene);
                (causes.iter().map(|(_, often)| often / measured).collect(), 1.0)
            })
            .collect();
        Self { account, of_each: least_squares(&rows) }
    }

    pub fn predict(&self, scene: &Scene) -> f64 {
        self.account.causes(scene).iter().zip(&self.of_each).map(|((_, often), cost)| often * cost).sum()
    }
}

/// How often each cost is improved while the others stay, and the step, of a cost's share of all, below which that is enough.
const ROUNDS: usize = 20_000;
const ENOUGH: f64 = 1e-9;

/// The x, none below zero, for which the sum of the squares of `row · x - wanted` is least: one coordinate after the other (Franc, Hlaváč and
/// Navara, Sequential coordinate-wise algorithm for the non-negative least squares problem).
fn least_squares(rows: &[(Vec<f64>, f64)]) -> Vec<f64> {
    let count = rows.first().map_or(0, |(row, _)| row.len());
    // Causes are as far apart as seconds and bytes: each in units of its own size.
    let sizes: Vec<f64> =
        (0..count).map(|at| rows.iter().map(|(row, _)| row[at] * row[at]).sum::<f64>().sqrt().max(f64::MIN_POSITIVE)).collect();
    let mut x = vec![0.0; count];
    let mut left: Vec<f64> = rows.iter().map(|(_, wanted)| *wanted).collect();
    for _ in 0..ROUNDS {
        let mut furthest = 0.0_f64;
        for at in 0..count {
            let slope: f64 = rows.iter().zip(&left).map(|((row, _), left)| row[at] / sizes[at] * left).sum();
            let new = f64::max(x[at] + slope, 0.0);
            let step = new - x[at];
            if step != 0.0 {
                rows.iter().zip(&mut left).for_each(|((row, _), left)| *left -= row[at] / sizes[at] * step);
                x[at] = new;
                furthest = furthest.max(step.abs());
            }
        }
        if furthest < ENOUGH {
            break;
        }
    }
    x.iter().zip(&sizes).map(|(x, size)| x / size).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scenes() -> Vec<Scene> {
        let mut scenes = Vec::new();
        for (nodes, way) in [(1, Way::Redis), (2, Way::Redis), (4, Way::Redis), (1, Way::Http), (2, Way::Http), (4, Way::Http)] {
            for (rate, batch, viewers) in [(200.0, 1.0, 1.0), (600.0, 1.0, 4.0), (2_000.0, 20.0, 2.0)] {
                scenes.push(Scene { nodes, tasks: 16, rate, batch, way, viewers, watching: 1.0, commit: 0.002 }.spread());
            }
        }
        scenes
    }

    #[test]
    fn costs_are_found_again_from_what_they_add_up_to() {
        for account in ACCOUNTS {
            let count = account.causes(&scenes()[0]).len();
            let truth = Costs { account, of_each: (1..=count).map(|n| n as f64 * 1e-5).collect() };
            let runs: Vec<_> = scenes().into_iter().map(|scene| (scene, truth.predict(&scene))).collect();
            let found = Costs::fit(account, &runs);
            let other = Scene { nodes: 3, rate: 900.0, batch: 3.0, viewers: 3.0, ..scenes()[0] }.spread();
            let (wanted, got) = (truth.predict(&other), found.predict(&other));
            assert!((got / wanted - 1.0).abs() < 0.01, "{}: {got} for {wanted}", account.name());
        }
    }

    #[test]
    fn nothing_costs_less_than_nothing() {
        let rows = vec![(vec![1.0, 1.0], 1.0), (vec![1.0, 2.0], 0.5)];
        let found = least_squares(&rows);
        assert!(found.iter().all(|cost| 0.0 <= *cost), "{found:?}");
    }
}
