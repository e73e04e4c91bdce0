//! Text for a person: one line, and nothing in it that hides, turns or overwrites what stands beside it.

use icu_properties::CodePointMapData;
use icu_properties::props::GeneralCategory;

/// Of what a server says, in characters.
const LONGEST: usize = 1000;

/// `text` as one line. Control characters and separators of lines and paragraphs end a part of it; format
/// characters (Unicode's Cf: the bidirectional ones, those without width, tags) are left out.
pub(crate) fn one_line(text: String) -> String {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return text;
    }
    let categories = CodePointMapData::<GeneralCategory>::new();
    let ends_part = |c: char| {
        use GeneralCategory::{Control, LineSeparator, ParagraphSeparator};
        matches!(categories.get(c), Control | LineSeparator | ParagraphSeparator)
    };
    let mut line = String::with_capacity(text.len());
    for part in text.split(ends_part) {
        let visible: String =
            part.chars().filter(|c| categories.get(*c) != GeneralCategory::Format).collect();
        let visible = visible.trim();
        if !visible.is_empty() {
            let blank = if line.is_empty() { "" } else { " " };
            line.extend([blank, visible]);
        }
    }
    line
}

/// What a server says, for a message: one line of no more than 1,000 characters.
pub(crate) fn said(text: &str) -> String {
    cut(text, LONGEST)
}

/// One line of no more than `longest` characters; `...` shows that there were more.
pub(crate) fn cut(text: &str, longest: usize) -> String {
    // The first look is at as much as can count, so that a long text costs no more than it shows.
    let bytes = text.char_indices().nth(8 * longest).map_or(text.len(), |(at, _)| at);
    let mut line = one_line(text[..bytes].to_owned());
    let end = line.char_indices().nth(longest).map(|(end, _)| end);
    line.truncate(end.unwrap_or(line.len()));
    if end.is_some() || bytes < text.len() {
        line.push_str("...");
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Is every control, format and separating character gone, whatever a server put between its words?
    #[test]
    fn nothing_but_what_can_be_seen() {
        let rows = [
            ("AADSTS1: no.\r\nTrace ID: 2\r\n", "AADSTS1: no. Trace ID: 2"),
            ("a\tb\0c\u{7f}d\u{85}e\u{9b}31mf", "a b c d e 31mf"),
            ("a\u{1b}[2Jb", "a [2Jb"),
            ("line\u{2028}paragraph\u{2029}end", "line paragraph end"),
            ("to\u{202e}drow\u{202c} \u{2066}x\u{2069}\u{200e}", "todrow x"),
            ("AAD\u{200b}STS\u{feff}7\u{ad}0", "AADSTS70"),
            ("tags\u{e0041}\u{e007f} \u{61c}\u{180e}.", "tags ."),
            (
                "kept: \u{e4}\u{20ac}\u{1f600} x5t#S256 \"q\" \\n",
                "kept: \u{e4}\u{20ac}\u{1f600} x5t#S256 \"q\" \\n",
            ),
            (" \n \n", ""),
        ];
        for (text, line) in rows {
            assert_eq!(one_line(text.to_owned()), line, "{text:?}");
        }
        for c in ('\0'..=char::MAX).filter(|c| c.is_control()) {
            assert_eq!(one_line(format!("a{c}b")), "a b", "{c:?}");
        }
    }

    /// Is a long text cut between two characters, and shown as cut; and a short one left as it is?
    #[test]
    fn long_texts_are_cut() {
        for letter in ["a", "\u{e4}", "\u{20ac}", "\u{1f600}"] {
            assert_eq!(said(&letter.repeat(1000)), letter.repeat(1000));
            assert_eq!(said(&letter.repeat(1001)), letter.repeat(1000) + "...");
            assert_eq!(said(&letter.repeat(1_000_000)), letter.repeat(1000) + "...");
        }
        assert!(said(&format!("{}{}", "\u{200b}".repeat(100_000), "a")).len() < 10);
    }
}
