//! The ids of what is read from a transcript: made from where it stands there, so that reading it again makes the same ones.

use crate::model::{EventId, InvocationId};

/// The most characters of a tool call's id as its agent gave it; what is longer is cut.
const SOURCE_ID_CHARS: usize = 256;

/// Where in a stream an activity was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The line, from 1, and which of its activities, from 0.
    Line(u64, u32),
    /// At the end of a stream of so many lines: which of the activities there, from 0.
    End(u64, u32),
}

/// The `eventId` of the activity at this place in the invocation's transcript.
pub fn event_id(invocation: &InvocationId, place: Place) -> EventId {
    let (word, line, block) = match place {
        Place::Line(line, block) => ("line", line, block),
        Place::End(lines, block) => ("end", lines, block),
    };
    EventId::derived(format!("{invocation}\n{word}\n{line}\n{block}").as_bytes())
}

/// The `eventId` of what is said of a tool's use, such as `tool_call`, by the use's id as it is published: the same whoever says it, so that what an agent
/// prints and what its hooks tell is stored once.
pub fn tool_event_id(tool_call_id: &str, what: &str) -> EventId {
    EventId::derived(format!("{tool_call_id}\n{what}").as_bytes())
}

/// A tool call's id as it is published: unique among invocations, because agents count anew in each process. Control characters are
/// escaped: one agent's ids hold line breaks.
pub fn tool_call_id(invocation: &InvocationId, source: &str) -> String {
    let mut id = format!("{invocation}:");
    for c in source.chars().take(SOURCE_ID_CHARS) {
        if c.is_control() { id.extend(c.escape_default()) } else { id.push(c) }
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_depend_on_the_place_alone() {
        let run: InvocationId = "r".parse().expect("valid");
        let other: InvocationId = "s".parse().expect("valid");
        let all = [
            event_id(&run, Place::Line(1, 0)),
            event_id(&run, Place::Line(1, 1)),
            event_id(&run, Place::Line(11, 0)),
            event_id(&run, Place::End(1, 0)),
            event_id(&other, Place::Line(1, 0)),
        ];
        assert_eq!(all.iter().collect::<std::collections::BTreeSet<_>>().len(), all.len());
        assert_eq!(event_id(&run, Place::Line(1, 0)), all[0]);
        // It is part of what is stored: it may never change.
        assert_eq!(all[0].to_string(), "ee59012c-2824-5701-a4f3-6aa6d32440bf");
    }

    #[test]
    fn a_tools_use_has_two_ids() {
        let [call, result] = ["tool_call", "tool_result"].map(|what| tool_event_id("r:toolu_01", what));
        assert_ne!(call, result);
        assert_ne!(call, tool_event_id("s:toolu_01", "tool_call"));
        // Part of what is stored, too.
        assert_eq!(call.to_string(), "9723a046-a6cf-5d53-830e-e9645f369daf");
    }

    #[test]
    fn tool_call_ids_are_one_line_and_bounded() {
        let run = "r".parse().expect("valid");
        assert_eq!(tool_call_id(&run, "toolu_01\nfc_2"), "r:toolu_01\\nfc_2");
        assert_eq!(tool_call_id(&run, &"x".repeat(1_000)).len(), 2 + SOURCE_ID_CHARS);
    }
}
