//! One of the parsers of `tasklight::fuzzing`, the one that TASKLIGHT_FUZZ_TARGET names: one program that is linked once, instead of one for each.
#![no_main]

use std::{cell::RefCell, env};

use tasklight::fuzzing::{Target, target};

thread_local! {
    static PARSER: RefCell<Target> = RefCell::new({
        let name = env::var("TASKLIGHT_FUZZ_TARGET").expect("TASKLIGHT_FUZZ_TARGET names a parser");
        target(&name).expect("it is the name of a parser")
    });
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| PARSER.with_borrow_mut(|parser| parser(data)));
