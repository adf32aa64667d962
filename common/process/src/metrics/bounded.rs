//! Bounds label values from outside, so that invented names cannot grow a metric.

use std::collections::HashSet;

use parking_lot::Mutex;

const OTHER: &str = "other";

/// Keeps the first `limit` names; every later one becomes `other`.
#[derive(Debug)]
pub struct BoundedLabels {
    limit: usize,
    known: Mutex<HashSet<String>>,
}

impl BoundedLabels {
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            known: Mutex::default(),
        }
    }

    pub fn name<'a>(&self, name: &'a str) -> &'a str {
        let mut known = self.known.lock();
        if known.contains(name) {
            return name;
        }
        if known.len() >= self.limit {
            return OTHER;
        }
        known.insert(name.to_owned());
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_beyond_the_bound_share_one_label() {
        let bounded = BoundedLabels::new(2);
        let labels: Vec<&str> = ["a", "b", "c", "a", "d"].map(|name| bounded.name(name)).into();
        assert_eq!(labels, ["a", "b", "other", "a", "other"]);
    }
}
