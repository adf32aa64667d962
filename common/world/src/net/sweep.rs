//! Removes the leftovers of killed processes.
//!
//! **Invariant:** removes only names with our prefix and the id of a process that no longer exists.

use std::path::Path;

use super::kernel::{ip_if_there, list};

pub(super) const PREFIX: &str = "skw";

/// Removing a namespace removes its links; bridges are removed one by one.
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

/// Returns the process id in a name: 4711 for `skw4711b3` and `skw4711x3h2`.
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
    fn only_our_names_have_an_owner() {
        assert_eq!(owner("skw4711b3"), Some(4711));
        assert_eq!(owner("skw4711x3h2"), Some(4711));
        assert_eq!(owner("docker0"), None);
        assert_eq!(owner("skw"), None);
        assert_eq!(owner("skwb3"), None);
    }

    #[test]
    fn networks_of_a_living_process_are_kept() {
        let ours = format!("skw{}b7\n", std::process::id());
        assert_eq!(names(&ours).count(), 0);
        // No process has an id this high.
        assert_eq!(
            names("skw999999999b7 (id: 3)\n").collect::<Vec<_>>(),
            ["skw999999999b7"]
        );
    }
}
