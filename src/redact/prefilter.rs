//! One pass over the bytes for every keyword of every rule at once, and a cheap look at what stands around each. What passes holds no
//! secret that any rule would find.

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

use super::{
    keys::{Keys, STEMS},
    named,
    rule::Rule,
};

/// What a keyword that was seen leads to.
#[derive(Debug, Clone, Copy)]
enum Lead {
    /// This rule, if so many characters of a token follow.
    Rule(usize, usize),
    /// The rule of URLs, if somebody is named before the host.
    Url(usize),
    /// A name that may be one of a secret.
    Name,
    /// A printable ASCII character written as an escape, as nobody needs to: anything may be hidden so.
    Escape,
}

/// The keyword of URLs with credentials, of which nearly all have none.
const URL: &str = "://";

/// How far the name and the password in a URL reach at most.
const LOGIN_BYTES: usize = 512;

/// Every keyword and what it leads to.
#[derive(Debug)]
pub(super) struct Prefilter {
    search: AhoCorasick,
    leads: Vec<Vec<Lead>>,
    /// Rules that apply to every text.
    always: Vec<usize>,
}

impl Prefilter {
    pub(super) fn new(rules: &[Rule], keys: &Keys) -> Self {
        let mut words: Vec<(String, Lead)> = Vec::new();
        for (number, rule) in rules.iter().enumerate() {
            for keyword in &rule.keywords {
                let lead = if keyword == URL { Lead::Url(number) } else { Lead::Rule(number, rule.tail) };
                words.extend(spellings(keyword).into_iter().map(|word| (word, lead)));
            }
        }
        if !keys.are_off() {
            words.extend(STEMS.iter().map(|stem| ((*stem).to_owned(), Lead::Name)));
            words.extend(keys.words.iter().map(|word| (word.clone(), Lead::Name)));
        }
        words.extend(('2'..='7').map(|digit| (format!("\\u00{digit}"), Lead::Escape)));
        words.sort_by(|a, b| a.0.cmp(&b.0));
        let mut patterns: Vec<String> = Vec::new();
        let mut leads: Vec<Vec<Lead>> = Vec::new();
        for (word, lead) in words {
            if patterns.last() != Some(&word) {
                patterns.push(word);
                leads.push(Vec::new());
            }
            leads.last_mut().into_iter().for_each(|leads| leads.push(lead));
        }
        let search = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::Standard)
            .kind(Some(AhoCorasickKind::DFA))
            .prefilter(false)
            .build(patterns)
            .expect("keywords are few and short");
        let always = rules.iter().enumerate().filter(|(_, rule)| rule.always).map(|(number, _)| number).collect();
        Self { search, leads, always }
    }

    /// Whether a rule may find something in `json`, the text of a JSON value or plain text. What is clean costs this one pass.
    pub(super) fn suspects(&self, json: &[u8], keys: &Keys) -> bool {
        !self.always.is_empty()
            || self.search.find_overlapping_iter(json).any(|found| {
                self.leads[found.pattern().as_usize()].iter().any(|lead| match lead {
                    Lead::Name => named::is_suspect(json, found.range(), keys),
                    Lead::Escape => true,
                    lead => lead.rule(&json[found.end()..]).is_some(),
                })
            })
    }

    /// The rules that may find something in `text`, a decoded string, ascending; and where a name may be, in order.
    pub(super) fn leads(&self, text: &[u8]) -> (Vec<usize>, Vec<std::ops::Range<usize>>) {
        let (mut rules, mut names) = (self.always.clone(), Vec::new());
        for found in self.search.find_overlapping_iter(text) {
            for lead in &self.leads[found.pattern().as_usize()] {
                match lead {
                    Lead::Name => names.push(found.range()),
                    Lead::Escape => {}
                    lead => rules.extend(lead.rule(&text[found.end()..])),
                }
            }
        }
        rules.sort_unstable();
        rules.dedup();
        (rules, names)
    }
}

impl Lead {
    fn rule(self, rest: &[u8]) -> Option<usize> {
        match self {
            Self::Rule(rule, 0) => Some(rule),
            Self::Rule(rule, tail) => {
                let token = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-+/=%.~\\".contains(byte);
                rest.get(..tail).is_some_and(|tail| tail.iter().all(token)).then_some(rule)
            }
            Self::Url(rule) => {
                let login =
                    rest.iter().take(LOGIN_BYTES).take_while(|byte| !matches!(byte, b'/' | b'"' | b'<' | b'>' | 0..=b' '));
                login.into_iter().any(|byte| *byte == b'@').then_some(rule)
            }
            Self::Name | Self::Escape => None,
        }
    }
}

/// A keyword as it stands in plain text and in JSON.
fn spellings(keyword: &str) -> Vec<String> {
    let keyword = keyword.to_ascii_lowercase();
    let quoted = serde_json::to_string(&keyword).expect("strings are JSON");
    let escaped = quoted[1..quoted.len() - 1].to_owned();
    let mut all = vec![escaped.replace('/', "\\/"), escaped, keyword];
    all.sort();
    all.dedup();
    all
}
