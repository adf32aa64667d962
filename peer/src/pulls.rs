//! The latest objects that container runtimes asked for, to explain why a pull went as it did.
//!
//! **Invariant:** bounded, in memory only, and without credentials or query strings: only validated names,
//! numbers, and errors in our own words.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use wire::Pull;

/// Pulls that are kept, over all images.
const KEPT: usize = 512;
/// The longest error text, in characters.
const TROUBLE_LIMIT: usize = 500;

/// Clones share the pulls.
#[derive(Clone, Default)]
pub(crate) struct RecentPulls(Arc<Mutex<VecDeque<Pull>>>);

impl RecentPulls {
    pub(crate) fn push(&self, pulled: Pull) {
        let mut pulls = self.0.lock();
        if pulls.len() >= KEPT {
            pulls.pop_front();
        }
        pulls.push_back(pulled);
    }

    /// Returns the newest pulls first.
    pub(crate) fn newest(&self, at_most: usize, is_wanted: impl Fn(&Pull) -> bool) -> Vec<Pull> {
        let pulls = self.0.lock();
        let wanted = pulls.iter().rev().filter(|pulled| is_wanted(pulled));
        wanted.take(at_most).cloned().collect()
    }
}

/// Removes user names and query strings of URLs from an error text and cuts it.
pub(crate) fn harmless(trouble: &str) -> String {
    let words: Vec<String> = trouble.split(' ').map(without_secrets).collect();
    let mut text = words.join(" ");
    if let Some((end, _)) = text.char_indices().nth(TROUBLE_LIMIT) {
        text.truncate(end);
        text.push('…');
    }
    text
}

fn without_secrets(word: &str) -> String {
    let Some((scheme, rest)) = word.split_once("://") else {
        return word.to_owned();
    };
    let (rest, query) = rest.split_once('?').map_or((rest, ""), |(rest, _)| (rest, "?…"));
    let (host, path) = rest
        .split_once('/')
        .map_or((rest, None), |(host, path)| (host, Some(path)));
    let host = host.rsplit('@').next().unwrap_or_default();
    match path {
        Some(path) => format!("{scheme}://{host}/{path}{query}"),
        None => format!("{scheme}://{host}{query}"),
    }
}

#[cfg(test)]
mod tests {
    use wire::{ObjectKind, PullResult};

    use super::*;

    fn pulled(at_unix_ms: i64, repository: &str) -> Pull {
        Pull {
            at_unix_ms,
            registry: "registry.lan".to_owned(),
            repository: repository.to_owned(),
            reference: "v1".to_owned(),
            digest: None,
            kind: ObjectKind::Manifest,
            result: PullResult::Hit,
            sources: Vec::new(),
            bytes: 1,
            took_ms: 1,
            status: 200,
            trouble: None,
            trace_id: None,
        }
    }

    #[test]
    fn the_newest_pulls_are_kept_and_come_first() {
        let pulls = RecentPulls::default();
        for number in 0..600 {
            pulls.push(pulled(number, if number % 2 == 0 { "even" } else { "odd" }));
        }
        let all = pulls.newest(usize::MAX, |_| true);
        assert_eq!(all.len(), KEPT);
        assert_eq!(all.first().map(|pulled| pulled.at_unix_ms), Some(599));
        assert_eq!(all.last().map(|pulled| pulled.at_unix_ms), Some(88));
        let odd = pulls.newest(3, |pulled| pulled.repository == "odd");
        let times: Vec<i64> = odd.iter().map(|pulled| pulled.at_unix_ms).collect();
        assert_eq!(times, [599, 597, 595]);
    }

    #[test]
    fn an_error_text_contains_no_secret_of_a_url() {
        let text =
            harmless("GET https://ann:pw@store.lan/a/b?X-Sig=geheim said 403, see http://x.lan?t=geheim");
        assert_eq!(text, "GET https://store.lan/a/b?… said 403, see http://x.lan?…");
        assert_eq!(harmless("a ? b"), "a ? b");
        assert_eq!(harmless(&"ä".repeat(10_000)).chars().count(), TROUBLE_LIMIT + 1);
    }
}
