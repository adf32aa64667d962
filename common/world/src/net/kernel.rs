//! Runs `ip` and `tc` and waits for their end; each takes milliseconds.

use std::process::{Command, Output};

use super::rate::Rate;
use crate::program::text;

/// The size of a burst, and the time that queued bytes may wait.
const BURST: &str = "256kb";
const QUEUE: &str = "50ms";

pub(super) fn ip(arguments: &[&str]) {
    well("ip", arguments);
}

/// Ignores errors: the object may already be removed.
pub(super) fn ip_if_there(arguments: &[&str]) {
    let _ = output("ip", arguments);
}

/// Returns the list that `ip` prints; empty if it fails.
pub(super) fn list(arguments: &[&str]) -> String {
    text(&output("ip", arguments).stdout)
}

pub(super) fn shape(namespace: Option<&str>, device: &str, rate: Rate) {
    let bits = format!("{}bit", rate.bytes_a_second() * 8);
    let within: Vec<&str> = namespace.map_or_else(Vec::new, |name| vec!["-n", name]);
    let bucket = ["qdisc", "replace", "dev", device, "root", "tbf", "rate", &bits];
    let sizes = ["burst", BURST, "latency", QUEUE];
    well("tc", &[&within[..], &bucket[..], &sizes[..]].concat());
}

fn well(program: &str, arguments: &[&str]) {
    let output = output(program, arguments);
    assert!(
        output.status.success(),
        "{program} {} failed (namespaces need root): {}",
        arguments.join(" "),
        text(&output.stderr)
    );
}

fn output(program: &str, arguments: &[&str]) -> Output {
    let output = Command::new(program).args(arguments).output();
    output
        .unwrap_or_else(|error| panic!("cannot run {program}: {error}; install iproute2: make test-packages"))
}
