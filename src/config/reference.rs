//! Every key as a document: what `docs/configuration.md` holds, made from the settings themselves.

use std::fmt::Write;

use super::Settings;

/// What a table begins with.
const HEAD: &str = "| key | form | default | what |\n|---|---|---|---|\n";

impl Settings {
    /// A table for each section in order of names, those keys first that are in none, in Markdown. Ends with a line feed.
    pub fn reference_text() -> String {
        let (meanings, values) = (Self::reference(), Self::default().values());
        let mut text = HEAD.to_owned();
        let rows = |section: Option<&str>, text: &mut String| {
            for (key, value) in values.iter().filter(|(key, _)| key.split_once('.').map(|(section, _)| section) == section) {
                let meaning = &meanings[key];
                // Nothing in a table's cell may end it.
                let words = meaning.text.replace('|', "\\|");
                let _ = writeln!(text, "| `{key}` | {} | {} | {words} |", meaning.form, shown(value));
            }
        };
        rows(None, &mut text);
        let mut sections: Vec<&str> = values.keys().filter_map(|key| key.split_once('.')).map(|(section, _)| section).collect();
        sections.dedup();
        for section in sections {
            let _ = write!(text, "\n### {section}\n\n{}\n\n{HEAD}", meanings[section].text);
            rows(Some(section), &mut text);
        }
        text
    }
}

/// A default as people write it.
fn shown(value: &str) -> String {
    match value.trim_matches('"') {
        "" => "(empty)".to_owned(),
        plain => format!("`{plain}`"),
    }
}
