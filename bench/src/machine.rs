//! Describes the machine on which the figures were measured.

use std::process::Command;

#[derive(serde::Serialize)]
pub(crate) struct Machine {
    processor: String,
    processors: usize,
    memory_gib: u64,
    kernel: String,
    system: String,
    commit: String,
    nginx: String,
}

impl Machine {
    pub(crate) fn this() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let memory_kib: u64 = field("/proc/meminfo", "MemTotal:")
            .trim_end_matches("kB")
            .trim()
            .parse()
            .unwrap_or_default();
        Self {
            processor: field("/proc/cpuinfo", "model name"),
            processors,
            memory_gib: memory_kib >> 20,
            kernel: output_of("uname", &["-sr"]),
            system: field("/etc/os-release", "PRETTY_NAME="),
            commit: output_of("git", &["rev-parse", "--short", "HEAD"]),
            nginx: output_of("nginx", &["-v"]),
        }
    }

    pub(crate) fn text(&self) -> String {
        let Self {
            processor,
            processors,
            memory_gib,
            kernel,
            system,
            commit,
            nginx,
        } = self;
        format!(
            "{processors} x {processor}, {memory_gib} GiB, {system}, {kernel}, {nginx}; commit {commit}.\n\
             The ratios carry over to another machine, the figures do not.\n"
        )
    }
}

fn field(file: &str, name: &str) -> String {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let value = line.unwrap_or("unknown").trim_start_matches([' ', '\t', ':']);
    value.trim().trim_matches('"').to_owned()
}

/// Runs a program and returns its output. nginx prints its version to stderr.
fn output_of(program: &str, arguments: &[&str]) -> String {
    let Ok(output) = Command::new(program).args(arguments).output() else {
        return "unknown".to_owned();
    };
    let text = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&text).trim().to_owned()
}
