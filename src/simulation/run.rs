//! One seed from its beginning to its end.

use std::{
    path::Path,
    sync::{Arc, mpsc},
    time::Duration,
};

use tokio::runtime::{Builder, Runtime};

use super::{
    chance::Chance,
    quiet::Quiet,
    world::{Broken, Play, World},
};
use crate::{
    config::Settings,
    metrics::Metrics,
    store::gated::{Leave, Template},
};

/// Within so many rounds of asking the store, everybody is at rest once nothing fails any more.
const ROUNDS: usize = 8;

/// How many steps a round may take, which is more than any needs.
const ROUND_STEPS: usize = 20_000;

/// How a round's time passes: longer than a hub waits until it asks the store by itself.
const ROUND: Duration = Duration::from_millis(3_100);

/// What became of a seed.
#[derive(Debug)]
pub(super) struct Outcome {
    /// Which rule was broken, if one was.
    pub(super) broken: Option<Broken>,
    /// The same for the same story.
    pub(super) hash: u64,
    /// The story.
    pub(super) lines: Vec<String>,
    /// How many rounds it took to come to rest.
    pub(super) rounds: usize,
}

/// What a thread needs to run seeds.
pub(super) struct Stage {
    template: Template,
    metrics: Arc<Metrics>,
    folder: std::path::PathBuf,
}

impl Stage {
    /// Makes the empty database that all seeds of this thread begin with.
    pub(super) fn new(folder: &Path) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let template = runtime.block_on(Template::make(folder, &Settings::default().store_options()));
        Self { template, metrics: Metrics::new().0, folder: folder.to_owned() }
    }

    /// Tells the story of a seed, or its first so many steps and how it comes to rest after them.
    pub(super) fn run(&self, play: Play) -> Outcome {
        let quiet = Quiet::default();
        let runtime = runtime(&quiet);
        let database = self.template.copy(self.folder.join(format!("{}.db", play.seed)));
        // While something blocks, time stands still unless it is told to pass.
        let (go, waits) = mpsc::channel::<()>();
        runtime.spawn_blocking(move || waits.recv().is_ok());
        let outcome = runtime.block_on(async {
            let mut world = World::new(play, &database, self.metrics.clone(), quiet).await;
            let result = tell(&mut world).await;
            let (rounds, broken) = match result {
                Ok(rounds) => (rounds, None),
                Err(broken) => (ROUNDS, Some(broken)),
            };
            Outcome { broken, hash: world.trace.hash(), lines: std::mem::take(&mut world.trace.lines), rounds }
        });
        drop(go);
        runtime.shutdown_background();
        outcome
    }
}

fn runtime(quiet: &Quiet) -> Runtime {
    let quiet = quiet.clone();
    Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .on_thread_park(move || quiet.parked())
        .build()
        .expect("a runtime")
}

async fn tell(world: &mut World<'_>) -> Result<usize, Broken> {
    for number in 0..world.shape.nodes {
        world.start(number);
    }
    world.settle().await?;
    for number in 0..world.shape.steps {
        world.trace.note(|| format!("{number}."));
        world.step().await?;
    }
    finish(world).await
}

/// Nothing fails any more, everybody is there. Gives how many rounds it took until everybody was at rest.
async fn finish(world: &mut World<'_>) -> Result<usize, Broken> {
    world.trace.note(|| "it comes to rest".to_owned());
    let hints_arrive = Chance::new(world.trace.hash()).percent(50);
    let mut unrest = String::new();
    for round in 0..ROUNDS {
        return_all(world).await?;
        for step in 0.. {
            if !settle_once(world, hints_arrive).await? {
                break;
            }
            if step == ROUND_STEPS {
                return Err(format!("it goes round in circles: {:?}", world.trace.lines.last()));
            }
        }
        match world.unrest() {
            None => {
                world.check().await?;
                return Ok(round);
            }
            Some(still) => unrest = still,
        }
        world.trace.note(|| format!("round {round}: {unrest}"));
        world.pass(ROUND).await;
        world.settle().await?;
    }
    Err(format!("after {ROUNDS} rounds: {unrest}"))
}

/// Whoever is away comes back, and what was never answered is sent again.
async fn return_all(world: &mut World<'_>) -> Result<(), Broken> {
    world.finish_leaving().await?;
    for number in world.missing_nodes() {
        world.start(number);
    }
    let open = world.open_nodes();
    let Some(first) = open.first().copied() else { return world.settle().await };
    for viewer in 0..world.viewers.len() {
        if world.viewers[viewer].connection.is_none() {
            world.connect(viewer, open[viewer % open.len()]);
        }
        world.subscribe_again(viewer);
    }
    if !world.publishers.waits() {
        for item in world.publishers.unanswered() {
            world.send(first, vec![item]);
        }
    }
    world.settle().await
}

/// Does one of the things that can be done; says whether there was one.
async fn settle_once(world: &mut World<'_>, hints_arrive: bool) -> Result<bool, Broken> {
    if let Some(ticket) = world.tickets().first().copied() {
        world.let_go(ticket, Leave::Go).await?;
    } else if world.hints() != 0 {
        world.deliver(0, usize::from(hints_arrive));
    } else if let Some(wish) = world.wishes().first().cloned() {
        world.fulfil(wish);
    } else if !world.read_all()? {
        return Ok(false);
    }
    world.settle().await?;
    world.finish_leaving().await?;
    Ok(true)
}
