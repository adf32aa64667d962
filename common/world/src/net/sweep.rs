//! Removes the leftovers of killed processes.
//!
//! **Invariant:** removes only names with our prefix and the id of a process that no longer exists.

use std::path::Path;

use super::kernel::{ip_if_there, list};

pub(super) const PREFIX: &str = "skw";

/// Namespaces go with the links inside of them; bridges by themselves.
pub(super) fn left_by_the_dead() {
    for name in names(&list(&["netns", "list"])) {
        ip_if_there(&["netns", "del", name]);
    }
    for name in names(&list(&["-br", "link", "show", "type", "bridge"])) {
        ip_if_there(&["link", "del", name]);
    }
}

fn names(listing: &str) -> impl Iterator<Item = &str> {
    let first_words = listing.lines().filter_map(|line| line.split_whitespace().next());
    first_words.filter(|name| owner(name).is_some_and(|pid| !is_alive(pid)))
}

/// `skw4711b3`, `skw4711x3h2`: 4711.
fn owner(name: &str) -> Option<u32> {
    let rest = name.strip_prefix(PREFIX)?;
    let end = rest.find(|letter: char| !letter.is_ascii_digit())?;
    rest[..end].parse().ok()
}

fn is_alive(pid: u32) -> bool {
    Path::new("/proc").join(pid.to_string()).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_ours_have_an_owner() {
        assert_eq!(owner("skw4711b3"), Some(4711));
        assert_eq!(owner("skw4711x3h2"), Some(4711));
        assert_eq!(owner("docker0"), None);
        assert_eq!(owner("skw"), None);
        assert_eq!(owner("skwb3"), None);
    }

    #[test]
    fn what_a_living_process_has_made_stays() {
        let ours = format!("skw{}b7\n", std::process::id());
        assert_eq!(names(&ours).count(), 0);
        // No process has an id this high.
        assert_eq!(
            names("skw999999999b7 (id: 3)\n").collect::<Vec<_>>(),
            ["skw999999999b7"]
        );
    }
}
