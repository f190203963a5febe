//! `tasklight hooks`: Claude Code's own hooks say live what it does, without anything around it.

mod settings;

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::{exit, hub_args::HubArgs};
use crate::model::TaskId;

/// The events that are installed: those that can be sent by HTTP, of which all versions that know HTTP hooks know the names. An unknown name
/// could make Claude Code refuse the whole file.
const EVENTS: [&str; 11] = [
    "UserPromptSubmit",
    "PreToolUse",
    "PostToolUse",
    "PostToolUseFailure",
    "PermissionRequest",
    "Notification",
    "SubagentStart",
    "SubagentStop",
    "PreCompact",
    "Stop",
    "SessionEnd",
];

/// How many seconds Claude Code waits for the hub at most.
const TIMEOUT_SECONDS: u32 = 5;

const AFTER_HELP: &str = "\
Claude Code then tells the hub itself: prompts, tool calls with their results,
requests for approval, sub-agents, when it waits and when it ends. It goes on as
always if the hub is away. What Claude says and thinks, tokens and cost are not
in hooks; `tasklight run -- claude -p …` records those too.

A session is an invocation; its task is --task, else named like the project's
folder. Inside of `tasklight run` hooks add to that run.

Examples:
  tasklight hooks install claude                      all sessions of this user
  tasklight hooks install claude --project            this project only
  tasklight hooks install claude --task web --print   show it, change nothing
  tasklight hooks status
  tasklight hooks remove claude

Only our hooks are put in and taken out: everything else in the file keeps its
text and its order. The file as it was is kept beside it, under its name and
.tasklight-backup. A token is never written: with --token or TASKLIGHT_TOKEN the
hooks take it from the variable TASKLIGHT_TOKEN when they run.

Exit codes: 0 done, 1 the file cannot be used, 2 wrong usage.";

/// Flags of `tasklight hooks`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct HooksArgs {
    #[command(subcommand)]
    command: HooksCommand,
}

#[derive(Debug, Subcommand)]
enum HooksCommand {
    /// Put our hooks into an agent's settings.
    Install {
        /// Whose
        agent: Agent,
        /// Show the settings as they would be, and change nothing
        #[arg(long)]
        print: bool,
        /// The task of all sessions [default: named like each one's project]
        #[arg(long)]
        task: Option<TaskId>,
        #[command(flatten)]
        file: FileArgs,
        #[command(flatten)]
        hub: HubArgs,
    },
    /// Take them out again.
    Remove {
        /// Whose
        agent: Agent,
        /// Show the settings as they would be, and change nothing
        #[arg(long)]
        print: bool,
        #[command(flatten)]
        file: FileArgs,
    },
    /// Say where they are installed, and which hub they name.
    Status {
        #[command(flatten)]
        file: FileArgs,
    },
}

/// Agents that have hooks which speak HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Agent {
    /// Claude Code.
    Claude,
}

/// Which settings.
#[derive(Debug, Args)]
#[group(multiple = false)]
struct FileArgs {
    /// The settings of this user, ~/.claude/settings.json (or under CLAUDE_CONFIG_DIR); this is the default
    #[arg(long)]
    user: bool,
    /// This folder's own settings, .claude/settings.local.json, which are not committed
    #[arg(long)]
    project: bool,
    /// Another file
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
}

impl FileArgs {
    fn path(&self) -> anyhow::Result<PathBuf> {
        match (&self.settings, self.project) {
            (Some(path), _) => Ok(path.clone()),
            (None, true) => Ok(project_file()),
            (None, false) => user_file(),
        }
    }

    fn all(&self) -> anyhow::Result<Vec<PathBuf>> {
        match self.user || self.project || self.settings.is_some() {
            true => Ok(vec![self.path()?]),
            false => Ok(vec![user_file()?, PathBuf::from(".claude/settings.json"), project_file()]),
        }
    }
}

fn project_file() -> PathBuf {
    PathBuf::from(".claude/settings.local.json")
}

fn user_file() -> anyhow::Result<PathBuf> {
    let folder = std::env::var_os("CLAUDE_CONFIG_DIR").filter(|folder| !folder.is_empty()).map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".claude"));
    let folder = folder.or_else(home).context("HOME is not set: name the file with --settings")?;
    Ok(folder.join("settings.json"))
}

/// Installs, removes or shows.
pub(crate) fn run(args: &HooksArgs) -> anyhow::Result<ExitCode> {
    match &args.command {
        HooksCommand::Install { agent: Agent::Claude, print, task, file, hub } => {
            let path = file.path()?;
            let Ok(client) = hub.client().map_err(|error| eprintln!("tasklight: {error}")) else {
                return Ok(ExitCode::from(exit::USAGE));
            };
            let before = read(&path)?;
            let hook = hook(client.hub(), task.as_ref(), hub.has_token());
            let after = settings::install(&before, &EVENTS, &hook).with_context(|| path.display().to_string())?;
            let what = format!("hooks for {} events now tell {}", EVENTS.len(), client.hub());
            change(&path, &before, (before != after).then_some(&after), *print, &what, "they were there already: nothing changed")
        }
        HooksCommand::Remove { agent: Agent::Claude, print, file } => {
            let path = file.path()?;
            let before = read(&path)?;
            let after = settings::remove(&before).with_context(|| path.display().to_string())?;
            change(&path, &before, after.as_ref(), *print, "the hooks are gone", "there were none: nothing changed")
        }
        HooksCommand::Status { file } => status(&file.all()?),
    }
}

/// One hook, as Claude Code's settings have it. What is said of `TASKLIGHT_TASK` and the like is empty outside of `tasklight run`.
fn hook(hub: &str, task: Option<&TaskId>, token: bool) -> Value {
    let query = task.map(|task| format!("?task={task}")).unwrap_or_default();
    let mut headers = json!({"X-Tasklight-Task": "$TASKLIGHT_TASK", "X-Tasklight-Invocation": "$TASKLIGHT_INVOCATION"});
    let mut variables = vec!["TASKLIGHT_TASK", "TASKLIGHT_INVOCATION"];
    if token {
        headers["Authorization"] = json!("Bearer $TASKLIGHT_TOKEN");
        variables.push("TASKLIGHT_TOKEN");
    }
    let url = format!("{hub}/v1/hooks/claude{query}");
    json!({"type": "http", "url": url, "headers": headers, "allowedEnvVars": variables, "timeout": TIMEOUT_SECONDS})
}

/// The file's text; none yet is an empty one.
fn read(path: &Path) -> anyhow::Result<String> {
    match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        read => read.with_context(|| format!("{} cannot be read", path.display())),
    }
}

fn change(path: &Path, before: &str, after: Option<&String>, print: bool, done: &str, nothing: &str) -> anyhow::Result<ExitCode> {
    let mut out = io::stdout().lock();
    match after {
        _ if print => out.write_all(after.map_or(before, String::as_str).as_bytes())?,
        None => writeln!(out, "{}: {nothing}", path.display())?,
        Some(after) => {
            let backup = write(path, before, after).with_context(|| format!("{} cannot be written", path.display()))?;
            writeln!(out, "{}: {done}", path.display())?;
            if let Some(backup) = backup {
                writeln!(out, "as it was before: {}", backup.display())?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Puts the new text in the place of the old one, whole or not at all, and keeps the old one beside it.
fn write(path: &Path, before: &str, after: &str) -> io::Result<Option<PathBuf>> {
    // A link, such as into a repository of dotfiles, stays one.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let permissions = fs::metadata(&path).ok().map(|metadata| metadata.permissions());
    let backup = permissions.is_some().then(|| {
        let mut name = path.clone().into_os_string();
        name.push(".tasklight-backup");
        PathBuf::from(name)
    });
    let put = |path: &Path, text: &str| {
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(text.as_bytes())?;
        if let Some(permissions) = &permissions {
            fs::set_permissions(file.path(), permissions.clone())?;
        }
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error).map(drop)
    };
    if let Some(backup) = &backup {
        put(backup, before)?;
    }
    put(&path, after)?;
    Ok(backup)
}

fn status(files: &[PathBuf]) -> anyhow::Result<ExitCode> {
    let mut out = io::stdout().lock();
    for path in files {
        let found = settings::installed(&read(path)?).with_context(|| path.display().to_string())?;
        let Some((_, address)) = found.first() else {
            writeln!(out, "{}: not installed", path.display())?;
            continue;
        };
        let missing: Vec<&str> = EVENTS.into_iter().filter(|event| !found.iter().any(|(name, _)| name == event)).collect();
        let missing = if missing.is_empty() { String::new() } else { format!(", but not for {}", missing.join(", ")) };
        writeln!(out, "{}: installed, tells {address}{missing}", path.display())?;
    }
    Ok(ExitCode::SUCCESS)
}
