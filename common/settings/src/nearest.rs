//! "Did you mean": the known word that an unknown one is nearest to.

use strsim::levenshtein;

/// Returns the known word that is nearest, if it is near enough to have been meant.
pub(crate) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let steps = known
        .iter()
        .map(|candidate| (levenshtein(word, candidate), *candidate));
    let (steps, candidate) = steps.min_by_key(|(steps, _)| *steps)?;
    (steps <= (candidate.len() / 3).max(1)).then_some(candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_error_finds_the_word_that_was_meant() {
        let known = ["listen", "plain_http", "data_dir"];
        assert_eq!(nearest("lissen", &known), Some("listen"));
        assert_eq!(nearest("plain-http", &known), Some("plain_http"));
        assert_eq!(nearest("datadir", &known), Some("data_dir"));
        assert_eq!(nearest("colour", &known), None);
        assert_eq!(nearest("", &known), None);
        assert_eq!(nearest("word", &[]), None);
    }
}
