//! `tasklight man`: the manual, made from what `--help` says.

use std::{
    fs,
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::Context;
use clap::{Args, CommandFactory};

const AFTER_HELP: &str = "\
Examples:
  tasklight man | man -l -                       read it
  tasklight man /usr/local/share/man/man1        install a page for each command";

/// Flags of `tasklight man`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct ManArgs {
    /// Where to put tasklight.1 and a page for each command; without, the first of them goes to standard output
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
}

/// Writes the manual.
pub(crate) fn run(args: &ManArgs) -> anyhow::Result<ExitCode> {
    // There is no page of `help`, which says what the pages do.
    let command = super::Cli::command().disable_help_subcommand(true);
    let Some(folder) = &args.folder else {
        let mut page = Vec::new();
        clap_mangen::Man::new(command).render(&mut page)?;
        io::stdout().write_all(&page)?;
        return Ok(ExitCode::SUCCESS);
    };
    let failed = || format!("the manual cannot be written to {}", folder.display());
    fs::create_dir_all(folder).with_context(failed)?;
    clap_mangen::generate_to(command, folder).with_context(failed)?;
    Ok(ExitCode::SUCCESS)
}
