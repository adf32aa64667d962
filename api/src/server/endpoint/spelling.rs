//! Whether a path may hold an endpoint's token, however it is spelled.
//!
//! Proxies decode, fold and shorten paths in their own ways, and people mistype them. What one of them would read as
//! `/t/<token>` must not be recorded, so the decision is about the path after all of that.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::server::tokens::ENDPOINT_TOKEN_LENGTH;

/// A path that still changes after being decoded so often was made to hide something.
const MOST_DECODINGS: usize = 8;
/// Below these stand names that people choose, or that programs of ours write: a name may by chance look like a token.
const NAMES: [&[&str]; 2] = [&["api", "v1", "clusters"], &["peer", "v1"]];

pub(super) fn may_hold_a_token(path: &str) -> bool {
    let Some(decoded) = decoded(path) else {
        return true;
    };
    let segments: Vec<&str> = decoded
        .split(['/', '\\'])
        .filter(|segment| !matches!(*segment, "" | "."))
        .collect();
    let behind_t = segments
        .windows(2)
        .enumerate()
        .any(|(at, pair)| is_t(pair[0]) && (is_root(&segments[..at]) || holds_ours(pair[1])));
    // A path with a `t` or with dots in it is none that our programs write.
    let is_plain = !segments.iter().any(|segment| *segment == ".." || is_t(segment));
    let holds_names = is_plain && NAMES.iter().any(|names| segments.starts_with(names));
    behind_t || hidden_by_dots(&segments) || (!holds_names && segments.iter().any(|text| holds_ours(text)))
}

/// Whether a text has the shape of an endpoint's token.
pub(super) fn looks_like_ours(token: &str) -> bool {
    token.len() == ENDPOINT_TOKEN_LENGTH
        && token
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// Decoded until nothing changes; none if that takes too long.
fn decoded(path: &str) -> Option<Cow<'_, str>> {
    let mut text = Cow::Borrowed(path);
    for _ in 0..MOST_DECODINGS {
        let next = percent_decode_str(&text).decode_utf8_lossy().into_owned();
        if next == text {
            return Some(text);
        }
        text = Cow::Owned(next);
    }
    None
}

fn is_t(segment: &str) -> bool {
    segment.eq_ignore_ascii_case("t")
}

/// Whether these segments lead back to where they began: `a/..`.
fn is_root(segments: &[&str]) -> bool {
    resolved(segments).is_empty()
}

/// `/t/x/../<token>`: what follows `t` once the dots are carried out.
fn hidden_by_dots(segments: &[&str]) -> bool {
    let resolved = resolved(segments);
    let mut pairs = resolved.windows(2).enumerate();
    segments.contains(&"..") && pairs.any(|(at, pair)| is_t(pair[0]) && (at == 0 || holds_ours(pair[1])))
}

fn resolved<'a>(segments: &[&'a str]) -> Vec<&'a str> {
    segments.iter().fold(Vec::new(), |mut kept, segment| {
        if *segment == ".." {
            kept.pop();
        } else {
            kept.push(segment);
        }
        kept
    })
}

/// Whether something with a token's length and letters is in it, by itself or between other letters (`<token>.json`).
fn holds_ours(segment: &str) -> bool {
    segment
        .split(|letter: char| !(letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_')))
        .any(looks_like_ours)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_cannot_be_decoded_to_its_end_is_not_shown() {
        let nested = (0..20).fold("/%74/secret".to_owned(), |path, _| path.replace('%', "%25"));
        assert!(may_hold_a_token(&nested));
        assert!(!may_hold_a_token("/100%25/%zz"));
    }

    #[test]
    fn what_follows_t_is_hidden_whatever_it_looks_like() {
        for path in [
            "/T/secret",
            "/%74/secret",
            "/t%2Fsecret",
            "/./t/secret",
            "/x/../t/secret",
            "/t/x/../secret",
            "/peer/v1/t/x/../AbCdEfGhIjKlMnOpQrStUvWxYz0123456789-_AbCdE/../_ping",
            "\\t\\secret",
        ] {
            assert!(may_hold_a_token(path), "{path}");
        }
    }
}
