//! Everything end to end with real programs: our programs as processes, a real docker-registry, a real containerd.

mod artifacts;
mod attacks;
mod authorize;
mod bad_input;
mod clients;
mod cluster;
mod connect;
mod dial;
mod explain;
mod generations;
mod images;
mod joining;
mod kills;
mod life;
mod limits;
mod one_trace;
mod own_files;
mod plain_client;
mod private;
mod pulls;
mod ranges;
mod registry_clients;
mod relay;
mod retrying;
mod scopes;
mod secrets;
mod sha512;
mod sign_in;
mod spot_checks;
mod telling;
mod triggers;
mod width;

use std::process::Output;
use std::time::Duration;

use world::harbor::{Poll, State, Wish};
use world::{Manager, ManagerSpec, Registry};

/// Long enough for a slow machine; a preheat that takes longer has failed.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);

/// How peers reach this registry, for a manager's configuration.
pub(crate) fn described(registry: &Registry, ca_file: Option<&std::path::Path>) -> String {
    let trust = ca_file
        .map(|file| format!("ca_file = \"{}\"\n", file.display()))
        .unwrap_or_default();
    format!(
        "[registry.\"{}\"]\nplain_http = {}\n{trust}",
        registry.host(),
        registry.is_plain_http()
    )
}

/// `stoker up` that knows the registry.
pub(crate) async fn up(registry: &Registry) -> Manager {
    ManagerSpec::new()
        .config(&described(registry, None))
        .start_up()
        .await
}

/// Preheats as Harbor does and waits for the end.
pub(crate) async fn preheat(manager: &Manager, wish: &Wish) -> Poll {
    let mut harbor = manager.harbor();
    let created = harbor.preheat(wish).await.expect("taken");
    harbor.until_done(created.id, LIMIT).await
}

/// Preheats as Harbor does and checks that it succeeds.
pub(crate) async fn preheat_well(manager: &Manager, wish: &Wish) -> Poll {
    let poll = preheat(manager, wish).await;
    assert_eq!(poll.state, State::Success, "{:?}", poll.errors);
    poll
}

/// The exit code and everything that a command printed.
pub(crate) fn transcript(output: &Output) -> String {
    format!(
        "{:?}: {}{}",
        output.status.code(),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Checks that Harbor's table has a row for every digest of the image.
pub(crate) fn assert_lists(poll: &Poll, image: &world::Image) {
    let listed = poll.digests();
    for digest in image.digests() {
        assert!(
            listed.contains(&digest),
            "{digest} is not in Harbor's table: {:?}",
            poll.rows
        );
    }
}
