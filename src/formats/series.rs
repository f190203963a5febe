//! Text that an agent streams: pieces as they come, and the whole at the end.
//!
//! Agents print a few characters at a time. They are joined until there is a line's worth, which at the speed of models is a few pieces a
//! second. By length and never by time: read again, the same stream makes the same pieces.

use serde_json::json;

use super::scribe::Scribe;
use crate::model::ActivityType;

/// How much text a piece has at least, but for the first, which shows that it begins.
const PIECE_BYTES: usize = 96;

/// The most bytes of a series. Longer text goes on in another one, so that each whole fits into an activity.
const SERIES_BYTES: usize = 24 * 1024;

/// What kind of text it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The agent says it.
    Message,
    /// The agent thinks it.
    Thinking,
}

/// One text that has not ended.
#[derive(Debug)]
pub(super) struct Series {
    kind: Kind,
    /// The tool call of the agent whose sub-agent this text is by.
    parent: Option<String>,
    /// Its id, once a piece of it was told.
    id: Option<String>,
    text: String,
    /// How much of `text` was told in pieces.
    told: usize,
    /// How many bytes before `text` were told as wholes.
    before: usize,
}

impl Series {
    /// An empty text of the sub-agent that the line at hand belongs to, if any.
    pub(super) fn new(kind: Kind, scribe: &Scribe) -> Self {
        Self { kind, parent: scribe.parent.clone(), id: None, text: String::new(), told: 0, before: 0 }
    }

    /// What it is.
    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    /// The text so far, if all of it is still at hand.
    pub(super) fn whole(&self) -> Option<&str> {
        (self.before == 0).then_some(&self.text)
    }

    /// More of it.
    pub(super) fn push(&mut self, mut text: &str, scribe: &mut Scribe) {
        while SERIES_BYTES < self.text.len() + text.len() {
            let mut room = SERIES_BYTES.saturating_sub(self.text.len());
            while !text.is_char_boundary(room) {
                room -= 1;
            }
            self.text.push_str(&text[..room]);
            text = &text[room..];
            self.before += self.text.len();
            let whole = std::mem::take(&mut self.text);
            self.tell_whole(&whole, scribe);
            (self.id, self.told) = (None, 0);
        }
        self.text.push_str(text);
        let waiting = self.text.len() - self.told;
        if PIECE_BYTES <= waiting || (self.told == 0 && 0 < waiting) {
            let id = self.id.get_or_insert_with(|| scribe.place_word()).clone();
            let piece = self.text[self.told..].to_owned();
            self.told = self.text.len();
            self.tell(json!({"seriesId": id, "delta": true, "text": piece}), scribe);
        }
    }

    /// Its end. `all` is the whole text as the agent says it at last, which counts if it is there.
    pub(super) fn close(self, all: Option<&str>, scribe: &mut Scribe) {
        let rest = all.map_or(Some(self.text.as_str()), |all| all.get(self.before..)).unwrap_or(&self.text);
        if !rest.is_empty() || self.id.is_some() {
            self.tell_whole(rest, scribe);
        }
    }

    fn tell_whole(&self, text: &str, scribe: &mut Scribe) {
        match &self.id {
            Some(id) => self.tell(json!({"seriesId": id, "final": true, "text": text}), scribe),
            None => self.tell(json!({"text": text}), scribe),
        }
    }

    fn tell(&self, mut data: serde_json::Value, scribe: &mut Scribe) {
        let kind = match self.kind {
            Kind::Thinking => ActivityType::Thinking,
            Kind::Message => {
                data["role"] = "assistant".into();
                ActivityType::Message
            }
        };
        let parent = std::mem::replace(&mut scribe.parent, self.parent.clone());
        scribe.draft(kind, data);
        scribe.parent = parent;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::{Draft, Format};

    fn told(pieces: &[&str], all: Option<&str>) -> Vec<Draft> {
        let mut scribe = Scribe::new(Format::Gemini, "r".parse().expect("valid"));
        let mut series = Series::new(Kind::Message, &scribe);
        for (number, piece) in pieces.iter().enumerate() {
            scribe.begin(number as u64 + 1);
            series.push(piece, &mut scribe);
        }
        series.close(all, &mut scribe);
        scribe.take()
    }

    fn text(draft: &Draft) -> &str {
        draft.data["text"].as_str().expect("text")
    }

    #[test]
    fn pieces_and_the_whole_are_one_series() {
        let words = ["one ", "two ", "three "].repeat(20);
        let drafts = told(&words, None);
        let (whole, pieces) = drafts.split_last().expect("drafts");
        assert!(pieces.iter().all(|piece| piece.data["delta"] == true && piece.data["seriesId"] == "1.0"));
        assert_eq!((whole.data["final"].as_bool(), &whole.data["seriesId"]), (Some(true), &"1.0".into()));
        assert_eq!((text(whole), text(&pieces[0])), (words.concat().as_str(), "one "));
        assert!(words.concat().starts_with(&pieces.iter().map(text).collect::<String>()));
        assert!(pieces.len() <= 1 + words.concat().len() / PIECE_BYTES, "{} pieces", pieces.len());
    }

    #[test]
    fn a_text_without_pieces_is_no_series() {
        assert!(told(&[], None).is_empty());
        let drafts = told(&[], Some("all"));
        assert_eq!((text(&drafts[0]), drafts[0].data.get("seriesId")), ("all", None));
    }

    #[test]
    fn long_text_goes_on_in_another_series_and_nothing_of_it_is_lost_or_said_twice() {
        let all = "é😀x".repeat(10_000);
        let long: Vec<&str> = all.split_inclusive('x').collect();
        for (pieces, last) in [(long.as_slice(), None), (long.as_slice(), Some(all.as_str())), (&[all.as_str()], None)] {
            let drafts = told(pieces, last);
            let wholes: Vec<&str> = drafts.iter().filter(|draft| !draft.data.contains_key("delta")).map(text).collect();
            assert!(2 < wholes.len() && wholes.iter().all(|whole| whole.len() <= SERIES_BYTES));
            assert_eq!(wholes.concat(), all);
            let ids: std::collections::BTreeSet<_> =
                drafts.iter().filter_map(|draft| draft.data.get("seriesId")?.as_str()).collect();
            assert!(ids.len() <= wholes.len());
        }
    }
}
