//! Patterns for names: `*` matches anything within one part, `**` also across `/`, `?` matches one letter.
//!
//! **Invariant:** matching takes at most as many steps as pattern and name have letters, multiplied: no pattern can
//! be made to run for long.

use std::fmt;
use std::str::FromStr;

const LONGEST: usize = 255;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece {
    Letter(char),
    /// Any one letter but `/`.
    One,
    /// Any number of letters but `/`.
    Within,
    /// Any number of letters.
    Across,
}

/// A pattern for a registry, a repository or a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob {
    text: String,
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{given:?} is no pattern: write 1 to {LONGEST} letters; * stands for anything within one part, ** also across /, \
     ? for one letter"
)]
pub struct BadGlob {
    given: String,
}

impl Glob {
    pub fn matches(&self, name: &str) -> bool {
        // Which positions in the pattern can be reached after the letters so far.
        let mut at = vec![false; self.pieces.len() + 1];
        at[0] = true;
        self.skip_empty(&mut at);
        for letter in name.chars() {
            let mut next = vec![false; at.len()];
            for (position, piece) in self
                .pieces
                .iter()
                .enumerate()
                .filter(|(position, _)| at[*position])
            {
                match piece {
                    Piece::Letter(wanted) => next[position + 1] |= *wanted == letter,
                    Piece::One => next[position + 1] |= letter != '/',
                    Piece::Within => next[position] |= letter != '/',
                    Piece::Across => next[position] = true,
                }
            }
            self.skip_empty(&mut next);
            at = next;
        }
        at.last().copied().unwrap_or(false)
    }

    /// Whether the pattern consists of stars. For a tag, which has no `/`, one star matches every tag.
    pub(super) fn is_stars_only(&self) -> bool {
        let is_star = |piece: &Piece| matches!(piece, Piece::Within | Piece::Across);
        self.pieces.iter().all(is_star)
    }

    /// A star may stand for nothing.
    fn skip_empty(&self, at: &mut [bool]) {
        for (position, piece) in self.pieces.iter().enumerate() {
            if at[position] && matches!(piece, Piece::Within | Piece::Across) {
                at[position + 1] = true;
            }
        }
    }
}

impl FromStr for Glob {
    type Err = BadGlob;

    fn from_str(text: &str) -> Result<Self, BadGlob> {
        let is_plain = |letter: char| !letter.is_whitespace() && !letter.is_control();
        if !(1..=LONGEST).contains(&text.len()) || !text.chars().all(is_plain) {
            return Err(BadGlob {
                given: text.chars().take(60).collect(),
            });
        }
        let mut pieces = Vec::with_capacity(text.len());
        for letter in text.chars() {
            match (letter, pieces.last()) {
                ('*', Some(Piece::Within | Piece::Across)) => {
                    pieces.pop();
                    pieces.push(Piece::Across);
                }
                ('*', _) => pieces.push(Piece::Within),
                ('?', _) => pieces.push(Piece::One),
                (letter, _) => pieces.push(Piece::Letter(letter)),
            }
        }
        Ok(Self {
            text: text.to_owned(),
            pieces,
        })
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        pattern.parse::<Glob>().expect(pattern).matches(name)
    }

    #[test]
    fn stars_stand_for_parts_and_double_stars_for_paths() {
        for (pattern, name) in [
            ("library/nginx", "library/nginx"),
            ("library/*", "library/nginx"),
            ("**", "a/b/c"),
            ("**", "a"),
            ("team/**", "team/a/b"),
            ("**/app", "team/a/app"),
            ("v*", "v1.2"),
            ("v*", "v"),
            ("*.*.*", "1.27.0"),
            ("v?.?", "v1.2"),
            ("a***b", "a/x/b"),
            ("*:5000", "registry.lan:5000"),
            ("*ab*ab*", "abxab"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("library/*", "library/a/b"),
            ("*", "a/b"),
            ("library/nginx", "library/nginx2"),
            ("team/**", "teams/a"),
            ("v?", "v"),
            ("v?", "v/"),
            ("a*", "ba"),
            ("A", "a"),
        ] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn a_pattern_of_stars_is_known() {
        let is_stars_only = |pattern: &str| pattern.parse::<Glob>().expect(pattern).is_stars_only();
        assert!(["*", "**", "***"].into_iter().all(is_stars_only));
        assert!(!["v*", "?", "*.*", "latest"].into_iter().any(is_stars_only));
    }

    #[test]
    fn a_bad_pattern_is_refused_with_an_example() {
        for text in ["", " ", "a b", "a\n", &"x".repeat(256)] {
            let error = text.parse::<Glob>().expect_err(text).to_string();
            assert!(error.contains("**"), "{error}");
        }
    }

    #[test]
    fn a_pattern_made_to_be_slow_is_not() {
        let pattern = "*a".repeat(127);
        // Tries of all ways would be more than there are atoms; this is some thousand steps.
        assert!(!matches(&pattern, &format!("{}b", "a".repeat(250))));
    }
}
