//! What a value looks like: random or chosen by a person for a secret, or a placeholder, a reference, a word of code.

use super::{keys::Strength, marker};

/// The shortest value that is replaced where only its name says that it is a secret.
const SHORTEST: usize = 3;

/// Words that stand where a secret would, in documents, schemas and code.
const BLAND: [&str; 45] = [
    "any",
    "apikey",
    "basic",
    "bearer",
    "bool",
    "boolean",
    "bytes",
    "changeme",
    "change-me",
    "char",
    "disabled",
    "empty",
    "enabled",
    "example",
    "false",
    "hidden",
    "int",
    "integer",
    "key",
    "invalid",
    "masked",
    "missing",
    "never",
    "nil",
    "none",
    "null",
    "number",
    "oauth2",
    "object",
    "optional",
    "password",
    "pass",
    "placeholder",
    "redacted",
    "removed",
    "required",
    "secret",
    "str",
    "string",
    "text",
    "token",
    "true",
    "undefined",
    "unknown",
    "void",
];

/// The entropy of the text's bytes, in bits for each byte.
pub(super) fn entropy(text: &[u8]) -> f64 {
    let mut counts = [0u32; 256];
    text.iter().for_each(|byte| counts[usize::from(*byte)] += 1);
    let whole = f64::from(u32::try_from(text.len()).unwrap_or(u32::MAX));
    let share = |count: u32| f64::from(count) / whole;
    counts.iter().filter(|count| 0 < **count).map(|count| -share(*count) * share(*count).log2()).sum()
}

/// Whether `value`, which stands for itself under a name of this strength (as the value of a JSON field does), is a secret.
pub(super) fn secret_under(strength: Strength, value: &[u8]) -> bool {
    match strength {
        Strength::None => false,
        Strength::Weak => !is_placeholder(value) && is_random(value),
        Strength::Path => !is_placeholder(value) && !matches!(value.first(), Some(b'/' | b'~' | b'.')) && !is_windows_path(value),
        Strength::Strong | Strength::Cookie | Strength::Header => !is_placeholder(value),
    }
}

fn is_windows_path(value: &[u8]) -> bool {
    matches!(value, [drive, b':', b'\\' | b'/', ..] if drive.is_ascii_alphabetic())
}

/// Whether this stands for a secret without being one: nothing, `***`, `<token>`, `${TOKEN}`, `{{ token }}`, `%TOKEN%`, `API_TOKEN`, `string`.
pub(super) fn is_placeholder(value: &[u8]) -> bool {
    let value = value.trim_ascii();
    if value.len() < SHORTEST || marker::is_one(value) {
        return true;
    }
    const WRAPPINGS: [(&[u8], &[u8]); 6] = [(b"<", b">"), (b"${", b"}"), (b"{", b"}"), (b"%", b"%"), (b"[", b"]"), (b"$(", b")")];
    let is_name = |text: &[u8]| text.iter().all(|byte| byte.is_ascii_alphabetic() || b" _-.:|{}[]".contains(byte));
    let inner = |(open, close): (&[u8], &[u8])| value.strip_prefix(open)?.strip_suffix(close);
    let reference = value.starts_with(b"$") || value.starts_with(b"{{");
    if WRAPPINGS.into_iter().filter_map(inner).any(|inner| reference || is_name(inner)) {
        return true;
    }
    if let Some(name) = value.strip_prefix(b"$")
        && name.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'{' | b'}' | b':' | b'-' | b'.'))
        && name.first().is_some_and(|byte| !byte.is_ascii_digit())
    {
        return true;
    }
    // What masks itself, with a few characters left to see.
    let masks = value.iter().filter(|byte| matches!(byte, b'*' | b'.' | b'x' | b'X' | b'#')).count();
    let cut = value.ends_with(b"...") || value.ends_with(b"xxxx") || value.ends_with(b"XXXX");
    if cut || value.len() <= 4 * masks / 3 || value.windows(4).any(|window| window == b"****") {
        return true;
    }
    if value.windows(3).any(|window| window == "\u{2026}".as_bytes() || window == "\u{2022}".as_bytes()) {
        return true;
    }
    let shouted = value.iter().all(|byte| byte.is_ascii_uppercase() || *byte == b'_');
    if shouted && value.contains(&b'_') {
        return true;
    }
    let lower = value.to_ascii_lowercase();
    let begins = |word: &str| lower.starts_with(word.as_bytes());
    BLAND.iter().any(|word| lower == word.as_bytes())
        || begins("your-")
        || begins("your_")
        || begins("my-secret")
        || begins("example")
}

/// Whether this looks made by a machine: long, of letters and digits, in one piece.
pub(super) fn is_random(value: &[u8]) -> bool {
    let has = |is: fn(&u8) -> bool| value.iter().any(is);
    let mixed = has(u8::is_ascii_digit) && has(u8::is_ascii_alphabetic);
    let in_one = value.iter().all(|byte| byte.is_ascii_graphic());
    in_one && ((8 <= value.len() && mixed && !is_code(value)) || (20 <= value.len() && 3.5 < entropy(value) && !is_code(value)))
}

/// Whether this may be a person's or a machine's secret where code, prose or a type might stand as well.
pub(super) fn is_likely(value: &[u8]) -> bool {
    let has_letter = value.iter().any(u8::is_ascii_alphabetic);
    let has_other = value.iter().any(|byte| byte.is_ascii_digit() || b"!@#$%^*+/~&".contains(byte));
    let is_one_word = !value.iter().any(|byte| b"(){}<>".contains(byte) || byte.is_ascii_whitespace());
    6 <= value.len() && is_one_word && has_letter && has_other && !is_code(value) && !is_path(value)
}

/// `a.b.c`, `obj->field`, `Type::name`, `name[0]`: words of code, of which each begins like a name.
pub(super) fn is_code(value: &[u8]) -> bool {
    let value = value.strip_prefix(b"&").or(value.strip_prefix(b"*")).or(value.strip_prefix(b"!")).unwrap_or(value);
    let piece = |piece: &[u8]| {
        piece.first().is_some_and(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'$' | b'@'))
            && piece
                .iter()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'?' | b'!' | b'[' | b']' | b':' | b'>' | b'-'))
    };
    let names = || value.split(|byte| *byte == b'.');
    let joined =
        value.contains(&b'.') || value.windows(2).any(|window| window == b"->" || window == b"::") || value.ends_with(b"]");
    // Letters and digits change places more often in what is random.
    let changes = |name: &[u8]| name.windows(2).filter(|two| two[0].is_ascii_digit() != two[1].is_ascii_digit()).count();
    let plain = |name: &[u8]| name.len() <= 32 && changes(name) < 4 && (name.len() < 20 || entropy(name) < 3.8);
    joined && names().all(|name| piece(name) && plain(name))
}

fn is_path(value: &[u8]) -> bool {
    let slashes = value.iter().filter(|byte| **byte == b'/').count();
    (value.starts_with(b"/")
        || value.starts_with(b"./")
        || value.starts_with(b"~/")
        || value.windows(3).any(|window| window == b"://"))
        && 0 < slashes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_known() {
        for text in [
            "",
            "***",
            "********",
            "<token>",
            "${TOKEN}",
            "$TOKEN",
            "$(pass show x)",
            "{{ secrets.token }}",
            "%TOKEN%",
            "API_TOKEN",
            "string",
            "null",
            "xxxxxxxx",
            "sk-...",
            "ab****yz",
            "[redacted:x]",
            "[hidden]",
            "your-api-key",
            "Password",
            "${{ secrets.X }}",
            "TOKEN",
        ] {
            assert!(is_placeholder(text.as_bytes()), "{text}");
        }
        for text in ["hunter2", "correct horse", "p4ss", "AKIAQWERTY", "xK9.x2", "$2y$10$abc"] {
            assert!(!is_placeholder(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn words_of_code_are_no_secrets() {
        for text in
            ["config.password2", "self.token1", "Foo::bar1", "args[1]", "req.headers2", "/run/secrets/db1", "https://a.b/c1"]
        {
            assert!(!is_likely(text.as_bytes()), "{text}");
        }
        for text in ["hunter2", "S3cr3t!", "p@ssword", "a1b2c3d4.e5f6", "9f86d081"] {
            assert!(is_likely(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn entropy_is_that_of_shannon() {
        assert!(entropy(b"aaaa").abs() < 1e-9 && (entropy(b"abcd") - 2.0).abs() < 1e-9);
    }
}
