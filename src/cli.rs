//! The command line: one program for the hub and for those who publish and watch.

mod audit;
mod batch;
mod completions;
mod config;
mod demo;
mod destination;
mod doctor;
mod file_limit;
mod format_args;
mod formats;
mod hooks;
mod hub_args;
mod import;
mod lines;
mod man;
mod migrate;
mod notify;
mod progress;
mod publish;
mod ready;
mod redact;
mod redact_args;
mod rejects;
mod retention;
mod run;
mod serve;
pub(crate) mod tail;
mod tasks;
mod terminal;
mod token;
mod top;
mod watch;
mod webhooks;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The exit codes that scripts can rely on, beside 0 for success and 2 for wrong usage (clap's).
pub(crate) mod exit {
    /// It was refused, or failed.
    pub(crate) const FAILED: u8 = 1;
    /// It was not asked for in a way that can be done.
    pub(crate) const USAGE: u8 = 2;
    /// The hub is away, or too busy.
    pub(crate) const UNREACHABLE: u8 = 3;
}

const AFTER_HELP: &str = "\
Two minutes to your own task on screen:
  tasklight serve                              start a hub with everything in ./data
  tasklight run --task build -- make -j4       wrap any command or agent; what it does appears as it runs
  tasklight tail build                         follow it in another terminal
  open http://127.0.0.1:8080/                  or in a browser

Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 hub not reachable; `run` exits as its command
did, `doctor` with 1 for warnings and 2 for errors, `watch --once` by what happened (0 completed, 10 failed, …).";

/// A hub for watching tasks live: what you see is what is stored, in one order, with nothing missing.
#[derive(Debug, Parser)]
#[command(name = "tasklight", version = crate::version::FULL, after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the hub.
    Serve(serve::ServeArgs),
    /// Run a command or an agent and record it: what it says and does, output, status, exit code.
    Run(run::RunArgs),
    /// Record what comes in on standard input, and pass it on.
    Pipe(run::pipe::PipeArgs),
    /// Follow a task in the terminal.
    Tail(tail::TailArgs),
    /// Say, or do something, when a task fails, ends, stalls or the like.
    Watch(watch::WatchArgs),
    /// Publish activities to a task.
    Publish(publish::PublishArgs),
    /// List, show and delete tasks.
    Tasks(tasks::TasksArgs),
    /// Show what was refused of what came over Redis for a task.
    Rejects(rejects::RejectsArgs),
    /// Have Claude Code tell the hub itself what it does.
    Hooks(hooks::HooksArgs),
    /// Import what was recorded elsewhere: agents' session files, or the old database.
    Import(import::ImportArgs),
    /// Publish what made-up agents do, for trying the page and for loads.
    Demo(demo::DemoArgs),
    /// List the formats of agents that are understood, or show what becomes of a transcript.
    Formats(formats::FormatsArgs),
    /// Take secrets out of text, and try out rules that find them.
    Redact(redact::RedactCommand),
    /// Show live what a node or a cluster does: rates, queues, times, sessions.
    Top(top::TopArgs),
    /// Look at what is stored by the rules of now, and take out secrets that were not known then.
    Audit(audit::AuditArgs),
    /// Look at the store, Redis and the hubs from outside, and say what is wrong and what to do.
    Doctor(doctor::DoctorArgs),
    /// Show what retention would remove, or remove it now.
    Retention(retention::RetentionArgs),
    /// Make tokens, API keys and secrets, look at them, and take them back.
    Token(token::TokenArgs),
    /// Try out webhooks.
    Webhooks(webhooks::WebhooksArgs),
    /// Bring the store's schema up to date without serving.
    Migrate(migrate::MigrateArgs),
    /// Show every configuration value, where it came from and what it means.
    Config(config::ConfigArgs),
    /// Ask whether a hub is ready for work, as health checks do.
    Ready(ready::ReadyArgs),
    /// Print what a shell needs to complete commands and flags.
    Completions(completions::CompletionsArgs),
    /// Print the manual, or install a page for each command.
    Man(man::ManArgs),
}

/// Runs the program as the command line says.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("tasklight").build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("tasklight: the runtime cannot start: {error}");
            return ExitCode::from(exit::FAILED);
        }
    };
    let done = runtime.block_on(dispatch(cli.command));
    // Blocking reads of standard input cannot be stopped; nothing else is left.
    runtime.shutdown_background();
    done.unwrap_or_else(|error| {
        if is_broken_pipe(&error) {
            return ExitCode::SUCCESS;
        }
        eprintln!("tasklight: {error:#}");
        ExitCode::from(exit::FAILED)
    })
}

async fn dispatch(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Serve(args) => serve::run(args).await,
        Command::Run(args) => run::run(args).await,
        Command::Pipe(args) => run::pipe::run(args).await,
        Command::Tail(args) => tail::run(args).await,
        Command::Watch(args) => watch::run(args).await,
        Command::Publish(args) => publish::run(args).await,
        Command::Tasks(args) => tasks::run(args).await,
        Command::Rejects(args) => rejects::run(args).await,
        Command::Hooks(args) => hooks::run(&args),
        Command::Import(args) => import::run(args).await,
        Command::Demo(args) => demo::run(args).await,
        Command::Formats(args) => formats::run(&args),
        Command::Redact(args) => redact::run(&args),
        Command::Top(args) => top::run(args).await,
        Command::Audit(args) => audit::run(args).await,
        Command::Doctor(args) => doctor::run(args).await,
        Command::Retention(args) => retention::run(args).await,
        Command::Token(args) => token::run(args).await,
        Command::Webhooks(args) => webhooks::run(args).await,
        Command::Migrate(args) => migrate::run(args).await,
        Command::Config(args) => config::run(&args),
        Command::Ready(args) => ready::run(args).await,
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => man::run(&args),
    }
}

/// Whoever read our output has gone: that is their right and no failure.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let mut causes = error.chain().filter_map(|cause| cause.downcast_ref::<std::io::Error>());
    causes.any(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}
