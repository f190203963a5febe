//! docs/benchmarks.md: the machine, the table, and what stands in the template.

use std::{fmt::Write, path::Path};

use anyhow::Context;

use super::report::{HEAD, Row};

/// What is written by hand: what each row is and what bounds it. `{machine}` and `{table}` are put in.
const TEMPLATE: &str = include_str!("page.md");

/// Writes the page, with its plots beside it in `images/`.
pub fn write(docs: &Path, rows: &[Row], plots: &[(&str, String)], quick: bool) -> anyhow::Result<()> {
    let mut table = HEAD.to_owned();
    for row in rows {
        write!(table, "\n{row}")?;
    }
    let mut machine = machine()?;
    if quick {
        machine.push_str(" A quick run: the figures are rough.");
    }
    let page = TEMPLATE.replace("{machine}", &machine).replace("{table}", &table);
    let images = docs.join("images");
    std::fs::create_dir_all(&images)?;
    for (name, svg) in plots {
        std::fs::write(images.join(name), svg)?;
    }
    std::fs::write(docs.join("benchmarks.md"), page).with_context(|| format!("writing {}", docs.display()))
}

/// The machine and the date, in a sentence.
fn machine() -> anyhow::Result<String> {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let info = read("/proc/cpuinfo");
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("an unknown processor", |line| line.trim_start_matches(|c: char| c == ':' || c.is_whitespace()));
    let cores = std::thread::available_parallelism()?;
    let release = read("/proc/sys/kernel/osrelease");
    let kernel = release.split('-').next().unwrap_or_default();
    let memory = read("/proc/meminfo").split_whitespace().nth(1).and_then(|kib| kib.parse::<f64>().ok()).unwrap_or_default();
    let date = std::process::Command::new("date").args(["-u", "+%Y-%m-%d"]).output()?.stdout;
    Ok(format!(
        "{}: {model}, {cores} cores, {:.0} GiB, Linux {}. Hub, load and databases share them.",
        String::from_utf8_lossy(&date).trim(),
        memory / 1_048_576.0,
        kernel.trim()
    ))
}
