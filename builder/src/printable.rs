//! What programs print, in a form that a terminal shows and does not obey.

use std::iter::Peekable;
use std::str::Chars;

const ESCAPE: char = '\u{1b}';

/// Columns between tab stops.
const TAB: usize = 8;

/// A line without control characters and escape sequences, tabs as spaces; with `colours`, those sequences stay that only
/// change how what follows looks, and are taken back at the end.
pub fn printable(line: &str, colours: bool) -> String {
    let mut text = String::with_capacity(line.len());
    let mut width = 0;
    let mut is_coloured = false;
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            ESCAPE => {
                if let Some(look) = after_escape(&mut letters).filter(|_| colours) {
                    is_coloured = true;
                    text.push_str(&format!("{ESCAPE}[{look}m"));
                }
            }
            '\t' => {
                let spaces = TAB - width % TAB;
                width += spaces;
                text.extend(std::iter::repeat_n(' ', spaces));
            }
            letter if letter.is_control() || turns_text(letter) => (),
            letter => {
                width += 1;
                text.push(letter);
            }
        }
    }
    if is_coloured {
        text.push_str(&format!("{ESCAPE}[0m"));
    }
    text
}

/// Takes a sequence whose escape character was taken; gives its parameters if it says how text is to look.
fn after_escape(letters: &mut Peekable<Chars<'_>>) -> Option<String> {
    match letters.next()? {
        '[' => {
            let mut parameters = String::new();
            loop {
                match letters.next()? {
                    'm' if parameters.chars().all(|letter| letter.is_ascii_digit() || letter == ';') => {
                        return Some(parameters);
                    }
                    '\u{40}'..='\u{7e}' => return None,
                    letter => parameters.push(letter),
                }
            }
        }
        // Titles, links, the clipboard: up to a bell or an escaped backslash.
        ']' | 'P' | '^' | '_' | 'X' => loop {
            match letters.next()? {
                '\u{7}' | '\u{9c}' => return None,
                ESCAPE => {
                    letters.next_if_eq(&'\\');
                    return None;
                }
                _ => (),
            }
        },
        // A set of letters, say: what follows is of it.
        '\u{20}'..='\u{2f}' => {
            letters.next();
            None
        }
        _ => None,
    }
}

/// Whether it makes what follows run from right to left.
fn turns_text(letter: char) -> bool {
    matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_that_a_terminal_obeys() {
        let cases = [
            ("plain é 漢", "plain é 漢"),
            ("\u{1b}]0;title\u{7}a\u{1b}]52;c;eA==\u{1b}\\b", "ab"),
            ("\u{1b}[2J\u{1b}[H\u{1b}(Bc\u{7}\u{8}", "c"),
            ("a\tb\t", "a       b       "),
            ("\u{1b}[31mred\u{1b}[0m", "red"),
            ("\u{9b}31mx\u{202e}y", "31mxy"),
            ("cut \u{1b}[12", "cut "),
            ("cut \u{1b}", "cut "),
        ];
        for (line, expected) in cases {
            assert_eq!(printable(line, false), expected, "{line:?}");
        }
    }

    #[test]
    fn colours_stay_where_they_may_and_end() {
        assert_eq!(printable("\u{1b}[1;31mred\u{1b}[K", true), "\u{1b}[1;31mred\u{1b}[0m");
        assert_eq!(printable("\u{1b}[?25lx", true), "x");
    }
}
