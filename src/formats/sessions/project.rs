//! Which task a session belongs to if nobody says so: the one named like its project's folder.
//!
//! `cwd` wanders while an agent works (`cd src`), and a task must not. The transcript lies in a folder that is named after the project's path,
//! with everything but letters and digits as `-`: the folder at or above `cwd` whose path gives that name is the project.

use std::path::Path;

use crate::model::TaskId;

/// The task of a session: its project's folder, else the folder it works in, else the session itself.
pub fn task_of(cwd: Option<&str>, transcript: Option<&str>, session: &str) -> Option<TaskId> {
    let named = |folder: &Path| folder.file_name()?.to_str().and_then(TaskId::nearest);
    let project = cwd.zip(transcript.and_then(folder_of)).and_then(|(cwd, name)| {
        let mut above = Path::new(cwd).ancestors();
        above.find(|folder| folder.to_str().is_some_and(|path| encoded(path) == name)).and_then(named)
    });
    project.or_else(|| cwd.map(Path::new).and_then(named)).or_else(|| TaskId::nearest(&format!("claude-{session}")))
}

fn folder_of(transcript: &str) -> Option<&str> {
    Path::new(transcript).parent()?.file_name()?.to_str()
}

fn encoded(path: &str) -> String {
    path.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_stays_with_its_project_wherever_it_works() {
        let transcript = "/home/me/.claude/projects/-home-me-my-app-2/5c1d.jsonl";
        for (cwd, transcript, task) in [
            (Some("/home/me/my-app.2"), Some(transcript), "my-app.2"),
            (Some("/home/me/my-app.2/src/deep"), Some(transcript), "my-app.2"),
            (Some("/tmp/elsewhere"), Some(transcript), "elsewhere"),
            (Some("/work/web"), None, "web"),
            (Some("/"), None, "claude-5c1d"),
            (None, Some(transcript), "claude-5c1d"),
            (Some(""), Some(""), "claude-5c1d"),
        ] {
            let found = task_of(cwd, transcript, "5c1d");
            assert_eq!(found.as_ref().map(TaskId::as_str), Some(task), "{cwd:?}");
        }
    }
}
