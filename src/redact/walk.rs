//! The secrets in a JSON text: strings and keys as they are meant, fields by their names, pairs of a name and a value. One pass over the
//! bytes, which are known to be JSON; what is found is a list of places in these bytes.

use std::{borrow::Cow, ops::Range};

use super::{Redactor, decode, keys::Strength, marker, rule::Own, scan, splice::Edit, values};

/// Fields that name what the field of a value beside them holds: `{"name": "Authorization", "value": "…"}`.
const NAME_FIELDS: [&[u8]; 6] = [b"name", b"key", b"header", b"variable", b"field", b"param"];
const VALUE_FIELDS: [&[u8]; 3] = [b"value", b"val", b"secretvalue"];

/// What must be replaced in `json`.
pub(super) fn edits(redactor: &Redactor, json: &[u8]) -> Vec<Edit> {
    let mut walk = Walk { redactor, json, at: 0, edits: Vec::new() };
    walk.value(0, Strength::None);
    walk.edits
}

struct Walk<'a> {
    redactor: &'a Redactor,
    json: &'a [u8],
    at: usize,
    edits: Vec<Edit>,
}

impl<'a> Walk<'a> {
    /// One value, which stands under a name of this strength. Gives its text if it is a string.
    fn value(&mut self, depth: usize, under: Strength) -> Option<Text<'a>> {
        self.blanks();
        match self.json.get(self.at) {
            Some(b'"') => {
                let text = self.string();
                self.text(&text, under);
                return Some(text);
            }
            Some(b'{' | b'[') if self.redactor.max_depth <= depth => {
                let start = self.at;
                self.skip();
                self.edits.push(Edit::value(start..self.at, self.redactor.own(Own::TooDeep)));
            }
            Some(b'{') => self.object(depth, under),
            Some(b'[') => self.array(depth, under),
            _ => self.scalar(),
        }
        None
    }

    fn object(&mut self, depth: usize, under: Strength) {
        // What a schema says of a field named like a secret is none; what looks like one is.
        let inherited = if under == Strength::None { Strength::None } else { Strength::Weak };
        let (mut named, mut valued) = (Strength::None, None);
        self.at += 1;
        while self.next_item(b'}') {
            let key = self.string();
            self.text(&key, Strength::None);
            let own = self.redactor.keys.strength_of_field(&key.plain);
            self.blanks();
            self.at += 1;
            let text = self.value(depth + 1, if own == Strength::None { inherited } else { own });
            let Some(text) = text else { continue };
            let field = key.plain.to_ascii_lowercase();
            if NAME_FIELDS.contains(&field.as_slice()) {
                named = self.redactor.keys.strength_of_field(&text.plain);
            } else if VALUE_FIELDS.contains(&field.as_slice()) {
                valued = Some(text);
            }
        }
        if let Some(text) = valued
            && values::secret_under(named, &text.plain)
        {
            self.replace(text.place);
        }
    }

    fn array(&mut self, depth: usize, under: Strength) {
        let mut before: Option<Text<'_>> = None;
        self.at += 1;
        while self.next_item(b']') {
            let text = self.value(depth + 1, under);
            if let (Some(name), Some(text)) = (&before, &text)
                && self.is_pair(&name.plain, &text.plain)
            {
                self.replace(text.place.clone());
            }
            before = text;
        }
    }

    /// Whether two neighbours in an array are a name and its secret: a header's, or a flag's of a command.
    fn is_pair(&self, name: &[u8], value: &[u8]) -> bool {
        let strength = self.redactor.keys.strength_of_field(name);
        let is_flag = name.starts_with(b"--") && !name.contains(&b'=') && !value.starts_with(b"-");
        let has_scheme =
            value.windows(6).any(|window| window.eq_ignore_ascii_case(b"bearer") || window.eq_ignore_ascii_case(b"basic "));
        values::secret_under(strength, value)
            && (is_flag || has_scheme || values::is_likely(value) || strength == Strength::Cookie)
    }

    /// What is secret in a string.
    fn text(&mut self, text: &Text<'a>, under: Strength) {
        if values::secret_under(under, &text.plain) {
            return self.replace(text.place.clone());
        }
        if self.redactor.max_text < text.plain.len() {
            if self.redactor.words.suspects(&text.plain, &self.redactor.keys) {
                self.edits.push(Edit::content(text.place.clone(), self.redactor.own(Own::TooBig)));
            }
            return;
        }
        let spans = scan::spans(self.redactor, &text.plain);
        if spans.is_empty() {
            return;
        }
        let places = spans.iter().flat_map(|span| [span.range.start, span.range.end]);
        let places = decode::places(&self.json[text.place.clone()], places);
        for (span, place) in spans.iter().zip(places.chunks_exact(2)) {
            let start = text.place.start;
            self.edits.push(Edit::content(start + place[0]..start + place[1], span.rule));
        }
    }

    fn replace(&mut self, place: Range<usize>) {
        if !marker::is_one(&self.json[place.clone()]) {
            self.edits.push(Edit::content(place, self.redactor.own(Own::Named)));
        }
    }

    /// Moves to the next item of an array or object; past its end if there is none.
    fn next_item(&mut self, end: u8) -> bool {
        self.blanks();
        if self.json.get(self.at) == Some(&b',') {
            self.at += 1;
            self.blanks();
        }
        match self.json.get(self.at) {
            Some(byte) if *byte != end => true,
            _ => {
                self.at += 1;
                false
            }
        }
    }

    /// A string, from its opening quote to after the closing one.
    fn string(&mut self) -> Text<'a> {
        let start = self.json.len().min(self.at + 1);
        let end = end_of_string(self.json, start);
        self.at = self.json.len().min(end + 1);
        Text { place: start..end, plain: decode::string(&self.json[start..end]) }
    }

    fn blanks(&mut self) {
        while matches!(self.json.get(self.at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn scalar(&mut self) {
        // At least one byte, so that this ends even if it is no JSON.
        self.at += 1;
        while !matches!(self.json.get(self.at), None | Some(b',' | b'}' | b']' | b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    /// Past an object or array, however deep.
    fn skip(&mut self) {
        let mut open = 0usize;
        while let Some(byte) = self.json.get(self.at) {
            match byte {
                b'"' => self.at = end_of_string(self.json, self.at + 1),
                b'{' | b'[' => open += 1,
                b'}' | b']' => open = open.saturating_sub(1),
                _ => {}
            }
            self.at += 1;
            if open == 0 {
                return;
            }
        }
    }
}

/// A string's content: where it is, and what it stands for.
struct Text<'a> {
    place: Range<usize>,
    plain: Cow<'a, [u8]>,
}

/// The closing quote of the string whose content begins here.
fn end_of_string(json: &[u8], mut at: usize) -> usize {
    while let Some(byte) = json.get(at) {
        match byte {
            b'"' => return at,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    json.len()
}
