//! Common parts of our programs as processes: a data folder and ports that survive a kill, one log, an admin port.

use std::path::PathBuf;
use std::time::Duration;

use crate::files::{self, Folder};
use crate::http::{self, status_of};
use crate::net::{Host, command_on, port_on};
use crate::usage::Usage;
use crate::{Port, Program};

const READY_LIMIT: Duration = Duration::from_secs(30);
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// One of our programs: running, killed or stopped.
pub struct OurProgram {
    // Declared before the folder, so that the program ends before its folder is removed.
    program: Option<Program>,
    name: String,
    binary: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    folder: Folder,
    admin: Port,
    http: reqwest::Client,
    host: Option<Host>,
}

/// Settings of a program that a test may choose.
#[derive(Default)]
pub(super) struct Settings {
    /// A folder that is kept after the program's value is dropped.
    pub(super) folder: Option<PathBuf>,
    pub(super) config: String,
    pub(super) arguments: Vec<String>,
    pub(super) environment: Vec<(String, String)>,
    /// The machine that it runs on; `None` is this one.
    pub(super) host: Option<Host>,
}

impl OurProgram {
    /// Prepares the program without starting it. `arguments` come before those of the settings.
    pub(super) fn new(name: &str, binary_name: &str, arguments: Vec<String>, settings: Settings) -> Self {
        let folder = settings.folder.map_or_else(|| Folder::new(name), Folder::Given);
        files::make_dir(folder.path());
        let admin = port_on(settings.host.as_ref());
        let mut ours = Self {
            program: None,
            name: name.to_owned(),
            binary: binary(binary_name),
            arguments,
            environment: settings.environment,
            folder,
            admin,
            http: http::client(None),
            host: settings.host,
        };
        files::write(&ours.config_file(), with_loopback(settings.config));
        ours.arguments
            .extend(["--data-dir".to_owned(), ours.data_dir().display().to_string()]);
        ours.arguments
            .extend(["--config".to_owned(), ours.config_file().display().to_string()]);
        ours.arguments
            .extend(["--admin".to_owned(), ours.admin.to_string()]);
        ours.arguments.extend(settings.arguments);
        ours
    }

    pub(super) fn add_arguments(&mut self, more: impl IntoIterator<Item = String>) {
        self.arguments.extend(more);
    }

    /// Starts it without waiting until it is ready.
    pub fn launch(&mut self) {
        assert!(!self.is_running(), "{} is already running", self.name);
        let mut command = command_on(self.host.as_ref(), &self.binary.to_string_lossy());
        command.args(&self.arguments).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command
            .env("RUST_BACKTRACE", "1")
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        self.program = Some(Program::start(&self.name, command, &self.log_file(), None));
    }

    /// Waits until its admin port reports ready; shows its log if that fails.
    pub async fn wait_ready(&mut self) {
        let url = format!("{}/readyz", self.admin_url());
        let http = self.http.clone();
        let probe = async || status_of(&http, &url).await == Some(200);
        self.program
            .as_mut()
            .expect("a started program")
            .wait_until(READY_LIMIT, probe)
            .await;
    }

    /// Launches it and waits until it is ready.
    pub async fn start_again(&mut self) {
        self.launch();
        self.wait_ready().await;
    }

    /// Stops it if it runs, and starts it with the same folder and ports.
    pub async fn restart(&mut self) {
        if self.is_running() {
            self.stop().await;
        }
        self.start_again().await;
    }

    /// Kills it, like a power failure that keeps the caches of the operating system.
    pub fn kill9(&mut self) {
        if let Some(program) = &mut self.program {
            program.kill9();
        }
    }

    /// Sends SIGTERM; it must exit with success.
    pub async fn stop(&mut self) {
        let status = self
            .program
            .as_mut()
            .expect("a started program")
            .stop(STOP_LIMIT)
            .await;
        assert!(
            status.success(),
            "{} ended with an error: {status}\n{}",
            self.name,
            self.log()
        );
    }

    /// Waits until it ends by itself, for example after a fault in its configuration.
    pub async fn wait_end(&mut self, limit: Duration) -> std::process::ExitStatus {
        self.program
            .as_mut()
            .expect("a started program")
            .wait(limit)
            .await
    }

    pub fn is_running(&mut self) -> bool {
        self.program.as_mut().is_some_and(Program::is_running)
    }

    /// Returns the id of the running process.
    pub fn pid(&self) -> u32 {
        self.program.as_ref().expect("a started program").pid()
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Returns its whole log, over all starts.
    pub fn log(&self) -> String {
        files::read_text(&self.log_file())
    }

    pub fn log_file(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// Takes effect at the next start.
    pub fn config_file(&self) -> PathBuf {
        self.folder.path().join("config.toml")
    }

    pub fn admin_url(&self) -> String {
        format!("http://{}", self.admin)
    }

    /// Returns its resident memory in bytes.
    pub fn resident_bytes(&self) -> u64 {
        self.usage().resident_bytes
    }

    /// Returns CPU time and memory since its start.
    pub fn usage(&self) -> Usage {
        Usage::of(self.pid())
    }

    pub(super) fn http(&self) -> &reqwest::Client {
        &self.http
    }
}

/// Lists the addresses of this machine, so that the program may dial the registries of a test. A test of that rule writes
/// `[dial]` itself.
fn with_loopback(config: String) -> String {
    if config.contains("[dial]") {
        return config;
    }
    config + "\n[dial]\naddresses = [\"127.0.0.0/8\", \"::1/128\"]\n"
}

/// Returns the path of the program with this name, built with the running test.
pub fn binary(name: &str) -> PathBuf {
    let running = std::env::current_exe().expect("the path of this program");
    // target/<profile>/deps/test-0123 for tests, target/<profile>/bench for programs.
    let folders = running.ancestors().skip(1).take(2);
    let found = folders
        .map(|folder| folder.join(name))
        .find(|path| path.is_file());
    found.unwrap_or_else(|| {
        panic!(
            "{name} is not built (searched beside {}); run first: cargo build --workspace --bins",
            running.display()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "run first: cargo build --workspace --bins")]
    fn a_program_that_was_not_built_panics_with_the_build_command() {
        binary("no-program-of-ours");
    }
}
