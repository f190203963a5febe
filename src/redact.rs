//! Secrets out of text: what an agent prints by accident is replaced by `[redacted:RULE]` before it is stored, sent or logged.
//!
//! Nearly all text is innocent, so one pass for keywords over the raw bytes comes first, and what it lets through is not copied. Only
//! text with a keyword in a place where a secret may be is taken apart: strings are decoded, so that no escape hides anything, and each
//! rule whose keyword was seen looks for its secret. Only the secret's own bytes are replaced; everything around it stays byte for byte.
//! Pure: nothing is read but rule files, nothing is kept but what [`Carry`] holds for text that comes in pieces.

mod builtin;
mod carry;
mod decode;
mod files;
mod keys;
mod marker;
mod named;
mod piece;
mod prefilter;
mod rule;
mod scan;
mod splice;
mod values;
mod walk;

#[cfg(test)]
mod tests;

use std::path::PathBuf;

use builtin::builtin;
pub use carry::{Carry, CarryLimits};
pub use files::RuleError;
use keys::Keys;
use prefilter::Prefilter;
use rule::{OWN_RULES, Own, Rule};
use splice::Edit;

/// What is looked for.
#[derive(Debug, Clone)]
pub struct RedactOptions {
    /// Files of further rules.
    pub files: Vec<PathBuf>,
    /// Ids of rules that are not applied.
    pub disable: Vec<String>,
    /// Names whose values are secrets, beside those that are known.
    pub keys_deny: Vec<String>,
    /// Names whose values are no secrets although they look like names of secrets.
    pub keys_allow: Vec<String>,
    /// How deep a payload is looked at; what lies deeper is replaced as a whole.
    pub max_depth: usize,
    /// The longest text that is looked at; a longer one with a keyword in it is replaced as a whole.
    pub max_text: usize,
}

impl Default for RedactOptions {
    fn default() -> Self {
        let none = Vec::new;
        Self { files: vec![], disable: none(), keys_deny: none(), keys_allow: none(), max_depth: 64, max_text: 1 << 20 }
    }
}

/// All rules in force, ready to be applied from any thread.
#[derive(Debug)]
pub struct Redactor {
    rules: Vec<Rule>,
    keys: Keys,
    words: Prefilter,
    /// Which of the rules of this program's own are not applied.
    own_off: [bool; OWN_RULES.len()],
    max_depth: usize,
    max_text: usize,
}

/// A text from which something was removed.
#[derive(Debug)]
pub struct Redacted<T> {
    /// The text without it.
    pub text: T,
    /// The rule of each removal, in order, as an index for [`Redactor::id`].
    pub rules: Vec<usize>,
}

/// What a rule is called and looks for.
#[derive(Debug)]
pub struct RuleInfo<'a> {
    /// Its id, as it appears in `[redacted:ID]`.
    pub id: &'a str,
    /// What it finds.
    pub what: &'a str,
}

/// How often a text is looked at again after something was removed; what a removal joins may be a secret, too. In practice the second
/// look finds nothing.
const ROUNDS: usize = 4;

impl Redactor {
    /// Reads and checks the rules. A rule that cannot be used is an error that says which, where, and what would be right.
    pub fn new(options: &RedactOptions) -> Result<Self, RuleError> {
        let mut rules = builtin();
        for file in &options.files {
            files::load(file, &mut rules)?;
        }
        Self::with_rules(rules, options)
    }

    /// By the rules of this text alone, which has the form of a rule file.
    pub(crate) fn from_text(text: &str) -> Result<Self, RuleError> {
        let mut rules = Vec::new();
        files::add("text".as_ref(), text, &mut rules)?;
        let lists = || Vec::new();
        let (max_depth, max_text) = (64, 1 << 20);
        let options =
            RedactOptions { files: Vec::new(), disable: lists(), keys_deny: lists(), keys_allow: lists(), max_depth, max_text };
        Self::with_rules(rules, &options)
    }

    fn with_rules(mut rules: Vec<Rule>, options: &RedactOptions) -> Result<Self, RuleError> {
        let mut own_off = [false; OWN_RULES.len()];
        for id in &options.disable {
            let own = OWN_RULES.iter().position(|(own, _)| own == id);
            if own.is_none() && !rules.iter().any(|rule| rule.id == *id) {
                return Err(RuleError::unknown_id(id));
            }
            own.into_iter().for_each(|own| own_off[own] = true);
            rules.retain(|rule| rule.id != *id);
        }
        let keys = Keys::new(&options.keys_deny, &options.keys_allow, own_off[Own::Named as usize]);
        let words = Prefilter::new(&rules, &keys);
        Ok(Self { rules, keys, words, own_off, max_depth: options.max_depth, max_text: options.max_text })
    }

    /// The rule's id.
    pub fn id(&self, rule: usize) -> &str {
        self.rules.get(rule).map_or_else(|| OWN_RULES[rule - self.rules.len()].0, |rule| &rule.id)
    }

    /// All rules in force.
    pub fn rules(&self) -> impl Iterator<Item = RuleInfo<'_>> {
        let own = OWN_RULES.iter().zip(self.own_off).filter(|(_, off)| !off).map(|((id, what), _)| RuleInfo { id, what });
        own.chain(self.rules.iter().map(|rule| RuleInfo { id: &rule.id, what: &rule.what }))
    }

    /// `json`, which must be one JSON value, without its secrets; nothing if there are none. Still valid JSON: what is not a secret keeps
    /// its bytes, in its order and with its spaces.
    pub fn json(&self, json: &[u8]) -> Option<Redacted<Vec<u8>>> {
        if !self.words.suspects(json, &self.keys) {
            return None;
        }
        self.until_clean(json, walk::edits)
    }

    /// The same of an activity's payload. What it says as a piece of running text is looked at together with the end of the piece
    /// before it, which `carry` keeps under `scope` and the stream that the payload names.
    pub fn payload(&self, data: &[u8], is_output: bool, scope: impl Fn() -> String, carry: &Carry) -> Option<Redacted<Vec<u8>>> {
        let Some(continued) = piece::continued(self, data, is_output, scope, carry) else { return self.json(data) };
        let Some(mut redacted) = self.json(&continued.text) else { return Some(continued) };
        redacted.rules.splice(0..0, continued.rules);
        Some(redacted)
    }

    /// The same of the next piece of plain text of `stream`, of which `carry` keeps the end.
    pub fn piece(&self, stream: &str, text: &[u8], carry: &Carry) -> Option<Redacted<Vec<u8>>> {
        let spans = carry.next(self, stream, text);
        if spans.is_empty() {
            return self.bytes(text);
        }
        let mut rules = Vec::new();
        let edits = spans.into_iter().map(|span| Edit::content(span.range, span.rule)).collect();
        let text = splice::apply(self, text, edits, &mut rules);
        let Some(redacted) = self.bytes(&text) else { return Some(Redacted { text, rules }) };
        rules.extend(redacted.rules);
        Some(Redacted { text: redacted.text, rules })
    }

    /// `text` without its secrets; nothing if there are none.
    pub fn text(&self, text: &str) -> Option<Redacted<String>> {
        let Redacted { text, rules } = self.bytes(text.as_bytes())?;
        Some(Redacted { text: String::from_utf8_lossy(&text).into_owned(), rules })
    }

    /// The same of text that need not be UTF-8.
    fn bytes(&self, text: &[u8]) -> Option<Redacted<Vec<u8>>> {
        if !self.words.suspects(text, &self.keys) {
            return None;
        }
        self.until_clean(text, |redactor, text| {
            if redactor.max_text < text.len() {
                return vec![Edit::content(0..text.len(), redactor.own(Own::TooBig))];
            }
            scan::spans(redactor, text).into_iter().map(|span| Edit::content(span.range, span.rule)).collect()
        })
    }

    /// The value that a name such as a label's gives, without secrets; all of it if the name says that it is one.
    pub fn named(&self, name: &str, value: &str) -> Option<Redacted<String>> {
        if self.is_secret_of(name, value) {
            let rule = self.own(Own::Named);
            return Some(Redacted { text: marker::of(self.id(rule)), rules: vec![rule] });
        }
        self.text(value)
    }

    fn is_secret_of(&self, name: &str, value: &str) -> bool {
        values::secret_under(self.keys.strength_of_field(name.as_bytes()), value.as_bytes())
    }

    /// Applies what `edits` finds until it finds nothing.
    fn until_clean(&self, text: &[u8], edits: impl Fn(&Self, &[u8]) -> Vec<Edit>) -> Option<Redacted<Vec<u8>>> {
        let mut redacted: Option<Redacted<Vec<u8>>> = None;
        for _ in 0..ROUNDS {
            let found = edits(self, redacted.as_ref().map_or(text, |redacted| &redacted.text));
            if found.is_empty() {
                break;
            }
            let mut rules = redacted.as_mut().map_or_else(Vec::new, |redacted| std::mem::take(&mut redacted.rules));
            let before = redacted.as_ref().map_or(text, |redacted| &redacted.text);
            let text = splice::apply(self, before, found, &mut rules);
            redacted = Some(Redacted { text, rules });
        }
        redacted
    }

    /// The index of a rule of this program's own.
    fn own(&self, own: Own) -> usize {
        self.rules.len() + own as usize
    }
}
