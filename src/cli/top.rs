//! `tasklight top`: what a node or a cluster does, live in a terminal, from what its nodes say of themselves.

mod figures;
mod keys;
mod scrape;
mod screen;

use std::{collections::VecDeque, io::IsTerminal, process::ExitCode, time::Duration};

use anyhow::bail;
use clap::Args;
use futures_util::future::join_all;
use reqwest::Client;
use serde_json::json;
use tokio::{
    signal::unix::{SignalKind, signal},
    time::{MissedTickBehavior, interval, sleep},
};

use super::exit;
use crate::config::Span;
use figures::Figures;
use keys::{Key, Screen};
use scrape::{Readiness, Scrape};
use screen::Frame;

/// For how long quantiles and reasons are counted, and how much of the past is drawn.
const MINUTE: Duration = Duration::from_secs(60);

/// The most scrapes that are kept of a node.
const KEPT: usize = 61;

/// How often a node can be asked at most.
const SHORTEST: Duration = Duration::from_millis(100);

const AFTER_HELP: &str = "\
A node is asked at its admin_listen for /metrics and /readyz; it need not be reachable otherwise.
Rates are from one look to the next, quantiles and reasons of the last minute.

Keys: q quits, p pauses.

Examples:
  tasklight top
  tasklight top --admin http://hub-1:9090 --admin http://hub-2:9090
  tasklight top --once                            one picture, as where there is no terminal
  tasklight top --once --json | jq .total

Exit codes: 0 done, 2 wrong usage, 3 no node answers (with --once).";

/// Flags of `tasklight top`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct TopArgs {
    /// Where a node's /metrics are; may be given for each node
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9090")]
    admin: Vec<String>,
    /// How often they are asked
    #[arg(long, value_name = "DURATION", default_value = "1s")]
    interval: Span,
    /// Show one picture, after two looks, and end
    #[arg(long)]
    once: bool,
    /// Print the figures as JSON, one object a line
    #[arg(long)]
    json: bool,
}

/// A node as it was found.
pub(super) struct NodeState {
    admin: String,
    scrapes: VecDeque<Scrape>,
    /// Published and delivered, as the last looks found it.
    rates: VecDeque<[f64; 2]>,
    current: Result<(Figures, Readiness), String>,
}

impl NodeState {
    fn new(admin: String) -> Self {
        let current = Err("was not asked yet".to_owned());
        Self { admin, scrapes: VecDeque::new(), rates: VecDeque::new(), current }
    }

    /// Its own name, or where it is while it says none.
    fn name(&self) -> &str {
        match &self.current {
            Ok((_, readiness)) if !readiness.node.is_empty() => &readiness.node,
            _ => self.admin.rsplit('/').next().unwrap_or(&self.admin),
        }
    }

    fn state(&self) -> &'static str {
        match &self.current {
            Err(_) => "away",
            Ok((_, readiness)) if !readiness.ready => "NOT READY",
            Ok((_, readiness)) if readiness.degraded => "degraded",
            Ok(_) => "ready",
        }
    }

    /// What is not well, in words.
    fn trouble(&self) -> Option<String> {
        match &self.current {
            Err(error) => Some(error.clone()),
            Ok((_, readiness)) => {
                let bad = readiness.checks.iter().filter(|(_, word)| *word != "ok").map(|(what, word)| format!("{what} {word}"));
                let bad: Vec<_> = bad.collect();
                (!bad.is_empty()).then(|| bad.join(", "))
            }
        }
    }

    fn note(&mut self, answer: Result<(Scrape, Readiness), String>) {
        let (scrape, readiness) = match answer {
            Ok(answer) => answer,
            Err(error) => {
                self.current = Err(error);
                self.rates.push_back([0.; 2]);
                return self.forget_old();
            }
        };
        let appended = |scrape: &Scrape| scrape.value("tasklight_activities_appended_total");
        if self.scrapes.back().is_some_and(|last| appended(&scrape) < appended(last)) {
            // It was started again: what it said before is no measure.
            self.scrapes.clear();
        }
        let before = self.scrapes.back().unwrap_or(&scrape);
        let longest = self.scrapes.front().unwrap_or(&scrape);
        let figures = Figures::between(longest, before, &scrape);
        self.rates.push_back([figures.published_per_second, figures.delivered_per_second]);
        self.current = Ok((figures, readiness));
        self.scrapes.push_back(scrape);
        self.forget_old();
    }

    fn forget_old(&mut self) {
        let newest = self.scrapes.back().map(|scrape| scrape.at);
        while KEPT < self.scrapes.len()
            || self.scrapes.front().zip(newest).is_some_and(|(first, newest)| MINUTE < newest.duration_since(first.at))
        {
            self.scrapes.pop_front();
        }
        while KEPT <= self.rates.len() {
            self.rates.pop_front();
        }
    }
}

/// Shows it until `q`, or once.
pub(crate) async fn run(args: TopArgs) -> anyhow::Result<ExitCode> {
    let interval = args.interval.get();
    if interval < SHORTEST {
        bail!("--interval must be at least {SHORTEST:?}");
    }
    let client = Client::builder().redirect(reqwest::redirect::Policy::none()).build()?;
    let mut nodes: Vec<_> = args.admin.iter().map(|url| NodeState::new(url.trim_end_matches('/').to_owned())).collect();
    let has_terminal = std::io::stdout().is_terminal() && std::io::stdin().is_terminal();
    if !args.once && !args.json && has_terminal {
        live(&client, &mut nodes, interval).await?;
        return Ok(ExitCode::SUCCESS);
    }
    look(&client, &mut nodes).await;
    loop {
        sleep(interval).await;
        look(&client, &mut nodes).await;
        if args.json {
            anstream::println!("{}", as_json(&nodes));
        } else {
            anstream::println!("{}", frame(&nodes, false, false).join("\n"));
        }
        if args.once || !args.json {
            break;
        }
    }
    let answers = nodes.iter().any(|node| node.current.is_ok());
    Ok(if answers { ExitCode::SUCCESS } else { ExitCode::from(exit::UNREACHABLE) })
}

async fn live(client: &Client, nodes: &mut [NodeState], every: Duration) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut resized = signal(SignalKind::window_change())?;
    let mut stdin = tokio::io::stdin();
    let screen = Screen::enter()?;
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_paused = false;
    loop {
        tokio::select! {
            _ = ticks.tick(), if !is_paused => look(client, nodes).await,
            key = keys::next(&mut stdin) => match key {
                Key::Quit => return Ok(()),
                Key::Pause => is_paused = !is_paused,
            },
            _ = resized.recv() => {}
            _ = terminate.recv() => return Ok(()),
        }
        screen.show(&frame(nodes, is_paused, true))?;
    }
}

/// Asks all nodes at once.
async fn look(client: &Client, nodes: &mut [NodeState]) {
    let answers = join_all(nodes.iter().map(|node| scrape::ask(client, &node.admin))).await;
    nodes.iter_mut().zip(answers).for_each(|(node, answer)| node.note(answer));
}

fn total(nodes: &[NodeState]) -> Figures {
    Figures::total(nodes.iter().filter_map(|node| node.current.as_ref().ok()).map(|(figures, _)| figures))
}

fn frame(nodes: &[NodeState], is_paused: bool, has_keys: bool) -> Vec<String> {
    let longest = nodes.iter().map(|node| node.rates.len()).max().unwrap_or_default();
    let history = [0, 1].map(|which| {
        // All nodes were asked at the same times; one that came later was nothing before.
        let at = |back: usize| nodes.iter().filter_map(|node| Some(node.rates.iter().rev().nth(back)?[which])).sum();
        (0..longest).rev().map(at).collect()
    });
    let (width, _) = keys::size();
    Frame { nodes, total: &total(nodes), history, is_paused, has_keys, width }.lines()
}

fn as_json(nodes: &[NodeState]) -> serde_json::Value {
    let each: Vec<_> = nodes
        .iter()
        .map(|node| {
            let figures = node.current.as_ref().ok().map(|(figures, _)| figures);
            json!({"admin": node.admin, "node": node.name(), "state": node.state(), "trouble": node.trouble(), "figures": figures})
        })
        .collect();
    json!({"total": total(nodes), "nodes": each})
}
