//! Rule files in TOML, in the form that gitleaks uses, so that its own can be dropped in; with examples of what a rule must and must not find.

use std::{
    io,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use toml::Spanned;

use super::{
    marker,
    rule::{Allow, Pattern, Rule, Target, compile},
};

/// The largest rule file, and the most rules of one; gitleaks has some 220 in 100 KiB.
const FILE_BYTES: u64 = 4 << 20;
const RULES: usize = 2_000;

/// The shortest keyword: a shorter one is in every text.
const KEYWORD_BYTES: usize = 3;

/// Why rules cannot be used; names the file, the line and what would be right.
#[derive(Debug, thiserror::Error)]
pub enum RuleError {
    /// The file cannot be read.
    #[error("the rule file {file} cannot be read: {error}")]
    Unreadable {
        /// Which.
        file: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Something in it is wrong.
    #[error("{file}, line {line}: {what}")]
    Bad {
        /// Which.
        file: PathBuf,
        /// Where.
        line: usize,
        /// What is wrong and what would be right.
        what: String,
    },
    /// A setting names a rule that there is not.
    #[error("redact.disable names the rule {0:?}, which there is not: `tasklight redact --list` shows all ids")]
    UnknownId(String),
}

impl RuleError {
    pub(super) fn unknown_id(id: &str) -> Self {
        Self::UnknownId(id.to_owned())
    }
}

/// A file as it is written. What is about files and commits means nothing here and is passed over.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct File {
    #[serde(default)]
    rules: Vec<Spanned<RawRule>>,
    #[serde(default, rename = "allowlists")]
    allow: Vec<RawAllow>,
    allowlist: Option<RawAllow>,
    #[serde(rename = "title")]
    _title: Option<String>,
    #[serde(rename = "description")]
    _description: Option<String>,
    #[serde(rename = "minVersion")]
    _min_version: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct RawRule {
    id: String,
    #[serde(default)]
    description: String,
    regex: Option<String>,
    #[serde(default, alias = "secret_group")]
    secret_group: usize,
    #[serde(default)]
    entropy: f64,
    #[serde(default)]
    keywords: Vec<String>,
    #[serde(default)]
    always: bool,
    #[serde(default, rename = "allowlists")]
    allow: Vec<RawAllow>,
    allowlist: Option<RawAllow>,
    /// Texts in which it must find something.
    #[serde(default)]
    tp: Vec<String>,
    /// Texts in which it must find nothing.
    #[serde(default)]
    fp: Vec<String>,
    #[serde(rename = "path")]
    _path: Option<String>,
    #[serde(rename = "tags")]
    _tags: Option<Vec<String>>,
    #[serde(rename = "skipReport")]
    _skip_report: Option<bool>,
    #[serde(rename = "required")]
    _required: Option<toml::Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct RawAllow {
    #[serde(default)]
    regexes: Vec<String>,
    #[serde(default)]
    stopwords: Vec<String>,
    #[serde(default)]
    paths: Vec<String>,
    #[serde(default)]
    commits: Vec<String>,
    #[serde(default)]
    regex_target: Option<String>,
    #[serde(default)]
    condition: Option<String>,
    #[serde(rename = "description")]
    _description: Option<String>,
    #[serde(rename = "targetRules", default)]
    target_rules: Vec<String>,
}

/// Adds the rules of a file to `rules`. One with an id that is there takes its place.
pub(super) fn load(path: &Path, rules: &mut Vec<Rule>) -> Result<(), RuleError> {
    let unreadable = |error| RuleError::Unreadable { file: path.to_owned(), error };
    let size = std::fs::metadata(path).map_err(unreadable)?.len();
    if FILE_BYTES < size {
        return Err(unreadable(io::Error::other(format!("it has {size} bytes, and may have {FILE_BYTES}"))));
    }
    add(path, &std::fs::read_to_string(path).map_err(unreadable)?, rules)
}

/// Adds the rules of this text, which is that of the file.
pub(super) fn add(path: &Path, text: &str, rules: &mut Vec<Rule>) -> Result<(), RuleError> {
    let bad = |at: usize, what: String| {
        let line = text[..at.min(text.len())].bytes().filter(|byte| *byte == b'\n').count() + 1;
        RuleError::Bad { file: path.to_owned(), line, what }
    };
    let file: File =
        toml::from_str(text).map_err(|error| bad(error.span().map_or(0, |span| span.start), error.message().to_owned()))?;
    if RULES < file.rules.len() {
        return Err(bad(0, format!("it has {} rules, and may have {RULES}", file.rules.len())));
    }
    let of_all: Vec<RawAllow> = file.allow.into_iter().chain(file.allowlist).collect();
    for raw in file.rules {
        let at = raw.span().start;
        let raw = raw.into_inner();
        let id = raw.id.clone();
        let examples = (raw.tp.clone(), raw.fp.clone());
        let rule = read(raw, &of_all).and_then(|rule| match rule {
            Some(rule) => check(&rule, &examples.0, &examples.1).map(|()| Some(rule)),
            None => Ok(None),
        });
        match rule.map_err(|what| bad(at, format!("the rule {id:?}: {what}")))? {
            None => {}
            Some(rule) => match rules.iter_mut().find(|known| known.id == rule.id) {
                Some(known) => *known = rule,
                None => rules.push(rule),
            },
        }
    }
    Ok(())
}

/// A rule in force; nothing for one about the names of files.
fn read(raw: RawRule, of_all: &[RawAllow]) -> Result<Option<Rule>, String> {
    let Some(pattern) = &raw.regex else { return Ok(None) };
    if !marker::is_id(&raw.id) {
        return Err(format!("an id has 1 to {} letters, digits, dots, - and _", marker::ID_CHARS));
    }
    let regex = Pattern::new(pattern)?;
    if regex.get().is_match(b"") {
        return Err("the regex matches nothing at all, and so everywhere: ask for at least one character".to_owned());
    }
    if regex.get().captures_len() <= raw.secret_group {
        return Err(format!("secretGroup = {}, but the regex has {} groups", raw.secret_group, regex.get().captures_len() - 1));
    }
    if raw.keywords.is_empty() && !raw.always {
        return Err(
            "it has no keywords, and would cost every text: give words that are in every match, or say always = true".to_owned()
        );
    }
    if let Some(word) = raw.keywords.iter().find(|word| word.len() < KEYWORD_BYTES || !word.is_ascii()) {
        return Err(format!("the keyword {word:?} must have at least {KEYWORD_BYTES} characters, all ASCII"));
    }
    let mine = raw.allow.iter().chain(&raw.allowlist);
    let general = of_all.iter().filter(|allow| allow.target_rules.is_empty() || allow.target_rules.contains(&raw.id));
    let allow = mine.chain(general).map(read_allow).filter_map(Result::transpose).collect::<Result<_, _>>()?;
    Ok(Some(Rule {
        id: raw.id,
        what: raw.description.into(),
        keywords: raw.keywords.iter().map(|word| word.to_ascii_lowercase()).collect(),
        tail: 0,
        always: raw.always,
        regex,
        group: raw.secret_group,
        entropy: raw.entropy,
        check: None,
        allow,
    }))
}

/// An exception; nothing for one that is about files or commits.
fn read_allow(raw: &RawAllow) -> Result<Option<Allow>, String> {
    let both = match raw.condition.as_deref().map(str::to_ascii_uppercase).as_deref() {
        None | Some("OR" | "||") => false,
        Some("AND" | "&&") => true,
        Some(other) => return Err(format!("an allowlist's condition is AND or OR, not {other:?}")),
    };
    let elsewhere = !raw.paths.is_empty() || !raw.commits.is_empty();
    if (both && elsewhere) || (raw.regexes.is_empty() && raw.stopwords.is_empty()) {
        return Ok(None);
    }
    let target = match raw.regex_target.as_deref() {
        None | Some("" | "secret") => Target::Secret,
        Some("match") => Target::Match,
        Some("line") => Target::Line,
        Some(other) => return Err(format!("an allowlist's regexTarget is secret, match or line, not {other:?}")),
    };
    let regexes = raw.regexes.iter().map(|pattern| compile(pattern)).collect::<Result<_, _>>()?;
    let stopwords = raw.stopwords.iter().map(|word| word.to_ascii_lowercase()).collect();
    Ok(Some(Allow { target, regexes, stopwords, both }))
}

/// Holds the rule against its own examples.
fn check(rule: &Rule, tp: &[String], fp: &[String]) -> Result<(), String> {
    for text in tp {
        let lower = text.to_ascii_lowercase();
        if !rule.always && !rule.keywords.iter().any(|word| lower.contains(word)) {
            return Err(format!("its example tp = {text:?} holds none of its keywords"));
        }
        if !finds(rule, text) {
            return Err(format!("it does not find its example tp = {text:?}"));
        }
    }
    match fp.iter().find(|text| finds(rule, text)) {
        Some(text) => Err(format!("it finds something in its example fp = {text:?}")),
        None => Ok(()),
    }
}

fn finds(rule: &Rule, text: &str) -> bool {
    rule.regex.get().captures_iter(text.as_bytes()).any(|captures| rule.secret(text.as_bytes(), &captures).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loaded(text: &str) -> Result<Vec<Rule>, String> {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), text).expect("written");
        let mut rules = Vec::new();
        let name = file.path().display().to_string();
        load(file.path(), &mut rules).map_err(|error| error.to_string().replace(&name, "FILE"))?;
        Ok(rules)
    }

    #[test]
    fn a_file_as_gitleaks_writes_it_is_understood() {
        let text = r#"
title = "gitleaks config"
minVersion = "v8.25.0"
[[allowlists]]
description = "global"
regexes = ['''(?i)^true|false|null$''', '''^\$?{[a-z]+}$''']
paths = ['''gitleaks\.toml''']
[[rules]]
id = "acme-key"
description = "Acme"
regex = '''(?i)[\w.-]{0,50}?(?:acme)(?:[ \t\w.-]{0,20})[\s'"]{0,3}(?:=|>|:{1,3}=|\|\||:|=>|\?=|,)[\x60'"\s=]{0,5}([a-z0-9]{20})(?:[\x60'"\s;]|\\[nr]|$)'''
entropy = 3
keywords = ["acme"]
[[rules.allowlists]]
condition = "AND"
regexTarget = "match"
regexes = ['''test''']
stopwords = ["abcde"]
[[rules]]
id = "file-only"
path = '''(?i)(?:^|\/)[^\/]+\.p(?:12|fx)$'''
"#;
        let rules = loaded(text).expect("it is understood");
        assert_eq!(rules.iter().map(|rule| rule.id.as_str()).collect::<Vec<_>>(), ["acme-key"]);
        assert!(finds(&rules[0], "acme_token = 'q7w8e9r0t1y2u3i4o5p6'"));
        assert!(!finds(&rules[0], "acme_token = 'aaaaaaaaaaaaaaaaaaaa'"), "entropy");
        assert!(!finds(&rules[0], "acme_test = 'abcde9r0t1y2u3i4o5p6'"), "allowed");
    }

    #[test]
    fn a_bad_file_names_the_line_the_rule_and_what_would_be_right() {
        let rule = |rest: &str| format!("# a comment\n\n[[rules]]\nid = \"mine\"\n{rest}\n");
        for (text, words) in [
            ("[[rules]\n".to_owned(), vec!["FILE, line 1"]),
            (rule("regexx = 'a'"), vec!["line 5", "regexx"]),
            (rule("regex = 'a('\nkeywords = ['abc']"), vec!["line 3", "\"mine\"", "unclosed group"]),
            (rule("regex = 'a*'\nkeywords = ['abc']"), vec!["line 3", "at least one character"]),
            (rule("regex = 'abc'"), vec!["no keywords", "always = true"]),
            (rule("regex = 'abc'\nkeywords = ['ab']"), vec!["\"ab\"", "at least 3"]),
            (rule("regex = 'abc'\nkeywords = ['abc']\nsecretGroup = 2"), vec!["secretGroup = 2", "0 groups"]),
            (rule("regex = 'abc'\nkeywords = ['abc']\ntp = ['abd abc', 'abd']"), vec!["tp = \"abd\""]),
            (rule("regex = 'abc'\nkeywords = ['abc']\nfp = ['xabcx']"), vec!["fp = \"xabcx\""]),
            (rule("regex = 'abc'\nkeywords = ['abc']").replace("mine", "a b"), vec!["letters, digits"]),
            (rule("regex = '(\\w{900}){900}'\nkeywords = ['abc']"), vec!["repeat less"]),
        ] {
            let error = loaded(&text).expect_err(&text);
            for word in words {
                assert!(error.contains(word), "{word:?} is missing in {error:?}");
            }
        }
        let mut rules = Vec::new();
        let error = load("/nowhere/rules.toml".as_ref(), &mut rules).expect_err("it is not there").to_string();
        assert!(error.contains("/nowhere/rules.toml"), "{error}");
    }
}
