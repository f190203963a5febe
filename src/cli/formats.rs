//! `tasklight formats`: what is known of agents' formats, and what becomes of a transcript.

use std::{
    fs::File,
    io::{self, Read, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anstyle::{AnsiColor, Style};
use clap::Args;
use serde_json::{Value, json};

use super::{exit, format_args::FormatChoice, terminal::safe_line};
use crate::formats::{ABOUT, About, Choice, Evidence, Reader, Said, Tally, Transcript};

/// How much is read at once.
const READ_BYTES: usize = 64 * 1024;

const AFTER_HELP: &str = "\
Without a file: each format, how it is told from others, the flags that
`tasklight run` adds to the agent's command, and the versions it was read from.

With files (- is standard input): what becomes of each line. Every line is
either shown as activities, or says nothing worth showing, or is of a type that
is not known yet and kept whole as `custom`. Unknown types mean that the agent
is newer than this program: nothing of it is lost, but it is shown raw.

Examples:
  tasklight formats
  tasklight formats transcript.jsonl
  claude -p --output-format stream-json --verbose hi | tasklight formats -
  tasklight formats --json transcript.jsonl | jq .unknown

Exit codes: 0 done (whether or not there were unknown lines), 1 a file cannot
be read, 2 wrong usage.";

/// Flags of `tasklight formats`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct FormatsArgs {
    /// Transcripts to look at; - is standard input
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// What they are written in; `auto` looks at their first lines
    #[arg(long, value_name = "FORMAT", default_value = "auto")]
    format: FormatChoice,
    /// Print JSON, one object for each format or file
    #[arg(long)]
    json: bool,
}

/// Lists the formats, or looks at the files.
pub(crate) fn run(args: &FormatsArgs) -> anyhow::Result<ExitCode> {
    let mut out = anstream::stdout().lock();
    if args.files.is_empty() {
        for about in &ABOUT {
            if args.json { writeln!(out, "{}", described(about))? } else { describe(about, &mut out)? }
        }
        return Ok(ExitCode::SUCCESS);
    }
    let mut code = ExitCode::SUCCESS;
    for path in &args.files {
        let seen = match look(path, args.format) {
            Ok(seen) => seen,
            Err(error) => {
                eprintln!("tasklight: {}: {error}", path.display());
                code = ExitCode::from(exit::FAILED);
                continue;
            }
        };
        if args.json { writeln!(out, "{}", seen.to_json(path))? } else { seen.show(path, &mut out)? }
    }
    out.flush()?;
    Ok(code)
}

fn described(about: &About) -> Value {
    json!({
        "format": about.format.as_str(),
        "toldBy": about.told_by,
        "command": about.command,
        "flags": about.flags,
        "tested": about.tested,
    })
}

fn describe(about: &About, out: &mut impl Write) -> io::Result<()> {
    let (name, faint) = (AnsiColor::Green.on_default(), Style::new().dimmed());
    writeln!(out, "{name}{}{name:#}", about.format)?;
    let flags = if about.flags.is_empty() { "nothing".to_owned() } else { about.flags.join(" ") };
    for (label, text) in
        [("command", about.command), ("adds", flags.as_str()), ("told by", about.told_by), ("tested", about.tested)]
    {
        writeln!(out, "  {faint}{label:8}{faint:#} {text}")?;
    }
    Ok(())
}

/// What was seen in a transcript.
#[derive(Debug, Default)]
struct Seen {
    /// The format; none if it is text.
    format: Option<&'static str>,
    version: Option<String>,
    evidence: Evidence,
    tally: Tally,
    /// Bytes before a format was found, or all of them if none was.
    text_bytes: usize,
}

fn look(path: &Path, FormatChoice(choice): FormatChoice) -> io::Result<Seen> {
    let mut from: Box<dyn Read> = if path == Path::new("-") { Box::new(io::stdin().lock()) } else { Box::new(File::open(path)?) };
    see(&mut from, choice)
}

fn see(from: &mut impl Read, choice: Choice) -> io::Result<Seen> {
    let invocation = "transcript".parse().expect("a word");
    let (mut transcript, mut buffer) = (Transcript::new(choice, invocation), vec![0; READ_BYTES]);
    let mut text_bytes = 0;
    loop {
        let mut said = Vec::new();
        let count = match from.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        if 0 < count {
            transcript.push(&buffer[..count], &mut said)
        } else {
            transcript.finish(&mut said)
        }
        text_bytes += said.iter().map(|said| if let Said::Text(bytes) = said { bytes.len() } else { 0 }).sum::<usize>();
        if count == 0 {
            break;
        }
    }
    let Some(reader) = transcript.reader() else { return Ok(Seen { text_bytes, ..Seen::default() }) };
    Ok(Seen {
        format: Some(Reader::format(reader).as_str()),
        version: reader.version().map(str::to_owned),
        evidence: reader.evidence().clone(),
        tally: reader.tally().clone(),
        text_bytes,
    })
}

impl Seen {
    fn ended(&self) -> String {
        match &self.evidence {
            Evidence::Success => "success".to_owned(),
            Evidence::Failure(reason) => format!("failure: {reason}"),
            Evidence::Unfinished => "in the middle of its work".to_owned(),
            Evidence::None => "without saying how".to_owned(),
        }
    }

    fn to_json(&self, path: &Path) -> Value {
        let tally = &self.tally;
        json!({
            "file": path.to_string_lossy(),
            "format": self.format.unwrap_or("text"),
            "version": self.version,
            "ended": self.ended(),
            "lines": tally.lines,
            "shown": tally.told,
            "text": tally.text,
            "tooLong": tally.too_long,
            "blank": tally.blank,
            "silent": tally.silent,
            "unknown": tally.unknown,
            "activities": tally.activities,
            "textBytes": self.text_bytes,
        })
    }

    fn show(&self, path: &Path, out: &mut impl Write) -> io::Result<()> {
        let (name, faint, warn) = (AnsiColor::Green.on_default(), Style::new().dimmed(), AnsiColor::Yellow.on_default());
        let Some(format) = self.format else {
            return writeln!(out, "{}: {name}text{name:#}, {} bytes; --format names a format", path.display(), self.text_bytes);
        };
        let version = self.version.as_deref().map(|version| format!(" {}", safe_line(version))).unwrap_or_default();
        let tally = &self.tally;
        writeln!(out, "{}: {name}{format}{name:#}{version}, {} lines", path.display(), tally.lines)?;
        let silent: u64 = tally.silent.values().sum();
        for (count, what) in [
            (tally.told, "shown as activities"),
            (silent, "with nothing to show by themselves"),
            (tally.text, "not JSON: shown as output"),
            (tally.too_long, "too long: head and length are kept"),
            (tally.blank, "blank"),
            (tally.unknown_lines(), "of unknown types: kept whole as custom"),
        ] {
            if 0 < count {
                writeln!(out, "  {count:7} {what}")?;
            }
        }
        let counts = |counts: &mut dyn Iterator<Item = (&str, u64)>| {
            counts.map(|(kind, count)| format!("{} {count}", safe_line(kind))).collect::<Vec<_>>().join(", ")
        };
        writeln!(
            out,
            "  {faint}activities{faint:#} {}",
            counts(&mut tally.activities.iter().map(|(kind, count)| (*kind, *count)))
        )?;
        if !tally.unknown.is_empty() {
            let unknown = counts(&mut tally.unknown.iter().map(|(kind, count)| (kind.as_str(), *count)));
            writeln!(out, "  {warn}unknown{warn:#}    {unknown}")?;
        }
        if 0 < self.text_bytes {
            writeln!(out, "  {faint}before it{faint:#}  {} bytes of text", self.text_bytes)?;
        }
        writeln!(out, "  {faint}ended{faint:#}      {}", safe_line(&self.ended()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drift_is_counted_with_the_agents_version() {
        let text = concat!(
            r#"{"type":"system","subtype":"init","claude_code_version":"9.9.9","tools":[],"session_id":"s"}"#,
            "\n\nnot json\n",
            r#"{"type":"brand_new","a":1}"#,
            "\n",
            r#"{"type":"brand_new","a":2}"#,
            "\n",
            r#"{"type":"result","subtype":"success","is_error":false}"#,
        );
        let seen = see(&mut text.as_bytes(), Choice::Auto).expect("memory");
        let json = seen.to_json(Path::new("-"));
        assert_eq!((&json["format"], &json["version"], &json["ended"]), (&json!("claude"), &json!("9.9.9"), &json!("success")));
        assert_eq!((&json["unknown"], &json["lines"], &json["text"]), (&json!({"brand_new": 2}), &json!(6), &json!(1)));
        let mut out = Vec::new();
        seen.show(Path::new("x"), &mut out).expect("memory");
        let out = anstream::adapter::strip_bytes(&out).into_vec();
        let out = String::from_utf8(out).expect("UTF-8");
        assert!(out.contains("claude 9.9.9, 6 lines") && out.contains("unknown    brand_new 2"), "{out}");
    }
}
