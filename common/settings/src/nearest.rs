//! Suggestions for typing errors: the known word that is nearest to an unknown one.

use strsim::levenshtein;

/// Returns the nearest known word, if few letters differ.
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
    fn a_typing_error_gets_the_nearest_word_suggested() {
        let known = ["listen", "plain_http", "data_dir"];
        assert_eq!(nearest("lissen", &known), Some("listen"));
        assert_eq!(nearest("plain-http", &known), Some("plain_http"));
        assert_eq!(nearest("datadir", &known), Some("data_dir"));
        assert_eq!(nearest("colour", &known), None);
        assert_eq!(nearest("", &known), None);
        assert_eq!(nearest("word", &[]), None);
    }
}
