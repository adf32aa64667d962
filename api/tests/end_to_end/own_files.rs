//! A `stoker-peer` keeps its files for its own user, and a SIGHUP does not end it.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use world::harbor::Wish;
use world::{ImageSpec, ManagerSpec, Peer, Registry};

use crate::{described, preheat_well};

/// The folder and all below it, with their modes.
fn everything(folder: &Path) -> Vec<(PathBuf, u32)> {
    let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
    let mut found = vec![(folder.to_owned(), mode(folder))];
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(everything(&path));
        } else {
            found.push((path.clone(), mode(&path)));
        }
    }
    found
}

fn open_to_others(folder: &Path) -> Vec<(PathBuf, u32)> {
    let mut found = everything(folder);
    found.retain(|(_, mode)| mode & 0o077 != 0);
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peers_layers_are_for_its_own_user_and_a_hangup_ends_nothing() {
    let registry = Registry::plain().await;
    let image = ImageSpec::small(77).build();
    registry.push(&image, "library/app", "v1").await;
    let manager = ManagerSpec::new()
        .config(&described(&registry, None))
        .start()
        .await;
    let mut seed = Peer::seed("seed", &manager).await;
    let hangup = Command::new("kill")
        .args(["-s", "HUP", &seed.pid().to_string()])
        .status();
    assert!(hangup.expect("kill").success());
    preheat_well(&manager, &Wish::new(registry.manifest_url("library/app", "v1"))).await;
    assert!(seed.is_running(), "the signal ended it");

    let store = seed.data_dir().join("store");
    let layers = everything(&store.join("sealed")).into_iter();
    assert!(
        layers.filter(|(path, _)| path.is_file()).count() >= 3,
        "no layers to look at"
    );
    assert_eq!(open_to_others(&seed.data_dir()), []);

    for (path, _) in everything(&store) {
        let bits = if path.is_dir() { 0o755 } else { 0o644 };
        fs::set_permissions(&path, Permissions::from_mode(bits)).expect("opened up");
    }
    seed.restart().await;
    assert_eq!(open_to_others(&seed.data_dir()), []);
    assert_eq!(open_to_others(&manager.data_dir()), []);
}
