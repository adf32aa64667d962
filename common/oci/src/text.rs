//! Sanitizes outside text for logs and errors: no control characters, no endless lines.

/// Characters of a registry's text that an error repeats.
pub(crate) const TEXT_LIMIT: usize = 300;

/// Sanitizes outside text for a log line or an error: control and direction characters become spaces, runs of spaces
/// become one, and text longer than `limit` characters ends in an ellipsis.
pub(crate) fn tame(text: &str, limit: usize) -> String {
    let mut tamed = String::new();
    let mut length = 0;
    for word in text.split(|letter: char| letter.is_whitespace() || is_unprintable(letter)) {
        if word.is_empty() {
            continue;
        }
        if length > 0 && length < limit {
            tamed.push(' ');
            length += 1;
        }
        for letter in word.chars() {
            if length >= limit {
                tamed.push('…');
                return tamed;
            }
            tamed.push(letter);
            length += 1;
        }
    }
    tamed
}

/// Whether a character moves the cursor, hides text or reverses its direction.
fn is_unprintable(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fffd}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_do_not_reach_a_terminal() {
        assert_eq!(
            tame("no\u{1b}[31m such\r\n\r\nimage\u{202e}", 300),
            "no [31m such image"
        );
    }

    #[test]
    fn long_text_is_truncated() {
        for long in ["x".repeat(10_000), "x ".repeat(10_000), "xy ".repeat(10_000)] {
            assert!(tame(&long, TEXT_LIMIT).chars().count() <= TEXT_LIMIT + 1);
        }
    }
}
