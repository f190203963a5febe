//! Every transcript through its parser: what is expected of each stands beside it in a `.expected` file. To renew them after a change, and
//! look at the difference: `TASKLIGHT_RENEW=1 cargo test --lib formats` and `git diff tests/fixtures`.

use std::{collections::BTreeSet, fmt::Write, path::PathBuf};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::model::EventId;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/agents")
}

/// The transcripts, by the format that their folder names.
fn transcripts() -> Vec<(Format, PathBuf)> {
    let mut all = Vec::new();
    for folder in std::fs::read_dir(folder()).expect("the fixtures") {
        let folder = folder.expect("readable").path();
        let name = folder.file_name().and_then(|name| name.to_str()).expect("UTF-8").to_owned();
        let Ok(format) = name.trim_end_matches("-old").parse::<Format>() else { continue };
        let files = std::fs::read_dir(&folder).expect("a folder").map(|file| file.expect("readable").path());
        let is_transcript = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "jsonl" || ending == "ndjson");
        all.extend(files.filter(is_transcript).map(|path| (format, path)));
    }
    all.sort();
    all
}

fn invocation() -> InvocationId {
    "run-1".parse().expect("valid")
}

/// What bytes, read in these chunks, say.
fn said<'a>(choice: Choice, chunks: impl IntoIterator<Item = &'a [u8]>) -> (Transcript, Vec<Said>) {
    let (mut transcript, mut said) = (Transcript::new(choice, invocation()), Vec::new());
    for chunk in chunks {
        transcript.push(chunk, &mut said);
    }
    transcript.finish(&mut said);
    (transcript, said)
}

fn drafts(format: Format, bytes: &[u8]) -> (Transcript, Vec<Draft>) {
    let (transcript, said) = said(Choice::Known(format), [bytes]);
    let draft = |said| match said {
        Said::Draft(draft) => draft,
        other => panic!("{other:?}"),
    };
    (transcript, said.into_iter().map(draft).collect())
}

/// Long strings by their beginning and length, so that what is expected can be read.
fn abridged(value: &Value) -> Value {
    const MOST: usize = 200;
    match value {
        Value::String(text) if MOST < text.chars().count() => {
            format!("{}… ({} characters)", text.chars().take(MOST / 2).collect::<String>(), text.chars().count()).into()
        }
        Value::Array(items) => items.iter().map(abridged).collect(),
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), abridged(value))).collect::<Map<_, _>>().into(),
        other => other.clone(),
    }
}

fn described(transcript: &Transcript, drafts: &[Draft]) -> String {
    let mut text = String::new();
    for Draft { kind, data, time, place, .. } in drafts {
        let place = match place {
            Place::Line(line, block) => format!("{line}.{block}"),
            Place::End(_, block) => format!("end.{block}"),
        };
        let time = time.map(|time| format!(" @{}", time.as_millis())).unwrap_or_default();
        writeln!(text, "{place}{time} {kind} {}", abridged(&Value::Object(data.clone()))).expect("memory");
    }
    let reader = transcript.reader().expect("a format");
    let tally = reader.tally();
    writeln!(text, "---\nversion: {:?}\nevidence: {:?}", reader.version(), reader.evidence()).expect("memory");
    writeln!(text, "lines: {}, told: {}, text: {}", tally.lines, tally.told, tally.text).expect("memory");
    writeln!(text, "silent: {:?}\nunknown: {:?}", tally.silent, tally.unknown).expect("memory");
    text
}

#[test]
fn every_transcript_says_what_is_expected() {
    let renew = std::env::var_os("TASKLIGHT_RENEW").is_some();
    let all = transcripts();
    assert!(30 <= all.len(), "{} transcripts", all.len());
    for (format, path) in all {
        let bytes = std::fs::read(&path).expect("readable");
        let (transcript, drafts) = drafts(format, &bytes);
        let (text, expected) = (described(&transcript, &drafts), path.with_extension("expected"));
        if renew {
            std::fs::write(&expected, &text).expect("written");
        }
        let before = std::fs::read_to_string(&expected).unwrap_or_default();
        assert!(text == before, "{}: TASKLIGHT_RENEW=1 renews what is expected\n{text}", path.display());
    }
}

#[test]
fn every_line_is_accounted_for_and_every_activity_fits_and_has_an_id_of_its_own() {
    for (format, path) in transcripts() {
        let bytes = std::fs::read(&path).expect("readable");
        let (transcript, drafts) = drafts(format, &bytes);
        let tally = transcript.reader().expect("a format").tally();
        let name = path.display();
        assert!(tally.is_complete(), "{name}: {tally:?}");
        let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count();
        assert_eq!((tally.lines, tally.activities.values().sum()), (lines as u64, drafts.len() as u64), "{name}");
        assert_eq!((tally.too_long, tally.unknown_lines()), (0, 0), "{name}: all of it is known");
        let ids: BTreeSet<EventId> = drafts.iter().map(|draft| draft.event_id(&invocation())).collect();
        assert_eq!(ids.len(), drafts.len(), "{name}");
        for draft in &drafts {
            let text = serde_json::to_string(&draft.data).expect("JSON");
            assert!(fit(text).len() <= DATA_BYTES, "{name}");
        }
    }
}

#[test]
fn every_result_has_its_call_before_it_and_every_piece_its_whole_after_it() {
    for (format, path) in transcripts() {
        let (_, drafts) = drafts(format, &std::fs::read(&path).expect("readable"));
        let (mut open, mut series) = (BTreeSet::new(), BTreeSet::new());
        for Draft { kind, data, .. } in &drafts {
            let id = data.get("toolCallId").map(Value::to_string);
            match (kind, id) {
                (ActivityType::ToolCall, Some(id)) => assert!(open.insert(id), "{}: called twice", path.display()),
                (ActivityType::ToolResult, Some(id)) => assert!(open.remove(&id), "{}: no call of {id}", path.display()),
                _ => {}
            }
            if let Some(id) = data.get("seriesId").map(Value::to_string) {
                match data.get("final") {
                    Some(_) => assert!(series.remove(&id), "{}: no pieces of {id}", path.display()),
                    None => _ = series.insert(id),
                }
            }
        }
        assert!(series.is_empty(), "{}: {series:?} never end", path.display());
    }
}

#[test]
fn usage_agrees_with_the_agents_own_last_figure() {
    for (file, format, input, output, cost) in [
        ("claude/subagent_explore_count_files.jsonl", Format::Claude, 577 + 48_317 + 15_105, 710, Some(0.076_316_3)),
        ("claude/remotecoder_permission_turn_cli2.1.186_partials.jsonl", Format::Claude, 54_588, 252, Some(0.165_912)),
        ("codex/fullsend_basic_run_0.152.1.ndjson", Format::Codex, 41_320, 295, None),
        ("gemini/untether_gemini_stream_success.jsonl", Format::Gemini, 100, 50, None),
        ("opencode/takopi_opencode_stream_success.jsonl", Format::Opencode, 21_772 + 671 + 21_415, 118, Some(0.001)),
        ("cursor/vincent_tools_2026.08.11.jsonl", Format::Cursor, 17_161, 216, None),
        ("claude/made_background.jsonl", Format::Claude, 30, 13, Some(0.0366)),
        ("gemini/made_deltas.jsonl", Format::Gemini, 11_598, 187, None),
        ("goose/made_run.jsonl", Format::Goose, 10, 5, None),
        ("amp/untether_amp_stream_success.jsonl", Format::Amp, 50, 30, None),
    ] {
        let (_, drafts) = drafts(format, &std::fs::read(folder().join(file)).expect("readable"));
        let last = drafts.iter().rfind(|draft| draft.kind == ActivityType::Usage).expect("usage");
        let figures = (last.data["inputTokens"].as_u64(), last.data["outputTokens"].as_u64());
        assert_eq!(figures, (Some(input), Some(output)), "{file}");
        assert_eq!(last.data.get("costUsd").and_then(Value::as_f64), cost, "{file}");
    }
}

#[test]
fn each_transcript_gives_its_format_away() {
    for (format, path) in transcripts() {
        // One has no mark of its own, the other begins in the middle.
        if format == Format::Jsonl || path.file_name().is_some_and(|name| name == "frame_tool_result_multi_text.jsonl") {
            continue;
        }
        let (transcript, said) = said(Choice::Auto, [std::fs::read(&path).expect("readable").as_slice()]);
        let found = transcript.reader().map(Reader::format);
        assert_eq!(found, Some(format), "{}", path.display());
        // What was sent to the agent, and the old form's first lines, say nothing.
        let begins_late =
            ["remotecoder", "codex-old", "goose", "gemini"].iter().any(|part| path.to_string_lossy().contains(part));
        let has_text = said.iter().any(|said| matches!(said, Said::Text(_)));
        assert!(begins_late || !has_text, "{}", path.display());
    }
}

/// What was said, however it was cut: text joined, activities as they are.
fn joined(said: Vec<Said>) -> Vec<Said> {
    let mut all: Vec<Said> = Vec::new();
    for one in said {
        match (all.last_mut(), one) {
            (Some(Said::Text(before)), Said::Text(more)) => before.extend(more),
            (_, one) => all.push(one),
        }
    }
    all
}

/// Transcripts whole and in parts, with text, garbage and broken lines between.
fn streams() -> impl Strategy<Value = (Choice, Vec<u8>)> {
    let all: Vec<(Format, Vec<u8>)> =
        transcripts().into_iter().map(|(format, path)| (format, std::fs::read(path).expect("readable"))).collect();
    let lines: Vec<Vec<u8>> =
        all.iter().flat_map(|(_, bytes)| bytes.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec)).collect();
    let part = prop_oneof![
        8 => prop::sample::select(lines),
        1 => any::<Vec<u8>>(),
        1 => Just("notice 😀\u{2028}{\"type\":\"message\",\"x\":\"\u{2028}\"}\r\n".as_bytes().to_vec()),
        1 => Just(b"{\"type\":\"half".to_vec()),
        1 => Just(b"\n\r\n  \n".to_vec()),
    ];
    let format = prop::sample::select(Format::ALL.to_vec());
    let choice = prop_oneof![2 => format.prop_map(Choice::Known), 1 => Just(Choice::Auto)];
    (choice, prop::collection::vec(part, 0..40).prop_map(|parts| parts.concat()))
}

/// Found by chance: a result that comes before its call, and an id that is used again. What is told of the second would be taken for the first.
#[test]
fn an_id_of_a_tool_that_is_used_again_is_told_again() {
    let call = |command: &str| {
        json!({"type": "assistant", "message": {"role": "assistant", "content":
            [{"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {"command": command}}]}})
    };
    let result = |output: &str| {
        json!({"type": "user", "message": {"role": "user", "content":
            [{"type": "tool_result", "tool_use_id": "toolu_1", "content": output}]}})
    };
    let lines = [result("early"), call("one"), result("1"), call("two"), result("2")].map(|line| format!("{line}\n")).concat();
    let (_, drafts) = drafts(Format::Claude, lines.as_bytes());
    let tools: Vec<_> =
        drafts.iter().filter(|draft| matches!(draft.kind, ActivityType::ToolCall | ActivityType::ToolResult)).collect();
    let ids: BTreeSet<EventId> = tools.iter().map(|draft| draft.event_id(&invocation())).collect();
    assert_eq!((tools.len(), ids.len()), (6, 6), "{tools:#?}");
    assert_eq!(
        tools[0].event_id(&invocation()),
        tool_event_id("run-1:toolu_1", "tool_call"),
        "the first is still what hooks tell"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_cuts_of_reading_do_not_show((choice, bytes) in streams(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12)) {
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        at.extend([0, bytes.len()]);
        at.sort_unstable();
        let (whole, expected) = said(choice, [bytes.as_slice()]);
        let (cut, split) = said(choice, at.windows(2).map(|pair| &bytes[pair[0]..pair[1]]));
        prop_assert_eq!(joined(split), joined(expected));
        prop_assert_eq!(cut.reader().map(Reader::tally), whole.reader().map(Reader::tally));
        if let Some(reader) = whole.reader() {
            let tally = reader.tally();
            prop_assert!(tally.lines == 0 || matches!(choice, Choice::Auto) || tally.is_complete(), "{:?}", tally);
        }
    }

    #[test]
    fn byte_by_byte_is_the_same(index in any::<prop::sample::Index>()) {
        let all = transcripts();
        let (format, path) = &all[index.index(all.len())];
        let bytes = std::fs::read(path).expect("readable");
        let (_, whole) = said(Choice::Auto, [bytes.as_slice()]);
        let (_, bit_by_bit) = said(Choice::Auto, bytes.chunks(1));
        prop_assert_eq!(joined(bit_by_bit), joined(whole), "{}", format);
    }

    #[test]
    fn whatever_stands_in_a_line_is_accounted_for(
        format in prop::sample::select(Format::ALL[1..].to_vec()),
        picks in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..8_usize), 1..60),
    ) {
        let mut text = String::new();
        let lines = json_lines();
        for (line, node, with) in picks {
            let mut value = lines[line.index(lines.len())].clone();
            replace(&mut value, node, with);
            text.push_str(&value.to_string());
            text.push('\n');
        }
        let (transcript, drafts) = drafts(format, text.as_bytes());
        let tally = transcript.reader().expect("a format").tally();
        prop_assert!(tally.is_complete(), "{:?}", tally);
        let ids: BTreeSet<EventId> = drafts.iter().map(|draft| draft.event_id(&invocation())).collect();
        prop_assert_eq!(ids.len(), drafts.len());
        for draft in drafts {
            prop_assert!(draft.kind != ActivityType::Status);
            prop_assert!(fit(serde_json::to_string(&draft.data).expect("JSON")).len() <= DATA_BYTES);
        }
    }
}

fn json_lines() -> Vec<Value> {
    let texts = transcripts().into_iter().map(|(_, path)| std::fs::read_to_string(path).expect("UTF-8"));
    texts.flat_map(|text| text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect::<Vec<_>>()).collect()
}

/// Puts something else in the place of one of the values within `value`.
fn replace(value: &mut Value, node: prop::sample::Index, with: usize) {
    fn visit(value: &mut Value, left: &mut usize, other: &Value) {
        if *left == 0 {
            *value = other.clone();
        }
        *left = left.wrapping_sub(1);
        match value {
            Value::Array(items) => items.iter_mut().for_each(|item| visit(item, left, other)),
            Value::Object(fields) => fields.values_mut().for_each(|field| visit(field, left, other)),
            _ => {}
        }
    }
    fn nodes(value: &Value) -> usize {
        1 + match value {
            Value::Array(items) => items.iter().map(nodes).sum(),
            Value::Object(fields) => fields.values().map(nodes).sum(),
            _ => 0,
        }
    }
    let others = serde_json::json!([null, true, u64::MAX, -1.5, "text", "", [1, {"type": "text"}], {"a": {"b": []}}]);
    visit(value, &mut node.index(nodes(value)), &others[with]);
}
