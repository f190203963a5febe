//! `tasklight tasks`: which tasks there are, how one stands, and deleting one.

mod table;

pub(super) use table::{ago, span, status};

use std::{
    io::{BufRead, IsTerminal, Write},
    process::ExitCode,
};

use clap::{Args, Subcommand};

use super::{
    exit,
    hub_args::{HubArgs, failed},
};
use crate::{
    client::{Client, ClientError, TasksWanted},
    model::{Status, TaskId, TaskSummary},
};

/// The most tasks that are asked for at once.
const PAGE: usize = 500;

const AFTER_HELP: &str = "\
Examples:
  tasklight tasks list                           newest activity first
  tasklight tasks list --status running --label team=ci
  tasklight tasks list --q deploy --limit 20
  tasklight tasks list --json | jq -r .taskId    one JSON object a line
  tasklight tasks show build-42
  tasklight tasks delete build-42 --yes

Exit codes: 0 done, 1 refused (such as: there is no such task), 2 wrong usage,
3 hub not reachable.";

/// Flags of `tasklight tasks`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct TasksArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List tasks, newest activity first.
    #[command(after_help = AFTER_HELP)]
    List(ListArgs),
    /// Show a task and its invocations.
    #[command(after_help = AFTER_HELP)]
    Show(ShowArgs),
    /// Delete a task with its whole log.
    #[command(after_help = AFTER_HELP)]
    Delete(DeleteArgs),
}

#[derive(Debug, Args)]
struct ListArgs {
    /// Only tasks in this status: pending, running, completed, failed, cancelled or lost
    #[arg(long)]
    status: Option<Status>,
    /// Only tasks with this label, NAME=VALUE, or NAME for any value; can be given several times
    #[arg(long, value_name = "LABEL")]
    label: Vec<String>,
    /// Only tasks whose id or title contains this text
    #[arg(long, value_name = "TEXT")]
    q: Option<String>,
    /// At most so many tasks
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    limit: usize,
    /// Print JSON lines
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    hub: HubArgs,
}

#[derive(Debug, Args)]
struct ShowArgs {
    /// The task
    task: TaskId,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    hub: HubArgs,
}

#[derive(Debug, Args)]
struct DeleteArgs {
    /// The task
    task: TaskId,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    hub: HubArgs,
}

/// Does what the subcommand says.
pub(crate) async fn run(args: TasksArgs) -> anyhow::Result<ExitCode> {
    let done = match args.command {
        Command::List(args) => list(args).await?,
        Command::Show(args) => show(args).await?,
        Command::Delete(args) => return delete(args).await,
    };
    Ok(done.map_or_else(|error| failed(&error), |()| ExitCode::SUCCESS))
}

async fn list(args: ListArgs) -> anyhow::Result<Result<(), ClientError>> {
    let (client, json, limit) = (args.hub.client(), args.json, args.limit);
    let wanted = TasksWanted { status: args.status, labels: args.label, text: args.q, limit: 0, page: None };
    let tasks = match client {
        Ok(client) => pages(&client, wanted, limit).await,
        Err(error) => Err(error),
    };
    let tasks = match tasks {
        Ok(tasks) => tasks,
        Err(error) => return Ok(Err(error)),
    };
    let mut out = anstream::stdout().lock();
    if json {
        for task in &tasks {
            writeln!(out, "{}", serde_json::to_string(task)?)?;
        }
    } else {
        table::list(&mut out, &tasks)?;
    }
    out.flush()?;
    Ok(Ok(()))
}

/// The first `limit` tasks, page by page.
async fn pages(client: &Client, mut wanted: TasksWanted, limit: usize) -> Result<Vec<TaskSummary>, ClientError> {
    let mut tasks = Vec::new();
    while tasks.len() < limit {
        wanted.limit = (limit - tasks.len()).min(PAGE);
        let page = client.tasks(&wanted).await?;
        let ends = page.tasks.is_empty() || page.next.is_none();
        tasks.extend(page.tasks);
        wanted.page = page.next;
        if ends {
            break;
        }
    }
    Ok(tasks)
}

async fn show(args: ShowArgs) -> anyhow::Result<Result<(), ClientError>> {
    let details = match args.hub.client() {
        Ok(client) => client.task(&args.task).await,
        Err(error) => Err(error),
    };
    let details = match details {
        Ok(details) => details,
        Err(error) => return Ok(Err(error)),
    };
    let mut out = anstream::stdout().lock();
    if args.json {
        writeln!(out, "{}", serde_json::to_string(&details)?)?;
    } else {
        table::show(&mut out, &details)?;
    }
    out.flush()?;
    Ok(Ok(()))
}

async fn delete(args: DeleteArgs) -> anyhow::Result<ExitCode> {
    let client = match args.hub.client() {
        Ok(client) => client,
        Err(error) => return Ok(failed(&error)),
    };
    if !args.yes {
        if !std::io::stdin().is_terminal() {
            eprintln!("tasklight: --yes is needed where nobody can be asked");
            return Ok(ExitCode::from(exit::USAGE));
        }
        if !agreed(&args.task)? {
            eprintln!("nothing was deleted");
            return Ok(ExitCode::from(exit::FAILED));
        }
    }
    match client.delete_task(&args.task).await {
        Ok(()) => {
            println!("deleted {}", args.task);
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => Ok(failed(&error)),
    }
}

fn agreed(task: &TaskId) -> std::io::Result<bool> {
    eprint!("delete {task} with its whole log, for everyone? [y/N] ");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}
