//! Values that their names give away, in running text: `PASSWORD=…`, `"api_key": "…"`, `--token …`, `Authorization: Bearer …`,
//! `?access_token=…`. Found around a keyword by hand: a name, then what joins it to a value, then a value that may be a secret.

use std::ops::Range;

use super::{
    keys::{Keys, Strength, before_adjective},
    values,
};

/// How far a name reaches to either side of its keyword.
const NAME_BYTES: usize = 64;

/// How many blanks, quotes and colours may stand between a name and its value.
const JOINT_BYTES: usize = 32;

/// How much of a value is looked at to tell whether it is a secret; if it is, all of it is one, however long.
const VALUE_BYTES: usize = 1024;

/// The longest value of a header.
const LINE_BYTES: usize = 8 * 1024;

/// How far before a name the beginning of its line is looked for.
const INDENT_BYTES: usize = 64;

/// Whether a name around the keyword at `at` in `text`, which may be JSON, is one of a secret and joined to a value. May say yes where
/// [`secret`] finds nothing, and never no where it finds something.
pub(super) fn is_suspect(text: &[u8], at: Range<usize>, keys: &Keys) -> bool {
    let name = name_around(text, at);
    if strength(text, &name, keys).0 == Strength::None {
        return false;
    }
    let trimmed = text[name.end..].iter().take_while(|byte| matches!(byte, b'.' | b'-' | b'_')).count();
    let rest = &text[name.end + trimmed..];
    let Some(quote) = rest.first() else { return false };
    // A JSON field's value that is no string is none; a string by itself may be one half of a pair.
    if *quote == b'"' {
        let after = rest[1..].trim_ascii_start();
        let Some(value) = after.strip_prefix(b":") else { return true };
        return !matches!(value.trim_ascii_start().first(), Some(b'0'..=b'9' | b'-' | b't' | b'f' | b'n'));
    }
    let flag = text[name.start..].starts_with(b"-");
    let joint = rest.iter().take(JOINT_BYTES).find(|byte| !matches!(byte, b' ' | b'\t' | b'\'' | b'`' | b']' | b')'));
    match joint {
        Some(b':' | b'=' | b'\\' | b'\x1b' | b'"') => true,
        Some(_) => flag && matches!(rest.first(), Some(b' ' | b'\t')),
        None => false,
    }
}

/// The secret that belongs to the name around the keyword at `at` in `text`, which is plain.
pub(super) fn secret(text: &[u8], at: Range<usize>, keys: &Keys) -> Option<Range<usize>> {
    let name = name_around(text, at);
    let (strength, start) = strength(text, &name, keys);
    if strength == Strength::None {
        return None;
    }
    let name = start..name.end;
    let (form, at) = joint(text, &name)?;
    match strength {
        Strength::Header => after_scheme(text, line(text, at)),
        Strength::Cookie => Some(line(text, at)).filter(|line| holds_cookie(&text[line.clone()])),
        _ => match quoted(text, at, VALUE_BYTES) {
            Some(content) => {
                let is_secret = is_secret_in_quotes(&text[name], strength, &text[content]);
                is_secret.then(|| quoted(text, at, text.len())).flatten()
            }
            None => plain(text, &name, strength, form, at),
        },
    }
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
}

fn name_around(text: &[u8], at: Range<usize>) -> Range<usize> {
    let before = text[..at.start].iter().rev().take(NAME_BYTES).take_while(|byte| is_name_byte(**byte)).count();
    let after = text[at.end..].iter().take(NAME_BYTES).take_while(|byte| is_name_byte(**byte)).count();
    let mut name = at.start - before..at.end + after;
    while text[name.clone()].ends_with(b".") || text[name.clone()].ends_with(b"-") {
        name.end -= 1;
    }
    name.start = before_adjective(text, name.start);
    name
}

/// What the name says, and where it begins once what an escape or a colour before it left on it is gone: `\nTOKEN`, `ESC[1mTOKEN`.
fn strength(text: &[u8], name: &Range<usize>, keys: &Keys) -> (Strength, usize) {
    let whole = &text[name.clone()];
    let from_last_dot = whole.iter().rposition(|byte| *byte == b'.').map_or(0, |dot| dot + 1);
    let found = keys.strength(whole);
    if found != Strength::None {
        return (found, name.start);
    }
    let skipped = match text[..name.start].last() {
        Some(b'\\') if whole.first() == Some(&b'u') => 5,
        Some(b'\\') => 1,
        Some(b'[' | b';') => whole.iter().take_while(|byte| byte.is_ascii_digit()).count() + 1,
        _ => 0,
    };
    for skipped in [skipped, from_last_dot] {
        if 0 < skipped && skipped < whole.len() {
            let found = keys.strength(&whole[skipped..]);
            if found != Strength::None {
                return (found, name.start + skipped);
            }
        }
    }
    (Strength::None, name.start)
}

/// How a value is joined to its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// `name=value`
    Tight,
    /// `name: value`, `name = value`
    Loose,
    /// `--name value`
    Flag,
}

/// What joins the name to a value, and where the value begins.
fn joint(text: &[u8], name: &Range<usize>) -> Option<(Form, usize)> {
    let most = text.len().min(name.end + JOINT_BYTES);
    let mut at = name.end;
    while at < most && matches!(text[at], b'"' | b'\'' | b'`' | b'\\' | b']') {
        at += 1;
    }
    let closed = at;
    at = after_blanks(text, at, most);
    let rest = &text[at..];
    let length = match rest {
        [b'=', b'=' | b'~', ..] | [b':', b':', ..] | [] => return None,
        [b'=', b'>', ..] | [b':', b'=', ..] | [b'?', b'=', ..] => 2,
        [b'=' | b':', ..] => 1,
        _ => {
            let flag = text[name.start..].starts_with(b"--") && closed == name.end && name.end < at;
            return flag.then_some((Form::Flag, at));
        }
    };
    let tight = rest[0] == b'=' && length == 1 && at == closed;
    let begin = after_blanks(text, at + length, text.len().min(at + length + JOINT_BYTES));
    let tight = tight && begin == at + length;
    Some((if tight { Form::Tight } else { Form::Loose }, begin))
}

/// After blanks and the escapes of colours.
fn after_blanks(text: &[u8], mut at: usize, most: usize) -> usize {
    while at < most {
        match text[at] {
            b' ' | b'\t' => at += 1,
            0x1b if text.get(at + 1) == Some(&b'[') => {
                let code = text[at + 2..].iter().take_while(|byte| byte.is_ascii_digit() || **byte == b';').count();
                at += 2 + code + 1;
            }
            _ => break,
        }
    }
    at.min(text.len())
}

/// The content of the quotes that begin here, if any do.
fn quoted(text: &[u8], mut at: usize, most: usize) -> Option<Range<usize>> {
    // A string's prefix, such as in b"…".
    let is_quote = |byte: Option<&u8>| matches!(byte, Some(b'"' | b'\'' | b'`'));
    if matches!(text.get(at), Some(b'b' | b'f' | b'r' | b'u')) && is_quote(text.get(at + 1)) {
        at += 1;
    }
    let escapes = text[at..].iter().take_while(|byte| **byte == b'\\').count();
    let quote = text.get(at + escapes).filter(|byte| is_quote(Some(byte)))?;
    let start = at + escapes + 1;
    let most = text.len().min(start + most);
    Some(start..closing(&text[..most], start, *quote, escapes))
}

/// Where the quoted text ends: at the same quote after as many backslashes, or at the line's end.
fn closing(text: &[u8], start: usize, quote: u8, escapes: usize) -> usize {
    let mut backslashes = 0;
    for (at, byte) in text.iter().enumerate().skip(start) {
        match byte {
            b'\\' => backslashes += 1,
            b'\n' => return at,
            byte if *byte == quote && backslashes <= escapes => return at - backslashes,
            _ => backslashes = 0,
        }
    }
    text.len()
}

/// From here to the end of the line, or of the quotes that the line stands in.
fn line(text: &[u8], at: usize) -> Range<usize> {
    let start = quoted(text, at, 0).map_or(at, |content| content.start);
    let most = text.len().min(start + LINE_BYTES);
    let ends = |at: &usize| match text[*at] {
        b'\n' | b'\r' | b'"' | b'\'' | b'`' => true,
        b'\\' => matches!(text.get(at + 1), Some(b'n' | b'r' | b'"' | b'\'' | b'\\')),
        _ => false,
    };
    start..(start..most).find(ends).unwrap_or(most)
}

/// What follows the scheme in a header's value, such as after `Bearer`; or all of it, if it is no scheme and looks like a secret.
fn after_scheme(text: &[u8], line: Range<usize>) -> Option<Range<usize>> {
    const SCHEMES: [&[u8]; 8] =
        [b"bearer", b"basic", b"token", b"apikey", b"api-key", b"digest", b"aws4-hmac-sha256", b"negotiate"];
    let value = text[line.clone()].trim_ascii_end();
    let first = value.iter().take_while(|byte| !byte.is_ascii_whitespace()).count();
    if !SCHEMES.contains(&value[..first].to_ascii_lowercase().as_slice()) {
        return (!values::is_placeholder(&value[..first]) && values::is_random(&value[..first]))
            .then(|| line.start..line.start + first);
    }
    let blanks = value[first..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    let rest = &value[first + blanks..];
    let word = rest.split(u8::is_ascii_whitespace).next().unwrap_or_default();
    let is_list = rest.contains(&b'=') && rest.contains(&b',');
    let alone = word.len() == rest.len();
    let is_secret = is_list
        || (6 <= word.len() && !values::is_placeholder(word) && !values::is_code(word) && (alone || values::is_likely(word)));
    let start = line.start + first + blanks;
    is_secret.then(|| start..start + if is_list { rest.len() } else { word.len() })
}

/// Whether a header's value holds a cookie that tells who somebody is.
fn holds_cookie(line: &[u8]) -> bool {
    line.split(|byte| *byte == b';').any(|pair| {
        let pair = pair.trim_ascii();
        let Some(at) = pair.iter().position(|byte| *byte == b'=') else { return false };
        let (name, value) = (&pair[..at], &pair[at + 1..]);
        !name.is_empty()
            && name.iter().all(|byte| is_name_byte(*byte))
            && !values::is_placeholder(value)
            && values::is_likely(value)
    })
}

fn is_secret_in_quotes(name: &[u8], strength: Strength, content: &[u8]) -> bool {
    // A label or a sentence; only a passphrase is made of words.
    let words = content.iter().any(u8::is_ascii_whitespace) && !name.to_ascii_lowercase().ends_with(b"phrase");
    !words && values::secret_under(strength, content) && !values::is_code(content)
}

/// A value without quotes, which in code is mostly none.
fn plain(text: &[u8], name: &Range<usize>, strength: Strength, form: Form, at: usize) -> Option<Range<usize>> {
    let before = &text[name.start.saturating_sub(INDENT_BYTES)..name.start];
    let line_start = before.iter().rposition(|byte| matches!(byte, b'\n' | b'\r')).map_or(0, |at| at + 1);
    let is_flag = text[name.start..].starts_with(b"--");
    let is_field = matches!(before.last(), Some(b'?' | b'&'));
    let is_variable = form == Form::Tight && !text[name.clone()].iter().any(u8::is_ascii_lowercase);
    let begins_line = matches!(before[line_start..].trim_ascii(), b"" | b"export" | b"set");
    let whole_word = is_variable && begins_line;
    let end = end_of_piece(text, at, whole_word, VALUE_BYTES);
    let value = &text[at..end];
    // In a URL only part of it is secret, which the rule of URLs finds.
    let is_url = value.windows(3).any(|window| window == b"://");
    if is_url || values::is_placeholder(value) || !values::secret_under(strength, value) || is_call(value) {
        return None;
    }
    let is_secret = if form == Form::Flag || is_flag {
        is_argument(value)
    } else {
        is_variable || (is_field && !values::is_code(value)) || values::is_likely(value)
    };
    is_secret.then(|| at..end_of_piece(text, at, whole_word, text.len()))
}

fn end_of_piece(text: &[u8], start: usize, whole_word: bool, most: usize) -> usize {
    let most = text.len().min(start + most);
    let ends = |at: &usize| match text[*at] {
        0..=b' ' | b'"' | b'\'' | b'`' | b'<' | b'>' => true,
        b',' | b';' | b'&' | b')' | b']' | b'}' | b'|' => !whole_word,
        b'\\' => matches!(text.get(at + 1), Some(b'n' | b'r' | b't' | b'"' | b'\'' | b'\\' | b'u')),
        _ => false,
    };
    (start..most).find(ends).unwrap_or(most)
}

/// `$(…)`, `name(…`, `${…}…`: made when it runs.
fn is_call(value: &[u8]) -> bool {
    let open = value.iter().position(|byte| *byte == b'(');
    value.ends_with(b"[")
        || value.starts_with(b"$(")
        || value.starts_with(b"${")
        || value.starts_with(b"{{")
        || open.is_some_and(|open| value[..open].iter().all(|byte| is_name_byte(*byte)))
}

/// Whether what follows a flag is its argument, and not the rest of a sentence about it.
fn is_argument(value: &[u8]) -> bool {
    const WORDS: [&[u8]; 12] = [
        b"option",
        b"options",
        b"argument",
        b"arguments",
        b"values",
        b"prompt",
        b"should",
        b"instead",
        b"option.",
        b"stdin",
        b"parameter",
        b"environment",
    ];
    let is_word = value.iter().all(|byte| byte.is_ascii_lowercase() || matches!(byte, b'.' | b':'));
    let is_prose = (is_word && value.len() <= 5) || WORDS.contains(&value);
    !value.starts_with(b"-") && !is_prose
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Option<&str> {
        let keys = Keys::new(&[], &[], false);
        let stems = super::super::keys::STEMS;
        let lower = text.to_ascii_lowercase();
        let places =
            stems.iter().flat_map(|stem| lower.match_indices(stem).map(|(at, stem)| at..at + stem.len()).collect::<Vec<_>>());
        let secrets = places.filter_map(|at| {
            let secret = secret(text.as_bytes(), at.clone(), &keys);
            assert!(secret.is_none() || is_suspect(text.as_bytes(), at, &keys), "not suspected: {text}");
            secret
        });
        let secrets: Vec<_> = secrets.collect();
        secrets.first().map(|secret| &text[secret.clone()])
    }

    #[test]
    fn values_are_found_behind_their_names() {
        for (text, secret) in [
            ("PASSWORD=hunter2", "hunter2"),
            ("export DB_PASSWORD=a,b;c&d)e\nnext", "a,b;c&d)e"),
            ("A=1\nAPI_KEY=abc\nB=2", "abc"),
            ("password: hunter2", "hunter2"),
            ("  apiKey: 'abcdef'", "abcdef"),
            (r#"{\"client_secret\": \"abc def\", \"password\": \"letmein\"}"#, "letmein"),
            (r#"{"a":1,"secretKey":"ab\"cd"}"#, "ab\\\"cd"),
            ("login --password hunter", "hunter"),
            ("login --password=hunter --x", "hunter"),
            ("?access_token=abcdef&x=1", "abcdef"),
            ("Server=db;User=me;Password=hunter2;Database=x", "hunter2"),
            ("Authorization: Bearer abcdef", "abcdef"),
            ("curl -H 'Authorization: Basic dXNlcjpwYXNz' x", "dXNlcjpwYXNz"),
            ("authorization: token 0123456789abcdef", "0123456789abcdef"),
            ("Cookie: theme=dark; sid=a1b2c3d4e5", "theme=dark; sid=a1b2c3d4e5"),
            ("\x1b[32mpassword\x1b[0m: \x1b[33mhunter2", "hunter2"),
            (r"line\nTOKEN=a1b2c3d4", "a1b2c3d4"),
            ("os.environ['API_TOKEN'] = 'abcdef'", "abcdef"),
            ("passphrase = \"correct horse\"", "correct horse"),
            ("MYSQL_PWD=hunter", "hunter"),
            ("your API key: a1b2c3d4e5", "a1b2c3d4e5"),
            ("config.password => \"hunter\"", "hunter"),
        ] {
            assert_eq!(found(text), Some(secret), "{text}");
        }
    }

    #[test]
    fn code_prose_and_false_friends_are_left_alone() {
        for text in [
            "max_tokens=4096",
            "password = getPassword()",
            "connect(user=user, password=password)",
            "token: string",
            "let token = next_token;",
            "password=os.environ['X']",
            "API_KEY=$OTHER",
            "PASSWORD=${PASSWORD}",
            "the password: it must be long",
            "use --password to set it",
            "PWD=/home/me",
            "if token == abc123:",
            "Authorization: required",
            "Authorization: Bearer <token>",
            "the cookie = x",
            "TOKEN=",
            "type Token = { token: string }",
            "secret: ${{ secrets.TOKEN }}",
            "\"password\": \"Enter your password\"",
            "passed=12, failed=3",
            "author=someone1",
            "key=abc123",
            "--token TOKEN  the token",
            "api_key: os.getenv(\"API_KEY\")",
            "password: [redacted:x]",
            "token::<u8>()",
            "self.token = token1.value",
            "DATABASE_TOKEN_URL: https://a.b/c1",
            "idempotency_key=6f1c2b8e",
            "password: String,",
        ] {
            assert_eq!(found(text), None, "{text}");
        }
    }
}
