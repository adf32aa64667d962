//! `stoker-peer`, as a seed or a node.

use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::process::Settings;
use super::{Manager, OurProgram};
use crate::jaeger::Export;
use crate::net::port_on;
use crate::{Host, Port, files};

/// How a peer is to be started.
pub struct PeerSpec {
    name: String,
    seed: bool,
    cluster: Option<String>,
    join_token_file: Option<PathBuf>,
    id: Option<Uuid>,
    settings: Settings,
}

/// A running peer.
pub struct Peer {
    program: OurProgram,
    front: Port,
    share: Port,
}

impl PeerSpec {
    pub fn seed(name: &str) -> Self {
        Self {
            seed: true,
            ..Self::node(name)
        }
    }

    pub fn node(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            seed: false,
            cluster: None,
            join_token_file: None,
            id: None,
            settings: Settings::default(),
        }
    }

    #[must_use]
    pub fn cluster(mut self, cluster: &str) -> Self {
        self.cluster = Some(cluster.to_owned());
        self
    }

    /// Instead of one that is made for it.
    #[must_use]
    pub fn join_token_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.join_token_file = Some(file.into());
        self
    }

    /// The id that the manager would else give it: which seed an object belongs to depends on it.
    #[must_use]
    pub fn id(mut self, id: Uuid) -> Self {
        self.id = Some(id);
        self
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

    /// Starts it and waits until it is ready. It joins the manager, unless its folder holds a membership of this manager.
    pub async fn start(self, manager: &Manager) -> Peer {
        let mut peer = self.build(manager).await;
        peer.start_again().await;
        peer
    }

    /// The same, not started yet.
    pub async fn build(mut self, manager: &Manager) -> Peer {
        let join_token_file = self.join_token_file.take();
        let (role, cluster) = (
            if self.seed { "seed" } else { "node" },
            self.cluster.clone().unwrap_or_else(|| "default".to_owned()),
        );
        let id = self.id;
        let mut peer = self.program(manager);
        forget_other_managers(&peer.data_dir(), manager);
        let file = if let Some(file) = join_token_file {
            file
        } else {
            let token = manager.join_token(role, &cluster, id).await;
            let file = peer.config_file().with_file_name("join.token");
            files::write_private(&file, token);
            file
        };
        peer.add_arguments(["--join-token-file".to_owned(), file.display().to_string()]);
        peer
    }

    fn program(self, manager: &Manager) -> Peer {
        let host = self.settings.host.as_ref();
        let (front, share) = (port_on(host), port_on(host));
        let given = [
            ("--manager", manager.peer_url()),
            ("--name", self.name.clone()),
            ("--front", front.to_string()),
            ("--share", share.to_string()),
        ];
        let mut arguments: Vec<String> = given
            .into_iter()
            .flat_map(|(flag, value)| [flag.to_owned(), value])
            .collect();
        if self.seed {
            arguments.push("--seed".to_owned());
        }
        if let Some(cluster) = self.cluster {
            arguments.extend(["--cluster".to_owned(), cluster]);
        }
        Peer {
            program: OurProgram::new(&self.name, "stoker-peer", arguments, self.settings),
            front,
            share,
        }
    }
}

/// A folder that is used again under another manager keeps its store and joins anew.
fn forget_other_managers(data_dir: &Path, manager: &Manager) {
    let membership = data_dir.join("membership.json");
    let Ok(text) = std::fs::read_to_string(&membership) else {
        return;
    };
    let joined: serde_json::Value = serde_json::from_str(&text).expect("a membership");
    let authority = files::read_text(&manager.data_dir().join("peer-ca.pem"));
    let ca = joined["ca_pem"].as_str().expect("an authority").trim();
    if !authority.contains(ca) {
        std::fs::remove_file(&membership).expect("removed");
        std::fs::remove_file(data_dir.join("membership.key")).expect("removed");
    }
}

impl Peer {
    /// A seed of the default cluster.
    pub async fn seed(name: &str, manager: &Manager) -> Self {
        PeerSpec::seed(name).start(manager).await
    }

    /// A node of the default cluster.
    pub async fn node(name: &str, manager: &Manager) -> Self {
        PeerSpec::node(name).start(manager).await
    }

    /// Where containerd is pointed at.
    pub fn front_url(&self) -> String {
        format!("http://{}", self.front)
    }

    /// Where other peers ask.
    pub fn share_url(&self) -> String {
        format!("https://{}", self.share)
    }
}

impl Deref for Peer {
    type Target = OurProgram;

    fn deref(&self) -> &OurProgram {
        &self.program
    }
}

impl DerefMut for Peer {
    fn deref_mut(&mut self) -> &mut OurProgram {
        &mut self.program
    }
}
