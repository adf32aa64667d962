//! Searches for planted secrets in folders (with the real `grep`) and in received texts.
//!
//! Searches each secret in plain, percent-encoded, in base64 (at any offset in a longer text), in hex, and as
//! `user:password` in base64; of a JWT also the signature alone.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use crate::files;
use crate::program::{run, text};

const LIMIT: Duration = Duration::from_secs(120);
/// A shorter form could occur in random bytes.
const SHORTEST: usize = 6;

/// Planted secrets in all forms to search for.
#[derive(Default)]
pub struct Planted {
    forms: Vec<Form>,
}

struct Form {
    /// The name of the secret and its form.
    what: String,
    bytes: String,
}

/// A found secret. It does not show the secret itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Which secret, in which form.
    pub what: String,
    /// File, or name of the text.
    pub place: String,
}

impl Planted {
    pub fn new() -> Self {
        Self::default()
    }

    /// A secret text: a token, a password.
    #[must_use]
    pub fn secret(mut self, name: &str, secret: &str) -> Self {
        self.add(name, "as it is", secret.to_owned());
        self.add(name, "percent-encoded", percent_encoded(secret));
        self.add(name, "in hex", hex::encode(secret));
        for form in base64_forms(secret) {
            self.add(name, "in base64", form);
        }
        self
    }

    /// A password, also as `user:password` in base64.
    #[must_use]
    pub fn password(self, name: &str, user: &str, password: &str) -> Self {
        let mut planted = self.secret(name, password);
        for form in base64_forms(&format!("{user}:{password}")) {
            planted.add(name, "in base64 with its user", form);
        }
        planted
    }

    /// A JWT, whole and its signature alone.
    #[must_use]
    pub fn jwt(self, name: &str, jwt: &str) -> Self {
        let (_, signature) = jwt.rsplit_once('.').expect("a JWT has three parts");
        self.secret(name, jwt)
            .secret(&format!("{name}'s signature"), signature)
    }

    fn add(&mut self, name: &str, form: &str, bytes: String) {
        assert!(
            bytes.len() >= SHORTEST,
            "{name} is too short to be searched {form}"
        );
        assert!(!bytes.contains('\n'), "{name} has more than one line");
        let known = self.forms.iter().any(|other| other.bytes == bytes);
        if !known {
            self.forms.push(Form {
                what: format!("{name} {form}"),
                bytes,
            });
        }
    }

    /// Searches every file below these folders (or these files), databases and their logs included.
    pub async fn found_in_files<P: AsRef<Path>>(&self, places: impl IntoIterator<Item = P>) -> Vec<Finding> {
        let folder = files::temporary("secrets");
        let patterns = folder.path().join("patterns");
        files::write(
            &patterns,
            self.forms
                .iter()
                .fold(String::new(), |list, form| list + &form.bytes + "\n"),
        );
        let mut command = Command::new("grep");
        command
            .env("LC_ALL", "C")
            .args(["-r", "-a", "-F", "-o", "-H", "-Z", "-f"])
            .arg(&patterns)
            .arg("--");
        for place in places {
            assert!(
                place.as_ref().exists(),
                "{} does not exist, so nothing was searched",
                place.as_ref().display()
            );
            command.arg(place.as_ref());
        }
        let output = run(command, LIMIT).await;
        // 0: found, 1: not found, 2: a file could not be read (a database's -shm, or a file that was removed meanwhile).
        assert!(
            output.status.code().is_some(),
            "grep was killed: {}",
            text(&output.stderr)
        );
        self.told(&String::from_utf8_lossy(&output.stdout))
    }

    /// Parses the lines of grep: file name, NUL, match.
    fn told(&self, lines: &str) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (place, found) in lines.lines().filter_map(|line| line.split_once('\0')) {
            let form = self.forms.iter().find(|form| form.bytes == found);
            let what = form.map_or_else(|| "a secret".to_owned(), |form| form.what.clone());
            let finding = Finding {
                what,
                place: place.to_owned(),
            };
            if !findings.contains(&finding) {
                findings.push(finding);
            }
        }
        findings
    }

    /// Searches a received text: a response of the API, a document.
    pub fn found_in_text(&self, name: &str, text: &str) -> Vec<Finding> {
        let found = self.forms.iter().filter(|form| text.contains(&form.bytes));
        found
            .map(|form| Finding {
                what: form.what.clone(),
                place: name.to_owned(),
            })
            .collect()
    }

    /// Fails if a secret is found, and names the secret and the file.
    pub async fn assert_nowhere<P: AsRef<Path>>(
        &self,
        places: impl IntoIterator<Item = P>,
        texts: &[(&str, &str)],
    ) {
        assert!(!self.forms.is_empty(), "no secret was planted");
        let mut findings = self.found_in_files(places).await;
        findings.extend(
            texts
                .iter()
                .flat_map(|(name, text)| self.found_in_text(name, text)),
        );
        assert!(findings.is_empty(), "secrets found: {findings:#?}");
    }
}

/// Returns the base64 forms of `secret` inside a longer text, in both alphabets: one for each offset in a group of three
/// bytes, without the characters that also depend on the bytes before or after it.
fn base64_forms(secret: &str) -> Vec<String> {
    let mut forms = Vec::new();
    for before in 0..3 {
        let mut bytes = vec![0; before];
        bytes.extend_from_slice(secret.as_bytes());
        let first = (before * 8).div_ceil(6);
        let whole = bytes.len() * 8 / 6;
        for encoded in [STANDARD_NO_PAD.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes)] {
            forms.push(encoded[first..whole].to_owned());
        }
    }
    forms
}

fn percent_encoded(secret: &str) -> String {
    secret.bytes().fold(String::new(), |mut encoded, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(byte.into()),
            _ => {
                let _ = write!(encoded, "%{byte:02X}");
            }
        }
        encoded
    })
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    fn planted() -> Planted {
        Planted::new()
            .password("the password", "alice", "pass/wörd+1")
            .jwt("the token", "aaaaaaaa.bbbbbbbb.sig-nature")
    }

    #[tokio::test]
    async fn every_form_is_found_in_a_file() {
        let folder = files::temporary("look");
        let forms = [
            ("plain", "x pass/wörd+1 y".to_owned()),
            ("percent", "u=pass%2Fw%C3%B6rd%2B1".to_owned()),
            ("pair", STANDARD.encode("alice:pass/wörd+1")),
            ("inside-1", STANDARD.encode("{\"p\":\"pass/wörd+1\"}")),
            ("inside-2", URL_SAFE_NO_PAD.encode("a pass/wörd+1")),
            ("inside-3", URL_SAFE_NO_PAD.encode("ab pass/wörd+1.")),
            ("hex", hex::encode("pass/wörd+1")),
            ("signature", "cut off: sig-nature".to_owned()),
        ];
        for (name, content) in &forms {
            files::write(
                &folder.path().join(name),
                [b"\0\xff".as_slice(), content.as_bytes()].concat(),
            );
        }
        files::write(
            &folder.path().join("innocent"),
            "password alice aaaaaaaa.bbbbbbbb.",
        );
        let findings = planted().found_in_files([folder.path()]).await;
        for (name, _) in &forms {
            assert!(
                findings.iter().any(|finding| finding.place.ends_with(name)),
                "{name} in {findings:?}"
            );
        }
        assert!(
            !findings.iter().any(|finding| finding.place.ends_with("innocent")),
            "{findings:?}"
        );
    }

    #[test]
    fn a_secret_in_a_text_is_found_but_not_shown() {
        let findings = planted().found_in_text("the answer", "…pass/wörd+1…");
        assert_eq!(findings.len(), 1);
        assert!(!format!("{findings:?}").contains("pass/"));
    }

    #[tokio::test]
    #[should_panic(expected = "/nowhere/at/all does not exist")]
    async fn a_missing_folder_is_not_accepted_as_proof() {
        planted()
            .assert_nowhere([Path::new("/nowhere/at/all")], &[])
            .await;
    }
}
