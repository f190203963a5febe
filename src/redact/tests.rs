//! What must be found in whatever clothes, what must be left alone, and what must hold of any text.

use std::sync::LazyLock;

use proptest::prelude::*;
use rand::{SeedableRng, rngs::StdRng};
use serde_json::{Value, json};

use super::{
    Redactor,
    builtin::samples::{SAMPLES, made_of},
    *,
};

/// One for all tests.
pub(super) fn redactor() -> &'static Redactor {
    static ONE: LazyLock<Redactor> = LazyLock::new(|| Redactor::new(&RedactOptions::default()).expect("the rules are right"));
    &ONE
}

/// Each sample with random letters: its rule, the text around the secret, and the secret.
fn samples(seed: u64) -> Vec<(&'static str, String, String, String)> {
    let mut random = StdRng::seed_from_u64(seed);
    let parts = |(rule, template): &(&'static str, &str)| {
        let text = made_of(template, &mut random);
        let (before, rest) = text.split_once('«').expect("a beginning");
        let (secret, after) = rest.split_once('»').expect("an end");
        (*rule, before.to_owned(), secret.to_owned(), after.to_owned())
    };
    SAMPLES.iter().map(parts).collect()
}

fn redacted(redactor: &Redactor, value: &Value) -> Value {
    let text = value.to_string();
    match redactor.json(text.as_bytes()) {
        Some(redacted) => serde_json::from_slice(&redacted.text).expect("still JSON"),
        None => value.clone(),
    }
}

#[test]
fn every_rule_compiles_and_has_samples() {
    let redactor = redactor();
    redactor.rules.iter().for_each(|rule| assert!(!rule.regex.get().is_match(b""), "{}", rule.id));
    for rule in redactor.rules().filter(|rule| !rule.id.starts_with("too-")) {
        assert!(SAMPLES.iter().any(|(id, _)| *id == rule.id), "no sample of {}", rule.id);
    }
    for (id, _) in SAMPLES {
        assert!(redactor.rules().any(|rule| rule.id == id), "no rule {id}");
    }
}

#[test]
fn secrets_of_every_rule_are_found() {
    let redactor = redactor();
    let (mut missed, mut all) = (Vec::new(), 0);
    for seed in 0..12 {
        for (rule, before, secret, after) in samples(seed) {
            for (open, close) in [("", ""), ("see \"", "\" there"), ("line\n", "\nline")] {
                all += 1;
                let text = format!("{open}{before}{secret}{after}{close}");
                let found = redactor.text(&text);
                let whole = found.as_ref().is_some_and(|found| !found.text.contains(&secret));
                let by = found.as_ref().map_or("nothing", |found| redactor.id(found.rules[0]));
                let parts = found.as_ref().map(|found| found.text.clone()).unwrap_or_default();
                if !whole || by != rule || parts.len() + secret.len() < text.len() {
                    missed.push(format!("{rule}: {by} {text:?} {parts:?}"));
                }
            }
        }
    }
    let recall = 100.0 * (all - missed.len()) as f64 / all as f64;
    println!("recall {recall:.2} % of {all}");
    assert!(missed.is_empty(), "{} of {all} missed, such as\n{}", missed.len(), missed[..missed.len().min(12)].join("\n"));
}

/// The text with every character as `\uXXXX`.
fn all_escaped(text: &str) -> String {
    text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect()
}

#[test]
fn no_escape_hides_a_secret() {
    let redactor = redactor();
    for (rule, before, secret, after) in samples(7) {
        let text = format!("{before}{secret}{after}");
        let plain = json!({"text": text}).to_string();
        let slashes = plain.replace('/', "\\/");
        let escaped = format!("{{\"text\":\"{}\"}}", all_escaped(&text));
        let first = text.chars().next().expect("it is not empty");
        let one = format!("{{\"text\":{}}}", json!(text)).replacen(
            &json!(first.to_string()).to_string()[1..2],
            &all_escaped(&first.to_string()),
            1,
        );
        for json in [plain, slashes, escaped, one] {
            let Ok(Value::Object(_)) = serde_json::from_str(&json) else { continue };
            let redacted = redactor.json(json.as_bytes()).unwrap_or_else(|| panic!("{rule} in {json}"));
            let value: Value = serde_json::from_slice(&redacted.text).expect("still JSON");
            let text = value["text"].as_str().expect("a text");
            assert!(!text.contains(&secret) && text.contains("[redacted:"), "{rule} in {json}: {text}");
        }
    }
}

#[test]
fn a_secret_is_found_as_a_key_and_however_deep() {
    let redactor = redactor();
    let token = made_of("ghp_{A36}", &mut StdRng::seed_from_u64(1));
    let value = json!({"a": [[{"b": {token.clone(): [1, {"c": format!("x {token} y")}]}}]]});
    let expected = json!({"a": [[{"b": {"[redacted:github-token]": [1, {"c": "x [redacted:github-token] y"}]}}]]});
    assert_eq!(redacted(redactor, &value), expected);
}

#[test]
fn fields_are_known_by_their_names() {
    let mark = "[redacted:named-secret]";
    for (value, expected) in [
        (json!({"password": "x y z"}), json!({"password": mark})),
        (json!({"DB-Password": "hunter"}), json!({"DB-Password": mark})),
        (json!({"Authorization": "Bearer abc"}), json!({"Authorization": mark})),
        (json!({"Cookie": "a=b"}), json!({"Cookie": mark})),
        (
            json!({"max_tokens": 4096, "inputTokens": 3, "password": 12}),
            json!({"max_tokens": 4096, "inputTokens": 3, "password": 12}),
        ),
        (json!({"next_page_token": "abc123def456"}), json!({"next_page_token": "abc123def456"})),
        (
            json!({"idempotency_key": "0190c6a4-7c1e-7000-8000-5f3a9c1e0001"}),
            json!({"idempotency_key": "0190c6a4-7c1e-7000-8000-5f3a9c1e0001"}),
        ),
        (json!({"token": " hello", "logprob": -0.1}), json!({"token": " hello", "logprob": -0.1})),
        (json!({"token": "a1b2c3d4e5"}), json!({"token": mark})),
        (json!({"name": "Authorization", "value": "Bearer x1"}), json!({"name": "Authorization", "value": mark})),
        (json!({"value": "hunter", "name": "DB_PASSWORD"}), json!({"value": mark, "name": "DB_PASSWORD"})),
        (
            json!({"headers": [["Authorization", "Bearer abc"], ["Accept", "text/html"]]}),
            json!({"headers": [["Authorization", mark], ["Accept", "text/html"]]}),
        ),
        (json!(["curl", "--password", "hunter", "x"]), json!(["curl", "--password", mark, "x"])),
        (json!(["user", "password", "email"]), json!(["user", "password", "email"])),
        (json!({"passwords": {"password": ["a12", "b34"]}}), json!({"passwords": {"password": [mark, mark]}})),
        (
            json!({"properties": {"password": {"type": "string", "description": "The password", "minLength": 8}}}),
            json!({"properties": {"password": {"type": "string", "description": "The password", "minLength": 8}}}),
        ),
        (json!({"password": "", "secret": "${{ secrets.X }}"}), json!({"password": "", "secret": "${{ secrets.X }}"})),
        (json!({"pwd": "/home/me", "token_type": "bearer"}), json!({"pwd": "/home/me", "token_type": "bearer"})),
    ] {
        assert_eq!(redacted(redactor(), &value), expected);
    }
}

#[test]
fn untouched_bytes_are_the_same() {
    let json = "{ \"a\" :1.50,\"t\":\"\\u00e9 \\/ PASSWORD=hunter2 \\ud83d\\ude00\\n\" ,\"\\u0070assword\": \"x\\\"yz\"  , \"b\":[ true ]}";
    let redacted = redactor().json(json.as_bytes()).expect("secrets");
    let expected = "{ \"a\" :1.50,\"t\":\"\\u00e9 \\/ PASSWORD=[redacted:named-secret] \\ud83d\\ude00\\n\" ,\"\\u0070assword\": \"[redacted:named-secret]\"  , \"b\":[ true ]}";
    assert_eq!(String::from_utf8(redacted.text).expect("UTF-8"), expected);
}

#[test]
fn what_cannot_be_looked_at_is_replaced() {
    let options = RedactOptions { max_depth: 2, max_text: 40, ..RedactOptions::default() };
    let redactor = Redactor::new(&options).expect("the rules compile");
    let long = format!("PASSWORD=hunter2 {}", "x".repeat(40));
    let value = json!({"a": {"b": {"c": "PASSWORD=hunter2"}, "d": [1]}, "e": long, "f": "y".repeat(50)});
    let expected =
        json!({"a": {"b": "[redacted:too-deep]", "d": "[redacted:too-deep]"}, "e": "[redacted:too-big]", "f": "y".repeat(50)});
    assert_eq!(redacted(&redactor, &value), expected);
    assert_eq!(redactor.text(&long).map(|found| found.text).as_deref(), Some("[redacted:too-big]"));
}

#[test]
fn a_long_secret_goes_whole_and_no_text_is_slow() {
    let long = "a1B2".repeat(10_000);
    for text in [format!("API_KEY={long} x"), format!("api_key: \"{long}\" x")] {
        let redacted = redactor().text(&text).expect("a secret");
        assert!(redacted.text.len() < 60 && redacted.text.ends_with(" x"), "{}", redacted.text);
    }
    // Each of these looks like the beginning of something at every few bytes; a pass over all for each would take minutes.
    let began = std::time::Instant::now();
    for piece in [
        "token=",
        "\"token\":\"",
        "Authorization: Bearer ",
        "://a:",
        "cookie: ",
        "--password ",
        "-----BEGIN PRIVATE KEY-----\n",
        "eyJhbGci.",
        "key=key",
    ] {
        let text = piece.repeat((64 << 10) / piece.len());
        let _ = redactor().text(&text);
        let _ = redactor().json(json!({"text": text}).to_string().as_bytes());
    }
    assert!(began.elapsed() < std::time::Duration::from_secs(60), "{:?}", began.elapsed());
}

#[test]
fn no_marker_is_cut() {
    let after = redactor().text("password=--hunter2password://a:").map(|redacted| redacted.text);
    assert_eq!(after.as_deref(), Some("password=[redacted:named-secret]"));
}

#[test]
fn a_rule_can_be_switched_off_and_a_wrong_id_is_said() {
    let off = |id: &str| Redactor::new(&RedactOptions { disable: vec![id.to_owned()], ..RedactOptions::default() });
    assert!(off("named-secret").expect("it is there").text("PASSWORD=hunter2").is_none());
    assert!(off("nonsense").is_err_and(|error| error.to_string().contains("nonsense")));
}

/// Every file of the innocent corpus, with its name.
fn corpus() -> Vec<(String, String)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/innocent");
    let files = std::fs::read_dir(folder).expect("the corpus is there");
    let read = |path: PathBuf| (path.display().to_string(), std::fs::read_to_string(&path).expect("UTF-8"));
    files.map(|file| read(file.expect("readable").path())).collect()
}

#[test]
fn innocent_text_is_left_alone() {
    let redactor = redactor();
    let (mut changed, mut lines, mut bytes) = (Vec::new(), 0, 0);
    for (name, text) in corpus() {
        let whole = redactor.text(&text);
        let found = |rules: &[usize]| rules.iter().map(|rule| redactor.id(*rule)).collect::<Vec<_>>().join(", ");
        if let Some(whole) = whole {
            changed.push(format!("{name} as a whole: {}", found(&whole.rules)));
        }
        for (number, line) in text.lines().enumerate() {
            (lines, bytes) = (lines + 1, bytes + line.len());
            if let Some(redacted) = redactor.text(line) {
                changed.push(format!("{name}:{}: {}\n    {line}\n    {}", number + 1, found(&redacted.rules), redacted.text));
            }
            let is_json = serde_json::from_str::<Value>(line).is_ok();
            if is_json && let Some(redacted) = redactor.json(line.as_bytes()) {
                changed.push(format!("{name}:{} as JSON: {}\n    {line}", number + 1, found(&redacted.rules)));
            }
        }
    }
    println!("{} of {lines} lines ({bytes} bytes) changed", changed.len());
    assert!(3_000 < lines, "the corpus has {lines} lines");
    assert!(changed.is_empty(), "{} changed:\n{}", changed.len(), changed[..changed.len().min(40)].join("\n"));
}

/// Any JSON, with secrets and half secrets here and there.
fn any_json() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        any::<String>(),
        "[a-z\"'\\\\:= \\n\u{1b}\\[;é€😀/@-]{0,40}",
        (0..SAMPLES.len(), any::<u64>(), ".{0,10}", ".{0,10}").prop_map(|(which, seed, before, after)| {
            let text = made_of(SAMPLES[which].1, &mut StdRng::seed_from_u64(seed)).replace(['«', '»'], "");
            format!("{before}{text}{after}")
        }),
        "(password|token|Authorization|key|name|value|\\[redacted:jwt\\]|Bearer |--|://a:|@| |=|: |\"|'|hunter2){0,12}",
    ];
    let key = prop_oneof![text.clone(), "(password|token|authorization|name|value|key|cookie|a)"];
    let leaf = prop_oneof![
        text.prop_map(Value::String),
        any::<i64>().prop_map(Value::from),
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool)
    ];
    leaf.prop_recursive(4, 24, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            prop::collection::vec((key.clone(), inner), 0..6).prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn what_comes_out_is_json_of_the_same_shape_and_comes_out_again(value in any_json()) {
        let redactor = redactor();
        let text = value.to_string();
        let Some(once) = redactor.json(text.as_bytes()) else { return Ok(()) };
        prop_assert!(!once.rules.is_empty());
        let after: Value = serde_json::from_slice(&once.text).expect("still JSON");
        prop_assert!(same_shape(&value, &after), "{value} {after}");
        let twice = redactor.json(&once.text).map(|twice| String::from_utf8_lossy(&twice.text).into_owned());
        prop_assert_eq!(twice, None, "{} {}", value, after);
    }

    #[test]
    fn between_its_markers_a_text_is_as_it_was(value in any_json()) {
        let text = value.to_string();
        let Some(once) = redactor().json(text.as_bytes()) else { return Ok(()) };
        let after = String::from_utf8(once.text).expect("UTF-8");
        prop_assert!(is_what_is_left(&text, &after), "{text}\n{after}");
    }

    #[test]
    fn any_bytes_at_all_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "[\\[{\"\\\\u0-9a-z:,password}\\]]{0,60}") {
        let redactor = redactor();
        let _ = redactor.json(&bytes);
        let _ = redactor.json(format!("{{\"password\":{text}").as_bytes());
        let _ = redactor.text(&text);
    }

    #[test]
    fn the_prefilter_passes_nothing_that_the_rules_would_find(value in any_json()) {
        let redactor = redactor();
        let text = value.to_string();
        if redactor.json(text.as_bytes()).is_none() {
            prop_assert!(walk::edits(redactor, text.as_bytes()).is_empty(), "{text}");
        }
    }
}

fn same_shape(before: &Value, after: &Value) -> bool {
    match (before, after) {
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_shape(a, b)),
        // Keys that were secrets may fall together.
        (Value::Object(a), Value::Object(b)) => {
            b.len() <= a.len() && b.iter().all(|(key, b)| a.get(key).is_none_or(|a| same_shape(a, b)))
        }
        (Value::String(_), Value::String(_)) => true,
        (a, b) => a == b,
    }
}

/// Whether `after` is `before` with some parts replaced by markers.
fn is_what_is_left(before: &str, after: &str) -> bool {
    let mut rest = before;
    let mut pieces = Vec::new();
    let mut left = after;
    while let Some(at) = left.find("[redacted:") {
        let end = at + left[at..].find(']').expect("a marker ends") + 1;
        pieces.push(&left[..at]);
        left = &left[end..];
    }
    pieces.push(left);
    let last = pieces.pop().expect("one at least");
    pieces.iter().all(|piece| match rest.find(piece) {
        Some(at) => {
            rest = &rest[at + piece.len()..];
            true
        }
        None => false,
    }) && rest.ends_with(last)
}
