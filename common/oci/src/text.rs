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

/// Cuts the middle out of a name that is longer than `limit` characters: both ends tell names apart.
pub(crate) fn without_middle(name: &str, limit: usize) -> String {
    let letters: Vec<char> = name.chars().collect();
    if letters.len() <= limit {
        return name.to_owned();
    }
    let kept = limit.saturating_sub(1);
    let (front, back) = (kept / 2, kept - kept / 2);
    let front: String = letters.iter().take(front).collect();
    let back: String = letters.iter().skip(letters.len() - back).collect();
    format!("{front}…{back}")
}

/// Cuts each digest down to its first twelve digits.
pub fn with_short_digests(text: &str) -> String {
    /// `sha256:` and `sha512:` have the same length.
    const LENGTH: usize = "sha256:".len();
    let mut short = String::new();
    let mut rest = text;
    while let Some(at) = ["sha256:", "sha512:"]
        .iter()
        .filter_map(|name| rest.find(name))
        .min()
    {
        let (before, digest) = rest.split_at(at + LENGTH);
        let digits = digest.bytes().take_while(u8::is_ascii_hexdigit).count();
        let shown = if matches!(digits, 64 | 128) { 12 } else { digits };
        short.push_str(before);
        short.push_str(digest.get(..shown).unwrap_or_default());
        rest = digest.get(digits..).unwrap_or_default();
    }
    short.push_str(rest);
    short
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
    fn a_long_name_keeps_both_ends() {
        assert_eq!(without_middle("team/app", 8), "team/app");
        assert_eq!(without_middle("team/some/application", 9), "team…tion");
        for limit in 0..30 {
            assert!(without_middle("team/some/application-ü", limit).chars().count() <= limit.max(1));
        }
    }

    #[test]
    fn whole_digests_are_cut_and_other_text_is_not() {
        let digest = "8e61fd6d786a7c852c7ca29e2914382130c3f7e8b7f43b728aae0c25d95bb7f5";
        assert_eq!(
            with_short_digests(&format!("blob sha256:{digest} of a, sha256:12 and sha256:é")),
            "blob sha256:8e61fd6d786a of a, sha256:12 and sha256:é"
        );
        assert_eq!(
            with_short_digests(&format!("sha512:{digest}{digest}, sha256:{digest}")),
            "sha512:8e61fd6d786a, sha256:8e61fd6d786a"
        );
    }

    #[test]
    fn long_text_is_truncated() {
        for long in ["x".repeat(10_000), "x ".repeat(10_000), "xy ".repeat(10_000)] {
            assert!(tame(&long, TEXT_LIMIT).chars().count() <= TEXT_LIMIT + 1);
        }
    }
}
