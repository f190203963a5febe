//! Activities as a person reads them: output as it came, everything else on lines of its own, streamed text as it grows.

use std::{
    collections::HashMap,
    io::{self, Write},
};

use anstyle::{AnsiColor, Style};
use jiff::{civil::Date, tz::TimeZone};
use serde_json::{Map, Value};

use super::describe::{Description, describe};
use crate::{
    cli::terminal::{Colours, safe, safe_line},
    client::Received,
    model::{InvocationId, Timestamp},
};

/// The most series of streamed text whose pieces are remembered until their end.
const OPEN_SERIES: usize = 256;

/// The most bytes of each that are remembered: no whole is longer than an activity may be.
const SERIES_BYTES: usize = 64 * 1024;

/// The most tool calls whose names are remembered for their results.
const OPEN_CALLS: usize = 1_024;

/// What the text at the end of the screen belongs to, as far as more of it can be joined on.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    /// Output of a process.
    Output(InvocationId),
    /// Pieces of a series.
    Series(SeriesKey),
}

type SeriesKey = (InvocationId, String);

/// What is on the screen, as far as the next activity depends on it.
#[derive(Debug)]
pub(crate) struct Render {
    terminal: bool,
    colour: bool,
    zone: TimeZone,
    date: Option<Date>,
    source: Option<Source>,
    /// Whether the screen's last line is unfinished.
    mid_line: bool,
    first_invocation: Option<InvocationId>,
    /// Whether more than one invocation was seen, so that lines must say whose they are.
    several: bool,
    /// What was shown of each open series; nothing if it was too much to remember.
    series: HashMap<SeriesKey, Option<String>>,
    /// The names of the tools that were called and have not answered.
    calls: HashMap<(InvocationId, String), String>,
}

impl Render {
    /// `terminal` if text must be made safe; `colour` if it may be coloured.
    pub(crate) fn new(terminal: bool, colour: bool) -> Self {
        Self {
            terminal,
            colour,
            zone: TimeZone::system(),
            date: None,
            source: None,
            mid_line: false,
            first_invocation: None,
            several: false,
            series: HashMap::new(),
            calls: HashMap::new(),
        }
    }

    /// Shows an activity.
    pub(crate) fn activity(&mut self, out: &mut impl Write, received: &Received) -> io::Result<()> {
        let first = self.first_invocation.get_or_insert_with(|| received.invocation.clone());
        self.several |= *first != received.invocation;
        let data: Map<String, Value> = serde_json::from_str(received.data()).unwrap_or_default();
        let text = data.get("text").and_then(Value::as_str);
        match (series_key(received, &data), text) {
            (Some(key), Some(text)) => self.series(out, received, &data, key, text),
            (None, Some(text)) if received.kind == "output" => self.output(out, received, &data, text),
            _ => {
                let mut description = describe(&received.kind, &data);
                self.pair(received, &data, &mut description);
                self.line(out, received, &description)
            }
        }
    }

    /// Says in a tool's result which tool it is that answers: several may have been called before.
    fn pair(&mut self, received: &Received, data: &Map<String, Value>, description: &mut Description) {
        let field = |name: &str| data.get(name).and_then(Value::as_str);
        let Some(key) = field("toolCallId").map(|id| (received.invocation.clone(), id.to_owned())) else { return };
        match received.kind.as_str() {
            "tool_call" => {
                if OPEN_CALLS <= self.calls.len() {
                    // Their results would only have no name.
                    self.calls.clear();
                }
                self.calls.insert(key, field("name").unwrap_or("tool").to_owned());
            }
            "tool_result" => {
                if let Some(name) = self.calls.remove(&key) {
                    description.label = description.label.replacen('←', &format!("← {name}"), 1);
                }
            }
            _ => {}
        }
    }

    /// Ends an unfinished line.
    pub(crate) fn end_line(&mut self, out: &mut impl Write) -> io::Result<()> {
        if let Some(source) = self.source.take() {
            // Colours that the text left on must not run into what follows.
            let output = matches!(source, Source::Output(_)) && self.colour;
            out.write_all(if output { b"\x1b[0m" } else { b"" })?;
        }
        if std::mem::take(&mut self.mid_line) { out.write_all(b"\n") } else { Ok(()) }
    }

    fn output(&mut self, out: &mut impl Write, received: &Received, data: &Map<String, Value>, text: &str) -> io::Result<()> {
        let source = Source::Output(received.invocation.clone());
        if self.source.as_ref() != Some(&source) {
            self.end_line(out)?;
            if self.several {
                let (faint, name) = (self.style(Style::new().dimmed()), safe_line(received.invocation.as_str()));
                writeln!(out, "{faint}── {name}{faint:#}")?;
            }
            self.source = Some(source);
        }
        let stderr = data.get("stream").and_then(Value::as_str) == Some("stderr");
        let style = self.style(if stderr { AnsiColor::Red.on_default().dimmed() } else { Style::new() });
        self.text(out, text, style)
    }

    /// A piece is joined on where the series' text stands last, and so is what is left at its end. Where something else stands between, or
    /// the text has become another, the whole is shown, unless it is on the screen already.
    fn series(
        &mut self,
        out: &mut impl Write,
        received: &Received,
        data: &Map<String, Value>,
        key: SeriesKey,
        text: &str,
    ) -> io::Result<()> {
        let source = Source::Series(key.clone());
        let joined = self.source.as_ref() == Some(&source);
        if data.get("final").and_then(Value::as_bool) == Some(true) {
            let shown = self.series.remove(&key).flatten();
            match shown.and_then(|shown| text.strip_prefix(shown.as_str())) {
                Some("") if !joined => return Ok(()),
                Some(rest) if joined => {
                    let style = self.style(describe(&received.kind, data).text_style);
                    self.text(out, rest, style)?;
                    return self.end_line(out);
                }
                _ => {}
            }
            if received.kind == "output" {
                return self.output(out, received, data, text);
            }
            return self.line(out, received, &describe(&received.kind, data));
        }
        let description = describe(&received.kind, data);
        if !joined {
            self.end_line(out)?;
            self.heading(out, received, &description)?;
            self.source = Some(source);
        }
        let style = self.style(description.text_style);
        self.text(out, text, style)?;
        if OPEN_SERIES <= self.series.len() && !self.series.contains_key(&key) {
            // Their ends would only be shown whole once more.
            self.series.clear();
        }
        let shown = self.series.entry(key).or_insert_with(|| Some(String::new()));
        match shown {
            Some(before) if before.len() + text.len() <= SERIES_BYTES => before.push_str(text),
            _ => *shown = None,
        }
        Ok(())
    }

    fn line(&mut self, out: &mut impl Write, received: &Received, description: &Description) -> io::Result<()> {
        self.end_line(out)?;
        self.heading(out, received, description)?;
        // Further lines stand below the first.
        let text = description.text.trim_end().replace('\n', "\n         ");
        let style = self.style(description.text_style);
        self.text(out, &text, style)?;
        self.mid_line = true;
        self.source = None;
        self.end_line(out)
    }

    /// Time, invocation and label; leaves the line open.
    fn heading(&mut self, out: &mut impl Write, received: &Received, description: &Description) -> io::Result<()> {
        let faint = self.style(Style::new().dimmed());
        let (date, time) = self.local(received.timestamp);
        if self.date.replace(date).is_none_or(|known| known != date) {
            writeln!(out, "{faint}{date}{faint:#}")?;
        }
        write!(out, "{faint}{time}{faint:#} ")?;
        if self.several {
            write!(out, "{faint}[{}]{faint:#} ", safe_line(received.invocation.as_str()))?;
        }
        let style = self.style(description.label_style);
        write!(out, "{style}{}{style:#} ", safe_line(&description.label))?;
        self.mid_line = true;
        Ok(())
    }

    fn text(&mut self, out: &mut impl Write, text: &str, style: Style) -> io::Result<()> {
        let colours = if self.colour { Colours::Kept } else { Colours::Removed };
        let safe = if self.terminal { safe(text, colours) } else { text.into() };
        write!(out, "{style}{safe}{style:#}")?;
        if let Some(last) = safe.chars().last() {
            self.mid_line = last != '\n';
        }
        Ok(())
    }

    fn style(&self, style: Style) -> Style {
        if self.colour { style } else { Style::new() }
    }

    fn local(&self, timestamp: Timestamp) -> (Date, String) {
        let millis = i64::try_from(timestamp.as_millis()).unwrap_or(i64::MAX);
        let instant = jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::MAX);
        let local = instant.to_zoned(self.zone.clone());
        (local.date(), local.strftime("%H:%M:%S").to_string())
    }
}

/// The series that a payload is a piece or the end of.
fn series_key(received: &Received, data: &Map<String, Value>) -> Option<SeriesKey> {
    let series = data.get("seriesId")?.as_str()?;
    Some((received.invocation.clone(), series.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Received;

    fn shown(terminal: bool, activities: &[(&str, &str, &str)]) -> String {
        let mut render = Render { zone: TimeZone::UTC, ..Render::new(terminal, false) };
        let mut out = Vec::new();
        for (invocation, kind, data) in activities {
            render.activity(&mut out, &Received::for_test(invocation, kind, data)).expect("memory");
        }
        render.end_line(&mut out).expect("memory");
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn output_keeps_its_lines_and_others_get_their_own() {
        let text = shown(
            true,
            &[
                ("r", "output", r#"{"stream":"stdout","text":"a\nb"}"#),
                ("r", "output", r#"{"stream":"stdout","text":"c\nun"}"#),
                ("r", "message", r#"{"role":"user","text":"one\ntwo"}"#),
                ("r", "output", r#"{"stream":"stderr","text":"end\n"}"#),
            ],
        );
        assert_eq!(text, "a\nbc\nun\n1970-01-01\n00:00:00 user one\n         two\nend\n");
    }

    #[test]
    fn several_invocations_are_told_apart() {
        let text = shown(
            true,
            &[
                ("r", "output", r#"{"text":"a\n"}"#),
                ("s", "output", r#"{"text":"b\n"}"#),
                ("s", "error", r#"{"message":"x"}"#),
                ("s", "output", r#"{"text":"c\n"}"#),
            ],
        );
        assert_eq!(text, "a\n── s\nb\n1970-01-01\n00:00:00 [s] error x\n── s\nc\n");
    }

    #[test]
    fn pieces_of_a_series_join_and_its_end_is_not_said_twice() {
        let piece = |text: &str| format!(r#"{{"role":"assistant","seriesId":"s","delta":true,"text":"{text}"}}"#);
        let end = r#"{"role":"assistant","seriesId":"s","final":true,"text":"hello"}"#;
        let (one, two) = (piece("hel"), piece("lo"));
        let whole = shown(true, &[("r", "message", &one), ("r", "message", &two), ("r", "message", end)]);
        assert_eq!(whole, "1970-01-01\n00:00:00 assistant hello\n");
        let rest = shown(true, &[("r", "message", &one), ("r", "message", end), ("r", "error", r#"{"message":"x"}"#)]);
        assert_eq!(rest, "1970-01-01\n00:00:00 assistant hello\n00:00:00 error x\n");
        let between = shown(true, &[("r", "message", &one), ("r", "error", r#"{"message":"x"}"#), ("r", "message", end)]);
        assert_eq!(between, "1970-01-01\n00:00:00 assistant hel\n00:00:00 error x\n00:00:00 assistant hello\n");
        let half = shown(true, &[("r", "message", &two), ("r", "message", end)]);
        assert_eq!(half, "1970-01-01\n00:00:00 assistant lo\n00:00:00 assistant hello\n");
    }

    #[test]
    fn a_result_says_which_tool_answers() {
        let text = shown(
            true,
            &[
                ("r", "tool_call", r#"{"toolCallId":"a","name":"bash","input":1}"#),
                ("r", "tool_call", r#"{"toolCallId":"b","name":"read","input":2}"#),
                ("r", "tool_result", r#"{"toolCallId":"b","output":"two","isError":true}"#),
                ("r", "tool_result", r#"{"toolCallId":"a","output":"one"}"#),
                ("r", "tool_result", r#"{"toolCallId":"a","output":"again"}"#),
            ],
        );
        let lines: Vec<&str> = text.lines().skip(1).map(|line| &line["00:00:00 ".len()..]).collect();
        assert_eq!(lines, ["→ bash 1", "→ read 2", "← read error two", "← bash one", "← again"]);
    }

    #[test]
    fn a_terminal_is_protected_and_a_pipe_gets_what_came() {
        let activities = [("r", "output", r#"{"text":"\u001b[2J\u001b[31mx\r\n"}"#)];
        assert_eq!(shown(true, &activities), "␛[2Jx\n");
        assert_eq!(shown(false, &activities), "\u{1b}[2J\u{1b}[31mx\r\n");
    }
}
