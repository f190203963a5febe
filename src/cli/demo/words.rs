//! What the agents of a demo work on and say. All of it made up.

use rand::{Rng, RngExt};

/// Tasks.
const TASKS: [&str; 12] = [
    "checkout",
    "search-index",
    "billing",
    "mobile-app",
    "docs-site",
    "auth-service",
    "image-pipeline",
    "nightly-build",
    "data-import",
    "notifications",
    "api-gateway",
    "design-system",
];

/// A task's name: those of the list, then the same with numbers.
pub(super) fn task(prefix: &str, number: u32) -> String {
    let count = u32::try_from(TASKS.len()).unwrap_or(1);
    let word = TASKS[usize::try_from(number % count).unwrap_or_default()];
    match number / count {
        0 => format!("{prefix}{word}"),
        round => format!("{prefix}{word}-{}", round + 1),
    }
}

/// Who works.
pub(super) const AGENTS: [&str; 5] = ["claude", "codex", "gemini", "opencode", "make"];

/// What they are asked for.
pub(super) const PROMPTS: [&str; 10] = [
    "Fix the flaky date test and say why it failed",
    "Add paging to the list of orders",
    "Find out why the build takes nine minutes",
    "Rename Customer to Account everywhere",
    "Write a migration that splits the address column",
    "Make the upload resume after a lost connection",
    "Cover the parser with property tests",
    "Replace the date picker with the shared one",
    "Look into the memory that grows over night",
    "Bring the changelog up to date",
];

pub(super) const THOUGHTS: [&str; 8] = [
    "The failing test compares local times; the machine that runs it may be anywhere.",
    "Two places build this query. The second one forgets the tenant.",
    "I should look at the callers before I change the signature.",
    "This could be a race: the cache is filled before the row is committed.",
    "The simplest thing that could work is a single index.",
    "There is a helper for this already, in shared/format.",
    "The fixture is three years old; it may not be what the service sends today.",
    "If this is the cause, the second run must pass.",
];

pub(super) const REMARKS: [&str; 8] = [
    "I look at the test first.",
    "The cause is a time zone: the test takes midnight for granted.",
    "I change the query and keep the old index until the migration has run.",
    "That was not it; the cache is filled earlier than I thought.",
    "All callers are moved. Now the tests.",
    "This passes here. I run the whole suite.",
    "Two tests were relying on the old order; I correct them.",
    "Done. The build takes four minutes now; most of it was one link step.",
];

pub(super) const FILES: [&str; 8] = [
    "src/orders/list.rs",
    "src/time.rs",
    "web/src/upload.ts",
    "tests/parser.rs",
    "db/migrations/0042_address.sql",
    "src/cache.rs",
    "app/date_picker.tsx",
    "Makefile",
];

pub(super) const COMMANDS: [&str; 8] = [
    "cargo test --workspace",
    "npm run build",
    "git diff --stat",
    "rg -n 'Customer' src",
    "make -j4",
    "pytest -q",
    "docker compose up -d",
    "git log --oneline -5",
];

/// What a command prints, in colours.
pub(super) fn output(rng: &mut impl Rng, lines: usize) -> String {
    let (green, yellow, faint, red, off) = ("\u{1b}[32m", "\u{1b}[33m", "\u{1b}[2m", "\u{1b}[31m", "\u{1b}[0m");
    let mut text = String::new();
    for _ in 0..lines {
        let (file, n) = (FILES[rng.random_range(0..FILES.len())], rng.random_range(1..400));
        let line = match rng.random_range(0..9) {
            0..=3 => format!("{green}   Compiling{off} {} v0.{}.{}", file.split('/').next_back().unwrap_or(file), n % 9, n % 17),
            4 => format!("{yellow}warning{off}: unused variable: `row` {faint}--> {file}:{n}:9{off}"),
            5 | 6 => format!("test {}::case_{n} ... {green}ok{off}", file.split(['/', '.']).nth(1).unwrap_or("main")),
            7 => format!("test {}::case_{n} ... {red}FAILED{off}", file.split(['/', '.']).nth(1).unwrap_or("main")),
            _ => format!("{faint}[{:>3}/400]{off} {file}", n),
        };
        text.push_str(&line);
        text.push('\n');
    }
    text
}

/// A change to a file.
pub(super) fn diff(rng: &mut impl Rng) -> String {
    let (file, line) = (FILES[rng.random_range(0..FILES.len())], rng.random_range(3..300));
    format!(
        "--- a/{file}\n+++ b/{file}\n@@ -{line},5 +{line},6 @@\n fn rows(&self, page: Page) -> Vec<Row> {{\n-    self.all()\n+    let page = page.at_most(MOST);\n+    self.all().skip(page.first).take(page.length)\n }}\n"
    )
}

/// Made-up secrets in the form of real ones.
pub(super) fn secret(rng: &mut impl Rng) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut word = |length: usize, letters: &[u8]| -> String {
        (0..length).map(|_| char::from(letters[rng.random_range(0..letters.len())])).collect()
    };
    match word(1, b"0123").as_str() {
        "0" => format!("export GITHUB_TOKEN=ghp_{}\n", word(36, LETTERS)),
        "1" => format!("aws_access_key_id = AKIA{}\n", word(16, b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")),
        "2" => format!("connecting to postgres://app:{}@db.internal/orders\n", word(20, LETTERS)),
        _ => format!("Authorization: Bearer {}\n", word(40, LETTERS)),
    }
}
