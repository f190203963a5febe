//! Thousands of seeds, the same story twice, and an oracle that can be wrong.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

use super::{
    lies::Lie,
    run::{Outcome, Stage},
    world::Play,
};

/// How many seeds the tests run, unless `SIMULATE_SEEDS` says otherwise.
const SEEDS: u64 = 2_000;

/// Within so many seeds each planted difference is found.
const LIES: u64 = 60;

/// How many stories are told twice.
const TWICE: u64 = 40;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

/// Where databases are that are written without end and never kept.
fn folder() -> tempfile::TempDir {
    let memory = std::path::Path::new("/dev/shm");
    if memory.is_dir() { tempfile::TempDir::new_in(memory) } else { tempfile::TempDir::new() }.expect("a folder")
}

/// The shortest beginning of the story that still breaks a rule.
fn shrink(stage: &Stage, seed: u64, outcome: Outcome) -> (usize, Outcome) {
    let told = outcome.lines.iter().filter(|line| line.ends_with('.') && line[..line.len() - 1].parse::<u64>().is_ok()).count();
    let (mut low, mut high, mut shortest) = (0, told, outcome);
    while low < high {
        let middle = (low + high) / 2;
        let shorter = stage.run(Play { seed, steps: Some(middle), lie: None });
        if shorter.broken.is_some() { (high, shortest) = (middle, shorter) } else { low = middle + 1 }
    }
    (high, shortest)
}

fn tell(seed: u64, steps: usize, outcome: &Outcome) -> String {
    let broken = outcome.broken.as_deref().unwrap_or("nothing was broken");
    format!(
        "{}\n\nseed {seed}: {broken}\nto repeat it: SIMULATE_SEED={seed} SIMULATE_STEPS={steps} cargo test --lib simulation::tests::every_seed",
        outcome.lines.join("\n")
    )
}

#[test]
fn every_seed_keeps_the_promises() {
    let (began, first) = (Instant::now(), number("SIMULATE_SEED"));
    let (from, to) = match first {
        Some(seed) => (seed, seed + 1),
        None => {
            let from = number("SIMULATE_FROM").unwrap_or(0);
            (from, from + number("SIMULATE_SEEDS").unwrap_or(SEEDS))
        }
    };
    let steps = number("SIMULATE_STEPS").and_then(|steps| usize::try_from(steps).ok());
    let (next, slowest) = (AtomicU64::new(from), AtomicU64::new(0));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let failures: Vec<String> = std::thread::scope(|scope| {
        let work = || {
            let folder = folder();
            let stage = Stage::new(folder.path());
            let mut failures = Vec::new();
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if to <= seed || !failures.is_empty() {
                    return failures;
                }
                let outcome = stage.run(Play { seed, steps, lie: None });
                slowest.fetch_max(outcome.rounds as u64, Ordering::Relaxed);
                if outcome.broken.is_some() {
                    let (steps, outcome) = shrink(&stage, seed, outcome);
                    failures.push(tell(seed, steps, &outcome));
                } else if first.is_some() {
                    println!("{}", outcome.lines.join("\n"));
                }
            }
        };
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("it does not panic")).collect()
    });
    println!("{} seeds in {:?}, at rest after at most {:?} rounds", to - from, began.elapsed(), slowest);
    if let Some(failure) = failures.first() {
        panic!("{failure}");
    }
}

#[test]
fn a_seed_tells_the_same_story_each_time() {
    let folder = folder();
    let stage = Stage::new(folder.path());
    for seed in 0..TWICE {
        let [one, other] = [(); 2].map(|()| stage.run(Play { seed, steps: None, lie: None }));
        if one.hash != other.hash {
            let at = one.lines.iter().zip(&other.lines).position(|(one, other)| one != other).unwrap_or_default();
            let from = at.saturating_sub(20);
            panic!(
                "seed {seed} differs at line {at}:\n{}\n-- or --\n{}",
                one.lines[from..=at].join("\n"),
                other.lines[from..=at].join("\n")
            );
        }
    }
}

#[test]
fn every_lie_is_found() {
    let folder = folder();
    let stage = Stage::new(folder.path());
    for lie in Lie::ALL {
        let play = |seed| Play { seed, steps: None, lie: Some(lie) };
        let broken =
            |seed| stage.run(play(seed)).broken.filter(|broken| lie.shows_as().iter().any(|words| broken.contains(words)));
        let found = (0..LIES).find_map(|seed| Some((seed, broken(seed)?)));
        let (seed, broken) = found.unwrap_or_else(|| panic!("{lie:?} is not found"));
        println!("{lie:?}: found by seed {seed}: {broken}");
    }
}
