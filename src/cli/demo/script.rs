//! The story of one run, an activity at a time. Pure: the same chances tell the same story.

use std::collections::VecDeque;

use rand::{Rng, RngExt, rngs::StdRng};
use serde_json::{Value, json};

use super::words;

/// How a run ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    Completed,
    Failed,
    Cancelled,
    /// It falls silent in the middle, and goes on much later.
    Stalls,
    /// It is never heard of again.
    Dies,
}

/// What happens next.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Beat {
    /// This is published: a type and its data.
    Activity(&'static str, Value),
    /// Nothing for a long time.
    Silence,
}

/// A run that is being told.
#[derive(Debug)]
pub(super) struct Script {
    rng: StdRng,
    invocation: String,
    pub ending: Ending,
    /// What is told next, as far as it is made up.
    next: VecDeque<Beat>,
    /// How many things it still does, of how many.
    left: u32,
    all: u32,
    calls: u32,
    series: u32,
    tokens: (u64, u64),
    secrets: bool,
    done: bool,
}

impl Script {
    /// A new story.
    pub(super) fn new(mut rng: StdRng, invocation: &str, secrets: bool) -> Self {
        let ending = match rng.random_range(0..100) {
            0..70 => Ending::Completed,
            70..82 => Ending::Failed,
            82..87 => Ending::Cancelled,
            87..94 => Ending::Stalls,
            _ => Ending::Dies,
        };
        let all = rng.random_range(4..14);
        let (agent, prompt) = (pick(&mut rng, &words::AGENTS), pick(&mut rng, &words::PROMPTS));
        let begin = Beat::Activity("status", json!({"status": "running", "agent": agent, "title": prompt}));
        let asked = Beat::Activity("message", json!({"role": "user", "text": prompt}));
        let (invocation, next) = (invocation.to_owned(), VecDeque::from([begin, asked]));
        Self { rng, invocation, ending, next, left: all, all, calls: 0, series: 0, tokens: (0, 0), secrets, done: false }
    }

    /// The next beat; nothing once the story is over, or its agent is dead.
    pub(super) fn next(&mut self) -> Option<Beat> {
        while self.next.is_empty() && !self.done {
            self.make_up();
        }
        self.next.pop_front()
    }

    /// Whether everything was told.
    pub(super) fn is_over(&self) -> bool {
        self.done && self.next.is_empty()
    }

    fn make_up(&mut self) {
        if self.left == 0 {
            return self.end();
        }
        self.left -= 1;
        if self.left == self.all / 2 {
            match self.ending {
                Ending::Stalls => self.next.push_back(Beat::Silence),
                Ending::Dies => {
                    let command = self.pick(&words::COMMANDS);
                    self.call("bash", json!({"command": command}));
                    self.done = true;
                    return;
                }
                _ => {}
            }
        }
        match self.rng.random_range(0..12) {
            0 | 1 => {
                let text = self.pick(&words::THOUGHTS);
                self.tell("thinking", json!({"text": text}));
            }
            2 | 3 => self.stream(),
            4..=6 => self.command(),
            7 => self.edit(),
            8 => self.read(),
            9 => self.remark(),
            10 => self.trouble(),
            _ => self.print(),
        }
        let (done, all) = (self.all - self.left, self.all);
        self.tell("progress", json!({"current": done, "total": all, "text": format!("step {done} of {all}")}));
        self.tokens.0 += self.rng.random_range(800..6_000);
        self.tokens.1 += self.rng.random_range(40..900);
        let (input, output) = self.tokens;
        #[expect(clippy::cast_precision_loss, reason = "tokens of a demo are few")]
        let cost = (input as f64 * 3e-6 + output as f64 * 15e-6).mul_add(1e4, 0.5).floor() / 1e4;
        self.tell("usage", json!({"inputTokens": input, "outputTokens": output, "costUsd": cost}));
    }

    fn end(&mut self) {
        self.done = true;
        match self.ending {
            Ending::Failed => {
                let code = self.rng.random_range(1..3);
                self.tell("error", json!({"message": "2 tests failed", "code": "tests_failed"}));
                self.tell("status", json!({"status": "failed", "exitCode": code, "reason": "2 tests failed"}));
            }
            Ending::Cancelled => self.tell("status", json!({"status": "cancelled", "reason": "stopped by its user"})),
            Ending::Dies => {}
            Ending::Completed | Ending::Stalls => {
                self.remark();
                self.tell("status", json!({"status": "completed", "exitCode": 0}));
            }
        }
    }

    fn tell(&mut self, kind: &'static str, data: Value) {
        self.next.push_back(Beat::Activity(kind, data));
    }

    fn remark(&mut self) {
        let text = self.pick(&words::REMARKS);
        self.tell("message", json!({"role": "assistant", "text": text}));
    }

    fn pick(&mut self, words: &[&'static str]) -> &'static str {
        pick(&mut self.rng, words)
    }

    /// A call, and its id.
    fn call(&mut self, name: &str, input: Value) -> String {
        self.calls += 1;
        let id = format!("{}:call-{}", self.invocation, self.calls);
        self.tell("tool_call", json!({"toolCallId": id, "name": name, "input": input}));
        id
    }

    fn command(&mut self) {
        let command = self.pick(&words::COMMANDS);
        let id = self.call("bash", json!({"command": command}));
        let lines = self.rng.random_range(2..14);
        let text = words::output(&mut self.rng, lines);
        let failed = text.contains("FAILED");
        let mut data = json!({"toolCallId": id, "output": text});
        if failed {
            data["isError"] = json!(true);
        }
        self.tell("tool_result", data);
    }

    fn edit(&mut self) {
        let diff = words::diff(&mut self.rng);
        let file = self.pick(&words::FILES);
        let id = self.call("edit", json!({"path": file}));
        self.tell("tool_result", json!({"toolCallId": id, "output": diff}));
    }

    fn read(&mut self) {
        let file = self.pick(&words::FILES);
        let id = self.call("read", json!({"path": file}));
        let missing = self.rng.random_range(0..5) == 0;
        let data = match missing {
            true => json!({"toolCallId": id, "output": format!("{file}: no such file"), "isError": true}),
            false => {
                json!({"toolCallId": id, "output": format!("// {file}\npub const MOST: usize = {};\n", self.rng.random_range(1..999))})
            }
        };
        self.tell("tool_result", data);
    }

    /// Output in pieces, as a process prints it.
    fn print(&mut self) {
        for _ in 0..self.rng.random_range(1..4) {
            let lines = self.rng.random_range(1..8);
            let mut text = words::output(&mut self.rng, lines);
            if self.secrets {
                text.push_str(&words::secret(&mut self.rng));
            }
            let stream = if self.rng.random_range(0..4) == 0 { "stderr" } else { "stdout" };
            self.tell("output", json!({"stream": stream, "text": text}));
        }
    }

    fn trouble(&mut self) {
        let n = self.rng.random_range(1..5);
        self.tell("error", json!({"message": format!("the API is overloaded, trying again in {n} s"), "code": "overloaded"}));
    }

    /// Text as it is written, then the whole.
    fn stream(&mut self) {
        self.series += 1;
        let (text, id) = (self.pick(&words::REMARKS), format!("text-{}", self.series));
        for piece in text.split_inclusive(' ').collect::<Vec<_>>().chunks(3) {
            self.tell("message", json!({"role": "assistant", "seriesId": id, "delta": true, "text": piece.concat()}));
        }
        self.tell("message", json!({"role": "assistant", "seriesId": id, "final": true, "text": text}));
    }
}

fn pick(rng: &mut impl Rng, words: &[&'static str]) -> &'static str {
    words[rng.random_range(0..words.len())]
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::redact::{RedactOptions, Redactor};

    fn story(seed: u64, secrets: bool) -> (Ending, Vec<Beat>) {
        let mut script = Script::new(StdRng::seed_from_u64(seed), "r", secrets);
        let mut beats = Vec::new();
        while let Some(beat) = script.next() {
            beats.push(beat);
        }
        (script.ending, beats)
    }

    #[test]
    fn stories_are_whole_and_the_same_for_the_same_seed() {
        let mut endings = Vec::new();
        for seed in 0..300 {
            let (ending, beats) = story(seed, false);
            assert_eq!((ending, &beats), (story(seed, false).0, &story(seed, false).1));
            let ids = |wanted: &str| -> Vec<String> {
                let of = |beat: &Beat| match beat {
                    Beat::Activity(kind, data) if *kind == wanted => data["toolCallId"].as_str().map(str::to_owned),
                    _ => None,
                };
                beats.iter().filter_map(of).collect()
            };
            let (mut calls, results) = (ids("tool_call"), ids("tool_result"));
            if ending == Ending::Dies {
                assert!(calls.pop().is_some(), "it dies in a call");
            }
            assert_eq!(calls, results);
            let last = match beats.last() {
                Some(Beat::Activity("status", data)) => data["status"].as_str().unwrap_or_default(),
                _ => "",
            };
            let expected = match ending {
                Ending::Completed | Ending::Stalls => "completed",
                Ending::Failed => "failed",
                Ending::Cancelled => "cancelled",
                Ending::Dies => "",
            };
            assert_eq!((last, beats.contains(&Beat::Silence)), (expected, ending == Ending::Stalls), "seed {seed}");
            if !endings.contains(&ending) {
                endings.push(ending);
            }
        }
        assert_eq!(endings.len(), 5, "all endings come up");
    }

    #[test]
    fn nothing_looks_like_a_secret_unless_it_is_asked_for() {
        let redactor = Redactor::new(&RedactOptions::default()).expect("the rules compile");
        let found = |secrets: bool| -> usize {
            let beats = (0..200).flat_map(|seed| story(seed, secrets).1);
            let texts = beats.filter_map(|beat| match beat {
                Beat::Activity(_, data) => Some(data.to_string()),
                Beat::Silence => None,
            });
            texts.filter(|text| redactor.json(text.as_bytes()).is_some()).count()
        };
        assert_eq!(found(false), 0);
        assert!(20 < found(true));
        let mut rng = StdRng::seed_from_u64(1);
        for _ in 0..100 {
            let secret = words::secret(&mut rng);
            assert!(redactor.text(&secret).is_some(), "{secret}");
        }
    }
}
