//! The seeds of every fuzzed parser, and what chance has found in the past, through the same functions (`make fuzz` takes it from there).

use std::{fs, path::Path};

use tasklight::fuzzing::{TARGETS, seeds, target};

#[test]
fn every_parser_holds_with_its_seeds_and_with_their_beginnings() {
    for name in TARGETS {
        let mut parser = target(name).expect("it is named");
        let folder = seeds(Path::new(env!("CARGO_MANIFEST_DIR")), name);
        let mut files: Vec<_> = fs::read_dir(&folder)
            .unwrap_or_else(|error| panic!("{} has seeds in {}: {error}", name, folder.display()))
            .map(|entry| entry.expect("it can be listed").path())
            .collect();
        files.sort();
        assert!(3 <= files.len(), "{name} has {} seeds", files.len());
        for file in files {
            let seed = fs::read(&file).expect("it can be read");
            println!("{}", file.display());
            parser(&seed);
            // Cut anywhere and with a byte changed: what a broken connection or a careless hand leaves.
            for place in (0..seed.len()).step_by(1 + seed.len() / 50) {
                parser(&seed[..place]);
                let mut changed = seed.clone();
                changed[place] ^= 0x20;
                parser(&changed);
            }
        }
    }
}

#[test]
fn a_parser_that_is_not_there_is_not_found() {
    assert!(target("nothing").is_none());
}
