//! The seeds of every fuzzed parser, and what chance has found in the past, through the same functions; and each of them damaged some dozens of times,
//! always in the same ways (TASKLIGHT_FUZZ_ROUNDS for more of them). `make fuzz` takes it from there.

use std::{env, fs, path::Path};

use tasklight::fuzzing::{TARGETS, seeds, target};

/// How often each seed is damaged.
const ROUNDS: u64 = 40;

/// Bytes that mean something to one parser or another.
const PIECES: [&[u8]; 24] = [
    b"\"",
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\n",
    b"\r",
    b"\0",
    b"\x1b[",
    b"\xff",
    b"\\u0000",
    b"\\ud800",
    b"null",
    b"-",
    b"1e999",
    b"18446744073709551616",
    b"*",
    b".",
    b"=",
    b"password=",
    "\u{2028}\u{fc}".as_bytes(),
];

/// Numbers that look like chance and are the same each time (splitmix64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let wide = usize::try_from((mixed ^ (mixed >> 31)) >> 1).unwrap_or(usize::MAX);
        wide % most.max(1)
    }

    /// The text with a few things wrong with it.
    fn damage(&mut self, text: &[u8], other: &[u8]) -> Vec<u8> {
        let mut text = text.to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(text.len() + 1);
            let length = self.below(1 + (text.len() - at).min(16));
            match self.below(6) {
                0 => drop(text.drain(at..at + length)),
                1 => {
                    let piece = PIECES[self.below(PIECES.len())];
                    drop(text.splice(at..at + length, piece.iter().copied()));
                }
                2 => {
                    let piece = text[at..at + length].repeat(1 + self.below(40));
                    drop(text.splice(at..at, piece));
                }
                3 if at < text.len() => text[at] ^= 1 << self.below(8),
                4 => {
                    let from = self.below(other.len() + 1);
                    let piece = other[from..(from + 64).min(other.len())].to_vec();
                    drop(text.splice(at..at, piece));
                }
                _ => text.truncate(at),
            }
        }
        text
    }
}

#[test]
fn every_parser_holds_with_its_seeds_and_whatever_is_left_of_them() {
    let rounds = env::var("TASKLIGHT_FUZZ_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(ROUNDS);
    let only = env::var("TASKLIGHT_FUZZ_TARGET").ok();
    for name in TARGETS.into_iter().filter(|name| only.as_deref().is_none_or(|only| only == *name)) {
        let mut parser = target(name).expect("it is named");
        let folder = seeds(Path::new(env!("CARGO_MANIFEST_DIR")), name);
        let mut files: Vec<_> = fs::read_dir(&folder)
            .unwrap_or_else(|error| panic!("{name} has seeds in {}: {error}", folder.display()))
            .map(|entry| entry.expect("it can be listed").path())
            .collect();
        files.sort();
        assert!(3 <= files.len(), "{name} has {} seeds", files.len());
        let all: Vec<_> = files.iter().map(|file| fs::read(file).expect("it can be read")).collect();
        let mut numbers = Numbers(0);
        for (seed, file) in all.iter().zip(&files) {
            // Shown if it fails.
            println!("{}", file.display());
            parser(seed);
            for round in 0..rounds {
                let other = numbers.below(all.len());
                let damaged = numbers.damage(seed, &all[other]);
                println!("round {round}: {}", damaged.escape_ascii().to_string().chars().take(4_000).collect::<String>());
                parser(&damaged);
            }
        }
    }
}

#[test]
fn a_parser_that_is_not_there_is_not_found() {
    assert!(target("nothing").is_none());
}
