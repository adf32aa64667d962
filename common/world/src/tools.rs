//! Programs that our scripts build once into a folder of tools.

use std::path::PathBuf;

/// Returns the program's path. `made_by` is the command that builds it.
pub(crate) fn built(name: &str, made_by: &str) -> PathBuf {
    let folder = std::env::var_os("STOKER_TOOLS").map(PathBuf::from);
    let folder = folder.unwrap_or_else(|| cache().join("stoker-tools"));
    let program = folder.join(name);
    assert!(
        program.is_file(),
        "{} is not there; put it there: {made_by}",
        program.display()
    );
    program
}

fn cache() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache");
    std::env::var_os("XDG_CACHE_HOME").map_or_else(home, PathBuf::from)
}
