//! Labels: free key-value pairs that a caller gives with a preheat and can filter by.
//!
//! **Invariant:** a [`Label`] and a set of [`Labels`] are within the bounds below. A key never holds `=`, so that
//! `key=value` names exactly one label.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use oci::Digest;

const LONGEST_KEY: usize = 63;
const LONGEST_VALUE: usize = 255;
/// The number of letters of a refused text that an error repeats.
const LONGEST_QUOTE: usize = 80;

/// A label that is refused. Its value is never repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadLabel {
    #[error("there are {0} labels; the limit is {most}", most = Labels::MOST)]
    TooMany(usize),
    #[error("label {key:?} is given twice: give each key once")]
    Twice { key: String },
    #[error(
        "label {key:?} has a bad key: use 1 to {LONGEST_KEY} of a-z, A-Z, 0-9, `.`, `_`, `/` and `-`, with a letter or \
         digit at both ends"
    )]
    Key { key: String },
    #[error("label {key:?} has a bad value: use {LONGEST_VALUE} bytes at most and no control characters")]
    Value { key: String },
    #[error("label {text:?} has no `=`: write KEY=VALUE, for example team=payments")]
    NoValue { text: String },
}

/// One key with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    key: String,
    value: String,
}

impl Label {
    pub fn new(key: String, value: String) -> Result<Self, BadLabel> {
        if !is_key(&key) {
            return Err(BadLabel::Key { key: quote(&key) });
        }
        if value.len() > LONGEST_VALUE || value.contains(char::is_control) {
            return Err(BadLabel::Value { key });
        }
        Ok(Self { key, value })
    }

    /// The key by which rows of this label are found.
    pub(crate) fn digest(&self) -> String {
        digest(&self.key, &self.value)
    }
}

impl fmt::Display for Label {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}={}", self.key, self.value)
    }
}

/// `KEY=VALUE`; the value may hold `=` too.
impl FromStr for Label {
    type Err = BadLabel;

    fn from_str(text: &str) -> Result<Self, BadLabel> {
        let (key, value) = text
            .split_once('=')
            .ok_or_else(|| BadLabel::NoValue { text: quote(text) })?;
        Self::new(key.to_owned(), value.to_owned())
    }
}

/// The labels of one preheat.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Labels(BTreeMap<String, String>);

impl Labels {
    /// The limit of one preheat.
    pub const MOST: usize = 32;

    pub fn new(labels: impl IntoIterator<Item = Label>) -> Result<Self, BadLabel> {
        let mut all = BTreeMap::new();
        for Label { key, value } in labels {
            if all.contains_key(&key) {
                return Err(BadLabel::Twice { key });
            }
            all.insert(key, value);
        }
        if all.len() > Self::MOST {
            return Err(BadLabel::TooMany(all.len()));
        }
        Ok(Self(all))
    }

    pub fn into_map(self) -> BTreeMap<String, String> {
        self.0
    }

    /// As a row stores them; none without labels.
    pub(crate) fn to_json(&self) -> Option<String> {
        (!self.0.is_empty()).then(|| serde_json::json!(self.0).to_string())
    }

    /// Labels from a row: they were checked before they were stored.
    pub(crate) fn stored(labels: BTreeMap<String, String>) -> Self {
        Self(labels)
    }

    /// The keys by which rows of these labels are found.
    pub(crate) fn digests(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|(key, value)| digest(key, value))
    }
}

fn digest(key: &str, value: &str) -> String {
    Digest::of(format!("{key}={value}").as_bytes())
        .as_str()
        .to_owned()
}

fn is_key(key: &str) -> bool {
    let is_inner = |byte: &u8| byte.is_ascii_alphanumeric() || b"._/-".contains(byte);
    let is_outer = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = key.as_bytes();
    bytes.len() <= LONGEST_KEY
        && is_outer(bytes.first())
        && is_outer(bytes.last())
        && bytes.iter().all(is_inner)
}

fn quote(text: &str) -> String {
    text.chars().take(LONGEST_QUOTE).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(key: &str, value: &str) -> Result<Label, BadLabel> {
        Label::new(key.to_owned(), value.to_owned())
    }

    #[test]
    fn keys_within_the_bounds_are_taken() {
        let longest = "k".repeat(63);
        for key in [
            "a",
            "7",
            "team",
            "example.com/team_a-1",
            "A.b_c/d-E",
            longest.as_str(),
        ] {
            assert!(label(key, "v").is_ok(), "{key}");
        }
    }

    #[test]
    fn hostile_keys_are_refused_and_named() {
        let long = "k".repeat(64);
        let hostile = [
            "",
            "-a",
            "a-",
            ".a",
            "a/",
            "_",
            "a b",
            "a=b",
            "a\0b",
            "a\nb",
            "ключ",
            "a\u{202e}b",
            "a'; DROP TABLE--x",
            "a%",
            "a\\b",
            "\u{ff41}",
            long.as_str(),
        ];
        for key in hostile {
            let fault = label(key, "v").expect_err(key);
            assert_eq!(fault, BadLabel::Key { key: key.to_owned() });
            assert!(!fault.to_string().contains(char::is_control), "{fault}");
        }
        let endless = "k".repeat(1_000_000);
        assert!(label(&endless, "v").expect_err("too long").to_string().len() < 300);
    }

    #[test]
    fn values_are_bounded_and_never_repeated() {
        for value in ["", "=", "a=b", "ü".repeat(127).as_str(), "%_!'\"\\", " spaces "] {
            assert!(label("k", value).is_ok(), "{value}");
        }
        for value in [
            "v".repeat(256),
            "ü".repeat(128),
            "s3cret\n".to_owned(),
            "s3cret\u{85}".to_owned(),
        ] {
            let fault = label("team", &value).expect_err("refused");
            assert_eq!(
                fault,
                BadLabel::Value {
                    key: "team".to_owned()
                }
            );
            assert!(!fault.to_string().contains("s3cret"));
        }
    }

    #[test]
    fn a_text_is_split_at_its_first_equals_sign() {
        assert_eq!("k=a=b".parse(), label("k", "a=b"));
        assert_eq!("k=".parse(), label("k", ""));
        let without = "team".parse::<Label>();
        assert_eq!(
            without,
            Err(BadLabel::NoValue {
                text: "team".to_owned()
            })
        );
        assert!("=v".parse::<Label>().is_err());
    }

    #[test]
    fn a_set_has_each_key_once_and_32_at_most() {
        let many =
            |count: usize| Labels::new((0..count).map(|n| label(&format!("k{n}"), "v").expect("good")));
        assert!(many(32).is_ok());
        assert_eq!(many(33), Err(BadLabel::TooMany(33)));
        let twice = Labels::new([label("k", "a").expect("good"), label("k", "b").expect("good")]);
        assert_eq!(twice, Err(BadLabel::Twice { key: "k".to_owned() }));
    }

    #[test]
    fn a_row_gives_back_what_was_stored() {
        let labels = Labels::new([label("k", "\"ü\" \\ =").expect("good")]).expect("one");
        let json = labels.to_json().expect("some");
        assert_eq!(Labels::stored(serde_json::from_str(&json).expect("JSON")), labels);
        assert_eq!(Labels::default().to_json(), None);
    }
}
