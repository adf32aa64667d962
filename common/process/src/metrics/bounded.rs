//! Label values that come from outside: a metric must not grow with what others invent.

use std::collections::HashSet;

use parking_lot::Mutex;

const OTHER: &str = "other";

/// Lets the first so many names through; every later one is `other`.
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
    fn names_beyond_the_bound_share_one() {
        let bounded = BoundedLabels::new(2);
        let told: Vec<&str> = ["a", "b", "c", "a", "d"].map(|name| bounded.name(name)).into();
        assert_eq!(told, ["a", "b", "other", "a", "other"]);
    }
}
