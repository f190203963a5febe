//! `tasklight completions`: what a shell needs to complete our command lines.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::{Args, CommandFactory};
use clap_complete::Shell;

const AFTER_HELP: &str = "\
Examples:
  tasklight completions bash > /usr/local/share/bash-completion/completions/tasklight
  tasklight completions zsh > \"${fpath[1]}/_tasklight\"
  tasklight completions fish > ~/.config/fish/completions/tasklight.fish
  source <(tasklight completions bash)      for this shell only";

/// Flags of `tasklight completions`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct CompletionsArgs {
    /// Which shell
    shell: Shell,
}

/// Writes the shell's script to standard output.
pub(crate) fn run(args: &CompletionsArgs) -> anyhow::Result<ExitCode> {
    // The library takes a writer that never fails: a reader that has gone is noticed here.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::Cli::command(), "tasklight", &mut script);
    io::stdout().write_all(&script)?;
    Ok(ExitCode::SUCCESS)
}
