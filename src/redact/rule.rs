//! A rule: which words to look for first, what a secret looks like, and what looks so and is none.

use std::{borrow::Cow, sync::OnceLock};

use regex::bytes::{Captures, Regex, RegexBuilder};

use super::{marker, values};

/// The most memory that one compiled expression may take. What does not fit repeats something large too often.
const REGEX_BYTES: usize = 1 << 20;

/// Rules that are code and not an expression.
#[derive(Debug, Clone, Copy)]
pub(super) enum Own {
    Named,
    TooDeep,
    TooBig,
}

/// Their ids and what they find, in the order of [`Own`].
pub(super) const OWN_RULES: [(&str, &str); 3] = [
    ("named-secret", "the value of a field, variable, flag or header whose name says that it is a secret"),
    ("too-deep", "what nests deeper than redact.max_depth, unseen"),
    ("too-big", "a text longer than redact.max_text with a keyword in it, unseen"),
];

/// Whether what a regular expression matched is a secret.
pub(super) type Check = fn(&[u8]) -> bool;

/// A rule in force.
#[derive(Debug)]
pub(super) struct Rule {
    pub id: String,
    pub what: Cow<'static, str>,
    /// ASCII words, one of which is in every match. Case does not matter.
    pub keywords: Vec<String>,
    /// How many characters of a token must follow a keyword for it to count.
    pub tail: usize,
    /// Whether it is applied to every text, keyword or not.
    pub always: bool,
    pub regex: Pattern,
    /// Which group is the secret; 0 stands for the first that matched, or all if there are none.
    pub group: usize,
    /// A secret's entropy must be higher.
    pub entropy: f64,
    pub check: Option<Check>,
    pub allow: Vec<Allow>,
}

/// A regular expression. Those of the program itself are compiled when they are first needed: most never are.
#[derive(Debug)]
pub(super) struct Pattern {
    text: String,
    regex: OnceLock<Regex>,
}

impl Pattern {
    /// One that is known to compile.
    pub(super) fn known(text: String) -> Self {
        Self { text, regex: OnceLock::new() }
    }

    /// One of somebody else, compiled at once.
    pub(super) fn new(text: &str) -> Result<Self, String> {
        Ok(Self { text: text.to_owned(), regex: OnceLock::from(compile(text)?) })
    }

    pub(super) fn get(&self) -> &Regex {
        self.regex.get_or_init(|| compile(&self.text).expect("a test compiles them all"))
    }
}

/// What a rule finds and leaves alone all the same.
#[derive(Debug, Default)]
pub(super) struct Allow {
    pub target: Target,
    pub regexes: Vec<Regex>,
    /// Lower case.
    pub stopwords: Vec<String>,
    /// Whether both must hold, and not just one.
    pub both: bool,
}

/// What an exception's expressions are held against.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Target {
    #[default]
    Secret,
    Match,
    Line,
}

impl Rule {
    /// The secret in a match, if it is one.
    pub(super) fn secret<'t>(&self, text: &'t [u8], captures: &Captures<'t>) -> Option<std::ops::Range<usize>> {
        let first = || captures.iter().skip(1).flatten().find(|group| !group.is_empty());
        let whole = captures.get(0)?;
        let group = if self.group == 0 { first().unwrap_or(whole) } else { captures.get(self.group)? };
        let secret = group.as_bytes();
        let innocent = secret.is_empty()
            || marker::is_one(secret)
            || (0.0 < self.entropy && values::entropy(secret) <= self.entropy)
            || self.check.is_some_and(|check| !check(secret))
            || self.allow.iter().any(|allow| allow.holds(text, whole.range(), secret));
        (!innocent).then(|| group.range())
    }
}

impl Allow {
    fn holds(&self, text: &[u8], whole: std::ops::Range<usize>, secret: &[u8]) -> bool {
        let target = match self.target {
            Target::Secret => secret,
            Target::Match => &text[whole],
            Target::Line => {
                let start = text[..whole.start].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
                let end = text[whole.end..].iter().position(|byte| *byte == b'\n').map_or(text.len(), |at| whole.end + at);
                &text[start..end]
            }
        };
        let by_regex = self.regexes.iter().any(|regex| regex.is_match(target));
        let lower = secret.to_ascii_lowercase();
        let by_word = self.stopwords.iter().any(|word| lower.windows(word.len().max(1)).any(|window| window == word.as_bytes()));
        match self.both {
            true => (self.regexes.is_empty() || by_regex) && (self.stopwords.is_empty() || by_word),
            false => by_regex || by_word,
        }
    }
}

/// Compiles an expression over bytes, in which classes such as `\w` are ASCII, as they are in Go.
pub(super) fn compile(pattern: &str) -> Result<Regex, String> {
    let build = |pattern: &str| RegexBuilder::new(pattern).unicode(false).size_limit(REGEX_BYTES).build();
    match build(pattern) {
        Ok(regex) => Ok(regex),
        Err(regex::Error::CompiledTooBig(_)) => Err(format!("the regex takes more than {REGEX_BYTES} bytes: repeat less")),
        // Go takes a brace that begins no repetition for itself.
        Err(error) => build(&with_braces_escaped(pattern)).map_err(|_| last_line(&error.to_string())),
    }
}

fn with_braces_escaped(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut rest = pattern;
    while let Some(at) = rest.find(['\\', '{', '}']) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let inner = from.strip_prefix('{').and_then(|from| from.split_once('}')).map(|(inner, _)| inner);
        let counts = |inner: &&str| {
            inner.starts_with(|c: char| c.is_ascii_digit()) && inner.chars().all(|c| c.is_ascii_digit() || c == ',')
        };
        let repetition = inner.filter(counts).map(|inner| inner.len() + 1);
        let length = match (from.as_bytes()[0], repetition) {
            (b'\\', _) => from.chars().take(2).map(char::len_utf8).sum(),
            (_, Some(end)) => end + 1,
            _ => {
                out.push('\\');
                1
            }
        };
        out.push_str(&from[..length]);
        rest = &from[length..];
    }
    out + rest
}

/// What is wrong, without the picture around it.
fn last_line(text: &str) -> String {
    text.lines().last().unwrap_or(text).trim_start_matches("error: ").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_that_begin_no_repetition_stand_for_themselves() {
        for (pattern, escaped) in [
            (r"a{2,3}", r"a{2,3}"),
            (r"${x}", r"$\{x\}"),
            (r"\{x\}", r"\{x\}"),
            (r"{{a{4}", r"\{\{a{4}"),
            (r"[{]{1}", r"[\{]{1}"),
        ] {
            assert_eq!(with_braces_escaped(pattern), escaped);
        }
        assert!(compile(r"^\$?{[A-Z]+}$").is_ok_and(|regex| regex.is_match(b"${ABC}") || regex.is_match(b"{ABC}")));
        assert!(compile("(").is_err_and(|text| text.contains("unclosed group")), "{:?}", compile("("));
        assert!(compile(r"(\w{500}){500}").is_err_and(|text| text.contains("repeat less")));
    }
}
