//! Measured runs as lines of a file, so that other loads can be predicted without measuring again.

use anyhow::{Context, ensure};

use super::{
    costs::ACCOUNTS,
    measure::Run,
    scene::{Scene, Way},
};

/// How many numbers describe a scene.
const OF_SCENE: usize = 8;

/// The line of a run.
pub fn line(run: &Run) -> String {
    let Scene { nodes, tasks, rate, batch, way, viewers, watching, commit } = run.scene;
    let way = if way == Way::Redis { 1 } else { 0 };
    let used: Vec<_> = run.used.iter().map(|used| format!(" {used:.6}")).collect();
    format!("{nodes} {tasks} {rate:.3} {batch} {way} {viewers} {watching} {commit:.6}{}", used.concat())
}

/// The run of a line.
pub fn parse(line: &str) -> anyhow::Result<Run> {
    let numbers =
        line.split_whitespace().map(str::parse).collect::<Result<Vec<f64>, _>>().with_context(|| format!("no run: {line}"))?;
    ensure!(numbers.len() == OF_SCENE + ACCOUNTS.len(), "no run: {line}");
    let [nodes, tasks, rate, batch, way, viewers, watching, commit] = numbers[..OF_SCENE] else {
        anyhow::bail!("no run: {line}")
    };
    let way = if way == 1.0 { Way::Redis } else { Way::Http };
    let scene = Scene { nodes: nodes as usize, tasks: tasks as usize, rate, batch, way, viewers, watching, commit };
    Ok(Run { scene, used: numbers[OF_SCENE..].to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_read_as_it_was_written() {
        let scene =
            Scene { nodes: 2, tasks: 64, rate: 499.25, batch: 10.0, way: Way::Http, viewers: 4.0, watching: 2.0, commit: 0.002 };
        let run = Run { scene, used: (1..=ACCOUNTS.len()).map(|n| n as f64 / 8.0).collect() };
        let again = parse(&line(&run)).unwrap();
        assert_eq!(format!("{again:?}"), format!("{run:?}"));
        assert!(parse("1 2 3").is_err());
    }
}
