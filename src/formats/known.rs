//! What is known of each format, for people: how it is told, what makes an agent write it, and which versions it was read from.

use super::Format;

/// What is known of a format.
#[derive(Debug)]
pub struct About {
    /// Which one.
    pub format: Format,
    /// How it is told from others by its first lines.
    pub told_by: &'static str,
    /// The command whose output it is, without the user's own words.
    pub command: &'static str,
    /// The flags that are added to that command; none if nothing is.
    pub flags: &'static [&'static str],
    /// The versions of which transcripts are read in the tests, or where the form was read.
    pub tested: &'static str,
}

/// All formats.
pub const ABOUT: [About; 9] = [
    About {
        format: Format::Text,
        told_by: "anything that is none of the others",
        command: "any command",
        flags: &[],
        tested: "not made of versions",
    },
    About {
        format: Format::Jsonl,
        told_by: "never by itself: --format jsonl",
        command: "any command that prints JSON lines",
        flags: &[],
        tested: "Tasklight's own activities (type and data)",
    },
    About {
        format: Format::Claude,
        told_by: "system/init with claude_code_version or tools",
        command: "claude -p",
        flags: &["--output-format", "stream-json", "--verbose"],
        tested: "recorded 2.1.178 (sub-agents) and 2.1.186 (partial messages, hooks)",
    },
    About {
        format: Format::Codex,
        told_by: "thread.started; of old {\"id\",\"msg\"}",
        command: "codex exec",
        flags: &["--json"],
        tested: "recorded 0.152.1 and others that do not tell their version; the old form of 2025",
    },
    About {
        format: Format::Gemini,
        told_by: "init with a timestamp",
        command: "gemini -p",
        flags: &["--output-format", "stream-json"],
        tested: "made by hand after its source of 2026-08; not recorded",
    },
    About {
        format: Format::Opencode,
        told_by: "sessionID and part",
        command: "opencode run",
        flags: &["--format", "json"],
        tested: "made by hand after its source of 2026-09; not recorded",
    },
    About {
        format: Format::Cursor,
        told_by: "system/init with apiKeySource and model, without tools",
        command: "cursor-agent -p",
        flags: &["--output-format", "stream-json"],
        tested: "recorded 2026.08.11; partial output not recorded",
    },
    About {
        format: Format::Amp,
        told_by: "as claude, with a session_id that begins with T-",
        command: "amp -x",
        flags: &["--stream-json"],
        tested: "made by hand after its documentation; not recorded",
    },
    About {
        format: Format::Goose,
        told_by: "message with role and content, or complete",
        command: "goose run",
        flags: &["--output-format", "stream-json"],
        tested: "made by hand after its source of 2026; not recorded",
    },
];
