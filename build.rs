//! Has the program built again when the page was: which files `web/dist` has is only known when they are there.

use std::{env, fs};

const PAGE: &str = "web/dist";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // Debug builds read the page while they run.
    if env::var("PROFILE").is_ok_and(|profile| profile == "release") {
        // A folder that is not there counts as changed, each time. Where it cannot be made, that is the price.
        let _ = fs::create_dir_all(PAGE);
        println!("cargo:rerun-if-changed={PAGE}");
    }
}
