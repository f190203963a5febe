//! The `tasklight` program; see [`tasklight::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    tasklight::cli::main()
}
