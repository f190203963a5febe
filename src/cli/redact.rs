//! `tasklight redact`: a filter that takes secrets out of text, and says which rule took what.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    path::PathBuf,
    process::ExitCode,
};

use anstyle::{AnsiColor, Style};
use clap::Args;
use serde_json::value::RawValue;

use super::terminal::safe_line;
use crate::redact::{Carry, CarryLimits, RedactOptions, Redacted, Redactor};

/// The longest line that is read; a longer one is replaced as a whole, up to its end.
const LINE_BYTES: usize = 16 << 20;

/// The buffer that standard input is read into.
const INPUT_BUFFER: usize = 256 * 1024;

/// What is remembered of a line that has not ended: nothing; of a private key that has not: that it is open.
const CARRY: CarryLimits = CarryLimits { streams: 2, bytes: 1 };

const AFTER_HELP: &str = "\
Reads text or JSON lines from standard input and writes the same to standard
output with [redacted:RULE] in place of each secret; all else stays byte for
byte. A line that is a JSON object or array is taken apart, so that escapes
hide nothing and fields named password, authorization and the like count.

Hubs do this to whatever is published, and `tasklight run` and `publish` before
anything leaves the host. This command shows what they would do, and tries out
rules: a file in the form that gitleaks uses, in which a rule may have examples
that are checked before it is used (tp must be found, fp must not):
  [[rules]]
  id = \"acme-token\"
  regex = 'acme_[a-z0-9]{20}'
  keywords = [\"acme_\"]
  tp = [\"x acme_0123456789abcdefghij\"]
  fp = [\"acme_inc\"]

Examples:
  make 2>&1 | tasklight redact | tee build.log
  tasklight redact --explain < transcript.jsonl > /dev/null
  tasklight redact --rules our-rules.toml --explain < sample.txt
  tasklight redact --list

Exit codes: 0 done (whether or not there were secrets), 1 a rule file cannot be
used, or input or output failed, 2 wrong usage.";

/// Flags of `tasklight redact`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct RedactCommand {
    /// Say on standard error which rule found something in which line (never what)
    #[arg(long)]
    explain: bool,
    /// A file of further rules, in the form that gitleaks uses; may be given again
    #[arg(long, value_name = "FILE")]
    rules: Vec<PathBuf>,
    /// A rule that is not applied; may be given again
    #[arg(long, value_name = "ID")]
    disable: Vec<String>,
    /// Show all rules and what they find, and read nothing
    #[arg(long)]
    list: bool,
}

/// Filters standard input, or lists the rules.
pub(crate) fn run(args: &RedactCommand) -> anyhow::Result<ExitCode> {
    let options = RedactOptions { files: args.rules.clone(), disable: args.disable.clone(), ..RedactOptions::default() };
    let redactor = Redactor::new(&options)?;
    if args.list {
        list(&redactor)?;
    } else {
        let input = BufReader::with_capacity(INPUT_BUFFER, io::stdin().lock());
        filter(&redactor, input, &mut io::stdout().lock(), &mut |line, rule| {
            if args.explain {
                eprintln!("tasklight: line {line}: {rule}");
            }
        })?;
    }
    Ok(ExitCode::SUCCESS)
}

fn list(redactor: &Redactor) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    let (name, faint) = (AnsiColor::Green.on_default(), Style::new().dimmed());
    let widest = redactor.rules().map(|rule| rule.id.len()).max().unwrap_or_default();
    for rule in redactor.rules() {
        writeln!(out, "{name}{:widest$}{name:#}  {faint}{}{faint:#}", rule.id, safe_line(rule.what))?;
    }
    out.flush()
}

/// Copies `input` without its secrets, a line at a time; tells the line and the rule of each.
fn filter(
    redactor: &Redactor,
    mut input: impl BufRead,
    out: &mut impl Write,
    tell: &mut impl FnMut(u64, &str),
) -> io::Result<()> {
    let carry = Carry::new(CARRY);
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let most = u64::try_from(LINE_BYTES).unwrap_or(u64::MAX);
        if input.by_ref().take(most).read_until(b'\n', &mut line)? == 0 {
            break;
        }
        let redacted = if line.len() == LINE_BYTES && !line.ends_with(b"\n") {
            input.skip_until(b'\n')?;
            tell(number, "too-big");
            out.write_all(b"[redacted:too-big]\n")?;
            continue;
        } else {
            without_secrets(redactor, &line, &carry)
        };
        match redacted {
            Some(redacted) => {
                redacted.rules.iter().for_each(|rule| tell(number, redactor.id(*rule)));
                out.write_all(&redacted.text)?;
            }
            None => out.write_all(&line)?,
        }
    }
    out.flush()
}

fn without_secrets(redactor: &Redactor, line: &[u8], carry: &Carry) -> Option<Redacted<Vec<u8>>> {
    let begins_json = matches!(line.trim_ascii_start().first(), Some(b'{' | b'['));
    if begins_json && serde_json::from_slice::<&RawValue>(line).is_ok() {
        return redactor.json(line);
    }
    redactor.piece("", line, carry)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filtered(input: &[u8]) -> (Vec<u8>, Vec<String>) {
        let redactor = Redactor::new(&RedactOptions::default()).expect("the rules compile");
        let (mut out, mut told) = (Vec::new(), Vec::new());
        filter(&redactor, input, &mut out, &mut |line, rule| told.push(format!("{line} {rule}"))).expect("memory");
        (out, told)
    }

    #[test]
    fn lines_of_text_and_of_json_are_told_apart_and_all_else_stays() {
        let input =
            b"one\r\n\xff\xfe PASSWORD=hunter2\n{\"password\": \"hunter2\",\"a\":1.0}\n{not json, token=a1b2c3d4e5}\n\nlast";
        let (out, told) = filtered(input);
        let expected = b"one\r\n\xff\xfe PASSWORD=[redacted:named-secret]\n{\"password\": \"[redacted:named-secret]\",\"a\":1.0}\n{not json, \
                         token=[redacted:named-secret]}\n\nlast";
        assert_eq!(String::from_utf8_lossy(&out), String::from_utf8_lossy(expected));
        assert_eq!(told, ["2 named-secret", "3 named-secret", "4 named-secret"]);
    }

    #[test]
    fn a_private_key_is_taken_out_line_by_line() {
        let body = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7\n".repeat(3);
        let input = format!("before\n-----BEGIN PRIVATE KEY-----\n{body}abcd==\n-----END PRIVATE KEY-----\nafter\n");
        let (out, _) = filtered(input.as_bytes());
        let out = String::from_utf8(out).expect("UTF-8");
        assert!(
            !out.contains("MII") && !out.contains("abcd") && out.starts_with("before\n") && out.ends_with("\nafter\n"),
            "{out}"
        );
    }
}
