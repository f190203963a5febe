//! Which tasks a grant is about: names with `*` for any run of characters, none included.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::model::TaskId;

/// The most characters of a pattern: as many as a task's id.
const CHARS: usize = 128;

/// The most stars in a pattern.
const STARS: usize = 8;

/// The most patterns of one grant.
pub(crate) const MOST_PATTERNS: usize = 128;

/// A pattern of task ids, such as `build-*`. Everything but `*` stands for itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern(String);

/// The text is no pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a pattern has 1 to {CHARS} characters of A-Z a-z 0-9 . _ - and at most {STARS} *, as in build-*")]
pub struct InvalidPattern;

impl FromStr for Pattern {
    type Err = InvalidPattern;

    fn from_str(text: &str) -> Result<Self, InvalidPattern> {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || b"._-*".contains(&byte);
        let stars = text.bytes().filter(|byte| *byte == b'*').count();
        let fits = (1..=CHARS).contains(&text.len()) && text.bytes().all(known) && stars <= STARS;
        if fits { Ok(Self(text.to_owned())) } else { Err(InvalidPattern) }
    }
}

impl TryFrom<String> for Pattern {
    type Error = InvalidPattern;

    fn try_from(text: String) -> Result<Self, InvalidPattern> {
        text.parse()
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.0
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Pattern {
    /// The pattern of every task.
    pub fn all() -> Self {
        Self("*".to_owned())
    }

    /// Whether this task is meant. Takes time in proportion to the lengths multiplied, at most.
    pub fn matches(&self, task: &TaskId) -> bool {
        let (pattern, name) = (self.0.as_bytes(), task.as_str().as_bytes());
        let (mut at, mut of) = (0, 0);
        // Where the last star is, and up to where it reaches: when what follows it does not fit, it reaches one further.
        let mut star: Option<(usize, usize)> = None;
        while of < name.len() {
            match pattern.get(at) {
                Some(b'*') => {
                    star = Some((at, of));
                    at += 1;
                }
                Some(byte) if *byte == name[of] => (at, of) = (at + 1, of + 1),
                _ => {
                    let Some((place, reach)) = star else { return false };
                    star = Some((place, reach + 1));
                    (at, of) = (place + 1, reach + 1);
                }
            }
        }
        pattern[at..].iter().all(|byte| *byte == b'*')
    }

    /// The same for SQL's `LIKE … ESCAPE '\'`.
    pub(crate) fn like(&self) -> String {
        self.0.replace('_', "\\_").replace('*', "%")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, task: &str) -> bool {
        pattern.parse::<Pattern>().expect(pattern).matches(&task.parse().expect(task))
    }

    #[test]
    fn a_star_stands_for_any_run_and_all_else_for_itself() {
        for (pattern, task, expected) in [
            ("*", "build-42", true),
            ("build-*", "build-42", true),
            ("build-*", "build-", true),
            ("build-*", "build", false),
            ("build-*", "xbuild-1", false),
            ("build-42", "build-42", true),
            ("build-42", "build-421", false),
            ("Build-*", "build-1", false),
            ("*-prod", "a-prod", true),
            ("*-prod", "a-prod-x", false),
            ("a*b*c", "abbc", true),
            ("a*b*c", "acb", false),
            ("a.c", "abc", false),
            ("a_c", "abc", false),
        ] {
            assert_eq!(matches(pattern, task), expected, "{pattern} {task}");
        }
    }

    #[test]
    fn what_could_mean_something_else_in_a_query_or_a_channel_is_no_pattern() {
        for text in ["", "a b", "a?", "[a]", "a:b", "a%", "a\\", "a\n", "..%2f", "ä", &"a".repeat(129), "*********"] {
            assert!(text.parse::<Pattern>().is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn it_is_the_regular_expression_with_the_same_meaning(pattern in "[ab*]{1,8}", task in "[ab]{1,10}") {
            let meaning = format!("^{}$", pattern.replace('*', ".*"));
            prop_assert_eq!(matches(&pattern, &task), regex::Regex::new(&meaning).expect("it is one").is_match(&task));
        }

        #[test]
        fn many_stars_take_no_longer(task in "a{100,128}") {
            prop_assert!(!matches("a*a*a*a*a*a*a*a*b", &task));
        }
    }
}
