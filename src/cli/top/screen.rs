//! The frame that is shown: text by lines, as wide as the terminal, without a colour where none is wanted.

use std::{collections::BTreeMap, fmt::Write};

use super::{NodeState, figures::Figures};
use crate::cli::terminal::safe_line;

/// How wide a column is, and the names of the rows.
const COLUMN: usize = 14;
const NAMES: usize = 18;

/// How many reasons are listed.
const REASONS: usize = 5;

const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// What is shown.
pub(super) struct Frame<'a> {
    pub nodes: &'a [NodeState],
    pub total: &'a Figures,
    /// Published and delivered in each second of the last minute, oldest first.
    pub history: [Vec<f64>; 2],
    pub is_paused: bool,
    /// Whether there are keys to press.
    pub has_keys: bool,
    pub width: usize,
}

type Cell = fn(&Figures) -> String;

const ROWS: [(&str, Cell); 14] = [
    ("published/s", |f| rate(f.published_per_second)),
    ("delivered/s", |f| rate(f.delivered_per_second)),
    ("rejected/s", |f| rate(f.rejected_per_second)),
    ("redacted/s", |f| rate(f.redacted_per_second)),
    ("queue", |f| format!("{} {:.0}%", whole(f.queue_activities), f.queue_share * 100.)),
    ("commit p50", |f| time(f.commit_p50_seconds)),
    ("commit p99", |f| time(f.commit_p99_seconds)),
    ("delivery p50", |f| time(f.delivery_p50_seconds)),
    ("delivery p99", |f| time(f.delivery_p99_seconds)),
    ("feed p99", |f| time(f.feed_p99_seconds)),
    ("sessions", |f| whole(f.sessions)),
    ("tasks watched", |f| format!("{} own {}", whole(f.watched_tasks), whole(f.owned_tasks))),
    ("reads hot cold", |f| format!("{} {}", rate(f.hot_reads_per_second), rate(f.cold_reads_per_second))),
    ("memory", |f| bytes(f.memory_bytes)),
];

impl Frame<'_> {
    /// The lines of it.
    pub(super) fn lines(&self) -> Vec<String> {
        let fitting = self.width.saturating_sub(NAMES + COLUMN) / COLUMN;
        let (shown, hidden) = self.nodes.split_at(self.nodes.len().min(fitting));
        let away = self.nodes.iter().filter(|node| node.current.is_err()).count();
        let mut head = format!("tasklight top   {}", plural(self.nodes.len(), "node"));
        if away != 0 {
            let _ = write!(head, ", {away} not answering");
        }
        head.push_str(if self.is_paused { "   PAUSED" } else { "" });
        head.push_str(if self.has_keys { "   q quit  p pause" } else { "" });
        let mut lines = vec![head, String::new()];
        let row = |name: &str, total: &str, cells: &dyn Fn(&NodeState) -> String| {
            let mut line = format!("{name:<NAMES$}{total:>COLUMN$}");
            for node in shown {
                let _ = write!(line, "{:>COLUMN$}", cut(&cells(node), COLUMN - 1));
            }
            line
        };
        lines.push(row("", "total", &|node| node.name().to_owned()));
        lines.push(row("state", "", &|node| node.state().to_owned()));
        for (name, cell) in ROWS {
            let of_node = |node: &NodeState| node.current.as_ref().map_or_else(|_| "-".to_owned(), |(figures, _)| cell(figures));
            lines.push(row(name, &cell(self.total), &of_node));
        }
        if !hidden.is_empty() {
            lines.push(format!("and {} more in the total: the terminal is too narrow for them", hidden.len()));
        }
        lines.push(String::new());
        for (name, values) in ["published", "delivered"].iter().zip(&self.history) {
            lines.push(format!("{name:<NAMES$}{} {}/s", sparkline(values), rate(values.last().copied().unwrap_or_default())));
        }
        lines.push(String::new());
        lines.push(reasons("refused, last min", &self.total.rejected));
        lines.push(reasons("closed, last min", &self.total.closed));
        for node in self.nodes {
            lines.extend(node.trouble().map(|trouble| format!("{}: {trouble}", node.name())));
        }
        lines.iter().map(|line| cut(&safe_line(line), self.width)).collect()
    }
}

/// The first `width` characters of `text`; all of what is shown here is as wide as it is long.
fn cut(text: &str, width: usize) -> String {
    text.chars().take(width).collect()
}

fn plural(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn reasons(title: &str, counts: &BTreeMap<String, f64>) -> String {
    let mut sorted: Vec<_> = counts.iter().collect();
    sorted.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    let some: Vec<_> = sorted.iter().take(REASONS).map(|(code, count)| format!("{code} {}", whole(**count))).collect();
    format!("{title:<NAMES$}{}", if some.is_empty() { "none".to_owned() } else { some.join("  ") })
}

/// A bar for each value, as high as it is beside the greatest.
fn sparkline(values: &[f64]) -> String {
    let most = values.iter().copied().fold(0., f64::max);
    let bar = |value: &f64| {
        let eighths = if most == 0. { 0. } else { value / most * 7. };
        BARS.iter().enumerate().rev().find(|(index, _)| rounds_to(eighths, *index)).map_or(BARS[0], |(_, bar)| *bar)
    };
    values.iter().map(bar).collect()
}

fn rounds_to(eighths: f64, index: usize) -> bool {
    u32::try_from(index).is_ok_and(|index| f64::from(index) <= eighths + 0.5)
}

fn whole(value: f64) -> String {
    match value {
        value if value < 10_000. => format!("{value:.0}"),
        value if value < 10_000_000. => format!("{:.0}k", value / 1e3),
        value => format!("{:.0}M", value / 1e6),
    }
}

fn rate(value: f64) -> String {
    if 0. < value && value < 9.95 { format!("{value:.1}") } else { whole(value) }
}

fn time(seconds: Option<f64>) -> String {
    match seconds {
        None => "-".to_owned(),
        Some(seconds) if seconds < 0.000_95 => format!("{:.0} us", seconds * 1e6),
        Some(seconds) if seconds < 0.009_5 => format!("{:.1} ms", seconds * 1e3),
        Some(seconds) if seconds < 0.95 => format!("{:.0} ms", seconds * 1e3),
        Some(seconds) => format!("{seconds:.1} s"),
    }
}

fn bytes(value: f64) -> String {
    const MIB: f64 = 1_048_576.;
    if value < 1_024. * MIB { format!("{:.0} MiB", value / MIB) } else { format!("{:.1} GiB", value / 1_024. / MIB) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short_and_say_their_unit() {
        let rates = [0., 0.04, 3.24, 12.3, 9_999., 12_345., 23_456_789.].map(rate);
        assert_eq!(rates, ["0", "0.0", "3.2", "12", "9999", "12k", "23M"]);
        let times = [None, Some(0.000_4), Some(0.001_23), Some(0.25), Some(2.)].map(time);
        assert_eq!(times, ["-", "400 us", "1.2 ms", "250 ms", "2.0 s"]);
        assert_eq!([bytes(50e6), bytes(5e9)], ["48 MiB", "4.7 GiB"]);
        assert_eq!(sparkline(&[0., 1., 4., 8.]), "▁▂▅█");
        assert_eq!(sparkline(&[0., 0.]), "▁▁");
    }

    #[test]
    fn a_frame_fits_the_terminal_whatever_nodes_say() {
        let away = |admin: &str| NodeState { current: Err("says \u{1b}[2J".to_owned()), ..NodeState::new(admin.to_owned()) };
        let nodes: Vec<_> = (0..5).map(|number| away(&format!("http://node-{number}:9090"))).collect();
        let total =
            Figures { rejected: BTreeMap::from([("wrong_type".to_owned(), 3.), ("x".to_owned(), 7.)]), ..Figures::default() };
        for (width, columns) in [(20, 0), (80, 3), (200, 5)] {
            let history = [vec![1., 2.], vec![0., 5.]];
            let frame = Frame { nodes: &nodes, total: &total, history, is_paused: true, has_keys: true, width };
            let lines = frame.lines();
            assert!(lines.iter().all(|line| line.chars().count() <= width && !line.contains('\u{1b}')), "{lines:?}");
            assert_eq!(lines[2].matches("node-").count(), columns, "{}", lines[2]);
            assert_eq!(lines.iter().any(|line| line.starts_with("and ")), columns < 5);
        }
        let frame =
            Frame { nodes: &nodes, total: &total, history: Default::default(), is_paused: false, has_keys: false, width: 80 };
        let text = frame.lines().join("\n");
        assert!(text.contains("5 nodes, 5 not answering") && text.contains("x 7  wrong_type 3"), "{text}");
    }
}
