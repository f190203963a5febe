//! A viewer by one of the SDKs, in a process of its own that says line by line what it is given. The SDK goes on by itself after whatever
//! happens to its connection; here it is only listened to.

use std::{net::SocketAddr, path::PathBuf, process::Stdio};

use anyhow::{Context, Result, ensure};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::{Duration, Instant, timeout},
};

use super::{FINISH_PATIENCE, Viewer};
use crate::checker::Transcript;

/// How often it is looked whether it has all, when it says nothing.
const LOOK: Duration = Duration::from_millis(200);

/// Which SDK.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// `sdk/typescript`, over a WebSocket.
    TypeScript,
    /// `sdk/python`, over Server-Sent Events.
    Python,
}

/// A viewer to be.
pub struct Sdk {
    /// By which.
    pub language: Language,
    /// Where it finds a hub, whichever that is.
    pub hub: SocketAddr,
    /// What it follows.
    pub tasks: Vec<String>,
}

impl Sdk {
    /// What it is called in what is printed.
    pub fn name(&self) -> String {
        match self.language {
            Language::TypeScript => "typescript".to_owned(),
            Language::Python => "python".to_owned(),
        }
    }

    fn start(&self) -> Result<Child> {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let scripts = root.join("tests/chaos/viewers/sdk");
        let (program, script, sdk) = match self.language {
            Language::TypeScript => ("node", "follow.mjs", "sdk/typescript"),
            Language::Python => ("python3", "follow.py", "sdk/python"),
        };
        if self.language == Language::TypeScript {
            let built = root.join(sdk).join("dist/viewer.js").exists();
            ensure!(built, "the TypeScript SDK is not built: run `npm ci` in sdk/typescript");
        }
        let mut command = Command::new(program);
        command.arg(scripts.join(script)).arg(root.join(sdk)).arg(format!("http://{}", self.hub)).args(&self.tasks);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        command.spawn().with_context(|| format!("starting {program}: is it installed?"))
    }

    /// Takes what it says until it has all there is.
    pub(super) async fn watch(self, mut viewer: Viewer) -> Result<Vec<Transcript>> {
        let mut child = self.start()?;
        let mut lines = BufReader::new(child.stdout.take().context("its output is a pipe")?).lines();
        let mut ends_by = None;
        while !viewer.has_all() {
            let late = viewer.heads.borrow().is_some() && FINISH_PATIENCE < ends_by.get_or_insert_with(Instant::now).elapsed();
            if late {
                println!("viewer {} does not come to the head, although all is well again", viewer.name);
                break;
            }
            // Reading a line can be given up and taken up again.
            let Ok(line) = timeout(LOOK, lines.next_line()).await else { continue };
            match line? {
                Some(line) if line == r#"{"op":"connected"}"# || line == r#"{"op": "connected"}"# => {
                    viewer.connection += 1;
                    viewer.run.figures.connections.one();
                }
                Some(line) => drop(viewer.take(&line, |run| &run.figures.sdk)),
                None => {
                    viewer.run.anomaly(format!("the viewer {} ended by itself", viewer.name));
                    break;
                }
            }
        }
        Ok(viewer.transcripts())
    }
}
