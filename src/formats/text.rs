//! Plain text: the one thing in it that is understood is a line that is drawn over itself, as progress bars are.

/// The longest state of such a line.
const STATE_BYTES: usize = 512;

/// What an unfinished line shows by now, if it is one that is drawn over itself: states with a carriage return between, before or behind
/// them, each of them words and colours and nothing else. Nothing for other text, of which everything matters.
pub fn overdrawn(line: &str) -> Option<&str> {
    if !line.contains('\r') || line.contains('\n') {
        return None;
    }
    let mut last = None;
    for state in line.split('\r') {
        let is_state = |c: char| !c.is_control() && c != '\u{fffd}' || matches!(c, '\u{1b}' | '\t' | '\u{8}');
        if STATE_BYTES < state.len() || !state.chars().all(is_state) {
            return None;
        }
        if !state.trim().is_empty() {
            last = Some(state.trim_end());
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_state_of_a_bar_is_told_from_other_text() {
        let long = format!("a\r{}", "x".repeat(STATE_BYTES + 1));
        for (line, shown) in [
            ("\r 10%\r 20%", Some(" 20%")),
            ("10%\r20%\r", Some("20%")),
            ("\r\u{1b}[32m[##  ]\u{1b}[0m", Some("\u{1b}[32m[##  ]\u{1b}[0m")),
            ("no return", None),
            ("a\r\nb", None),
            ("\r \r", None),
            ("\0\r\u{1}", None),
            ("\u{fffd}\rx", None),
            (&long, None),
        ] {
            assert_eq!(overdrawn(line), shown, "{line:?}");
        }
    }
}
