//! Text from outside, made safe for a terminal. Agents print what they read, and what they read may want to move the cursor, rewrite the
//! screen, rename the window or fill the clipboard.

use std::borrow::Cow;

/// The most characters of a colour sequence's parameters; a longer one is no colour.
const MOST_PARAMETERS: usize = 64;

/// Which colours of the text may pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Colours {
    /// Those it has.
    Kept,
    /// None: they are taken out.
    Removed,
}

/// `text` with nothing in it that a terminal acts on, but line breaks, tabs and (as asked) colours. A carriage return that does not end a
/// line would let text overwrite what stands before it, so it begins a new line; everything else is shown: ESC as `␛`, invisible
/// characters that reorder text as `\u{202e}`.
pub(crate) fn safe(text: &str, colours: Colours) -> Cow<'_, str> {
    if !text.contains(|c: char| is_active(c)) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if let Some(length) = colour_sequence(rest) {
            if colours == Colours::Kept {
                out.push_str(&rest[..length]);
            }
            rest = &rest[length..];
            continue;
        }
        rest = &rest[c.len_utf8()..];
        match c {
            '\r' if rest.starts_with('\n') => {}
            '\r' => out.push('\n'),
            '\u{7f}' => out.push('\u{2421}'),
            '\0'..'\u{20}' if is_active(c) => out.push(char::from_u32(0x2400 + u32::from(c)).unwrap_or('\u{fffd}')),
            c if is_active(c) => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// The same on one line, for titles and names: line breaks and tabs become spaces, colours go.
pub(crate) fn safe_line(text: &str) -> String {
    safe(text, Colours::Removed).replace(['\n', '\t'], " ")
}

/// Whether a terminal would do anything with it but show it.
fn is_active(c: char) -> bool {
    // C0 and C1 controls (ECMA-48), and the bidirectional controls of Unicode, which make text read other than it is.
    let reorders = matches!(c, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    (c.is_control() && c != '\n' && c != '\t') || reorders
}

/// The length of the colour sequence that `text` begins with: `ESC [`, digits, `;` and `:`, `m` (ECMA-48 SGR).
fn colour_sequence(text: &str) -> Option<usize> {
    let parameters = text.strip_prefix("\u{1b}[")?;
    let length = parameters.bytes().take_while(|byte| matches!(byte, b'0'..=b'9' | b';' | b':')).count();
    let ends = parameters.as_bytes().get(length) == Some(&b'm') && length <= MOST_PARAMETERS;
    ends.then_some(2 + length + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_colours_line_breaks_and_tabs_reach_the_terminal() {
        for (text, shown) in [
            ("plain\ttext\n", "plain\ttext\n"),
            ("\u{1b}[1;31mred\u{1b}[0m", "\u{1b}[1;31mred\u{1b}[0m"),
            ("\u{1b}[38:2::1:2:3mx", "\u{1b}[38:2::1:2:3mx"),
            ("a\r\nb\rc", "a\nb\nc"),
            ("\u{1b}[2J\u{1b}[H", "␛[2J␛[H"),
            ("\u{1b}]0;title\u{7}", "␛]0;title␇"),
            ("\u{1b}]52;c;aGk=\u{1b}\\", "␛]52;c;aGk=␛\\"),
            ("\u{1b}[31", "␛[31"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("\u{1b}\u{1b}[0m", "␛\u{1b}[0m"),
            ("a\u{8}\u{7f}\0b", "a␈␡␀b"),
            ("if \u{202e}x", "if \\u{202e}x"),
        ] {
            assert_eq!(safe(text, Colours::Kept), shown, "{text:?}");
        }
    }

    #[test]
    fn colours_can_be_taken_out() {
        assert_eq!(safe("\u{1b}[1mbold\u{1b}[m!", Colours::Removed), "bold!");
        assert_eq!(safe_line("a\nb\u{1b}[1mc\td\u{1b}[K"), "a bc d␛[K");
    }

    #[test]
    fn an_endless_colour_is_none() {
        let long = format!("\u{1b}[{}m", "1;".repeat(MOST_PARAMETERS));
        assert!(safe(&long, Colours::Kept).starts_with('␛'));
    }
}
