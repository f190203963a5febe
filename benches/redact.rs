//! How fast secrets are looked for: in what is clean, in what nearly always is, and in what holds some. `cargo bench --bench redact`

use std::sync::LazyLock;

use bytes::Bytes;
use divan::{Bencher, black_box, counter::BytesCount};
use serde_json::json;
use tasklight::{
    ingest::{IngestLimits, parse_body},
    model::{JsonLimits, TaskId, Timestamp},
    redact::{Carry, CarryLimits, RedactOptions, Redactor},
};

static REDACTOR: LazyLock<Redactor> = LazyLock::new(|| Redactor::new(&RedactOptions::default()).expect("the rules compile"));

fn main() {
    divan::main();
}

/// An activity of this many bytes, made of what agents print.
fn activity(bytes: usize, middle: &str) -> String {
    let words =
        "Compiling tasklight v0.1.0; running 12 tests in src/model: ok. The quick brown fox jumps over the lazy dog, 42 times. ";
    let text: String = words.chars().cycle().take(bytes.saturating_sub(90 + middle.len())).collect();
    let (first, last) = text.split_at(text.len() / 2);
    json!({"invocationId": "run-7", "type": "message", "data": {"role": "assistant", "text": format!("{first}{middle}{last}")}})
        .to_string()
}

#[divan::bench(args = [300, 4096, 65536])]
fn clean(bencher: Bencher<'_, '_>, bytes: usize) {
    let text = activity(bytes, "");
    bencher.counter(BytesCount::of_str(&text)).bench(|| REDACTOR.json(black_box(text.as_bytes())));
}

/// Words such as token and key, as in counts of tokens, in clean text.
#[divan::bench(args = [300, 65536])]
fn clean_with_words(bencher: Bencher<'_, '_>, bytes: usize) {
    let text =
        activity(bytes, r#""input_tokens": 1234, "key": "value", see https://example.org/a?b=c, task-1, max_tokens: 12. "#);
    bencher.counter(BytesCount::of_str(&text)).bench(|| REDACTOR.json(black_box(text.as_bytes())));
}

#[divan::bench(args = [300, 65536])]
fn suspect_but_clean(bencher: Bencher<'_, '_>, bytes: usize) {
    let text = activity(bytes, "the password: it must be long, \u{1b} ");
    bencher.counter(BytesCount::of_str(&text)).bench(|| REDACTOR.json(black_box(text.as_bytes())));
}

#[divan::bench(args = [300, 65536])]
fn with_a_secret(bencher: Bencher<'_, '_>, bytes: usize) {
    let text = activity(bytes, "export DB_PASSWORD=hunter2-hunter2; done ");
    bencher.counter(BytesCount::of_str(&text)).bench(|| REDACTOR.json(black_box(text.as_bytes())));
}

/// Output that ends in the middle of a line, so that its end is kept and looked at again.
#[divan::bench(args = [300])]
fn output_in_pieces(bencher: Bencher<'_, '_>, bytes: usize) {
    let data = json!({"stream": "stdout", "text": "x".repeat(bytes - 40)}).to_string();
    let carry = Carry::new(CarryLimits { streams: 1_000, bytes: 1_024 });
    bencher
        .counter(BytesCount::of_str(&data))
        .bench(|| REDACTOR.payload(black_box(data.as_bytes()), true, || "t\nr".to_owned(), &carry));
}

/// What ingest does with one activity: parse, validate, and look for secrets.
#[divan::bench(args = [300, 65536])]
fn parse_and_redact(bencher: Bencher<'_, '_>, bytes: usize) {
    let body = Bytes::from(activity(bytes, ""));
    let task: TaskId = "build-42".parse().expect("an id");
    let json = JsonLimits { depth: 64, number_chars: 64 };
    let limits = IngestLimits { activity_bytes: 1 << 17, request_activities: 1, request_bytes: 1 << 18, json };
    bencher.counter(BytesCount::of_slice(&body)).bench(|| {
        let parsed = parse_body(black_box(&body), &task, Timestamp::default(), &limits).expect("a body");
        (parsed, REDACTOR.json(&body))
    });
}

#[divan::bench]
fn compile_the_rules() -> Redactor {
    Redactor::new(&RedactOptions::default()).expect("the rules compile")
}
