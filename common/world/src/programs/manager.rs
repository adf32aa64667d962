//! `stoker manager`, and `stoker up`.

use std::ops::{Deref, DerefMut};
use std::path::PathBuf;

use super::OurProgram;
use super::process::Settings;
use crate::jaeger::Export;
use crate::net::port_on;
use crate::{Harbor, Host, Port, files};

/// How a manager is to be started.
#[derive(Default)]
pub struct ManagerSpec {
    settings: Settings,
}

/// A manager; with `up`, a seed and node peer in the same process.
pub struct Manager {
    program: OurProgram,
    listen: Port,
    peer_listen: Port,
    beside: Option<Beside>,
}

/// The ports of the peer in `stoker up`.
struct Beside {
    front: Port,
    share: Port,
}

impl ManagerSpec {
    pub fn new() -> Self {
        Self::default()
    }

    /// A folder for data and log that is not removed at the end.
    #[must_use]
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.settings.folder = Some(folder.into());
        self
    }

    /// It runs there, and listens there.
    #[must_use]
    pub fn on(mut self, host: &Host) -> Self {
        self.settings.host = Some(host.clone());
        self
    }

    /// TOML; appended to what was given before.
    #[must_use]
    pub fn config(mut self, toml: &str) -> Self {
        self.settings.config += toml;
        self.settings.config += "\n";
        self
    }

    #[must_use]
    pub fn argument(mut self, argument: impl Into<String>) -> Self {
        self.settings.arguments.push(argument.into());
        self
    }

    #[must_use]
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.settings
            .environment
            .push((name.to_owned(), value.to_owned()));
        self
    }

    /// Its spans go there, a few times a second.
    #[must_use]
    pub fn traced(mut self, export: &Export) -> Self {
        self.settings.environment.extend(export.environment());
        self
    }

    /// `stoker manager`, ready.
    pub async fn start(self) -> Manager {
        self.start_as("manager", None).await
    }

    /// `stoker up`, ready.
    pub async fn start_up(self) -> Manager {
        let beside = Beside {
            front: Port::free(),
            share: Port::free(),
        };
        self.start_as("up", Some(beside)).await
    }

    async fn start_as(self, command: &str, beside: Option<Beside>) -> Manager {
        let listen = port_on(self.settings.host.as_ref());
        let peer_listen = port_on(self.settings.host.as_ref());
        let mut arguments = vec![command.to_owned(), "--listen".to_owned(), listen.to_string()];
        arguments.extend(["--peer-listen".to_owned(), peer_listen.to_string()]);
        if let Some(beside) = &beside {
            arguments.extend(["--front".to_owned(), beside.front.to_string()]);
            arguments.extend(["--share".to_owned(), beside.share.to_string()]);
        }
        let mut manager = Manager {
            program: OurProgram::new(command, "stoker", arguments, self.settings),
            listen,
            peer_listen,
            beside,
        };
        manager.start_again().await;
        manager
    }
}

impl Manager {
    pub async fn start() -> Self {
        ManagerSpec::new().start().await
    }

    /// `stoker up`.
    pub async fn up() -> Self {
        ManagerSpec::new().start_up().await
    }

    /// `127.0.0.1:PORT`
    pub fn address(&self) -> String {
        self.listen.to_string()
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.listen)
    }

    /// Where peers call.
    pub fn peer_url(&self) -> String {
        format!("https://{}", self.peer_listen)
    }

    /// Where containerd is pointed at; only of `stoker up`.
    pub fn front_url(&self) -> String {
        format!("http://{}", self.beside().front)
    }

    /// Where other peers ask; only of `stoker up`.
    pub fn share_url(&self) -> String {
        format!("https://{}", self.beside().share)
    }

    fn beside(&self) -> &Beside {
        self.beside
            .as_ref()
            .expect("`stoker up`: a manager alone has no peer")
    }

    /// The data folder of the peer in it; only of `stoker up`.
    pub fn peer_data_dir(&self) -> PathBuf {
        self.data_dir().join("peer")
    }

    /// The file with the token that the first start has written: every scope.
    pub fn admin_token_file(&self) -> PathBuf {
        self.data_dir().join("admin.token")
    }

    pub fn admin_token(&self) -> String {
        files::read_text(&self.admin_token_file()).trim().to_owned()
    }

    /// A Harbor that has this manager as its provider, with the first token.
    pub fn harbor(&self) -> Harbor {
        Harbor::oauth(self.address(), &self.admin_token())
    }
}

impl Deref for Manager {
    type Target = OurProgram;

    fn deref(&self) -> &OurProgram {
        &self.program
    }
}

impl DerefMut for Manager {
    fn deref_mut(&mut self) -> &mut OurProgram {
        &mut self.program
    }
}
