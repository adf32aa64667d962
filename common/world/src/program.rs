//! One program that a test started: awaited with a limit, killed on drop; failures show its log.
//!
//! **Invariant:** only processes that were started here are signalled, by their id.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use crate::files;

const LOOK_AGAIN: Duration = Duration::from_millis(10);
const LINES_SHOWN: usize = 60;

/// A running (or ended) child process.
#[derive(Debug)]
pub struct Program {
    name: String,
    child: Child,
    log: PathBuf,
}

/// A signal that the shell's `kill` knows.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Signal {
    Terminate,
    Freeze,
    Thaw,
}

impl Signal {
    fn name(self) -> &'static str {
        match self {
            Self::Terminate => "TERM",
            Self::Freeze => "STOP",
            Self::Thaw => "CONT",
        }
    }
}

impl Program {
    /// Starts it; both outputs are appended to `log`, or stdout to a file of its own.
    pub(crate) fn start(name: &str, mut command: Command, log: &Path, stdout: Option<&Path>) -> Self {
        command
            .stdin(Stdio::null())
            .stdout(files::appending(stdout.unwrap_or(log)))
            .stderr(files::appending(log));
        let child = command
            .spawn()
            .unwrap_or_else(|error| cannot_start(&command, &error));
        Self {
            name: name.to_owned(),
            child,
            log: log.to_owned(),
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it is still running.
    pub fn is_running(&mut self) -> bool {
        self.ended().is_none()
    }

    /// Returns its exit status if it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child
            .try_wait()
            .unwrap_or_else(|error| panic!("cannot get the exit status of {}: {error}", self.name))
    }

    /// Sends SIGKILL and waits until it has ended.
    pub fn kill9(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Sends SIGTERM and waits until it has ended.
    pub async fn stop(&mut self, limit: Duration) -> ExitStatus {
        self.signal(Signal::Terminate);
        self.wait(limit).await
    }

    /// Waits until it has ended by itself.
    pub async fn wait(&mut self, limit: Duration) -> ExitStatus {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.ended() {
                return status;
            }
            assert!(
                Instant::now() < deadline,
                "{} has not ended within {limit:?}\n{}",
                self.name,
                self.shown_log()
            );
            sleep(LOOK_AGAIN).await;
        }
    }

    /// Waits until `probe` returns true; fails with the log if the program ends or the time is over first.
    pub(crate) async fn wait_until(&mut self, limit: Duration, mut probe: impl AsyncFnMut() -> bool) {
        let deadline = Instant::now() + limit;
        while !timeout(Duration::from_secs(5), probe()).await.unwrap_or(false) {
            if let Some(status) = self.ended() {
                panic!(
                    "{} ended while starting ({status})\n{}",
                    self.name,
                    self.shown_log()
                );
            }
            assert!(
                Instant::now() < deadline,
                "{} is not ready after {limit:?}\n{}",
                self.name,
                self.shown_log()
            );
            sleep(LOOK_AGAIN).await;
        }
    }

    pub(crate) fn signal(&mut self, signal: Signal) {
        // After the wait, its id may belong to another process.
        if !self.is_running() {
            return;
        }
        let pid = self.child.id().to_string();
        let status = Command::new("/bin/sh")
            .args(["-c", "kill -s \"$0\" \"$1\"", signal.name(), &pid])
            .status();
        assert!(
            status.is_ok_and(|status| status.success()),
            "cannot send a signal to {}",
            self.name
        );
    }

    fn shown_log(&self) -> String {
        format!(
            "--- last lines of {} ---\n{}\n---",
            self.log.display(),
            files::tail(&self.log, LINES_SHOWN)
        )
    }
}

impl Drop for Program {
    #[expect(
        clippy::print_stderr,
        reason = "the log of a failed test is shown with it: its folder is removed with it"
    )]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.shown_log());
        }
        self.kill9();
    }
}

/// Runs a program to its end.
pub(crate) async fn run(command: Command, limit: Duration) -> Output {
    let mut command = tokio::process::Command::from(command);
    command.stdin(Stdio::null()).kill_on_drop(true);
    match timeout(limit, command.output()).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => cannot_start(command.as_std(), &error),
        Err(tokio::time::error::Elapsed { .. }) => panic!(
            "{} has not ended within {limit:?}",
            command.as_std().get_program().display()
        ),
    }
}

/// Runs a program that must succeed, and returns its stdout.
pub(crate) async fn run_well(command: Command, limit: Duration) -> String {
    let shown = format!("{command:?}");
    let output = run(command, limit).await;
    assert!(
        output.status.success(),
        "{shown} failed: {}",
        text(&output.stderr)
    );
    text(&output.stdout)
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_owned()
}

fn cannot_start(command: &Command, error: &std::io::Error) -> ! {
    let program = command.get_program().display();
    match error.kind() {
        std::io::ErrorKind::NotFound => {
            panic!("{program} is not installed; install it: make test-packages")
        }
        _ => panic!("cannot start {program}: {error}"),
    }
}

/// Polls until `probe` returns a value; fails after `limit` and names what was awaited.
pub async fn eventually<T>(what: &str, limit: Duration, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(value) = probe().await {
            return value;
        }
        assert!(Instant::now() < deadline, "timed out after {limit:?}: {what}");
        sleep(LOOK_AGAIN).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    #[should_panic(expected = "install it: make test-packages")]
    async fn a_missing_program_panics_with_the_install_command() {
        run(Command::new("no-such-program-anywhere"), Duration::from_secs(5)).await;
    }

    #[tokio::test]
    async fn dropping_the_value_ends_the_program() {
        let folder = files::temporary("program");
        let mut sleeper = Command::new("sleep");
        sleeper.arg("1000");
        let program = Program::start("sleep", sleeper, &folder.path().join("log"), None);
        let entry = PathBuf::from(format!("/proc/{}", program.pid()));
        assert!(entry.exists());
        drop(program);
        assert!(!entry.exists());
    }

    #[tokio::test]
    async fn a_stopped_program_ends_by_that_signal() {
        use std::os::unix::process::ExitStatusExt as _;
        let folder = files::temporary("program");
        let mut sleeper = Command::new("sleep");
        sleeper.arg("1000");
        let mut program = Program::start("sleep", sleeper, &folder.path().join("log"), None);
        let status = program.stop(Duration::from_secs(10)).await;
        assert_eq!(status.signal(), Some(15));
        assert!(!program.is_running());
    }
}
